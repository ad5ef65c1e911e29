//! Stand-ins for the cloud, which assigns addresses to load balancers, and for istiod, which publishes the mesh's root.

use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

const PAUSE: Duration = Duration::from_millis(200);

/// Assigns `address` to every load balancer in `namespace` without an address.
pub(super) fn start(client: Client, namespace: &str, address: &str) -> JoinHandle<()> {
    let services: Api<Service> = Api::namespaced(client, namespace);
    let status = json!({"status": {"loadBalancer": {"ingress": [{"ip": address}]}}});
    tokio::spawn(async move {
        loop {
            // The API server may be down; try again later.
            let found = services.list(&ListParams::default()).await.map(|list| list.items).unwrap_or_default();
            for service in found.iter().filter(|service| waits(service)) {
                let patch = Patch::Merge(&status);
                services.patch_status(&service.name_any(), &PatchParams::default(), &patch).await.ok();
            }
            tokio::time::sleep(PAUSE).await;
        }
    })
}

fn waits(service: &Service) -> bool {
    let is_load_balancer = service.spec.as_ref().is_some_and(|spec| spec.type_.as_deref() == Some("LoadBalancer"));
    let ingress = service.status.as_ref().and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref());
    is_load_balancer && ingress.is_none_or(Vec::is_empty)
}

/// istiod's ConfigMap in `namespace`.
pub(super) fn root_config_map(namespace: &str, root: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio-ca-root-cert", "namespace": namespace},
        "data": {"root-cert.pem": root},
    })
}
