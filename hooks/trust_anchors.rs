//! From the peers' admitted certificates to confined anchors, and our own intermediates, both in values for the chart.
//!
//! The chart gives the anchors to istiod, and the intermediates to the exporter, which publishes them.

use istio_federation::api::istio_federation::IstioFederation;
use istio_federation::api::values::{TrustAnchorEntry, Values};
use istio_federation::federation::ourselves::Ourselves;
use istio_federation::federation::refusal::Refusal;
use istio_federation::federation::roster::{Roster, cache_of};
use istio_federation::federation::trust::{AnchorList, Judge, OwnCertificates, anchors_of_peers};
use istio_federation::hook::{Effects, Events, HookConfig, Input, Logger};
use serde_json::json;

use crate::shared::bindings::{self, BEFORE_HELM};
use crate::shared::federations::{self, Federations};
use crate::shared::steps::{Failure, In as _};
use crate::shared::{own_chain, settings};

const QUEUE: &str = "/modules/istio/federation-values";
const STATUS: &str =
    "{metadataCache: {source: .status.metadataCache.source, anchors: (.status.metadataCache.anchors // [])}}";

pub(crate) fn config() -> HookConfig {
    let mut kubernetes = vec![
        bindings::federations("federations", STATUS, Events::All, QUEUE),
        bindings::kube_system(QUEUE),
        bindings::owners_as_they_are(QUEUE),
    ];
    kubernetes.extend(own_chain::bindings(QUEUE));
    HookConfig { before_helm: Some(BEFORE_HELM), kubernetes, ..HookConfig::default() }
}

pub(crate) fn run(input: &Input, log: &Logger) -> Result<Effects, Failure> {
    let Some(given) = read(input, log).within("read")? else { return Ok(Effects::default()) };
    emit(decide(&given), log).within("emit")
}

struct Given {
    values: Values,
    ours: Ourselves,
    federations: Federations,
    /// `None` while istiod has not published its root.
    own: Option<OwnCertificates>,
}

fn read(input: &Input, log: &Logger) -> Result<Option<Given>, Failure> {
    let Some(values) = settings::module_values_if_enabled(input)? else { return Ok(None) };
    let ours = settings::ourselves(input, &values)?;
    let federations = federations::read(input, "federations", log)?;
    if !federations.all_read {
        // The anchor of an unreadable federation must stay.
        return Ok(None);
    }
    let own = own_chain::read(input, &values)?;
    Ok(Some(Given { values, ours, federations, own }))
}

/// Changes of values; `None` for members that stay.
#[derive(Default)]
struct Decided {
    intermediates: Option<String>,
    anchors: Option<Vec<TrustAnchorEntry>>,
    /// By name of the IstioFederation.
    refused: Vec<(String, Refusal)>,
    /// There are anchors, but without our own root they cannot be judged.
    lacks_own_root: bool,
}

fn decide(given: &Given) -> Decided {
    let Given { values, ours, federations, own } = given;
    let internal = values.internal();
    let list = match own {
        Some(own) => {
            anchors_of_peers(&federations.readable, &Roster::new(&federations.readable, ours), &Judge::new(&own.chain))
        }
        None if !federations.readable.iter().any(has_anchors) => AnchorList::default(),
        None => return Decided { lacks_own_root: true, ..Decided::default() },
    };
    let published = internal.and_then(|internal| internal.intermediate_cas.as_deref()).unwrap_or_default();
    let intermediates = own.as_ref().map(|own| &own.intermediates).filter(|own| *own != published);
    let is_same = internal.and_then(|internal| internal.federation_trust_anchors.as_ref()) == Some(&list.entries);
    Decided {
        intermediates: intermediates.cloned(),
        anchors: (!is_same).then_some(list.entries),
        refused: list.refused,
        lacks_own_root: false,
    }
}

fn has_anchors(federation: &IstioFederation) -> bool {
    cache_of(federation).is_some_and(|cache| !cache.anchors.is_empty())
}

fn emit(decided: Decided, log: &Logger) -> Result<Effects, Failure> {
    let mut effects = Effects::default();
    if decided.lacks_own_root {
        log.warn("our own root is unknown (ConfigMap istio-ca-root-cert): the anchors stay as they are", &[]);
    }
    for (federation, refusal) in &decided.refused {
        let fields = [
            ("federation", json!(federation)),
            ("certificate", json!(refusal.name)),
            ("reason", json!(refusal.reason)),
        ];
        log.warn("a certificate gets no anchor", &fields);
    }
    if let Some(intermediates) = decided.intermediates {
        effects.values.set(&["istio", "internal", "intermediateCAs"], intermediates)?;
    }
    if let Some(anchors) = decided.anchors {
        effects.values.set(&["istio", "internal", "federationTrustAnchors"], anchors)?;
    }
    Ok(effects)
}
