//! From status to values: the peers that the chart renders, the keys that open our exporter's gate, and our own UUID.

use std::collections::BTreeMap;
use std::error::Error;

use istio_federation::api::metadata::PublicMetadata;
use istio_federation::api::values::{FederationEntry, Internal, Values};
use istio_federation::federation::ourselves::Ourselves;
use istio_federation::federation::roster::{Roster, cache_of};
use istio_federation::hook::{Effects, Events, HookConfig, Input, Logger, MetricOperation};
use istio_federation::peer::VerifyingKey;
use serde_json::json;

use crate::federation_discovery::metric_group;
use crate::shared::bindings::{self, BEFORE_HELM};
use crate::shared::facts;
use crate::shared::federations::{self, Federations};

const QUEUE: &str = "/modules/istio/federation-values";
const STATUS: &str = "{metadataCache: {source: .status.metadataCache.source, public: .status.metadataCache.public}}";

pub(crate) fn config() -> HookConfig {
    HookConfig {
        before_helm: Some(BEFORE_HELM),
        kubernetes: vec![
            bindings::federations("federations", STATUS, Events::All, QUEUE),
            bindings::kube_system(QUEUE),
        ],
        ..HookConfig::default()
    }
}

pub(crate) fn run(input: &Input, log: &Logger) -> Result<Effects, Box<dyn Error + Send + Sync>> {
    let Some(values) = facts::values_if_enabled(input)?.filter(|_| input.has_values()) else {
        return Ok(Effects::default());
    };
    let ours = facts::ourselves(input, &values)?;
    let federations = federations::read(input, "federations", log)?;
    let merged = Merged::new(&federations, &ours, log);
    emit(&merged, &federations, &ours, &values)
}

/// What the values should be.
#[derive(Debug, Default, PartialEq)]
struct Merged {
    federations: Vec<FederationEntry>,
    remote_public_metadata: BTreeMap<String, PublicMetadata>,
    names: Vec<String>,
}

impl Merged {
    fn new(federations: &Federations, ours: &Ourselves, log: &Logger) -> Self {
        let mut roster = Roster::new(&federations.readable, ours);
        let mut merged = Self::default();
        for federation in &federations.readable {
            let name = federation.metadata.name.clone();
            merged.names.push(name.clone());
            let Some(Ok(trust_domain)) = roster.standing(&name) else { continue };
            let trust_domain = trust_domain.to_string();
            let Some(public) = cache_of(federation).and_then(|cache| cache.public.clone()) else { continue };
            if let Err(error) = roster.claim(&name, &public.cluster_uuid) {
                let told = [("federation", json!(name)), ("error", json!(error.to_string()))];
                log.warn("the peer's key does not enter the gate", &told);
                continue;
            }
            if let Err(error) = VerifyingKey::from_pem(&public.authn_key_pub) {
                let told = [("federation", json!(name)), ("error", json!(error.to_string()))];
                log.warn("the peer's key is not one", &told);
                continue;
            }
            let cluster_uuid = public.cluster_uuid.clone();
            merged.federations.push(FederationEntry { name, cluster_uuid, trust_domain });
            merged.remote_public_metadata.insert(public.cluster_uuid.clone(), public);
        }
        merged
    }
}

fn emit(
    merged: &Merged,
    federations: &Federations,
    ours: &Ourselves,
    values: &Values,
) -> Result<Effects, Box<dyn Error + Send + Sync>> {
    let mut effects = Effects::default();
    let was: Internal = values.istio.as_ref().and_then(|istio| istio.internal.clone()).unwrap_or_default();
    if was.cluster_uuid.as_ref() != Some(&ours.uuid) {
        effects.values.set(&["istio", "internal", "clusterUUID"], &ours.uuid)?;
    }
    if !federations.all_read {
        // What cannot be read may be in the values: they stay until everything can be read again.
        return Ok(effects);
    }
    if was.federations.as_ref() != Some(&merged.federations) {
        effects.values.set(&["istio", "internal", "federations"], &merged.federations)?;
    }
    if was.remote_public_metadata.as_ref() != Some(&merged.remote_public_metadata) {
        effects.values.set(&["istio", "internal", "remotePublicMetadata"], &merged.remote_public_metadata)?;
    }
    if was.federation_names.as_ref() != Some(&merged.names) {
        effects.values.set(&["istio", "internal", "federationNames"], &merged.names)?;
    }
    let gone = was.federation_names.iter().flatten().filter(|name| !merged.names.contains(name));
    effects.metrics.extend(gone.map(|name| MetricOperation::expire(&metric_group(name))));
    Ok(effects)
}
