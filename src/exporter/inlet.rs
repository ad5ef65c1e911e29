//! The inlet: how traffic from outside reaches the gateway. It decides which objects the exporter reads.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// How traffic from outside reaches the ingress gateway, as in setting `istio.alliance.ingressGateway.inlet`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Inlet {
    /// Through a load balancer of the cloud.
    #[default]
    LoadBalancer,
    /// Through a port on every Node that runs a gateway Pod.
    NodePort,
}

/// Not the name of an inlet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an inlet is LoadBalancer or NodePort")]
pub struct UnknownInlet;

impl FromStr for Inlet {
    type Err = UnknownInlet;

    fn from_str(text: &str) -> Result<Self, UnknownInlet> {
        match text {
            "LoadBalancer" => Ok(Self::LoadBalancer),
            "NodePort" => Ok(Self::NodePort),
            _ => Err(UnknownInlet),
        }
    }
}

impl fmt::Display for Inlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LoadBalancer => "LoadBalancer",
            Self::NodePort => "NodePort",
        })
    }
}
