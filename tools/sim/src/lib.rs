//! A stand-in for a cluster and its operator: objects in memory or in a folder, and the part of addon-operator that hooks
//! can see. It knows nothing of this module. The demo, the replay of snapshots and the tests with real API servers use it.

pub mod cluster;
pub mod jq;
pub mod operator;
