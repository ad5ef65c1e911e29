//! Answers conditional requests (RFC 9110, section 13.1.2).

use axum::http::HeaderMap;
use axum::http::header::IF_NONE_MATCH;

/// Whether `If-None-Match` names the entity tag, so that the reader already has the document.
///
/// Tags are compared weakly, as RFC 9110 demands for this header. An unreadable value matches nothing.
#[must_use]
pub(super) fn already_has(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut values = values.map(str::trim);
    // Our tags contain no comma, so splitting at commas is safe.
    values.any(|value| value == "*" || value.split(',').any(|tag| opaque(tag.trim()) == etag))
}

fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn tags_are_compared_by_rfc_9110() {
        let has = |values: &[&str]| {
            let headers = values.iter().map(|value| (IF_NONE_MATCH, HeaderValue::from_str(value).unwrap())).collect();
            already_has(&headers, "\"abc\"")
        };
        for yes in [
            &["\"abc\""][..],
            &["W/\"abc\""],
            &["\"x\", \"abc\""],
            &["\"x\",W/\"abc\" "],
            &["\"x\"", "\"abc\""],
            &["*"],
        ] {
            assert!(has(yes), "{yes:?}");
        }
        for no in
            [&[][..], &["\"abcd\""], &["abc"], &["\"ab\", \"c\""], &["w/\"abc\""], &["\"*\""], &[""], &["*, \"x\""]]
        {
            assert!(!has(no), "{no:?}");
        }
    }
}
