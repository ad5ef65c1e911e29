//! The metadata exporter: serves this cluster's metadata to its peers.
//!
//! A source (the Kubernetes API, or a folder of manifests) feeds the index. The documents are rendered from it when it
//! changes. The router serves them, and the gate decides who may read the private one. [`run`] connects the parts.

mod certificates;
mod conditional;
mod documents;
mod feeder;
mod gate;
mod gateway_addresses;
mod identity;
mod index;
mod inlet;
mod kubernetes;
mod listen;
mod log_limit;
mod manifests;
mod metrics;
mod object;
mod peers;
mod router;
mod run;
mod selection;
mod source;
mod spiffe;
mod tls;
mod yaml;

pub use gateway_addresses::{GatewayError, advertised_list};
pub use identity::Identity;
pub use inlet::{Inlet, UnknownInlet};
pub use kubernetes::{ConnectError, access};
pub use run::{Objects, RunError, Settings, run};
pub use source::SourceError;
pub use tls::{TlsError, TlsFiles};
