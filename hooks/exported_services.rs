//! From labelled Services to Gateways: one per exporting namespace, with the exported hosts and no others.

use std::error::Error;

use istio_federation::api::kubernetes::{PUBLIC_SERVICE_LABEL, Service};
use istio_federation::federation::gateways::{self, LABEL, Unread};
use istio_federation::federation::objects::Stored;
use istio_federation::hook::{Effects, HookConfig, Input, InputError, KubernetesBinding, Logger, ObjectName};
use serde_json::json;

use crate::shared::{bindings, facts, objects};

const QUEUE: &str = "/modules/istio/federation-exports";

pub(crate) fn config() -> HookConfig {
    let services = KubernetesBinding {
        name: "services".to_owned(),
        api_version: "v1".to_owned(),
        kind: "Service".to_owned(),
        labels: vec![(PUBLIC_SERVICE_LABEL.to_owned(), String::new())],
        jq_filter: Some(
            "{metadata: {name: .metadata.name, namespace: .metadata.namespace, labels: .metadata.labels}, \
             spec: {type: (.spec.type // \"\"), ports: [.spec.ports[]? | {name: (.name // \"\"), port: .port, \
             protocol: (.protocol // \"\"), appProtocol: .appProtocol}]}}"
                .to_owned(),
        ),
        queue: Some(QUEUE.to_owned()),
        ..KubernetesBinding::default()
    };
    HookConfig {
        kubernetes: vec![
            services,
            bindings::kube_system(QUEUE),
            bindings::owners(QUEUE),
            bindings::written_objects("gateways", "Gateway", LABEL, QUEUE),
        ],
        ..HookConfig::default()
    }
}

pub(crate) fn run(input: &Input, log: &Logger) -> Result<Effects, Box<dyn Error + Send + Sync>> {
    let Some(values) = facts::values_if_enabled(input)? else { return Ok(Effects::default()) };
    let ours = facts::ourselves(input, &values)?;
    let (services, unread): (Vec<Service>, _) = input.snapshot_lossy("services")?;
    for error in &unread {
        log.warn("a Service cannot be read: it stays as it is exported", &[("error", json!(error.to_string()))]);
    }
    let unread: Vec<Unread> = unread.iter().map(unread_service).collect();
    let existing: Vec<Stored> = input.snapshot("gateways")?;
    let owners = bindings::read_owners(input)?;
    objects::emit("Gateway", gateways::plan(&services, &unread, &ours.trust_domain, existing, &owners))
}

fn unread_service(error: &InputError) -> Unread {
    match error.object() {
        Some(ObjectName { namespace: Some(namespace), name }) => {
            Unread::Service { namespace: namespace.clone(), name: name.clone() }
        }
        _ => Unread::Unknown,
    }
}
