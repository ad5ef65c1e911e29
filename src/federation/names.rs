//! Names: trust domains and cluster UUIDs (ours and peers'), host names, labels, port names.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use thiserror::Error;

/// Most characters of a DNS label (RFC 1123).
const LABEL_LIMIT: usize = 63;
/// Most characters of a DNS name (RFC 1123).
const NAME_LIMIT: usize = 253;
/// Most characters of a cluster's UUID.
const UUID_LIMIT: usize = 128;

/// Why a text is not a DNS name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    #[error("the name is empty")]
    Empty,
    /// Longer than RFC 1123 allows.
    #[error("the name has more than 253 characters")]
    Long,
    /// A label that RFC 1123 does not allow.
    #[error(
        "the name is not lower-case RFC 1123: labels of 1 to 63 letters, digits and inner hyphens, separated by dots"
    )]
    Label,
}

/// A DNS label: lower-case RFC 1123, 1 to 63 characters.
#[must_use]
pub fn is_dns_label(text: &str) -> bool {
    let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= LABEL_LIMIT
        && bytes.iter().all(|&b| edge(b) || b == b'-')
        && bytes.first().is_some_and(|&b| edge(b))
        && bytes.last().is_some_and(|&b| edge(b))
}

fn check_dns_name(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > NAME_LIMIT {
        return Err(NameError::Long);
    }
    if !text.split('.').all(is_dns_label) {
        return Err(NameError::Label);
    }
    Ok(())
}

/// A port name that Istio takes: a DNS label, but shorter than one may be (`size(key) < 63` in the CRD of `ServiceEntry`).
#[must_use]
pub fn is_port_name(text: &str) -> bool {
    text.len() < LABEL_LIMIT && is_dns_label(text)
}

/// A DNS name: lower-case RFC 1123, no leading or trailing dot, at most 253 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsName(String);

impl DnsName {
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check_dns_name(text).map(|()| Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `other` or lies below it.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.strip_suffix(other.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A vetted trust domain of a peer: a DNS name that neither is nor contains nor lies in one of ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(DnsName);

/// Why a trust domain is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TrustDomainError {
    /// Not a DNS name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Spelled as an IPv4 address, which Go refuses as the host of a URI constraint.
    #[error("it is an IP address")]
    Address,
    /// Ours, an alias of ours, or above or below one.
    #[error("it is {relation} {ours}, a trust domain of this cluster: a peer there could speak for our workloads")]
    Ours {
        /// `the same as`, `above` or `below`.
        relation: &'static str,
        /// The trust domain of ours.
        ours: String,
    },
}

impl TrustDomain {
    /// Vets a peer's trust domain against `ours` (our trust domain and its aliases).
    pub fn vet(text: &str, ours: &[DnsName]) -> Result<Self, TrustDomainError> {
        let name = spelled(text)?;
        for own in ours {
            let relation = if name == *own {
                "the same as"
            } else if own.is_within(&name) {
                "above"
            } else if name.is_within(own) {
                "below"
            } else {
                continue;
            };
            return Err(TrustDomainError::Ours { relation, ours: own.to_string() });
        }
        Ok(Self(name))
    }

    /// The trust domain as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Istio takes `cluster.local` for the local trust domain wherever it stands in a policy.
    #[must_use]
    pub fn is_istio_default(&self) -> bool {
        self.as_str() == "cluster.local"
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A name that may be a trust domain: ours, or a peer's.
fn spelled(text: &str) -> Result<DnsName, TrustDomainError> {
    let name = DnsName::parse(text)?;
    if text.parse::<IpAddr>().is_ok() { Err(TrustDomainError::Address) } else { Ok(name) }
}

/// Our own trust domain, which is our cluster domain: spelled as [`TrustDomain::vet`] demands it of a peer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnTrustDomain(DnsName);

impl OwnTrustDomain {
    /// Reads a name that peers accept.
    pub fn parse(text: &str) -> Result<Self, TrustDomainError> {
        spelled(text).map(Self)
    }

    /// A name that is in use already: peers may refuse it (an IP address), but the mesh runs with it.
    pub fn in_use(text: &str) -> Result<Self, NameError> {
        DnsName::parse(text).map(Self)
    }

    #[must_use]
    pub fn name(&self) -> &DnsName {
        &self.0
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for OwnTrustDomain {
    type Err = TrustDomainError;

    fn from_str(text: &str) -> Result<Self, TrustDomainError> {
        Self::parse(text)
    }
}

impl fmt::Display for OwnTrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// UUID of a cluster, ours or a peer's: 1 to 128 letters, digits, dots, underscores and hyphens (ASCII).
///
/// It stands in the claims of tokens and is a key in values; Deckhouse's are RFC 4122 UUIDs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClusterUuid(String);

/// Why a text is not a [`ClusterUuid`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a cluster UUID is 1 to 128 letters, digits, dots, underscores and hyphens")]
pub struct ClusterUuidError;

impl ClusterUuid {
    /// Reads a UUID that peers accept.
    pub fn parse(text: &str) -> Result<Self, ClusterUuidError> {
        Self::checked(text, |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    }

    /// A UUID that is in use already: any printable ASCII without spaces, 1 to 128 characters. Peers may refuse it.
    pub fn in_use(text: &str) -> Result<Self, ClusterUuidError> {
        Self::checked(text, |b| b.is_ascii_graphic())
    }

    fn checked(text: &str, allows: impl Fn(u8) -> bool) -> Result<Self, ClusterUuidError> {
        let fits = (1..=UUID_LIMIT).contains(&text.len()) && text.bytes().all(allows);
        fits.then(|| Self(text.to_owned())).ok_or(ClusterUuidError)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClusterUuid {
    type Err = ClusterUuidError;

    fn from_str(text: &str) -> Result<Self, ClusterUuidError> {
        Self::parse(text)
    }
}

impl fmt::Display for ClusterUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A host that a peer may offer: `<service>.<namespace>.svc.<its trust domain>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceHost<'a>(&'a str);

/// Why a host name is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ServiceHostError {
    /// Not a DNS name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Not `<service>.<namespace>.svc.<trust domain>`.
    #[error("it is not of the form <service>.<namespace>.svc.{0}")]
    Foreign(String),
}

impl<'a> ServiceHost<'a> {
    /// Vets a host that the peer of `trust_domain` offers.
    pub fn vet(text: &'a str, trust_domain: &TrustDomain) -> Result<Self, ServiceHostError> {
        check_dns_name(text)?;
        match Self::domain_of(text) {
            Some(domain) if domain == trust_domain.as_str() => Ok(Self(text)),
            _ => Err(ServiceHostError::Foreign(trust_domain.to_string())),
        }
    }

    /// The trust domain in `<service>.<namespace>.svc.<trust domain>`.
    #[must_use]
    pub fn domain_of(text: &str) -> Option<&str> {
        let mut parts = text.splitn(4, '.').skip(2);
        (parts.next() == Some("svc")).then(|| parts.next()).flatten()
    }

    /// The host as text.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Display for ServiceHost<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ours() -> Vec<DnsName> {
        vec![DnsName::parse("cluster-a.local").unwrap(), DnsName::parse("old.example").unwrap()]
    }

    #[test]
    fn dns_names() {
        for good in ["a", "cluster-b.local", "0.9", "a-b.c", &"x".repeat(63)] {
            assert!(DnsName::parse(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("", NameError::Empty),
            (".a", NameError::Label),
            ("a.", NameError::Label),
            ("a..b", NameError::Label),
            ("-a", NameError::Label),
            ("a-", NameError::Label),
            ("A", NameError::Label),
            ("a_b", NameError::Label),
            ("*.a", NameError::Label),
            ("a b", NameError::Label),
            ("a\n", NameError::Label),
            ("ä", NameError::Label),
            (&"x".repeat(64), NameError::Label),
            (&["x".repeat(63), "x".repeat(63), "x".repeat(63), "x".repeat(63)].join("."), NameError::Long),
        ] {
            assert_eq!(DnsName::parse(bad), Err(why), "{bad:?}");
        }
    }

    #[test]
    fn a_port_name_is_a_shorter_label() {
        for (text, expected) in [("http-1", true), (&"x".repeat(62), true), (&"x".repeat(63), false), ("Http", false)] {
            assert_eq!((is_port_name(text), is_dns_label(text)), (expected, expected || text.len() == 63), "{text}");
        }
    }

    #[test]
    fn a_trust_domain_is_not_ours_and_not_above_or_below_it() {
        for good in ["cluster-b.local", "xcluster-a.local", "cluster-a.local.example", "cluster.local"] {
            assert!(TrustDomain::vet(good, &ours()).is_ok(), "{good}");
        }
        for (bad, relation) in [
            ("cluster-a.local", "the same as"),
            ("old.example", "the same as"),
            ("local", "above"),
            ("example", "above"),
            ("sub.cluster-a.local", "below"),
        ] {
            match TrustDomain::vet(bad, &ours()) {
                Err(TrustDomainError::Ours { relation: found, .. }) => assert_eq!(found, relation, "{bad}"),
                other => panic!("{bad}: {other:?}"),
            }
        }
        for bad in ["CLUSTER-A.LOCAL", ".local", "cluster-b.local.", "", "cluster_b"] {
            assert!(matches!(TrustDomain::vet(bad, &ours()), Err(TrustDomainError::Name(_))), "{bad}");
        }
        assert_eq!(TrustDomain::vet("10.0.0.1", &ours()), Err(TrustDomainError::Address));
    }

    #[test]
    fn one_rule_for_a_uuid_of_ours_and_of_a_peer() {
        for good in ["deadbeef-mycluster", "6f9f0d5c-92f0-4c4b-8f7c-1a2b3c4d5e6f", "a_b.c", &"x".repeat(128)] {
            assert_eq!(ClusterUuid::parse(good).unwrap().as_str(), good);
            assert_eq!(ClusterUuid::in_use(good).unwrap().as_str(), good);
        }
        for bad in ["prod:eu", "a/b", "a@b"] {
            assert_eq!(ClusterUuid::parse(bad), Err(ClusterUuidError), "{bad}");
            assert_eq!(ClusterUuid::in_use(bad).unwrap().as_str(), bad);
        }
        for bad in ["", " ", "a b", "a\n", "ä", &"x".repeat(129)] {
            assert_eq!(ClusterUuid::parse(bad), Err(ClusterUuidError), "{bad:?}");
            assert_eq!(ClusterUuid::in_use(bad), Err(ClusterUuidError), "{bad:?}");
        }
    }

    #[test]
    fn our_trust_domain_is_spelled_as_a_peers() {
        for text in ["cluster-a.local", "cluster.local", "10.0.0.1", "A.local", "", "a..b", "10.0.0"] {
            assert_eq!(OwnTrustDomain::parse(text).is_ok(), TrustDomain::vet(text, &[]).is_ok(), "{text:?}");
            assert_eq!(OwnTrustDomain::in_use(text).is_ok(), DnsName::parse(text).is_ok(), "{text:?}");
        }
        assert_eq!(OwnTrustDomain::parse("10.0.0.1"), Err(TrustDomainError::Address));
    }

    #[test]
    fn a_peer_offers_hosts_of_its_own_domain_only() {
        let peer = TrustDomain::vet("cluster-b.local", &ours()).unwrap();
        assert!(ServiceHost::vet("bar.xyz.svc.cluster-b.local", &peer).is_ok());
        for bad in [
            "bar.xyz.svc.cluster-a.local",
            "bar.xyz.svc.xcluster-b.local",
            "bar.xyz.cluster-b.local",
            "xyz.svc.cluster-b.local",
            "svc.cluster-b.local",
            ".svc.cluster-b.local",
            "a.bar.xyz.svc.cluster-b.local",
            "*.xyz.svc.cluster-b.local",
            "bar.xyz.svc.cluster-b.local.",
            "BAR.xyz.svc.cluster-b.local",
            "google.com",
            "",
        ] {
            assert!(ServiceHost::vet(bad, &peer).is_err(), "{bad}");
        }
    }

    /// Labels from the top of the tree: `b.a` is `[a, b]`.
    fn path(name: &str) -> Vec<&str> {
        name.rsplit('.').collect()
    }

    proptest! {
        #[test]
        fn a_trust_domain_is_accepted_if_it_is_a_name_on_another_branch(
            name in "(([a-z0-9]|[a-z0-9][a-z0-9-]{0,3}[a-z0-9]|local|example|old|cluster-a)[.]){0,3}(local|example|cluster-a|[a-z]{1,3}|[0-9]{1,3})"
        ) {
            let ours = ours();
            let near = ours.iter().any(|own| {
                let (own, name) = (path(own.as_str()), path(&name));
                own.starts_with(&name) || name.starts_with(&own)
            });
            let is_address = name.split('.').count() == 4 && name.split('.').all(|part| part.parse::<u8>().is_ok_and(|byte| byte.to_string() == part));
            prop_assert_eq!(TrustDomain::vet(&name, &ours).is_ok(), !near && !is_address, "{}", name);
        }

        #[test]
        fn a_host_is_accepted_if_it_can_be_built_from_its_parts(
            host in "[a-z0-9*_-]{0,3}[.]([a-z0-9-]{0,3}[.]){1,2}(svc|sv)[.](cluster-b|cluster-a|b)[.]localx?[.]?"
        ) {
            let peer = TrustDomain::vet("cluster-b.local", &ours()).unwrap();
            let parts: Vec<&str> = host.split('.').collect();
            let good = match parts.as_slice() {
                [service, namespace, "svc", "cluster-b", "local"] => is_dns_label(service) && is_dns_label(namespace),
                _ => false,
            };
            prop_assert_eq!(ServiceHost::vet(&host, &peer).is_ok(), good, "{}", host);
        }

        #[test]
        fn a_text_is_a_name_only_if_every_character_is_valid(text in "([a-zA-Z0-9_.-]|\\PC){0,6}|[a-z.]{250,256}") {
            let good = text.len() <= 253
                && text.split('.').all(|label| {
                    (1..=63).contains(&label.len())
                        && label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
                        && !label.starts_with('-')
                        && !label.ends_with('-')
                });
            prop_assert_eq!(DnsName::parse(&text).is_ok(), good, "{:?}", text);
        }
    }
}
