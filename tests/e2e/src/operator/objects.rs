//! Object patches of hooks, on the API server.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use istio_federation_sim::jq::Filter;
use istio_federation_sim::operator::patches::{JqPatch, JsonPatch, Manifest, MergePatch, Operation, Target};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::{self, Scope};
use kube::{Client, ResourceExt};
use serde_json::Value;

use crate::until;

/// Number of attempts of a write that conflicts with others.
const ATTEMPTS: usize = 5;
/// How long a foreground deletion may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Writes for hooks.
pub(super) struct Patcher {
    client: Client,
    kinds: RefCell<HashMap<GroupVersionKind, (ApiResource, Scope)>>,
}

impl Patcher {
    pub(super) fn new(client: Client) -> Self {
        Self { client, kinds: RefCell::default() }
    }

    /// Applies one operation.
    pub(super) async fn apply(&self, operation: &Operation) -> anyhow::Result<()> {
        match operation {
            Operation::Create(Manifest { object }) => self.create(object).await.map(drop),
            Operation::CreateIfNotExists(Manifest { object }) => match self.create(object).await {
                Err(why) if has_code(&why, 409) => Ok(()),
                created => created.map(drop),
            },
            Operation::CreateOrUpdate(Manifest { object }) => match self.create(object).await {
                Err(why) if has_code(&why, 409) => self.update(object).await,
                created => created.map(drop),
            },
            Operation::Delete(target) => self.delete(target, &DeleteParams::foreground(), true).await,
            Operation::DeleteInBackground(target) => self.delete(target, &DeleteParams::background(), false).await,
            Operation::DeleteNonCascading(target) => self.delete(target, &DeleteParams::orphan(), false).await,
            Operation::JQPatch(JqPatch { target, jq_filter }) => self.jq(target, jq_filter).await,
            Operation::MergePatch(MergePatch { target, merge_patch }) => {
                self.patch(target, &Patch::Merge(merge_patch)).await
            }
            Operation::JSONPatch(JsonPatch { target, json_patch }) => {
                let patch = serde_json::from_value(json_patch.clone()).context("jsonPatch")?;
                self.patch(target, &Patch::<Value>::Json(patch)).await
            }
        }
        .with_context(|| title(operation))
    }

    async fn create(&self, object: &Value) -> anyhow::Result<DynamicObject> {
        let object: DynamicObject = serde_json::from_value(object.clone())?;
        let types = object.types.as_ref().context("the object has no apiVersion and kind")?;
        let namespace = object.namespace().unwrap_or_default();
        let api = self.api(Some(&types.api_version), &types.kind, &namespace).await?;
        Ok(api.create(&PostParams::default(), &object).await?)
    }

    async fn update(&self, object: &Value) -> anyhow::Result<()> {
        let mut object: DynamicObject = serde_json::from_value(object.clone())?;
        let types = object.types.clone().context("the object has no apiVersion and kind")?;
        let api = self.api(Some(&types.api_version), &types.kind, &object.namespace().unwrap_or_default()).await?;
        let name = object.name_any();
        for _ in 0..ATTEMPTS {
            object.metadata.resource_version = api.get(&name).await?.metadata.resource_version;
            match api.replace(&name, &PostParams::default(), &object).await {
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                replaced => return Ok(replaced.map(drop)?),
            }
        }
        bail!("others changed it {ATTEMPTS} times");
    }

    async fn delete(&self, target: &Target, params: &DeleteParams, wait: bool) -> anyhow::Result<()> {
        let api = self.target(target).await?;
        match api.delete(&target.name, params).await {
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
            deleted => drop(deleted?),
        }
        if !wait {
            return Ok(());
        }
        until("it is gone", PATIENCE, async || match api.get_opt(&target.name).await? {
            None => Ok(()),
            Some(_) => bail!("it is there"),
        })
        .await
    }

    async fn patch(
        &self,
        target: &Target,
        patch: &Patch<impl serde::Serialize + std::fmt::Debug>,
    ) -> anyhow::Result<()> {
        let api = self.target(target).await?;
        let params = PatchParams::default();
        let patched = match subresource(target) {
            "" => api.patch(&target.name, &params, patch).await,
            subresource => api.patch_subresource(subresource, &target.name, &params, patch).await,
        };
        match patched {
            Err(kube::Error::Api(status)) if status.code == 404 && target.ignore_missing_object => Ok(()),
            patched => Ok(patched.map(drop)?),
        }
    }

    async fn jq(&self, target: &Target, filter: &str) -> anyhow::Result<()> {
        let filter = Filter::compile(filter)?;
        let api = self.target(target).await?;
        for _ in 0..ATTEMPTS {
            let Some(old) = api.get_opt(&target.name).await? else {
                ensure!(target.ignore_missing_object, "it is not there");
                return Ok(());
            };
            let old = serde_json::to_value(old)?;
            let new = filter.outputs(&old)?;
            let [new] = &new[..] else { bail!("the jq filter gave {} outputs, not one", new.len()) };
            if *new == old {
                return Ok(());
            }
            let object: DynamicObject = serde_json::from_value(new.clone())?;
            let params = PostParams::default();
            let replaced = match subresource(target) {
                "" => api.replace(&target.name, &params, &object).await,
                subresource => api.replace_subresource(subresource, &target.name, &params, &object).await,
            };
            match replaced {
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(kube::Error::Api(status)) if status.code == 404 && target.ignore_missing_object => return Ok(()),
                replaced => return Ok(replaced.map(drop)?),
            }
        }
        bail!("others changed it {ATTEMPTS} times");
    }

    async fn target(&self, target: &Target) -> anyhow::Result<Api<DynamicObject>> {
        self.api(target.api_version.as_deref(), &target.kind, &target.namespace).await
    }

    async fn api(&self, version: Option<&str>, kind: &str, namespace: &str) -> anyhow::Result<Api<DynamicObject>> {
        let version = version.ok_or_else(|| anyhow!("the stand-in needs an apiVersion"))?;
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let kind = GroupVersionKind::gvk(group, version, kind);
        let known = self.kinds.borrow().get(&kind).cloned();
        let (resource, scope) = if let Some(known) = known {
            known
        } else {
            let (resource, capabilities) = discovery::pinned_kind(&self.client, &kind).await?;
            self.kinds.borrow_mut().insert(kind, (resource.clone(), capabilities.scope.clone()));
            (resource, capabilities.scope)
        };
        Ok(match scope {
            Scope::Namespaced => Api::namespaced_with(self.client.clone(), namespace, &resource),
            Scope::Cluster => Api::all_with(self.client.clone(), &resource),
        })
    }
}

fn subresource(target: &Target) -> &str {
    target.subresource.trim_start_matches('/')
}

fn has_code(why: &anyhow::Error, code: u16) -> bool {
    matches!(why.downcast_ref(), Some(kube::Error::Api(status)) if status.code == code)
}

/// Title of an operation, for errors.
fn title(operation: &Operation) -> String {
    let object = |verb: &str, object: &Value| {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        format!("{verb} {} {}/{}", text("/kind"), text("/metadata/namespace"), text("/metadata/name"))
    };
    match operation {
        Operation::Create(manifest) => object("Create", &manifest.object),
        Operation::CreateIfNotExists(manifest) => object("CreateIfNotExists", &manifest.object),
        Operation::CreateOrUpdate(manifest) => object("CreateOrUpdate", &manifest.object),
        Operation::Delete(target) => format!("Delete {target}"),
        Operation::DeleteInBackground(target) => format!("DeleteInBackground {target}"),
        Operation::DeleteNonCascading(target) => format!("DeleteNonCascading {target}"),
        Operation::JQPatch(patch) => format!("JQPatch {}", patch.target),
        Operation::MergePatch(patch) => format!("MergePatch {}", patch.target),
        Operation::JSONPatch(patch) => format!("JSONPatch {}", patch.target),
    }
}
