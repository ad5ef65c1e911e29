//! Turns a situation into values and objects, with the shipped hook executable under the demo's small operator.

use std::sync::LazyLock;

use anyhow::{Context, Result};
use istio_federation::api::kubernetes::PUBLIC_SERVICE_LABEL;
use istio_federation_demo::chart::ModuleChart;
use istio_federation_sim::cluster::Cluster;
use istio_federation_sim::operator::values::ModuleValues;
use istio_federation_sim::operator::{Executable, Module, Operator};
use istio_federation_testkit::Authority;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use serde_json::{Value, json};

use crate::hook_build::hook_executable;
use crate::module::SCHEMAS;
use crate::situations::{Situation, all};

/// Result of a situation.
pub(crate) struct Made {
    pub(crate) situation: Situation,
    /// The module's values for Helm.
    pub(crate) values: Value,
    /// ServiceEntries and Gateways of the hooks.
    pub(crate) objects: Vec<Value>,
    /// IstioFederations with the status that the hooks wrote.
    pub(crate) federations: Vec<Value>,
}

impl Made {
    /// Name of the situation.
    pub(crate) fn name(&self) -> &'static str {
        self.situation.name
    }
}

/// Every situation, made once.
pub(crate) static ALL: LazyLock<Vec<Made>> = LazyLock::new(|| {
    // A runtime of its own, because tests call this from inside theirs.
    let work = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(make_all());
    std::thread::spawn(work).join().unwrap().unwrap()
});

async fn make_all() -> Result<Vec<Made>> {
    let mut made = Vec::new();
    for situation in all() {
        made.push(make(situation).await?);
    }
    Ok(made)
}

/// Runs the hooks until nothing changes.
pub(crate) async fn make(situation: Situation) -> Result<Made> {
    let name = situation.name;
    let mut cluster = Cluster::new(name, Timestamp::now);
    for object in given(&situation) {
        cluster.put(object).context(name)?;
    }
    let filled = |settings: Value| json!({"istio": SCHEMAS.filled(settings)});
    let mut config = filled(situation.settings.clone());
    // Empty under plain addon-operator.
    if !situation.global.is_null() {
        config["global"] = situation.global.clone();
    }
    let runs = tempfile::tempdir()?;
    let module = Module {
        name: "istio".to_owned(),
        hooks: Executable::new(&hook_executable(), &[]),
        runs: runs.path().to_owned(),
    };
    let values = ModuleValues::new("istio", config, filled(json!({})));
    let mut operator = Operator::load(module, cluster, values, ModuleChart).await.context(name)?;
    operator.start(&mut Vec::new()).await.context(name)?;

    let of_kinds = |kinds: &[&str]| -> Vec<Value> {
        let objects = operator.cluster().objects().filter(|(key, _)| kinds.contains(&key.kind.as_str()));
        objects.map(|(_, object)| without_traces(object)).collect()
    };
    let (objects, federations) = (of_kinds(&["ServiceEntry", "Gateway"]), of_kinds(&["IstioFederation"]));
    Ok(Made { values: operator.values().clone(), objects, federations, situation })
}

/// Objects that exist before the module.
fn given(situation: &Situation) -> Vec<Value> {
    let mut objects = Vec::new();
    let exporting = situation.exported.iter().map(|(namespace, _)| namespace.as_str());
    for name in ["kube-system", "d8-istio", "istio-system"].into_iter().chain(exporting) {
        objects.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    }
    let root = Authority::root("Our own root");
    let intermediate = root.intermediate("ours");
    objects.push(json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"root-cert.pem": root.pem()},
        "metadata": {"name": "istio-ca-root-cert", "namespace": "d8-istio"}}));
    let plug_in =
        json!({"ca-cert.pem": ByteString(intermediate.pem().into()), "ca-key.pem": ByteString("a key".into())});
    objects.push(json!({"apiVersion": "v1", "kind": "Secret", "data": plug_in,
        "metadata": {"name": "cacerts", "namespace": "istio-system"}}));
    for (namespace, name) in &situation.exported {
        objects.push(json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": namespace, "labels": {PUBLIC_SERVICE_LABEL: ""}},
            "spec": {"type": "ClusterIP", "ports": [{"name": "http", "port": 80}]},
        }));
    }
    objects.extend(situation.peers.iter().cloned());
    objects
}

/// The object as the hook wrote it, without members that only an API server sets.
fn without_traces(object: &Value) -> Value {
    let mut object = object.clone();
    for name in ["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"] {
        object["metadata"].as_object_mut().unwrap().remove(name);
    }
    object
}
