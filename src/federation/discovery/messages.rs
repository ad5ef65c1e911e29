//! The conditions after an exchange, in words. A text must not vary while nothing changes: each variation would be a write.

use super::exchange::{Exchange, Fetch};
use crate::api::istio_federation::{CertificateRole, MetadataCache};
use crate::federation::conditions::{
    ConditionUpdate, ENDPOINT_VERIFIED, INGRESS_GATEWAYS_READY, OWN_IDENTITY_ACCEPTED, PRIVATE_EXCHANGE_READY,
    PUBLIC_EXCHANGE_READY, TRUST_ANCHORS_READY, TRUST_DOMAIN_ACCEPTED,
};
use crate::federation::names::TrustDomain;
use crate::federation::offer::GatewayOffer;
use crate::federation::own_identity::RefusedIdentity;
use crate::federation::reasons;
use crate::federation::refusal::Refusal;
use crate::federation::roster::TrustDomainRefused;

/// About a federation whose trust domain is refused: no request is made.
#[must_use]
pub fn of_refused_trust_domain(refused: &TrustDomainRefused) -> Vec<ConditionUpdate> {
    let waits = "nothing is fetched until spec.trustDomain can be used";
    vec![
        ConditionUpdate::new(TRUST_DOMAIN_ACCEPTED, Some(false), refused.reason(), refused.to_string()),
        ConditionUpdate::new(PUBLIC_EXCHANGE_READY, None, reasons::AWAITING_TRUST_DOMAIN, waits),
        ConditionUpdate::new(PRIVATE_EXCHANGE_READY, None, reasons::AWAITING_TRUST_DOMAIN, waits),
    ]
}

/// About the requests of an exchange.
#[must_use]
pub(super) fn of_exchange(trust_domain: &TrustDomain, exchange: &Exchange) -> Vec<ConditionUpdate> {
    let mut updates = vec![
        if trust_domain.is_istio_default() {
            let warning = "Istio reads cluster.local in any AuthorizationPolicy as this cluster's own trust domain, \
                so policies cannot distinguish this peer from us: give the peer another cluster domain";
            ConditionUpdate::new(TRUST_DOMAIN_ACCEPTED, Some(true), reasons::AMBIGUOUS_TRUST_DOMAIN, warning)
        } else {
            ConditionUpdate::new(TRUST_DOMAIN_ACCEPTED, Some(true), reasons::ACCEPTED, "spec.trustDomain can be used")
        },
        of_fetch(PUBLIC_EXCHANGE_READY, &exchange.public),
        of_fetch(PRIVATE_EXCHANGE_READY, &exchange.private),
    ];
    if exchange.unverified {
        let message = "spec.metadata.insecureSkipVerify is set: anybody on the network path can pose as the peer; \
            set spec.metadata.ca instead";
        updates.push(ConditionUpdate::new(ENDPOINT_VERIFIED, Some(false), reasons::INSECURE_SKIP_VERIFY, message));
    } else if exchange.public.is_good() || exchange.private.is_good() {
        updates.push(ConditionUpdate::new(
            ENDPOINT_VERIFIED,
            Some(true),
            reasons::VERIFIED,
            "the endpoint's certificate is verified",
        ));
    }
    updates
}

/// Whether the peer accepts our identity, of which `refused` breaks a rule of this version; `None` if the exchange does not show it.
pub(super) fn of_own_identity(refused: &RefusedIdentity, exchange: &Exchange) -> Option<ConditionUpdate> {
    if exchange.token_refused {
        let RefusedIdentity { reason, setting, value, rule, price } = refused;
        let message = format!(
            "the peer refuses our token, and {setting} is {value:?}, which peers of this version refuse: {rule}. \
             Change it; the price: {price}"
        );
        Some(ConditionUpdate::new(OWN_IDENTITY_ACCEPTED, Some(false), reason, message))
    } else if exchange.private.is_good() {
        let message = "the peer accepts our token";
        Some(ConditionUpdate::new(OWN_IDENTITY_ACCEPTED, Some(true), reasons::ACCEPTED, message))
    } else {
        None
    }
}

fn of_fetch<T>(type_: &'static str, fetch: &Fetch<T>) -> ConditionUpdate {
    match fetch {
        Fetch::NotTried { reason, message } => ConditionUpdate::new(type_, None, reason, message),
        Fetch::Failed { reason, message } => ConditionUpdate::new(type_, Some(false), reason, message),
        Fetch::NotModified | Fetch::Fresh { .. } => {
            ConditionUpdate::new(type_, Some(true), reasons::SUCCEEDED, "the document was fetched and accepted")
        }
    }
}

/// About a document that would make the cache exceed its limit; `type_` is the exchange that brought it.
#[must_use]
pub(super) fn too_large(type_: &'static str, size: usize, limit: usize) -> ConditionUpdate {
    let message = format!("cached metadata would be {size} bytes (limit {limit}): keeping the last good document");
    ConditionUpdate::new(type_, Some(false), reasons::DOCUMENT_TOO_LARGE, message)
}

/// About the peer's certificates; `refused` is `None` while our own root is unknown.
#[must_use]
pub(super) fn of_anchors(cache: &MetadataCache, refused: Option<&[Refusal]>) -> ConditionUpdate {
    let Some(refused) = refused else {
        let message = "our own root certificate (ConfigMap istio-ca-root-cert) is unknown: no certificate of a peer is admitted until it is there";
        return ConditionUpdate::new(TRUST_ANCHORS_READY, None, reasons::AWAITING_OWN_ROOT, message);
    };
    let count = |role| cache.anchors.iter().filter(|anchor| anchor.role == role).count();
    let (roots, intermediates) = (count(CertificateRole::Root), count(CertificateRole::Intermediate));
    let first = refused.first().map(|first| format!("{}: {}", first.name, first.reason));
    if cache.anchors.is_empty() {
        let message = first.map(|first| format!("refused {first}")).unwrap_or_default();
        return ConditionUpdate::new(TRUST_ANCHORS_READY, Some(false), reasons::NONE_ADMITTED, message);
    }
    let admitted =
        format!("{roots} root and {intermediates} intermediate certificates are trusted for the trust domain");
    match first {
        None => ConditionUpdate::new(TRUST_ANCHORS_READY, Some(true), reasons::ADMITTED, admitted),
        Some(first) => {
            let message = format!("{admitted}; {} refused, first: {first}", refused.len());
            ConditionUpdate::new(TRUST_ANCHORS_READY, Some(true), reasons::PARTLY_ADMITTED, message)
        }
    }
}

/// About a peer whose admitted certificates get no anchor in the mesh; `refused` are the reasons.
#[must_use]
pub(super) fn of_missing_anchors(refused: &[Refusal]) -> ConditionUpdate {
    let because = refused.first().map(|first| format!(": {}: {}", first.name, first.reason)).unwrap_or_default();
    let message = format!("no admitted certificate has an anchor in the mesh{because}");
    ConditionUpdate::new(TRUST_ANCHORS_READY, Some(false), reasons::NONE_RENDERED, message)
}

/// About the peer's gateways: the kept ones, and whether its newest document lists any.
#[must_use]
pub(super) fn of_gateways(offer: &GatewayOffer, lists_gateways: bool) -> ConditionUpdate {
    let GatewayOffer { gateways, refused } = offer;
    if !lists_gateways {
        let message = match gateways.len() {
            0 => "the peer lists no gateway: its services cannot be reached".to_owned(),
            kept => format!("the peer lists no gateway: the last {kept} known are kept"),
        };
        return ConditionUpdate::new(INGRESS_GATEWAYS_READY, Some(false), reasons::NO_INGRESS_GATEWAYS, message);
    }
    match (gateways.is_empty(), refused.first()) {
        (true, Some(first)) => {
            let message = format!("no gateway can be used: {}: {}", first.name, first.reason);
            ConditionUpdate::new(INGRESS_GATEWAYS_READY, Some(false), reasons::ALL_REFUSED, message)
        }
        (_, Some(first)) => {
            let message = format!("some gateways cannot be used: {}: {}", first.name, first.reason);
            ConditionUpdate::new(INGRESS_GATEWAYS_READY, Some(true), reasons::PARTLY_ACCEPTED, message)
        }
        (_, None) => ConditionUpdate::new(
            INGRESS_GATEWAYS_READY,
            Some(true),
            reasons::ACCEPTED,
            "the peer's gateways can be used",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::api::istio_federation::CachedIngressGateway;
    use crate::federation::ourselves::Ourselves;

    fn ours() -> Ourselves {
        let values = json!({"istio": {"federation": {"clusterDomain": "a.local", "clusterUUID": "a"}}});
        Ourselves::from_values(&serde_json::from_value(values).unwrap(), None).unwrap()
    }

    fn domain(text: &str) -> TrustDomain {
        TrustDomain::vet(text, &ours().trust_domains()).unwrap()
    }

    #[test]
    fn messages_about_listed_and_kept_gateways() {
        let good = json!({"address": "203.0.113.1", "port": 1});
        let bad = json!({"address": "127.0.0.1", "port": 1});
        for (cached, listed, status, reason, part) in [
            (json!([good]), true, true, "Accepted", "can be used"),
            (json!([good, bad]), true, true, "PartlyAccepted", "127.0.0.1:1: the address is a loopback"),
            (json!([bad]), true, false, "AllRefused", "127.0.0.1:1: the address is a loopback"),
            (json!([]), false, false, "NoIngressGateways", "cannot be reached"),
            (json!([good]), false, false, "NoIngressGateways", "the last 1 known are kept"),
        ] {
            let gateways: Vec<CachedIngressGateway> = serde_json::from_value(cached.clone()).unwrap();
            let update = of_gateways(&GatewayOffer::vet(&gateways, &ours()), listed);
            assert_eq!((update.status, update.reason), (Some(status), reason), "{cached}");
            assert!(update.message.contains(part), "{}", update.message);
        }
    }

    #[test]
    fn a_trust_domain_that_istio_reads_as_ours_gets_a_warning() {
        let exchange = Exchange {
            public: Fetch::NotTried { reason: "R", message: String::new() },
            private: Fetch::NotTried { reason: "R", message: String::new() },
            resolved: BTreeMap::new(),
            token_refused: false,
            unverified: false,
        };
        let reason = |text: &str| of_exchange(&domain(text), &exchange)[0].reason;
        assert_eq!((reason("cluster.local"), reason("b.local")), ("AmbiguousTrustDomain", "Accepted"));
    }

    #[test]
    fn a_peer_whose_trust_domain_is_refused_is_not_asked() {
        let found = of_refused_trust_domain(&TrustDomainRefused::Taken("older".to_owned()));
        let shown: Vec<_> = found.iter().map(|update| (update.type_, update.status, update.reason)).collect();
        assert_eq!(
            shown,
            [
                (TRUST_DOMAIN_ACCEPTED, Some(false), "TrustDomainTaken"),
                (PUBLIC_EXCHANGE_READY, None, "AwaitingTrustDomain"),
                (PRIVATE_EXCHANGE_READY, None, "AwaitingTrustDomain"),
            ]
        );
    }
}
