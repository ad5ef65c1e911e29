//! From what peers offer to the ServiceEntries of our mesh, and the smallest set of changes that gets there.

mod addresses;
pub mod plan;
pub mod routes;
