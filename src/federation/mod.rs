//! The domain: rules for the statements of peers, and the changes that follow from them in our cluster.
//!
//! Pure: no I/O, no clock (time is an argument), no randomness. `tests/architecture.rs` checks this.

pub(crate) mod address;
pub mod conditions;
pub mod discovery;
pub mod documents;
pub mod export;
pub mod import;
pub mod managed;
pub mod names;
pub mod offer;
pub mod ourselves;
pub mod own_identity;
pub mod pem;
pub(crate) mod protocol;
pub mod reasons;
pub mod refusal;
pub mod roster;
pub(crate) mod rotation;
pub mod trust;
pub(crate) mod withdrawal;
