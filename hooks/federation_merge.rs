//! From status to values: the peers that the chart renders, the keys that open our exporter's gate, and our own UUID.

use std::collections::BTreeMap;

use istio_federation::api::metadata::PublicMetadata;
use istio_federation::api::values::{FederationEntry, Values};
use istio_federation::federation::ourselves::Ourselves;
use istio_federation::federation::roster::{Roster, cache_of};
use istio_federation::hook::{Effects, Events, HookConfig, Input, Logger};
use istio_federation::peer::VerifyingKey;
use serde_json::json;

use crate::shared::bindings::{self, BEFORE_HELM};
use crate::shared::federations::{self, Federations};
use crate::shared::steps::{Failure, In as _};
use crate::shared::{metrics, settings};

const QUEUE: &str = "/modules/istio/federation-values";
const STATUS: &str = "{metadataCache: {source: .status.metadataCache.source, public: .status.metadataCache.public}}";

pub(crate) fn config() -> HookConfig {
    HookConfig {
        before_helm: Some(BEFORE_HELM),
        kubernetes: vec![
            bindings::federations("federations", STATUS, Events::All, QUEUE),
            bindings::kube_system(QUEUE),
            bindings::owners_as_they_are(QUEUE),
        ],
        ..HookConfig::default()
    }
}

pub(crate) fn run(input: &Input, log: &Logger) -> Result<Effects, Failure> {
    let Some(given) = read(input, log).within("read")? else { return Ok(Effects::default()) };
    emit(&given, &decide(&given), log).within("emit")
}

struct Given {
    values: Values,
    ours: Ourselves,
    federations: Federations,
}

fn read(input: &Input, log: &Logger) -> Result<Option<Given>, Failure> {
    let Some(values) = settings::module_values_if_enabled(input)? else { return Ok(None) };
    let ours = settings::ourselves(input, &values)?;
    Ok(Some(Given { ours, federations: federations::read(input, "federations", log)?, values }))
}

/// The wanted values.
#[derive(Debug, Default)]
struct Decided {
    federations: Vec<FederationEntry>,
    remote_public_metadata: BTreeMap<String, PublicMetadata>,
    names: Vec<String>,
    /// Peers that may not read our private metadata: name of the IstioFederation and reason.
    kept_out: Vec<(String, String)>,
}

fn decide(given: &Given) -> Decided {
    let federations = &given.federations.readable;
    let mut roster = Roster::new(federations, &given.ours);
    let mut decided = Decided::default();
    for federation in federations {
        let name = federation.metadata.name.clone();
        decided.names.push(name.clone());
        let Some(Ok(trust_domain)) = roster.trust_domain_of(&name) else { continue };
        let trust_domain = trust_domain.to_string();
        let Some(public) = cache_of(federation).and_then(|cache| cache.public.clone()) else { continue };
        if let Err(error) = roster.claim(&name, &public.cluster_uuid) {
            decided.kept_out.push((name, error.to_string()));
            continue;
        }
        if let Err(error) = VerifyingKey::from_pem(&public.authn_key_pub) {
            decided.kept_out.push((name, format!("authnKeyPub: {error}")));
            continue;
        }
        let cluster_uuid = public.cluster_uuid.clone();
        decided.federations.push(FederationEntry { name, cluster_uuid, trust_domain });
        decided.remote_public_metadata.insert(public.cluster_uuid.clone(), public);
    }
    decided
}

fn emit(given: &Given, decided: &Decided, log: &Logger) -> Result<Effects, Failure> {
    for (federation, error) in &decided.kept_out {
        let fields = [("federation", json!(federation)), ("error", json!(error))];
        log.warn("this peer may not read our private metadata", &fields);
    }
    let mut effects = Effects::default();
    let was = given.values.internal().cloned().unwrap_or_default();
    if was.cluster_uuid.as_ref() != Some(&given.ours.uuid) {
        effects.values.set(&["istio", "internal", "clusterUUID"], &given.ours.uuid)?;
    }
    let in_use = given.ours.refused_by_peers.is_some();
    if was.own_identity_in_use.unwrap_or_default() != in_use {
        effects.values.set(&["istio", "internal", "ownIdentityInUse"], in_use)?;
    }
    if !given.federations.all_read {
        // The values may hold an unreadable federation: they stay until all can be read again.
        return Ok(effects);
    }
    if was.federations.as_ref() != Some(&decided.federations) {
        effects.values.set(&["istio", "internal", "federations"], &decided.federations)?;
    }
    if was.remote_public_metadata.as_ref() != Some(&decided.remote_public_metadata) {
        effects.values.set(&["istio", "internal", "remotePublicMetadata"], &decided.remote_public_metadata)?;
    }
    if was.federation_names.as_ref() != Some(&decided.names) {
        effects.values.set(&["istio", "internal", "federationNames"], &decided.names)?;
    }
    let names: Vec<&str> = decided.names.iter().map(String::as_str).collect();
    effects.metrics.extend(metrics::of_deleted(was.federation_names.iter().flatten(), &names));
    Ok(effects)
}
