//! Types of the wire and the API: custom resource, the peers' documents, Istio and Kubernetes objects, module values.
//!
//! Serde shapes only. [`crate::federation`] interprets the values and decides whether to believe them.

pub mod istio;
pub mod istio_federation;
pub mod kubernetes;
pub mod metadata;
pub mod values;
