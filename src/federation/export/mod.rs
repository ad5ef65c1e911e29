//! Our exported Services, and the Gateways that let peers reach them.

pub mod gateways;
mod service;

pub use service::{ExportedPort, ExportedService, NotExported};
