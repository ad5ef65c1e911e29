//! Commands for people.

pub mod crd;
