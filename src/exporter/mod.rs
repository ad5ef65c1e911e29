//! The metadata exporter: what this cluster tells its peers, and to whom.
//!
//! Sources feed an [`index`]; [`documents`] are rendered from it on change; [`router`] serves them, and [`gate`]
//! decides who may read the private one.

pub mod gateways;
pub mod index;
pub mod object;
pub mod yaml;
