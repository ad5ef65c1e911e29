//! `istio-federation demo`: two clusters on this machine that federate, each with the real hooks and the real exporter.

pub mod cluster;
pub mod jq;
pub mod operator;
