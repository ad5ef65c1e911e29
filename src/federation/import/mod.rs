//! From what peers offer to the ServiceEntries of our mesh, and the smallest set of changes that gets there.

pub mod addresses;
pub mod plan;
pub mod routes;
