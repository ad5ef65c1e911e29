//! Our own CA certificates, without the CA's key. A peer's certificate must not resemble them.

use istio_federation::api::kubernetes::NAMESPACE;
use istio_federation::api::values::Values;
use istio_federation::federation::trust::OwnCertificates;
use istio_federation::hook::{Input, KubernetesBinding};
use serde::Deserialize;

use super::steps::Failure;

/// Namespaces where a mesh keeps its plug-in CA, whatever the settings say: ours (Deckhouse) and Istio's default.
const MESH_NAMESPACES: [&str; 2] = [NAMESPACE, "istio-system"];

/// The root that istiod publishes, and the public part of a plug-in CA.
pub(crate) fn bindings(queue: &str) -> [KubernetesBinding; 2] {
    let root = KubernetesBinding {
        name: "own_root".to_owned(),
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        match_names: vec!["istio-ca-root-cert".to_owned()],
        namespaces: vec![NAMESPACE.to_owned()],
        jq_filter: Some("{pem: [.data[\"root-cert.pem\"] // empty]}".to_owned()),
        queue: Some(queue.to_owned()),
        ..KubernetesBinding::default()
    };
    let plug_in = KubernetesBinding {
        name: "own_intermediates".to_owned(),
        api_version: "v1".to_owned(),
        kind: "Secret".to_owned(),
        match_names: vec!["cacerts".to_owned()],
        // In all namespaces: the mesh's namespace is a setting, and bindings are printed before there are settings.
        jq_filter: Some(
            "{namespace: .metadata.namespace, pem: [.data | (.[\"ca-cert.pem\"], .[\"cert-chain.pem\"], .[\"root-cert.pem\"]) | select(. != null) | @base64d]}"
                .to_owned(),
        ),
        queue: Some(queue.to_owned()),
        ..KubernetesBinding::default()
    };
    [root, plug_in]
}

/// Our own CA certificates; `None` while istiod has not published its root.
pub(crate) fn read(input: &Input, values: &Values) -> Result<Option<OwnCertificates>, Failure> {
    #[derive(Deserialize)]
    struct Certificates {
        #[serde(default)]
        namespace: String,
        pem: Vec<String>,
    }
    let roots: Vec<Certificates> = input.snapshot("own_root")?;
    if roots.iter().all(|root| root.pem.iter().all(String::is_empty)) {
        return Ok(None);
    }
    let mesh_namespace = values.federation_settings().and_then(|settings| settings.mesh_namespace.as_deref());
    let mesh_namespace = mesh_namespace.unwrap_or(NAMESPACE);
    let mut plug_in: Vec<Certificates> = input.snapshot("own_intermediates")?;
    // Other users may have a Secret of that name in their own namespaces.
    plug_in.retain(|secret| secret.namespace == mesh_namespace || MESH_NAMESPACES.contains(&secret.namespace.as_str()));
    let text = |certificates: &[&Certificates]| {
        certificates.iter().flat_map(|found| &found.pem).map(String::as_str).collect::<Vec<_>>().join("\n")
    };
    let all: Vec<_> = roots.iter().chain(&plug_in).collect();
    let of_mesh: Vec<_> = plug_in.iter().filter(|secret| secret.namespace == mesh_namespace).collect();
    let own = OwnCertificates::read(&text(&all), &text(&of_mesh));
    own.map(Some).map_err(|error| format!("{error} (ConfigMap istio-ca-root-cert, Secret cacerts)").into())
}
