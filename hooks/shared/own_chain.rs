//! Our own CA certificates, which no peer's may resemble. Never the CA's key.

use std::error::Error;

use istio_federation::api::kubernetes::NAMESPACE;
use istio_federation::federation::trust::OwnChain;
use istio_federation::hook::{Input, KubernetesBinding};
use serde::Deserialize;

/// Namespaces where a mesh keeps its plug-in CA: ours (Deckhouse) and Istio's default.
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
        namespaces: MESH_NAMESPACES.map(ToOwned::to_owned).to_vec(),
        jq_filter: Some(
            "{pem: [.data | (.[\"ca-cert.pem\"], .[\"cert-chain.pem\"], .[\"root-cert.pem\"]) | select(. != null) | @base64d]}"
                .to_owned(),
        ),
        queue: Some(queue.to_owned()),
        ..KubernetesBinding::default()
    };
    [root, plug_in]
}

/// Our chain; `None` while istiod has not published its root.
pub(crate) fn read(input: &Input) -> Result<Option<OwnChain>, Box<dyn Error + Send + Sync>> {
    #[derive(Deserialize)]
    struct Certificates {
        pem: Vec<String>,
    }
    let roots: Vec<Certificates> = input.snapshot("own_root")?;
    let plug_in: Vec<Certificates> = input.snapshot("own_intermediates")?;
    if roots.iter().all(|root| root.pem.iter().all(String::is_empty)) {
        return Ok(None);
    }
    let pems: Vec<String> = roots.into_iter().chain(plug_in).flat_map(|certificates| certificates.pem).collect();
    let own = OwnChain::read(&pems.join("\n"));
    own.map(Some).map_err(|error| format!("{error} (ConfigMap istio-ca-root-cert, Secret cacerts)").into())
}
