//! What a person reads about an exchange. Texts do not vary while nothing changes: a varying one would be a write each time.

use super::{Exchange, Fetch};
use crate::api::istio_federation::{
    CachedIngressGateway, CachedPrivateMetadata, CertificateRole, ItemKind, MetadataCache,
};
use crate::federation::conditions::{
    ENDPOINT_VERIFIED, Finding, INGRESS_GATEWAYS_READY, PRIVATE_EXCHANGE_READY, PUBLIC_EXCHANGE_READY,
    TRUST_ANCHORS_READY, TRUST_DOMAIN_ACCEPTED,
};
use crate::federation::names::TrustDomain;
use crate::federation::offer::Offer;
use crate::federation::ourselves::Ourselves;
use crate::federation::refusal::Refusal;
use crate::federation::roster::Unfit;

/// Whether the peer's document lists any gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gateways {
    /// It lists one or more.
    Listed,
    /// It lists none.
    None,
}

impl Gateways {
    /// Whether these are any.
    #[must_use]
    pub fn of(gateways: &[CachedIngressGateway]) -> Self {
        if gateways.is_empty() { Self::None } else { Self::Listed }
    }
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

/// About a document with which there would be more than we keep; `type_` is the exchange that brought it.
#[must_use]
pub fn too_large(type_: &'static str, size: usize, limit: usize) -> Finding {
    let message =
        format!("what is kept of the peer would take {size} bytes, more than {limit}: the last good document holds");
    Finding::new(type_, Some(false), "DocumentTooLarge", message)
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

/// About the peer's gateways.
#[must_use]
pub fn of_gateways(
    document: &CachedPrivateMetadata,
    listed: Gateways,
    trust_domain: &TrustDomain,
    ours: &Ourselves,
) -> Finding {
    let offer = Offer::vet(document, trust_domain, ours);
    if listed == Gateways::None {
        let message = match offer.gateways.len() {
            0 => "the peer lists no gateway: its services cannot be reached".to_owned(),
            kept => format!("the peer lists no gateway: the last {kept} known are kept"),
        };
        return Finding::new(INGRESS_GATEWAYS_READY, Some(false), "NoIngressGateways", message);
    }
    let refused = offer.refused.iter().find(|refusal| refusal.kind == ItemKind::IngressGateway);
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;

    fn ours() -> Ourselves {
        let values = json!({"istio": {"federation": {"clusterDomain": "a.local", "clusterUUID": "a"}}});
        Ourselves::from_values(&serde_json::from_value(values).unwrap(), None).unwrap()
    }

    fn domain(text: &str) -> TrustDomain {
        TrustDomain::vet(text, &ours().trust_domains()).unwrap()
    }

    #[test]
    fn gateways_by_what_is_listed_and_what_is_kept() {
        let good = json!({"address": "203.0.113.1", "port": 1});
        let bad = json!({"address": "127.0.0.1", "port": 1});
        for (cached, listed, status, reason, part) in [
            (json!([good]), Gateways::Listed, true, "Accepted", "can be used"),
            (json!([good, bad]), Gateways::Listed, true, "PartlyAccepted", "127.0.0.1:1: the address is a loopback"),
            (json!([bad]), Gateways::Listed, false, "AllRefused", "127.0.0.1:1: the address is a loopback"),
            (json!([]), Gateways::None, false, "NoIngressGateways", "cannot be reached"),
            (json!([good]), Gateways::None, false, "NoIngressGateways", "the last 1 known are kept"),
        ] {
            let document: Value = json!({"ingressGateways": cached, "publicServices": []});
            let document = serde_json::from_value(document).unwrap();
            let finding = of_gateways(&document, listed, &domain("b.local"), &ours());
            assert_eq!((finding.status, finding.reason), (Some(status), reason), "{cached}");
            assert!(finding.message.contains(part), "{}", finding.message);
        }
    }

    #[test]
    fn a_trust_domain_that_istio_takes_for_ours_is_warned_of() {
        let exchange = Exchange {
            public: Fetch::NotTried { reason: "R", message: String::new() },
            private: Fetch::NotTried { reason: "R", message: String::new() },
            resolved: BTreeMap::new(),
            unverified: false,
        };
        let reason = |text: &str| of_exchange(&domain(text), &exchange)[0].reason;
        assert_eq!((reason("cluster.local"), reason("b.local")), ("AmbiguousTrustDomain", "Accepted"));
    }

    #[test]
    fn nothing_is_asked_of_the_unfit() {
        let found = of_unfit(&Unfit::Taken("older".to_owned()));
        let told: Vec<_> = found.iter().map(|finding| (finding.type_, finding.status, finding.reason)).collect();
        assert_eq!(
            told,
            [
                (TRUST_DOMAIN_ACCEPTED, Some(false), "TrustDomainTaken"),
                (PUBLIC_EXCHANGE_READY, None, "AwaitingTrustDomain"),
                (PRIVATE_EXCHANGE_READY, None, "AwaitingTrustDomain"),
            ]
        );
    }
}
