//! One of the two clusters: its manifests, its operator with the real hooks, its exporter.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::chart::ModuleChart;
use crate::exporter::{Exporter, Identity};
use crate::facts::Facts;
use crate::story;
use istio_federation::api::istio_federation::{API_VERSION, KIND};
use istio_federation_sim::cluster::{Change, Cluster, Folder, Key, Part, Verb, read_manifests};
use istio_federation_sim::operator::values::ModuleValues;
use istio_federation_sim::operator::{Executable, Module, Operator, OperatorError, Step};

/// Name of the module.
const MODULE: &str = "istio";

/// The executables of both clusters.
pub(crate) struct Executables {
    pub(crate) hooks: Executable,
    /// The program `istio-federation`, which has the exporter.
    pub(crate) program: PathBuf,
}

/// A cluster of the demo.
pub(crate) struct Side {
    /// Name of its folder.
    pub(crate) name: String,
    /// Its state when it was last shown.
    pub(crate) facts: Facts,
    operator: Operator<ModuleChart>,
    folder: Folder,
    settings: PathBuf,
    exporter: Exporter,
}

/// The work of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Start,
    /// Run every hook once.
    Round,
    /// Fire every schedule.
    Tick,
}

impl Side {
    /// Copies the example, loads its hooks and starts its exporter.
    pub(crate) async fn prepare(example: &Path, out: &Path, executables: &Executables) -> anyhow::Result<Self> {
        let name = out.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let settings = out.join("values.yaml");
        fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
        let text = fs::read(example.join("values.yaml"))
            .with_context(|| format!("cannot read {} (see --examples)", example.join("values.yaml").display()))?;
        fs::write(&settings, text).with_context(|| format!("cannot write {}", settings.display()))?;

        let mut cluster = Cluster::new(&name, Timestamp::now);
        for (path, object) in read_manifests(&example.join("manifests"))?.into_values() {
            cluster.put(object).with_context(|| path.display().to_string())?;
        }
        let copied = cluster.objects().count();
        cluster.collect_garbage();
        if cluster.objects().count() != copied {
            bail!("{}: some objects have no manifest for their namespace or owner", example.display());
        }
        let mut folder = Folder::new(&out.join("manifests"))?;
        folder.save(&cluster, &all_as_new(&cluster))?;

        let values = read_settings(&settings)?;
        let identity = identity(&values).with_context(|| format!("{} lacks something", settings.display()))?;
        let module = Module { name: MODULE.to_owned(), hooks: executables.hooks.clone(), runs: out.join("runs") };
        // The schema's defaults that hooks may count on.
        let defaults = json!({"global": {}, MODULE: {"internal": {}}});
        let operator =
            Operator::load(module, cluster, ModuleValues::new(MODULE, values, defaults), ModuleChart).await?;
        let exporter =
            Exporter::start(&executables.program, out, folder.path(), &identity).await.with_context(|| name.clone())?;
        let facts = Facts::of(&operator)?;
        Ok(Self { name, facts, operator, folder, settings, exporter })
    }

    /// Names of its hooks.
    pub(crate) fn hooks(&self) -> Vec<&str> {
        self.operator.hooks().iter().map(|hook| hook.name.as_str()).collect()
    }

    /// Address of its exporter.
    pub(crate) fn endpoint(&self) -> &str {
        &self.exporter.endpoint
    }

    /// Folder with its objects.
    pub(crate) fn manifests(&self) -> &Path {
        self.folder.path()
    }

    /// Writes the real endpoint of `peer` into the IstioFederations for it. Returns their names.
    pub(crate) fn meet(&mut self, peer: &Self) -> anyhow::Result<Vec<String>> {
        let cluster = self.operator.cluster_mut();
        let of_peer =
            |object: &Value| object.pointer("/spec/trustDomain").and_then(Value::as_str) == Some(&peer.facts.domain);
        let found: Vec<(Key, Value)> = cluster
            .objects()
            .filter(|(key, object)| key.kind == KIND && of_peer(object))
            .map(|(key, object)| (key.clone(), object.clone()))
            .collect();
        if found.is_empty() {
            bail!("{} has no {KIND} ({API_VERSION}) with trustDomain {}", self.name, peer.facts.domain);
        }
        let place = json!({"spec": {"metadataEndpoint": peer.exporter.endpoint, "metadata": {"ca": peer.exporter.ca}}});
        for (key, mut object) in found.clone() {
            json_patch::merge(&mut object, &place);
            cluster.update(&key, object, Part::Main)?;
        }
        let changes = cluster.take_changes();
        self.folder.save(self.operator.cluster(), &changes)?;
        self.facts = Facts::of(&self.operator)?;
        Ok(found.into_iter().map(|(key, _)| key.name).collect())
    }

    /// Lets the operator work, and writes the objects' files afterwards. Adds its runs to `steps`.
    pub(crate) async fn work(&mut self, work: Work, steps: &mut Vec<Step>) -> anyhow::Result<()> {
        self.exporter.check().with_context(|| self.name.clone())?;
        let first = steps.len();
        let done: Result<(), OperatorError> = match work {
            Work::Start => self.operator.start(steps).await,
            Work::Round => self.operator.round(steps).await,
            Work::Tick => self.operator.tick(steps).await,
        };
        let changes: Vec<Change> = steps.iter().skip(first).flat_map(|step| step.changes.clone()).collect();
        self.folder.save(self.operator.cluster(), &changes)?;
        done.with_context(|| self.name.clone())
    }

    /// Applies the changes of a person in the files, and returns them.
    pub(crate) fn read_edits(&mut self) -> anyhow::Result<Vec<Change>> {
        self.folder.read_edits(self.operator.cluster_mut())?;
        let changes = self.operator.cluster_mut().take_changes();
        // Dependents of the edited objects.
        self.folder.save(self.operator.cluster(), &changes)?;
        self.operator.configure(read_settings(&self.settings)?)?;
        Ok(changes)
    }

    /// Sentences about the changes since the last call.
    pub(crate) fn news(&mut self) -> anyhow::Result<Vec<String>> {
        let facts = Facts::of(&self.operator)?;
        let news = story::sentences(&self.facts, &facts);
        self.facts = facts;
        Ok(news)
    }
}

/// A creation for every object.
fn all_as_new(cluster: &Cluster) -> Vec<Change> {
    cluster.objects().map(|(key, _)| Change { verb: Verb::Created, key: key.clone() }).collect()
}

fn read_settings(path: &Path) -> anyhow::Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_saphyr::from_str(&text).with_context(|| format!("{} is not YAML", path.display()))
}

/// The options that the chart gives to the exporter.
fn identity(values: &Value) -> anyhow::Result<Identity> {
    let text = |pointer: &str| values.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    Ok(Identity {
        cluster_domain: text("/global/discovery/clusterDomain").context("global.discovery.clusterDomain")?,
        cluster_uuid: text("/global/discovery/clusterUUID").context("global.discovery.clusterUUID")?,
        inlet: text("/istio/alliance/ingressGateway/inlet").unwrap_or_else(|| "LoadBalancer".to_owned()),
    })
}
