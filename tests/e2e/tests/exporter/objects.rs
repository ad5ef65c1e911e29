//! Reads the objects of the examples, and writes them to an API server.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use istio_federation_e2e::{apply, read_yaml};
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

/// The objects of an example, namespaces first, in a form that an API server accepts.
pub(crate) fn example(name: &str) -> Result<Vec<Value>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name).join("manifests");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    let mut objects: Vec<Value> = Vec::new();
    for file in files {
        objects.extend(read_yaml(&file)?);
    }
    objects.sort_by_key(|object| object["kind"] != "Namespace");
    for container in objects.iter_mut().filter_map(|object| object.pointer_mut("/spec/containers/0")) {
        container["image"] = json!("auto");
    }
    Ok(objects)
}

/// Sends objects to an API server, their status as well.
pub(crate) async fn put(client: &Client, objects: &[Value]) -> Result<()> {
    for object in objects {
        let mut main = object.clone();
        let status = main.as_object_mut().and_then(|members| members.remove("status"));
        apply(client, &[main]).await?;
        if let Some(status) = status {
            let patch = Patch::Merge(json!({"status": status}));
            let (name, namespace) = (name(object)?, object["metadata"]["namespace"].as_str().unwrap_or_default());
            let params = PatchParams::default();
            match object["kind"].as_str() {
                Some("Service") => {
                    Api::<Service>::namespaced(client.clone(), namespace).patch_status(name, &params, &patch).await?;
                }
                Some("Pod") => {
                    Api::<Pod>::namespaced(client.clone(), namespace).patch_status(name, &params, &patch).await?;
                }
                Some("Node") => {
                    Api::<Node>::all(client.clone()).patch_status(name, &params, &patch).await?;
                }
                kind => bail!("{kind:?} with a status"),
            }
        }
    }
    Ok(())
}

pub(crate) fn name(object: &Value) -> Result<&str> {
    object["metadata"]["name"].as_str().context("an object has no name")
}
