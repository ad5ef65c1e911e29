//! The domain: what a peer may say, what follows from it, and what has to change.
//!
//! Pure: no I/O, no clock (time is an argument), no randomness. `tests/architecture.rs` holds it to that.

pub mod address;
pub mod conditions;
pub mod discovery;
pub mod documents;
pub mod export;
pub mod gateways;
pub mod import;
pub mod names;
pub mod objects;
pub mod offer;
pub mod ourselves;
pub mod pem;
pub mod protocol;
pub mod refusal;
pub mod roster;
pub mod rotation;
pub mod trust;
pub mod withdrawal;
