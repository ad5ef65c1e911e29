//! Makes text for people: an error with its causes on one line, and foreign text made safe to show.
//!
//! The lowest room: every other room may use it, and it uses none.

use std::error::Error;
use std::fmt::Write as _;

/// Most characters of a foreign name in a message, a condition or a table.
pub const NAME_LIMIT: usize = 128;

/// `error` and its causes, joined with `: `. A cause that the text already contains is left out: wrappers repeat it.
#[must_use]
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            // Writing to a String does not fail.
            let _ = write!(text, ": {more}");
        }
        cause = error.source();
    }
    text
}

/// `text` as it may be shown: printable ASCII, any other character as `?`, at most [`NAME_LIMIT`] characters.
///
/// Text of peers gets into logs, conditions and tables: it must bring no control characters, look-alikes or floods.
#[must_use]
pub fn printable(text: &str) -> String {
    printable_within(text, NAME_LIMIT)
}

/// [`printable`] with another limit, in characters. A longer text ends in `...`.
#[must_use]
pub fn printable_within(text: &str, limit: usize) -> String {
    let mut shown: String =
        text.chars().take(limit).map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect();
    if text.chars().nth(limit).is_some() {
        shown.truncate(limit.saturating_sub(3));
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_shown_short_and_printable() {
        assert_eq!(printable("bar.xyz"), "bar.xyz");
        assert_eq!(printable("a\n\u{202e}b\u{1b}[31m"), "a??b?[31m");
        assert_eq!(printable(&"x".repeat(NAME_LIMIT)).len(), NAME_LIMIT);
        let long = printable(&"é".repeat(100_000));
        assert_eq!((long.len(), &long[NAME_LIMIT - 3..]), (NAME_LIMIT, "..."));
        assert_eq!(printable_within("abcdef", 5), "ab...");
    }

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("inner: {0}")]
    struct Inner(#[from] std::fmt::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("{0}. Do something")]
    struct Advised(#[source] Inner);

    #[test]
    fn each_cause_appears_once() {
        let cause = std::fmt::Error.to_string();
        assert_eq!(error_chain(&Advised(Inner(std::fmt::Error))), format!("inner: {cause}. Do something"));
        assert_eq!(error_chain(&Outer(Inner(std::fmt::Error))), format!("outer: inner: {cause}"));
    }
}
