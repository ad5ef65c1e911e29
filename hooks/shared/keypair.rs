//! Our key pair for other exporters: reading it from its Secret and from values.

use istio_federation::api::kubernetes::NAMESPACE;
use istio_federation::api::values::{AuthnKeypair, Values};
use istio_federation::hook::{Input, InputError, KubernetesBinding};

use super::bindings::KEYPAIR_SECRET;

/// The Secret with the pair.
pub(crate) fn binding(queue: &str) -> KubernetesBinding {
    KubernetesBinding {
        name: "keypair".to_owned(),
        api_version: "v1".to_owned(),
        kind: "Secret".to_owned(),
        match_names: vec![KEYPAIR_SECRET.to_owned()],
        namespaces: vec![NAMESPACE.to_owned()],
        jq_filter: Some(
            "{pub: (.data[\"pub.pem\"] // \"\" | @base64d), priv: (.data[\"priv.pem\"] // \"\" | @base64d)}".to_owned(),
        ),
        queue: Some(queue.to_owned()),
        ..KubernetesBinding::default()
    }
}

/// The pair in the Secret.
pub(crate) fn from_secret(input: &Input) -> Result<Option<AuthnKeypair>, InputError> {
    Ok(input.snapshot("keypair")?.into_iter().next())
}

/// The pair in values.
pub(crate) fn from_values(values: &Values) -> Option<AuthnKeypair> {
    let pair = values.internal()?.remote_authn_keypair.clone()?;
    (!pair.private.is_empty()).then_some(pair)
}
