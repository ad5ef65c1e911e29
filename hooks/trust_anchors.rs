//! From the peers' admitted certificates to confined anchors in values, which the chart hands to istiod; and our own
//! intermediates, which it hands to peers.

use std::error::Error;

use istio_federation::api::istio_federation::IstioFederation;
use istio_federation::federation::discovery::rendered;
use istio_federation::federation::roster::{Roster, cache_of};
use istio_federation::federation::trust::Anchors;
use istio_federation::hook::{Effects, Events, HookConfig, Input, Logger};
use serde_json::json;

use crate::shared::bindings::{self, BEFORE_HELM};
use crate::shared::{facts, federations, own_chain};

const QUEUE: &str = "/modules/istio/federation-values";
const STATUS: &str =
    "{metadataCache: {source: .status.metadataCache.source, anchors: (.status.metadataCache.anchors // [])}}";

pub(crate) fn config() -> HookConfig {
    let mut kubernetes =
        vec![bindings::federations("federations", STATUS, Events::All, QUEUE), bindings::kube_system(QUEUE)];
    kubernetes.extend(own_chain::bindings(QUEUE));
    HookConfig { before_helm: Some(BEFORE_HELM), kubernetes, ..HookConfig::default() }
}

pub(crate) fn run(input: &Input, log: &Logger) -> Result<Effects, Box<dyn Error + Send + Sync>> {
    let Some(values) = facts::values_if_enabled(input)?.filter(|_| input.has_values()) else {
        return Ok(Effects::default());
    };
    let mut effects = Effects::default();
    let ours = facts::ourselves(input, &values)?;
    let federations = federations::read(input, "federations", log)?;
    if !federations.all_read {
        // An anchor of one that cannot be read must not go.
        return Ok(effects);
    }
    let roster = Roster::new(&federations.readable, &ours);
    let internal = values.istio.as_ref().and_then(|istio| istio.internal.as_ref());
    let own = own_chain::read(input, &values)?;
    let published = internal.and_then(|internal| internal.intermediate_cas.as_deref()).unwrap_or_default();
    if let Some(own) = &own
        && published != own.intermediates
    {
        effects.values.set(&["istio", "internal", "intermediateCAs"], &own.intermediates)?;
    }
    let anchors = match own {
        Some(own) => rendered::anchors(&federations.readable, &roster, &own.chain),
        None if !federations.readable.iter().any(has_anchors) => Anchors::default(),
        None => {
            log.warn("our own root is not known (ConfigMap istio-ca-root-cert): the anchors stay as they are", &[]);
            return Ok(effects);
        }
    };
    for (federation, refusal) in &anchors.refused {
        let told = [
            ("federation", json!(federation)),
            ("certificate", json!(refusal.name)),
            ("reason", json!(refusal.reason)),
        ];
        log.warn("a certificate is not rendered", &told);
    }
    let was = internal.and_then(|internal| internal.federation_trust_anchors.as_ref());
    if was != Some(&anchors.entries) {
        effects.values.set(&["istio", "internal", "federationTrustAnchors"], &anchors.entries)?;
    }
    Ok(effects)
}

fn has_anchors(federation: &IstioFederation) -> bool {
    cache_of(federation).is_some_and(|cache| !cache.anchors.is_empty())
}
