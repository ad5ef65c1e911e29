//! From the offers of peers to the ServiceEntries of our mesh, by the smallest set of changes.
//!
//! [`Routes::new`] unites the offers, [`Plan::new`] compares the ServiceEntries that follow from them with those that exist.

mod addresses;
mod existing;
mod input;
mod plan;
mod routes;
mod targets;
mod unknowns;

pub use existing::Unreadable;
pub use input::{FEDERATIONS, LABEL, PlanInput};
pub use plan::{Plan, cut};
pub use routes::{Outcome, Providers, Route, Routes};
