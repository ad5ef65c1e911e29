//! Commands for people.

pub mod crd;
pub mod demo;
