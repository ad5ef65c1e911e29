//! Copies the objects of an API server into the demo's set of objects, and changes of that set back.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use istio_federation_sim::cluster::{Change, Cluster, Key, Part, Verb};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Client, ResourceExt as _};
use serde_json::Value;

/// Kinds that hooks and chart read and write: group, version, kind, whether namespaced.
const KINDS: [(&str, &str, &str, bool); 9] = [
    ("", "v1", "Namespace", false),
    ("", "v1", "Node", false),
    ("", "v1", "ConfigMap", true),
    ("", "v1", "Secret", true),
    ("", "v1", "Service", true),
    ("", "v1", "Pod", true),
    ("deckhouse.io", "v1alpha1", "IstioFederation", false),
    ("networking.istio.io", "v1", "Gateway", true),
    ("networking.istio.io", "v1", "ServiceEntry", true),
];

/// Members of metadata that belong to the server.
const OF_SERVER: [&str; 5] = ["creationTimestamp", "generation", "managedFields", "resourceVersion", "uid"];

/// A mirror of one API server.
pub(crate) struct Mirror {
    client: Client,
}

impl Mirror {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Replaces the set with the API server's objects.
    pub(crate) async fn read(&self, cluster: &mut Cluster) -> Result<()> {
        let mut found = BTreeSet::new();
        for (group, version, kind, _) in KINDS {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
            for mut object in
                Api::<DynamicObject>::all_with(self.client.clone(), &resource).list(&ListParams::default()).await?
            {
                object.metadata.managed_fields = None;
                let mut object = serde_json::to_value(object)?;
                object["apiVersion"] = resource.api_version.as_str().into();
                object["kind"] = kind.into();
                found.insert(Key::of(&object)?);
                cluster.put(object)?;
            }
        }
        let gone: Vec<Key> =
            cluster.objects().map(|(key, _)| key).filter(|key| !found.contains(key)).cloned().collect();
        for key in gone {
            cluster.delete(&key);
        }
        cluster.take_changes();
        Ok(())
    }

    /// Sends each change of the set to the API server as a request.
    pub(crate) async fn write(&self, cluster: &Cluster, changes: &[Change]) -> Result<()> {
        for change in changes {
            self.write_one(cluster, change).await.with_context(|| format!("{change}"))?;
        }
        Ok(())
    }

    async fn write_one(&self, cluster: &Cluster, change: &Change) -> Result<()> {
        let key = &change.key;
        let api = self.api(key)?;
        // A later change removed it.
        let Some(object) =
            cluster.get(key).cloned().filter(|_| !matches!(change.verb, Verb::Deleted | Verb::Collected))
        else {
            api.delete(&key.name, &DeleteParams::default()).await.map(drop).or_else(gone)?;
            return Ok(());
        };
        match change.verb {
            Verb::Created => {
                api.create(&PostParams::default(), &serde_json::from_value(without(object))?).await?;
            }
            Verb::Updated(Part::Main) => {
                let mut object = without(object);
                object["metadata"]["resourceVersion"] = api.get(&key.name).await?.resource_version().into();
                api.replace(&key.name, &PostParams::default(), &serde_json::from_value(object)?).await?;
            }
            Verb::Updated(Part::Status) => {
                let mut there = api.get(&key.name).await?;
                there.data["status"] = object["status"].clone();
                api.replace_status(&key.name, &PostParams::default(), &there).await?;
            }
            Verb::Deleted | Verb::Collected => {}
        }
        Ok(())
    }

    fn api(&self, key: &Key) -> Result<Api<DynamicObject>> {
        let known = KINDS.iter().find(|(group, _, kind, _)| key.group == *group && key.kind == *kind);
        let (group, version, kind, namespaced) = known.with_context(|| format!("{key} is not mirrored"))?;
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Ok(if *namespaced {
            Api::namespaced_with(self.client.clone(), &key.namespace, &resource)
        } else {
            Api::all_with(self.client.clone(), &resource)
        })
    }
}

/// An object without members that the server sets.
fn without(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|name, _| !OF_SERVER.contains(&&**name));
    }
    object
}

/// Accepts a delete of an object that is already gone.
fn gone(error: kube::Error) -> Result<(), kube::Error> {
    match error {
        kube::Error::Api(status) if status.code == 404 => Ok(()),
        other => Err(other),
    }
}
