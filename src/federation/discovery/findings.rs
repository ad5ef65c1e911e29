//! What a person reads about an exchange. Texts do not vary while nothing changes: a varying one would be a write each time.

use super::{Exchange, Fetch};
use crate::api::istio_federation::{CachedPrivateMetadata, CertificateRole, MetadataCache};
use crate::api::kubernetes::Condition;
use crate::federation::conditions::{
    ENDPOINT_VERIFIED, Finding, INGRESS_GATEWAYS_READY, PRIVATE_EXCHANGE_READY, PUBLIC_EXCHANGE_READY,
    TRUST_ANCHORS_READY, TRUST_DOMAIN_ACCEPTED,
};
use crate::federation::names::TrustDomain;
use crate::federation::offer::Offer;
use crate::federation::ourselves::Ourselves;
use crate::federation::refusal::Refusal;
use crate::federation::roster::Unfit;

/// Reason of a peer that lists no gateway.
const NO_GATEWAYS: &str = "NoIngressGateways";

/// Whether the peer's document lists any gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gateways {
    /// It lists one or more.
    pub any: bool,
}

/// About a federation whose trust domain is refused: no request is made.
#[must_use]
pub fn of_unfit(unfit: &Unfit) -> Vec<Finding> {
    let waits = "nothing is fetched before spec.trustDomain can be used";
    vec![
        Finding::new(TRUST_DOMAIN_ACCEPTED, Some(false), unfit.reason(), unfit.to_string()),
        Finding::new(PUBLIC_EXCHANGE_READY, None, "AwaitingTrustDomain", waits),
        Finding::new(PRIVATE_EXCHANGE_READY, None, "AwaitingTrustDomain", waits),
    ]
}

/// About the requests of an exchange.
#[must_use]
pub fn of_exchange(trust_domain: &TrustDomain, exchange: &Exchange) -> Vec<Finding> {
    let mut findings = vec![
        if trust_domain.is_istio_default() {
            let warning = "Istio takes cluster.local in any AuthorizationPolicy for this cluster's own trust domain, \
                so policies cannot tell this peer from ourselves: give the peer another cluster domain";
            Finding::new(TRUST_DOMAIN_ACCEPTED, Some(true), "AmbiguousTrustDomain", warning)
        } else {
            Finding::new(TRUST_DOMAIN_ACCEPTED, Some(true), "Accepted", "spec.trustDomain can be used")
        },
        of_fetch(PUBLIC_EXCHANGE_READY, &exchange.public),
        of_fetch(PRIVATE_EXCHANGE_READY, &exchange.private),
    ];
    if exchange.unverified {
        let message = "spec.metadata.insecureSkipVerify is set: whoever is on the path can pose as the peer; \
            set spec.metadata.ca instead";
        findings.push(Finding::new(ENDPOINT_VERIFIED, Some(false), "InsecureSkipVerify", message));
    } else if exchange.public.is_good() || exchange.private.is_good() {
        findings.push(Finding::new(
            ENDPOINT_VERIFIED,
            Some(true),
            "Verified",
            "the endpoint's certificate is verified",
        ));
    }
    findings
}

fn of_fetch<T>(type_: &'static str, fetch: &Fetch<T>) -> Finding {
    match fetch {
        Fetch::NotTried { reason, message } => Finding::new(type_, None, reason, message),
        Fetch::Failed { reason, message } => Finding::new(type_, Some(false), reason, message),
        Fetch::NotModified | Fetch::Fresh { .. } => {
            Finding::new(type_, Some(true), "Succeeded", "the document was fetched and accepted")
        }
    }
}

/// About the private document that is more than we keep.
#[must_use]
pub fn too_large(size: usize, limit: usize) -> Finding {
    let message =
        format!("what is kept of the peer would take {size} bytes, more than {limit}: the last good document holds");
    Finding::new(PRIVATE_EXCHANGE_READY, Some(false), "DocumentTooLarge", message)
}

/// About the peer's certificates; `refused` is `None` while our own are not known.
#[must_use]
pub fn of_anchors(cache: &MetadataCache, refused: Option<&[Refusal]>) -> Finding {
    let Some(refused) = refused else {
        let message =
            "our own root certificate (ConfigMap istio-ca-root-cert) is not known yet: none is admitted before it is";
        return Finding::new(TRUST_ANCHORS_READY, None, "AwaitingOwnRoot", message);
    };
    let count = |role| cache.anchors.iter().filter(|anchor| anchor.role == role).count();
    let (roots, intermediates) = (count(CertificateRole::Root), count(CertificateRole::Intermediate));
    let because = refused.first().map(|first| format!("refused {}: {}", first.name, first.reason)).unwrap_or_default();
    if cache.anchors.is_empty() {
        return Finding::new(TRUST_ANCHORS_READY, Some(false), "NoneAdmitted", because);
    }
    let admitted =
        format!("{roots} root and {intermediates} intermediate certificates are trusted for the trust domain");
    if refused.is_empty() {
        Finding::new(TRUST_ANCHORS_READY, Some(true), "Admitted", admitted)
    } else {
        let message = format!("{admitted}; {} more not: {because}", refused.len());
        Finding::new(TRUST_ANCHORS_READY, Some(true), "PartlyAdmitted", message)
    }
}

/// What the last fresh document said of gateways, for a peer whose document did not change since.
#[must_use]
pub fn listed_before(conditions: &[Condition]) -> Option<Gateways> {
    let last = conditions.iter().find(|condition| condition.type_ == INGRESS_GATEWAYS_READY)?;
    Some(Gateways { any: last.reason != NO_GATEWAYS })
}

/// About the peer's gateways.
#[must_use]
pub fn of_gateways(
    document: &CachedPrivateMetadata,
    listed: Gateways,
    trust_domain: &TrustDomain,
    ours: &Ourselves,
) -> Finding {
    let offer = Offer::vet(document, trust_domain, ours);
    if !listed.any {
        let message = match offer.gateways.len() {
            0 => "the peer lists no gateway: its services cannot be reached".to_owned(),
            kept => format!("the peer lists no gateway: the last {kept} known are kept"),
        };
        return Finding::new(INGRESS_GATEWAYS_READY, Some(false), NO_GATEWAYS, message);
    }
    let refused =
        offer.refused.iter().find(|refusal| refusal.kind == crate::api::istio_federation::ItemKind::IngressGateway);
    match (offer.gateways.is_empty(), refused) {
        (true, Some(first)) => {
            let message = format!("no gateway can be used: {}: {}", first.name, first.reason);
            Finding::new(INGRESS_GATEWAYS_READY, Some(false), "AllRefused", message)
        }
        (_, Some(first)) => {
            let message = format!("some gateways cannot be used: {}: {}", first.name, first.reason);
            Finding::new(INGRESS_GATEWAYS_READY, Some(true), "PartlyAccepted", message)
        }
        (_, None) => Finding::new(INGRESS_GATEWAYS_READY, Some(true), "Accepted", "the peer's gateways can be used"),
    }
}
