//! The exporter on a real API server: the same documents as from manifests, even while the API server fails, and with no more rights
//! than it needs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "exporter/disturbances.rs"]
mod disturbances;
#[path = "../../common/hook_build.rs"]
mod hook_build;
#[path = "exporter/objects.rs"]
mod objects;
#[allow(dead_code, reason = "only the part with defaults is used here")]
#[path = "../../schemas/openapi.rs"]
mod openapi;
#[path = "exporter/process.rs"]
mod process;
#[path = "exporter/rbac.rs"]
mod rbac;
#[path = "exporter/same.rs"]
mod same;
#[path = "exporter/witness.rs"]
mod witness;
#[path = "exporter/world.rs"]
mod world;
