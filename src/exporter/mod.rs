//! The metadata exporter: what this cluster tells its peers, and to whom.
//!
//! A [`source`] feeds the [`index`]; [`documents`] are rendered from it on change; the [`router`] serves them, and the
//! [`gate`] decides who may read the private one. [`run`] puts the parts together.

pub mod certificates;
pub mod conditional;
pub mod documents;
pub mod feeder;
pub mod gate;
pub mod gateways;
pub mod identity;
pub mod index;
pub mod kubernetes;
pub mod listen;
pub mod manifests;
pub mod metrics;
pub mod object;
pub mod peers;
pub mod router;
pub mod run;
pub mod selection;
pub mod source;
pub mod spiffe;
pub mod tls;
pub mod told;
pub mod yaml;
