//! The domain: what a peer may say, what follows from it, and what has to change.
//!
//! Pure: no I/O, no clock (time is an argument), no randomness. `tests/architecture.rs` holds it to that.

pub mod names;
pub mod refusal;
pub mod trust;
