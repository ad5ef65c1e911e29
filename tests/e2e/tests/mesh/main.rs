//! Requests between two real meshes: one file per scenario. `make mesh` runs them; `tests/e2e/src/mesh` is the bench.

#![allow(clippy::large_futures, reason = "a scenario is one future, made once")]

mod given;

mod authorization;
mod bad_anchors;
mod confinement;
mod end_of_trust;
mod label;
mod ports;
mod request;
mod resilience;
mod rotation;
mod unlabelled;
mod upgrade;
