//! From labelled Services to Gateways: one per exporting namespace, with the exported hosts and no others.

use istio_federation::api::istio::Gateway;
use istio_federation::api::kubernetes::{OwnerReference, PUBLIC_SERVICE_LABEL, Service};
use istio_federation::federation::export::gateways::{self, LABEL, Unread};
use istio_federation::federation::managed::{Changes, Stored};
use istio_federation::federation::ourselves::Ourselves;
use istio_federation::hook::{Effects, HookConfig, Input, InputError, KubernetesBinding, Logger, ObjectName};
use serde_json::json;

use crate::shared::steps::{Failure, In as _};
use crate::shared::{bindings, patches, settings};

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

pub(crate) fn run(input: &Input, log: &Logger) -> Result<Effects, Failure> {
    let Some(given) = read(input, log).within("read")? else { return Ok(Effects::default()) };
    emit(decide(given)).within("emit")
}

struct Given {
    ours: Ourselves,
    services: Vec<Service>,
    unread: Vec<Unread>,
    existing: Vec<Stored>,
    owners: Vec<OwnerReference>,
}

fn read(input: &Input, log: &Logger) -> Result<Option<Given>, Failure> {
    let Some(values) = settings::values_if_enabled(input)? else { return Ok(None) };
    let (services, unread) = input.snapshot_lossy("services")?;
    for error in &unread {
        log.warn("a Service cannot be read: it stays as it is exported", &[("error", json!(error.to_string()))]);
    }
    Ok(Some(Given {
        ours: settings::ourselves(input, &values)?,
        services,
        unread: unread.iter().map(unread_service).collect(),
        existing: input.snapshot("gateways")?,
        owners: bindings::read_owners(input)?,
    }))
}

fn decide(given: Given) -> Changes<Gateway> {
    let Given { ours, services, unread, existing, owners } = given;
    gateways::plan(&services, &unread, &ours.trust_domain, existing, &owners)
}

fn emit(changes: Changes<Gateway>) -> Result<Effects, Failure> {
    patches::effects_of("Gateway", changes)
}

fn unread_service(error: &InputError) -> Unread {
    match error.object() {
        Some(ObjectName { namespace: Some(namespace), name }) => {
            Unread::Service { namespace: namespace.clone(), name: name.clone() }
        }
        _ => Unread::Unknown,
    }
}
