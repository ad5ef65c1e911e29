//! A refusal: what a peer offered, and the reason for which it is not taken.

use std::fmt;

use crate::api::istio_federation::{ItemKind, Refused};

/// What `status.refused[].name` and a quoted name in a reason may have at most, in characters.
pub const NAME_LIMIT: usize = 128;

/// Something that a peer offered and that is not taken. Its name is safe to print wherever it came from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// What was refused.
    pub kind: ItemKind,
    /// Its name: printable ASCII, at most [`NAME_LIMIT`] characters.
    pub name: String,
    /// Why, as a sentence for people.
    pub reason: String,
}

impl Refusal {
    /// Refuses `name` (made printable and short) for `reason`.
    #[must_use]
    pub fn new(kind: ItemKind, name: &str, reason: impl fmt::Display) -> Self {
        Self { kind, name: printable(name), reason: reason.to_string() }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { kind: refusal.kind, name: refusal.name, reason: refusal.reason }
    }
}

/// `text` as it may be shown: printable ASCII, what is not becomes `?`, cut at [`NAME_LIMIT`].
///
/// What a peer sends ends in logs, conditions and tables: no control character, no look-alike, no flood.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown: String =
        text.chars().take(NAME_LIMIT).map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect();
    if text.chars().nth(NAME_LIMIT).is_some() {
        shown.truncate(NAME_LIMIT - 3);
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_sends_is_shown_short_and_printable() {
        assert_eq!(printable("bar.xyz"), "bar.xyz");
        assert_eq!(printable("a\n\u{202e}b\u{1b}[31m"), "a??b?[31m");
        assert_eq!(printable(&"x".repeat(NAME_LIMIT)).len(), NAME_LIMIT);
        let long = printable(&"é".repeat(100_000));
        assert_eq!((long.len(), &long[NAME_LIMIT - 3..]), (NAME_LIMIT, "..."));
    }
}
