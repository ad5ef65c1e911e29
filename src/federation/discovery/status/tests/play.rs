//! A federation whose peer gives the answers of a test, exchange by exchange.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::LazyLock;

use istio_federation_testkit::federation;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::istio_federation::{IstioFederation, IstioFederationStatus, MetadataCache};
use crate::api::kubernetes::Condition;
use crate::api::metadata::PublicMetadata;
use crate::federation::discovery::status::{NextStatus, StatusContext};
use crate::federation::discovery::{Exchange, Fetch, Pace, PrivateAnswer};
use crate::federation::documents;
use crate::federation::names::TrustDomain;
use crate::federation::ourselves::Ourselves;
use crate::federation::own_identity::RenderedIdentity;
use crate::federation::roster::cache_of;
use crate::federation::trust::{Judge, OwnChain};

/// 2026-12-01, in seconds since 1970: within the validity of all certificates made here.
const START: i64 = 1_796_083_200;

/// Roots of peers, PEM.
pub(super) static ROOTS: LazyLock<Vec<String>> =
    LazyLock::new(|| (0..8).map(|number| root(&format!("peer {number}"))).collect());
static OWN: LazyLock<OwnChain> = LazyLock::new(|| OwnChain::read(&root("ours")).unwrap());

fn root(name: &str) -> String {
    istio_federation_testkit::Authority::root(name).pem()
}

/// A federation and the clock.
pub(super) struct Play {
    pub(super) federation: IstioFederation,
    pub(super) own_chain_known: bool,
    pub(super) pace: Pace,
    /// Our cluster UUID.
    pub(super) uuid: &'static str,
    /// Seconds since [`START`].
    pub(super) second: i64,
}

impl Play {
    pub(super) fn new() -> Self {
        Self {
            federation: federation("b").read(),
            own_chain_known: true,
            pace: Pace::Patient,
            uuid: "uuid-a",
            second: 0,
        }
    }

    /// After a good exchange with these answers at second 0.
    pub(super) fn after(public: Fetch<PublicMetadata>, private: Fetch<PrivateAnswer>) -> Self {
        let mut play = Self::new();
        play.answer(exchange(public, private));
        play
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_second(START + self.second).unwrap()
    }

    /// The federation after this exchange at the present second; the play goes on from there.
    pub(super) fn answer(&mut self, exchange: Exchange) -> NextStatus {
        let values = json!({"istio": {"federation": {"clusterDomain": "a.local", "clusterUUID": self.uuid}}});
        let ours = Ourselves::from_values(&serde_json::from_value(values).unwrap(), None).unwrap();
        let ours = ours.with_identity_in_use(&[RenderedIdentity::default()]).unwrap();
        let trust_domain = TrustDomain::vet(&self.federation.spec.trust_domain, &ours.trust_domains()).unwrap();
        let judge = self.own_chain_known.then(|| Judge::new(&OWN));
        let context = StatusContext { ours: &ours, judge: judge.as_ref(), now: self.now(), pace: self.pace };
        let next = context.next_status(&self.federation, &trust_domain, exchange);
        self.federation.status = Some(next.status.clone());
        next
    }

    /// The same at this second.
    pub(super) fn answer_at(&mut self, second: i64, exchange: Exchange) -> NextStatus {
        self.second = second;
        self.answer(exchange)
    }

    pub(super) fn status(&self) -> IstioFederationStatus {
        self.federation.status.clone().unwrap_or_default()
    }

    /// The cache, if it is for the present trust domain.
    pub(super) fn cache(&self) -> MetadataCache {
        cache_of(&self.federation).cloned().unwrap_or_default()
    }

    pub(super) fn condition(&self, type_: &str) -> Condition {
        self.status().conditions.into_iter().find(|condition| condition.type_ == type_).unwrap_or_default()
    }

    /// Status and reason of a condition.
    pub(super) fn verdict(&self, type_: &str) -> (String, String) {
        let Condition { status, reason, .. } = self.condition(type_);
        (status, reason)
    }

    /// Hosts of the cached services.
    pub(super) fn services(&self) -> Vec<String> {
        let services = self.cache().private.unwrap_or_default().public_services;
        services.into_iter().map(|service| service.hostname).collect()
    }

    /// Addresses of the cached gateways, each with the addresses that its name resolved to.
    pub(super) fn gateways(&self) -> Vec<(String, Vec<String>)> {
        let gateways = self.cache().private.unwrap_or_default().ingress_gateways;
        gateways.into_iter().map(|gateway| (gateway.gateway.address, gateway.resolved)).collect()
    }

    /// Which of [`ROOTS`] are admitted.
    pub(super) fn roots(&self) -> Vec<usize> {
        let is = |anchor: &str, root: &str| anchor.split_whitespace().eq(root.split_whitespace());
        let number = |anchor: &str| ROOTS.iter().position(|root| is(anchor, root)).unwrap();
        let mut roots: Vec<_> = self.cache().anchors.iter().map(|anchor| number(&anchor.certificate)).collect();
        roots.sort_unstable();
        roots
    }
}

/// An exchange without names to resolve.
pub(super) fn exchange(public: Fetch<PublicMetadata>, private: Fetch<PrivateAnswer>) -> Exchange {
    Exchange { public, private, resolved: BTreeMap::new(), token_refused: false, unverified: false }
}

/// The resolved addresses of names.
pub(super) fn resolved(names: &[(&str, &[&str])]) -> BTreeMap<String, Vec<IpAddr>> {
    let owned = |addresses: &[&str]| addresses.iter().map(|&address| address.parse().unwrap()).collect();
    names.iter().map(|(name, addresses)| ((*name).to_owned(), owned(addresses))).collect()
}

/// A public document with these [`ROOTS`] and entity tag `"TAG"`.
pub(super) fn public(roots: &[usize], tag: &str) -> Fetch<PublicMetadata> {
    let document = PublicMetadata {
        cluster_uuid: "uuid-b".to_owned(),
        authn_key_pub: "key of b".to_owned(),
        root_ca: roots.iter().map(|&number| ROOTS[number].as_str()).collect(),
        intermediate_cas: None,
    };
    Fetch::Fresh { document, etag: Some(format!("\"{tag}\"")) }
}

/// A private document with services of these letters, these gateways, and entity tag `"TAG"`.
pub(super) fn private(services: &str, gateways: &[&str], complete: bool, tag: &str) -> Fetch<PrivateAnswer> {
    let services = services
        .chars()
        .map(|c| json!({"hostname": format!("{c}.ns.svc.b.local"), "ports": [{"name": "http", "port": 80}]}));
    let gateways = gateways.iter().map(|address| json!({"address": address, "port": 15443}));
    private_of(&services.collect::<Vec<_>>(), &gateways.collect::<Vec<_>>(), complete, Some(tag))
}

pub(super) fn private_of(
    services: &[Value],
    gateways: &[Value],
    complete: bool,
    tag: Option<&str>,
) -> Fetch<PrivateAnswer> {
    let body = json!({"publicServices": services, "ingressGateways": gateways}).to_string();
    let document = documents::normalize(&documents::read_private(body.as_bytes()).unwrap());
    Fetch::Fresh { document: PrivateAnswer { document, complete }, etag: tag.map(|tag| format!("\"{tag}\"")) }
}

pub(super) fn failed<T>() -> Fetch<T> {
    Fetch::Failed { reason: "FetchFailed", message: "GET https://b.example/metadata: no answer".to_owned() }
}

pub(super) fn not_tried<T>() -> Fetch<T> {
    Fetch::NotTried { reason: "AwaitingPublic", message: "the public document comes first".to_owned() }
}
