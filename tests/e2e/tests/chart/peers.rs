//! Peers after discovery: IstioFederations with metadata in their status.

use istio_federation::api::istio_federation::{
    AdmittedCertificate, CacheSource, CachedIngressGateway, CachedPrivateMetadata, CertificateRole, MetadataCache,
};
use istio_federation::api::metadata::{IngressGateway, PublicMetadata, PublicService, PublicServicePort};
use istio_federation::peer::SigningKey;
use istio_federation_testkit::Authority;
use serde_json::{Value, json};

/// Nobody listens there, so the peer's status does not change.
const ENDPOINT: &str = "https://127.0.0.1:9/metadata";

/// A remote cluster.
pub(crate) struct Peer {
    /// Name of its IstioFederation.
    pub(crate) name: &'static str,
    /// Its trust domain.
    pub(crate) domain: &'static str,
    /// Its services with their ports; `None` if it was never reached.
    pub(crate) services: &'static [(&'static str, &'static [(&'static str, u32)])],
    /// Whether another one has the same trust domain.
    pub(crate) shared: bool,
}

/// A cluster's public document.
pub(crate) fn public(uuid: &str) -> PublicMetadata {
    PublicMetadata {
        cluster_uuid: uuid.to_owned(),
        authn_key_pub: SigningKey::generate().unwrap().to_pem().public,
        root_ca: Authority::root(uuid).pem(),
        intermediate_cas: None,
    }
}

impl Peer {
    /// Its IstioFederation.
    pub(crate) fn federation(&self) -> Value {
        let shared = if self.shared { json!({"sharedTrustDomain": true}) } else { json!({}) };
        let federation =
            istio_federation_testkit::federation(self.name).domain(self.domain).endpoint(ENDPOINT).spec(&shared);
        if self.services.is_empty() { federation.json() } else { federation.cached(&json!(self.cache())).json() }
    }

    fn cache(&self) -> MetadataCache {
        let public = public(&format!("uuid-of-{}", self.name));
        let root = AdmittedCertificate {
            certificate: public.root_ca.clone(),
            role: CertificateRole::Root,
            missing_since: None,
        };
        let gateway = |host: u32| CachedIngressGateway {
            gateway: IngressGateway { address: format!("198.51.100.{host}"), port: 15443 },
            resolved: Vec::new(),
        };
        let port = |&(name, port): &(&str, u32)| PublicServicePort {
            name: name.to_owned(),
            port,
            protocol: Some(if name == "http" { "HTTP" } else { "TCP" }.to_owned()),
        };
        let service = |(host, ports): &(&str, &[(&str, u32)])| PublicService {
            hostname: format!("{host}.svc.{}", self.domain),
            ports: ports.iter().map(port).collect(),
            virtual_ip: None,
        };
        MetadataCache {
            public: Some(public),
            private: Some(CachedPrivateMetadata {
                ingress_gateways: vec![gateway(11), gateway(12)],
                public_services: self.services.iter().map(service).collect(),
            }),
            source: Some(CacheSource { metadata_endpoint: ENDPOINT.to_owned(), trust_domain: self.domain.to_owned() }),
            anchors: vec![root],
            ..MetadataCache::default()
        }
    }
}
