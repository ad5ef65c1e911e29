//! From what peers offer to the ServiceEntries of our mesh, and the smallest set of changes that gets there.

mod addresses;
mod existing;
pub mod plan;
pub mod routes;
mod targets;
mod unknowns;

pub use existing::Unreadable;
