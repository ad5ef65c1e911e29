//! Types as they travel: the custom resource, the peers' documents, Istio and Kubernetes objects, module values.
//!
//! Serde shapes only. What a value means, and whether to believe it, is decided in [`crate::federation`].

pub mod istio;
pub mod istio_federation;
pub mod kubernetes;
pub mod metadata;
pub mod values;
