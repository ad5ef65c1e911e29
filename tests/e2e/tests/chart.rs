//! The chart: rendered by real Helm from values of our own hooks, applied to a real API server, upgraded in every direction.
#![allow(clippy::panic, clippy::unwrap_used, reason = "clippy does not count helpers of tests as tests")]

#[path = "chart/accepts.rs"]
mod accepts;
#[path = "chart/documents.rs"]
mod documents;
#[path = "../../common/hook_build.rs"]
mod hook_build;
#[path = "chart/hostile.rs"]
mod hostile;
#[path = "chart/module.rs"]
mod module;
#[path = "../../schemas/openapi.rs"]
mod openapi;
#[path = "chart/peers.rs"]
mod peers;
#[path = "chart/rendering.rs"]
mod rendering;
#[path = "chart/server.rs"]
mod server;
#[path = "chart/situations.rs"]
mod situations;
#[path = "chart/vetted.rs"]
mod vetted;
#[path = "chart/world.rs"]
mod world;
