//! Bindings that several hooks have. Their jq filters keep only members that a hook reads, so other changes start no run.

use istio_federation::api::istio;
use istio_federation::api::istio_federation as resource;
use istio_federation::api::kubernetes::{NAMESPACE, OwnerReference};
use istio_federation::federation::managed::OWNER_APP;
use istio_federation::federation::own_identity::RenderedIdentity;
use istio_federation::hook::{Events, Input, InputError, KubernetesBinding};
use serde::Deserialize;

/// Secret with our key pair towards other exporters.
pub(crate) const KEYPAIR_SECRET: &str = "d8-remote-authn-keypair";
/// Annotation of the owners with the cluster UUID that the chart was rendered with.
const CLUSTER_UUID: &str = "federation.istio.deckhouse.io/cluster-uuid";
/// Annotation of the owners with the trust domain that the chart was rendered with.
const TRUST_DOMAIN: &str = "federation.istio.deckhouse.io/trust-domain";
/// Order among the hooks that compute values before Helm runs.
pub(crate) const BEFORE_HELM: u32 = 10;

/// The IstioFederations, as far as `status` (a jq expression) shows their status.
pub(crate) fn federations(name: &str, status: &str, events: Events, queue: &str) -> KubernetesBinding {
    KubernetesBinding {
        name: name.to_owned(),
        api_version: resource::API_VERSION.to_owned(),
        kind: resource::KIND.to_owned(),
        jq_filter: Some(format!(
            "{{metadata: {{name: .metadata.name, generation: .metadata.generation, \
             creationTimestamp: .metadata.creationTimestamp}}, spec: .spec, status: {status}}}"
        )),
        events,
        queue: Some(queue.to_owned()),
        ..KubernetesBinding::default()
    }
}

/// Namespace kube-system: its UID is the cluster's UUID unless a setting gives another.
pub(crate) fn kube_system(queue: &str) -> KubernetesBinding {
    KubernetesBinding {
        name: "kube_system".to_owned(),
        api_version: "v1".to_owned(),
        kind: "Namespace".to_owned(),
        match_names: vec!["kube-system".to_owned()],
        jq_filter: Some("{uid: .metadata.uid}".to_owned()),
        events: Events::None,
        queue: Some(queue.to_owned()),
        ..KubernetesBinding::default()
    }
}

/// The two ConfigMaps that own the objects that hooks write. They exist while federation is on.
pub(crate) fn owners(queue: &str) -> KubernetesBinding {
    // Not by `heritage`: addon-operator puts its own into the objects that it renders.
    let labels = [("module", "istio"), ("app", OWNER_APP)];
    KubernetesBinding {
        name: "owners".to_owned(),
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        namespaces: vec![NAMESPACE.to_owned()],
        labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec(),
        jq_filter: Some(format!(
            "{{name: .metadata.name, uid: .metadata.uid, deleted: .metadata.deletionTimestamp, \
             clusterUuid: .metadata.annotations[\"{CLUSTER_UUID}\"], \
             trustDomain: .metadata.annotations[\"{TRUST_DOMAIN}\"]}}"
        )),
        queue: Some(queue.to_owned()),
        ..KubernetesBinding::default()
    }
}

/// [`owners`], but their changes start no run.
pub(crate) fn owners_as_they_are(queue: &str) -> KubernetesBinding {
    KubernetesBinding { events: Events::None, ..owners(queue) }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Owner {
    name: String,
    uid: String,
    #[serde(default)]
    deleted: Option<String>,
    #[serde(default)]
    cluster_uuid: Option<String>,
    #[serde(default)]
    trust_domain: Option<String>,
}

/// The owners that exist and are not being deleted.
fn living_owners(input: &Input) -> Result<Vec<Owner>, InputError> {
    let owners: Vec<Owner> = input.snapshot("owners")?;
    Ok(owners.into_iter().filter(|owner| owner.deleted.is_none()).collect())
}

/// References to the owners that exist and are not being deleted; sorted.
pub(crate) fn read_owners(input: &Input) -> Result<Vec<OwnerReference>, InputError> {
    let reference = |owner: Owner| OwnerReference {
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        name: owner.name,
        uid: owner.uid,
    };
    let mut references: Vec<OwnerReference> = living_owners(input)?.into_iter().map(reference).collect();
    references.sort();
    Ok(references)
}

/// The identities of this cluster that the owners name as in use.
pub(crate) fn read_identities(input: &Input) -> Result<Vec<RenderedIdentity>, InputError> {
    let identity =
        |owner: Owner| RenderedIdentity { cluster_uuid: owner.cluster_uuid, trust_domain: owner.trust_domain };
    Ok(living_owners(input)?.into_iter().map(identity).collect())
}

/// Objects of an Istio kind in our namespace that carry `label`.
pub(crate) fn written_objects(name: &str, kind: &str, label: &str, queue: &str) -> KubernetesBinding {
    KubernetesBinding {
        name: name.to_owned(),
        api_version: istio::API_VERSION.to_owned(),
        kind: kind.to_owned(),
        namespaces: vec![NAMESPACE.to_owned()],
        labels: vec![(label.to_owned(), String::new())],
        jq_filter: Some(
            "{metadata: {name: .metadata.name, labels: (.metadata.labels // {}), \
             annotations: (.metadata.annotations // {}), ownerReferences: (.metadata.ownerReferences // [])}, \
             spec: (.spec // {})}"
                .to_owned(),
        ),
        queue: Some(queue.to_owned()),
        ..KubernetesBinding::default()
    }
}
