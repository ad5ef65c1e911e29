//! Who this cluster is.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::gateways::Inlet;
use crate::federation::names::DnsName;

/// Most bytes of a cluster's UUID.
const UUID_LIMIT: usize = 128;

/// What the documents say about this cluster besides what is found in it.
#[derive(Clone, Debug)]
pub struct Identity {
    /// UUID of the cluster.
    pub cluster_uuid: ClusterUuid,
    /// Domain of the cluster, which is its trust domain.
    pub cluster_domain: DnsName,
    /// How traffic from outside reaches the gateway.
    pub inlet: Inlet,
}

/// UUID of a cluster: whatever Deckhouse or the user gave, as long as it is one printable word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterUuid(String);

/// Not a UUID of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a cluster UUID is 1 to {UUID_LIMIT} printable ASCII characters without spaces")]
pub struct BadClusterUuid;

impl ClusterUuid {
    /// The UUID as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClusterUuid {
    type Err = BadClusterUuid;

    fn from_str(text: &str) -> Result<Self, BadClusterUuid> {
        let fits = !text.is_empty() && text.len() <= UUID_LIMIT && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(text.to_owned())).ok_or(BadClusterUuid)
    }
}

impl fmt::Display for ClusterUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_one_printable_word() {
        for good in ["deadbeef-mycluster", "6f9f0d5c-92f0-4c4b-8f7c-1a2b3c4d5e6f", &"x".repeat(128)] {
            assert_eq!(good.parse::<ClusterUuid>().unwrap().as_str(), good);
        }
        for bad in ["", " ", "a b", "a\n", "ä", &"x".repeat(129)] {
            assert_eq!(bad.parse::<ClusterUuid>(), Err(BadClusterUuid), "{bad:?}");
        }
    }
}
