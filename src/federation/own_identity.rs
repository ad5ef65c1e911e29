//! Whether peers accept the identity of this cluster: its UUID and its trust domain.
//!
//! A new value that peers would refuse is refused here. A value in use stays, because changing it has a price; the
//! condition `OwnIdentityAccepted` shows which peers refuse it.

use thiserror::Error;

use super::names::{ClusterUuid, OwnTrustDomain};
use super::reasons;

/// A part of our identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Where it comes from, such as `istio.federation.clusterUUID`.
    pub setting: &'static str,
    pub value: &'a str,
}

/// The identity that one of the rendered owner ConfigMaps names; `None` from a version that did not write it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RenderedIdentity {
    pub cluster_uuid: Option<String>,
    pub trust_domain: Option<String>,
}

/// A value that peers refuse.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{setting} is {value:?}, which peers refuse: {rule}")]
pub struct RefusedIdentity {
    /// Reason of the condition.
    pub reason: &'static str,
    /// Where the value comes from.
    pub setting: &'static str,
    pub value: String,
    /// The rule that it breaks.
    pub rule: String,
    /// The consequence of a change.
    pub price: &'static str,
}

/// The verdict on our identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnIdentity {
    /// Peers accept it.
    Accepted,
    /// Peers refuse it, but this cluster runs with it already.
    InUseRefusedByPeers(RefusedIdentity),
    /// Peers would refuse it, and it is new.
    Refused(RefusedIdentity),
}

/// Judges our identity. Without `rendered` owners, federation has not been on yet: every value is new.
#[must_use]
pub fn own_identity(uuid: Part<'_>, trust_domain: Part<'_>, rendered: &[RenderedIdentity]) -> OwnIdentity {
    let is_in_use = |value: &str, of: fn(&RenderedIdentity) -> &Option<String>| {
        rendered.iter().any(|rendered| of(rendered).as_deref().is_none_or(|rendered| rendered == value))
    };
    let of_uuid = ClusterUuid::parse(uuid.value).err().map(|error| {
        let price = "each peer that had it has to set spec.clusterUUID to the new one";
        (refused(reasons::CLUSTER_UUID_REFUSED, uuid, &error, price), is_in_use(uuid.value, |one| &one.cluster_uuid))
    });
    let of_domain = OwnTrustDomain::parse(trust_domain.value).err().map(|error| {
        let price = "all workloads get new identities, and each peer has to set spec.trustDomain to the new one";
        let refused = refused(reasons::TRUST_DOMAIN_REFUSED, trust_domain, &error, price);
        (refused, is_in_use(trust_domain.value, |one| &one.trust_domain))
    });
    let mut in_use = None;
    for (refused, is_in_use) in [of_uuid, of_domain].into_iter().flatten() {
        if !is_in_use {
            return OwnIdentity::Refused(refused);
        }
        in_use.get_or_insert(refused);
    }
    in_use.map_or(OwnIdentity::Accepted, OwnIdentity::InUseRefusedByPeers)
}

fn refused(reason: &'static str, part: Part<'_>, rule: &dyn std::error::Error, price: &'static str) -> RefusedIdentity {
    RefusedIdentity { reason, setting: part.setting, value: part.value.to_owned(), rule: rule.to_string(), price }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(uuid: &str, domain: &str, rendered: &[(Option<&str>, Option<&str>)]) -> OwnIdentity {
        let rendered: Vec<RenderedIdentity> = rendered
            .iter()
            .map(|(uuid, domain)| RenderedIdentity {
                cluster_uuid: uuid.map(ToOwned::to_owned),
                trust_domain: domain.map(ToOwned::to_owned),
            })
            .collect();
        own_identity(
            Part { setting: "istio.federation.clusterUUID", value: uuid },
            Part { setting: "istio.federation.clusterDomain", value: domain },
            &rendered,
        )
    }

    #[test]
    fn a_new_value_that_peers_refuse_is_refused_here() {
        for (uuid, domain, rendered) in [
            ("a/b", "a.local", vec![]),
            ("a/b", "a.local", vec![(Some("a"), Some("a.local")), (Some("a"), Some("a.local"))]),
            ("a", "10.0.0.1", vec![]),
            ("a", "10.0.0.1", vec![(Some("a"), Some("a.local"))]),
            // The bad UUID is in use, the bad domain is not.
            ("a/b", "10.0.0.1", vec![(Some("a/b"), Some("a.local"))]),
        ] {
            let OwnIdentity::Refused(refused) = judged(uuid, domain, &rendered) else {
                panic!("{uuid} {domain} {rendered:?}")
            };
            let text = refused.to_string();
            assert!(text.contains(&refused.value) && text.starts_with("istio.federation.cluster"), "{text}");
        }
    }

    #[test]
    fn a_value_in_use_stays() {
        for (uuid, domain, rendered, reason) in [
            ("a/b", "a.local", vec![(Some("a/b"), Some("a.local"))], "ClusterUUIDRefused"),
            ("a/b", "a.local", vec![(None, None)], "ClusterUUIDRefused"),
            // While Helm renders the two, one is older.
            ("a/b", "a.local", vec![(Some("a/b"), None), (None, None)], "ClusterUUIDRefused"),
            ("a", "10.0.0.1", vec![(Some("a"), Some("10.0.0.1"))], "TrustDomainRefused"),
            ("a/b", "10.0.0.1", vec![(None, None)], "ClusterUUIDRefused"),
        ] {
            let OwnIdentity::InUseRefusedByPeers(refused) = judged(uuid, domain, &rendered) else {
                panic!("{uuid} {domain} {rendered:?}")
            };
            assert_eq!(refused.reason, reason);
        }
    }

    #[test]
    fn a_value_that_peers_accept_needs_no_history() {
        for rendered in [vec![], vec![(None, None)], vec![(Some("other"), Some("other"))]] {
            assert_eq!(judged("a", "a.local", &rendered), OwnIdentity::Accepted);
        }
    }
}
