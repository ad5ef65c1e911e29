//! Reads the tables of cases in this folder.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use serde_json::{Value, json};

/// A cluster, and the requests to try in it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    /// File name without its extension.
    #[serde(skip)]
    pub(crate) name: String,
    /// `global` values of the operator.
    #[serde(default)]
    pub(crate) global: Value,
    /// `istio.federation` of the settings.
    pub(crate) federation: Value,
    /// Users that cases name in `as`.
    #[serde(default)]
    pub(crate) users: BTreeMap<String, User>,
    /// Objects that are older than the policies.
    pub(crate) given: Vec<Value>,
    pub(crate) cases: Vec<Case>,
}

/// A user, as the API server knows it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) groups: Vec<String>,
}

/// One of `federation`, `service` (which are created), `patch` and `delete`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Case {
    pub(crate) it: String,
    /// Name in `users`; a user with all rights by default.
    #[serde(rename = "as")]
    pub(crate) by: Option<String>,
    /// Members to replace in the spec of a good IstioFederation.
    pub(crate) federation: Option<Value>,
    pub(crate) service: Option<Service>,
    /// `Kind/name` or `Kind/namespace/name`; all of the namespace if the name is empty.
    pub(crate) patch: Option<String>,
    /// The merge patch.
    pub(crate) with: Value,
    /// Patches the status sub-resource.
    pub(crate) status: bool,
    pub(crate) delete: Option<String>,
    /// First label of the policy's name.
    pub(crate) refused_by: Option<String>,
    pub(crate) warned_by: Option<String>,
    /// The policy's message.
    pub(crate) message: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Service {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    label: Option<String>,
    spec: Value,
}

/// The API server's answer to a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Accepted,
    /// With the texts of all warnings.
    Warned(Vec<String>),
    /// With the message, from the policy's name on.
    Refused(String),
}

/// A request: method, path and body.
pub(crate) struct Attempt {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) body: Value,
}

impl Table {
    pub(crate) fn read(name: &str) -> Result<Self> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/admission").join(format!("{name}.yaml"));
        let text = std::fs::read_to_string(&file)?;
        let table = serde_saphyr::from_str(&text).map_err(|why| anyhow!("{}: {why}", file.display()))?;
        Ok(Self { name: name.to_owned(), ..table })
    }
}

impl Case {
    pub(crate) fn expected(&self) -> Answer {
        let message = self.message.clone().unwrap_or_default();
        let policy = |name: &String| {
            let name = format!("{name}.federation.istio.deckhouse.io");
            format!("ValidatingAdmissionPolicy '{name}' with binding '{name}'")
        };
        match (&self.refused_by, &self.warned_by) {
            (Some(name), _) => Answer::Refused(format!("{} denied request: {message}", policy(name))),
            (None, Some(name)) => Answer::Warned(vec![format!("Validation failed for {}: {message}", policy(name))]),
            (None, None) => Answer::Accepted,
        }
    }

    pub(crate) fn attempt(&self) -> Result<Attempt> {
        let create = |body: Value| Ok(Attempt { method: "POST", path: collection(&body)?, body });
        let (object, method) = match (&self.federation, &self.service, &self.patch, &self.delete) {
            (Some(spec), None, None, None) => return create(federation(spec)),
            (None, Some(service), None, None) => return create(service.object()),
            (None, None, Some(object), None) => (object, "PATCH"),
            (None, None, None, Some(object)) => (object, "DELETE"),
            _ => return Err(anyhow!("{}: needs exactly one of federation, service, patch and delete", self.it)),
        };
        let (kind, name) = object.split_once('/').context("no name")?;
        let (namespace, name) = name.split_once('/').map_or((None, name), |(namespace, name)| (Some(namespace), name));
        let version = if kind == "IstioFederation" { "deckhouse.io/v1alpha1" } else { "v1" };
        let mut path = collection(&json!({"apiVersion": version, "kind": kind, "metadata": {"namespace": namespace}}))?;
        for part in [name, if self.status { "status" } else { "" }].into_iter().filter(|part| !part.is_empty()) {
            path = format!("{path}/{part}");
        }
        Ok(Attempt { method, path, body: self.with.clone() })
    }
}

impl Service {
    fn object(&self) -> Value {
        let mut object = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": self.name.as_deref().unwrap_or("tried"),
                "namespace": self.namespace.as_deref().unwrap_or("default"),
            },
            "spec": self.spec,
        });
        if let Some(label) = &self.label {
            object["metadata"]["labels"] = json!({"federation.istio.deckhouse.io/public-service": label});
        }
        object
    }
}

/// A good IstioFederation, with these members of its spec replaced.
pub(crate) fn federation(changes: &Value) -> Value {
    let mut spec = json!({
        "trustDomain": "cluster-b.local",
        "metadataEndpoint": "https://istio-metadata.cluster-b.example/metadata",
    });
    for (name, value) in changes.as_object().into_iter().flatten() {
        spec[name] = value.clone();
    }
    json!({"apiVersion": "deckhouse.io/v1alpha1", "kind": "IstioFederation", "metadata": {"name": "tried"}, "spec": spec})
}

/// Path of the collection that an object belongs to.
pub(crate) fn collection(object: &Value) -> Result<String> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let version = text("/apiVersion").context("no apiVersion")?;
    let group = if version.contains('/') { "apis" } else { "api" };
    let resource = format!("{}s", text("/kind").context("no kind")?.to_lowercase());
    Ok(match text("/metadata/namespace") {
        Some(namespace) => format!("/{group}/{version}/namespaces/{namespace}/{resource}"),
        None => format!("/{group}/{version}/{resource}"),
    })
}
