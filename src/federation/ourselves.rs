//! Facts about our own cluster that judging a peer needs.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use thiserror::Error;

use super::names::{DnsName, NameError};
use super::own_identity::{OwnIdentity, Part, RefusedIdentity, RenderedIdentity, own_identity};
use crate::api::values::Values;

/// Default range of the imported hosts' addresses: class E, which nobody routes.
const DEFAULT_SERVICE_RANGE: &str = "240.241.0.0/16";

/// Why the facts about ourselves are incomplete.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum OurselvesError {
    /// Neither the operator nor a setting gives it.
    #[error("our cluster domain is unknown: set istio.federation.clusterDomain")]
    NoDomain,
    /// Neither the operator, nor a setting, nor namespace kube-system gives it.
    #[error("our cluster UUID is unknown: set istio.federation.clusterUUID")]
    NoUuid,
    /// Not a DNS name.
    #[error("{setting} is {value:?}: {cause}")]
    Name {
        /// Path of the setting.
        setting: &'static str,
        value: String,
        /// The problem.
        cause: NameError,
    },
    /// New, and peers would refuse it.
    #[error(transparent)]
    Refused(#[from] RefusedIdentity),
    #[error("{setting} is {value:?}: not an address range such as 240.241.0.0/16")]
    Range {
        /// Path of the setting.
        setting: &'static str,
        value: String,
    },
}

/// The facts about our own cluster that federation needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ourselves {
    /// Our trust domain, which is our cluster domain.
    pub trust_domain: DnsName,
    /// Other names that our mesh accepts as its own.
    pub aliases: Vec<DnsName>,
    pub uuid: String,
    /// The sources of trust domain and UUID.
    pub(super) sources: [&'static str; 2],
    /// The part of our identity that peers refuse, although it is in use.
    pub refused_by_peers: Option<RefusedIdentity>,
    /// Addresses that belong to this cluster: Pods, Services, imported hosts, our gateways.
    pub networks: Vec<IpNet>,
    /// Range that imported hosts get their addresses from.
    pub service_range: Ipv4Net,
}

impl Ourselves {
    /// Takes the facts from the operator's values, else from settings, else the UUID from namespace kube-system's.
    pub fn from_values(values: &Values, kube_system_uid: Option<&str>) -> Result<Self, OurselvesError> {
        let discovery = values.global.as_ref().and_then(|global| global.discovery.clone()).unwrap_or_default();
        let istio = values.istio.clone().unwrap_or_default();
        let settings = istio.federation.unwrap_or_default();
        let from = |sources: [(&'static str, Option<String>); 3]| {
            sources.into_iter().find_map(|(source, value)| Some((source, filled(value)?)))
        };
        let (domain_source, domain) = from([
            ("global.discovery.clusterDomain", discovery.cluster_domain),
            ("istio.federation.clusterDomain", settings.cluster_domain),
            ("", None),
        ])
        .ok_or(OurselvesError::NoDomain)?;
        let (uuid_source, uuid) = from([
            ("global.discovery.clusterUUID", discovery.cluster_uuid),
            ("istio.federation.clusterUUID", settings.cluster_uuid),
            ("the UID of namespace kube-system", kube_system_uid.map(ToOwned::to_owned)),
        ])
        .ok_or(OurselvesError::NoUuid)?;
        let range = settings.service_address_range.unwrap_or_else(|| DEFAULT_SERVICE_RANGE.to_owned());
        let setting = "istio.federation.serviceAddressRange";
        let service_range: Ipv4Net =
            range.parse().map_err(|_| OurselvesError::Range { setting, value: range.clone() })?;

        let mut networks = vec![IpNet::V4(service_range)];
        for (setting, subnet) in [
            ("global.discovery.podSubnet", discovery.pod_subnet),
            ("global.discovery.serviceSubnet", discovery.service_subnet),
        ] {
            // A dual-stack cluster has two, separated by a comma.
            for part in filled(subnet).iter().flat_map(|text| text.split(',')) {
                let value = part.trim().to_owned();
                networks.push(value.parse().map_err(|_| OurselvesError::Range { setting, value })?);
            }
        }
        let advertised = istio.alliance.and_then(|alliance| alliance.ingress_gateway).and_then(|own| own.advertise);
        networks.extend(
            advertised.unwrap_or_default().iter().filter_map(|own| own.address.parse::<IpAddr>().ok()).map(IpNet::from),
        );

        let name = |setting, value: String| {
            DnsName::parse(&value).map_err(|cause| OurselvesError::Name { setting, value, cause })
        };
        let aliases = settings.trust_domain_aliases.unwrap_or_default();
        Ok(Self {
            trust_domain: name("our cluster domain", domain)?,
            aliases: aliases
                .into_iter()
                .map(|alias| name("istio.federation.trustDomainAliases", alias))
                .collect::<Result<_, _>>()?,
            uuid,
            sources: [domain_source, uuid_source],
            refused_by_peers: None,
            networks,
            service_range,
        })
    }

    /// Judges our identity; the owner ConfigMaps name the one in use. Fails for a new value that peers would refuse.
    pub fn with_identity_in_use(mut self, rendered: &[RenderedIdentity]) -> Result<Self, OurselvesError> {
        let [domain_source, uuid_source] = self.sources;
        let uuid = Part { setting: uuid_source, value: &self.uuid };
        let domain = Part { setting: domain_source, value: self.trust_domain.as_str() };
        self.refused_by_peers = match own_identity(uuid, domain, rendered) {
            OwnIdentity::Accepted => None,
            OwnIdentity::InUseRefusedByPeers(refused) => Some(refused),
            OwnIdentity::Refused(refused) => return Err(refused.into()),
        };
        Ok(self)
    }

    /// Our trust domain and its aliases.
    #[must_use]
    pub fn trust_domains(&self) -> Vec<DnsName> {
        std::iter::once(self.trust_domain.clone()).chain(self.aliases.iter().cloned()).collect()
    }
}

/// Whether `istio.federation.enabled` is true.
#[must_use]
pub fn enabled(values: &Values) -> bool {
    values.federation_settings().and_then(|settings| settings.enabled).unwrap_or(false)
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(values: serde_json::Value) -> Result<Ourselves, OurselvesError> {
        Ourselves::from_values(&serde_json::from_value(values).unwrap(), Some("kube-system-uid"))
    }

    #[test]
    fn values_of_the_operator_precede_settings() {
        let ours = read(json!({
            "global": {"discovery": {"clusterDomain": "a.local", "clusterUUID": "u1", "podSubnet": "10.1.0.0/16",
                                     "serviceSubnet": "10.2.0.0/16,fd00::/108"}},
            "istio": {"federation": {"clusterDomain": "other", "clusterUUID": "u2", "trustDomainAliases": ["old.local"]},
                      "alliance": {"ingressGateway": {"advertise": [{"address": "203.0.113.7", "port": 1},
                                                                    {"address": "gw.example", "port": 2}]}}}
        }))
        .unwrap();
        assert_eq!((ours.trust_domain.as_str(), ours.uuid.as_str()), ("a.local", "u1"));
        assert_eq!(ours.trust_domains().len(), 2);
        let networks: Vec<String> = ours.networks.iter().map(ToString::to_string).collect();
        assert_eq!(networks, ["240.241.0.0/16", "10.1.0.0/16", "10.2.0.0/16", "fd00::/108", "203.0.113.7/32"]);
    }

    #[test]
    fn settings_and_the_namespace_fill_in() {
        let ours = read(json!({"global": null, "istio": {"federation": {"clusterDomain": "a.local"}}})).unwrap();
        assert_eq!((ours.trust_domain.as_str(), ours.uuid.as_str()), ("a.local", "kube-system-uid"));
    }

    #[test]
    fn missing_and_wrong_members_are_named() {
        assert_eq!(read(json!({})), Err(OurselvesError::NoDomain));
        let none = Ourselves::from_values(
            &serde_json::from_value(json!({"istio": {"federation": {"clusterDomain": "a"}}})).unwrap(),
            None,
        );
        assert_eq!(none, Err(OurselvesError::NoUuid));
        for (settings, named) in [
            (json!({"clusterDomain": "A.local"}), "our cluster domain"),
            (json!({"clusterDomain": "a", "trustDomainAliases": [""]}), "trustDomainAliases"),
            (json!({"clusterDomain": "a", "serviceAddressRange": "x"}), "serviceAddressRange"),
        ] {
            let error = read(json!({"istio": {"federation": settings}})).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
