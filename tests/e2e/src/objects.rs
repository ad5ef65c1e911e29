//! Arbitrary objects: read from YAML, and sent to an API server with strict validation.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{GroupVersionKind, Request};
use kube::discovery::{self, ApiCapabilities, Scope};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use crate::{Tools, tools, until};

/// Number of concurrent requests, where order does not matter.
const AT_ONCE: usize = 16;

/// Server-side apply of each object in order, by the manager `e2e` (forced), with `fieldValidation=Strict`. A namespaced object must
/// have a namespace.
///
/// # Errors
/// The first refused object: its kind, its name and the API server's message.
pub async fn apply(client: &Client, objects: &[Value]) -> anyhow::Result<Vec<DynamicObject>> {
    let params = PatchParams::apply("e2e").force().validation_strict();
    let mut kinds = Kinds::default();
    let mut applied = Vec::with_capacity(objects.len());
    for object in objects {
        let target = kinds.target(client, object).await?;
        let answer = target.api.patch(&target.name, &params, &Patch::Apply(object)).await;
        applied.push(answer.with_context(|| format!("{} was refused", target.title))?);
    }
    Ok(applied)
}

/// Dry run of [`apply`], with concurrent requests for thousands of objects. Returns their number.
///
/// # Errors
/// An object that the server would refuse, with its message.
pub async fn accepts(client: &Client, objects: &[Value]) -> anyhow::Result<usize> {
    let params = PatchParams::apply("e2e").force().validation_strict().dry_run();
    let mut kinds = Kinds::default();
    let mut targets = Vec::with_capacity(objects.len());
    for object in objects {
        targets.push((kinds.target(client, object).await?, object));
    }
    let tries = targets.iter().map(async |(target, object)| {
        let answer = target.api.patch(&target.name, &params, &Patch::Apply(object)).await;
        answer.map(drop).with_context(|| format!("{} was refused: {object}", target.title))
    });
    all(tries).await
}

/// The same for the statuses of existing objects.
///
/// # Errors
/// An object that the server would refuse, with its message.
pub async fn accepts_status(client: &Client, objects: &[Value]) -> anyhow::Result<usize> {
    let params = PatchParams { dry_run: true, ..PatchParams::default() }.validation_strict();
    let mut kinds = Kinds::default();
    let mut targets = Vec::with_capacity(objects.len());
    for object in objects.iter().filter(|object| object.get("status").is_some()) {
        targets.push((kinds.target(client, object).await?, object));
    }
    let tries = targets.iter().map(async |(target, object)| {
        let patch = Patch::Merge(json!({"status": object["status"]}));
        let answer = target.api.patch_status(&target.name, &params, &patch).await;
        answer.map(drop).with_context(|| format!("the status of {} was refused: {object}", target.title))
    });
    all(tries).await
}

/// Awaits all, some concurrently. Returns their number.
async fn all(tries: impl Iterator<Item = impl Future<Output = anyhow::Result<()>>>) -> anyhow::Result<usize> {
    let done: Vec<()> = stream::iter(tries).buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(done.len())
}

/// Creates an object: a POST with `fieldValidation=Strict`, so that admission sees a creation.
pub async fn create(client: &Client, object: &Value) -> anyhow::Result<DynamicObject> {
    let target = Kinds::default().target(client, object).await?;
    let mut request =
        Request::new(target.api.resource_url()).create(&PostParams::default(), serde_json::to_vec(object)?)?;
    let separator = if request.uri().query().is_some() { '&' } else { '?' };
    *request.uri_mut() = format!("{}{separator}fieldValidation=Strict", request.uri()).parse()?;
    client.request(request).await.with_context(|| format!("{} was refused", target.title))
}

/// Installs the CRDs of `make e2e-tools` and of this module, and waits until the server serves them.
pub async fn install_crds(client: &Client) -> anyhow::Result<()> {
    install_crds_of_others(client).await?;
    install(client, tools::yaml_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds"))?).await
}

/// Installs the CRDs of `make e2e-tools`, and waits until the server serves them.
pub async fn install_crds_of_others(client: &Client) -> anyhow::Result<()> {
    install(client, Tools::find()?.crds).await
}

async fn install(client: &Client, files: Vec<PathBuf>) -> anyhow::Result<()> {
    let mut objects = Vec::new();
    for file in files {
        objects.extend(read_yaml(&file)?.into_iter().filter(|object| object["kind"] == "CustomResourceDefinition"));
    }
    let names: Vec<_> = apply(client, &objects).await?.iter().map(ResourceExt::name_any).collect();
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    until("all CRDs are established", Duration::from_mins(1), async || {
        let crds = crds.list(&ListParams::default()).await?;
        let waiting: Vec<_> = crds
            .items
            .iter()
            .filter(|crd| names.contains(&crd.name_any()) && !is_established(crd))
            .map(ResourceExt::name_any)
            .collect();
        ensure!(waiting.is_empty(), "not yet: {}", waiting.join(", "));
        Ok(())
    })
    .await
}

/// The documents of a YAML file, without the empty ones.
pub fn read_yaml(file: &Path) -> anyhow::Result<Vec<Value>> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    parse_yaml(&text).with_context(|| file.display().to_string())
}

/// The documents of a YAML stream.
pub fn parse_yaml(text: &str) -> anyhow::Result<Vec<Value>> {
    let mut documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|why| anyhow!("{why}"))?;
    documents.retain(|document| !document.is_null());
    Ok(documents)
}

fn is_established(crd: &CustomResourceDefinition) -> bool {
    let conditions = crd.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Established" && condition.status == "True")
}

struct Target {
    api: Api<DynamicObject>,
    name: String,
    title: String,
}

/// Discovery of kinds, each requested once.
#[derive(Default)]
struct Kinds(HashMap<GroupVersionKind, (ApiResource, ApiCapabilities)>);

impl Kinds {
    async fn target(&mut self, client: &Client, object: &Value) -> anyhow::Result<Target> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let version = text("/apiVersion").with_context(|| format!("no apiVersion in {object}"))?;
        let kind = text("/kind").with_context(|| format!("no kind in {object}"))?;
        let name = text("/metadata/name").with_context(|| format!("no metadata.name in {object}"))?;
        let namespace = text("/metadata/namespace");
        let title = format!("{kind} {}{name}", namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default());
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let gvk = GroupVersionKind::gvk(group, version, kind);
        if !self.0.contains_key(&gvk) {
            let known = discovery::pinned_kind(client, &gvk)
                .await
                .with_context(|| format!("{title}: the API server does not serve its kind"))?;
            self.0.insert(gvk.clone(), known);
        }
        let (resource, capabilities) = &self.0[&gvk];
        let api = match (&capabilities.scope, namespace) {
            (Scope::Cluster, None) => Api::all_with(client.clone(), resource),
            (Scope::Namespaced, Some(namespace)) => Api::namespaced_with(client.clone(), namespace, resource),
            (Scope::Cluster, Some(_)) => {
                return Err(anyhow!("{title} has a namespace, but its kind has cluster scope"));
            }
            (Scope::Namespaced, None) => return Err(anyhow!("{title} has no namespace")),
        };
        Ok(Target { api, name: name.to_owned(), title })
    }
}
