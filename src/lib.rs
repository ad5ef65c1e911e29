//! Federation of independent Istio clusters: the parts of the module that its two executables share.
//!
//! `ARCHITECTURE.md` has the picture: arrows between these modules only go down.

pub mod api;
#[cfg(feature = "program")]
pub mod cli;
#[cfg(feature = "program")]
pub mod exporter;
pub mod federation;
pub mod hook;
pub mod peer;
pub mod text;
