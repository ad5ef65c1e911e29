//! Code that several hooks share: steps, settings, common bindings, patches and metrics.

pub(crate) mod bindings;
pub(crate) mod federations;
pub(crate) mod keypair;
pub(crate) mod metrics;
pub(crate) mod own_chain;
pub(crate) mod patches;
pub(crate) mod settings;
pub(crate) mod steps;
