//! The metadata exporter: what this cluster tells its peers, and to whom.
//!
//! Sources feed an [`index`]; [`documents`] are rendered from it on change; a router serves them, and a gate decides
//! who may read the private one.

pub mod certificates;
pub mod documents;
pub mod gateways;
pub mod identity;
pub mod index;
pub mod object;
pub mod peers;
pub mod spiffe;
#[cfg(test)]
mod test_pki;
pub mod yaml;
