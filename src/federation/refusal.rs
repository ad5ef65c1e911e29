//! A refusal: an item of a peer's offer, and the reason for refusing it.

use std::fmt;

use crate::api::istio_federation::{ItemKind, Refused};
use crate::text::printable;

/// A refused item of a peer's offer. Its name is always safe to print.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// The refused item.
    pub kind: ItemKind,
    /// Its name: printable ASCII, at most [`crate::text::NAME_LIMIT`] characters.
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
