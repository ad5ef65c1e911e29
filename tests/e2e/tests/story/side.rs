//! One of the two clusters: its API server, its exporter, its hooks.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use istio_federation_demo::chart::ModuleChart;
use istio_federation_demo::facts::Facts;
use istio_federation_e2e::{ApiServer, Component, apply, install_crds, read_yaml};
use istio_federation_sim::cluster::Cluster;
use istio_federation_sim::operator::values::ModuleValues;
use istio_federation_sim::operator::{Chart as _, Executable, Module, Operator, OperatorError, Step};
use istio_federation_testkit::{CertifiedKey, server_for};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use crate::hook_build::{built_program, hook_executable};
use crate::mirror::Mirror;
use crate::objects::{example, put};

const DEADLINE: Duration = Duration::from_mins(2);

/// A cluster.
pub(crate) struct Side {
    server: ApiServer,
    client: Client,
    mirror: Mirror,
    operator: Operator<ModuleChart>,
    exporter: Component,
    endpoint: String,
    ca: String,
    /// Name of its IstioFederation.
    peer: &'static str,
}

impl Side {
    /// Writes an example to a new API server, and starts an exporter on it.
    pub(crate) async fn start(name: &str, peer: &'static str) -> Result<Self> {
        let server = ApiServer::start(&format!("story-{name}")).await?;
        let client = server.client().await?;
        install_crds(&client).await?;
        put(&client, &example(name)?).await?;
        let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name).join("values.yaml");
        let settings = read_yaml(&settings)?.remove(0);
        let defaults = json!({"global": {}, "istio": {"internal": {}}});
        // The owner ConfigMaps get their UIDs from the server before a hook uses them.
        apply(&client, &ModuleChart.render(&settings).map_err(anyhow::Error::msg)?).await?;

        let (exporter, endpoint, ca) = exporter(&server, &settings).await?;
        let mirror = Mirror::new(client.clone());
        let mut cluster = Cluster::new(name, Timestamp::now);
        mirror.read(&mut cluster).await?;
        let hooks = Executable::new(&hook_executable(), &[("ISTIO_FEDERATION_PACE", "eager"), ("LOG_LEVEL", "info")]);
        let module = Module { name: "istio".to_owned(), hooks, runs: server.scratch().logs().join("runs") };
        let values = ModuleValues::new("istio", settings, defaults);
        let operator = Operator::load(module, cluster, values, ModuleChart).await?;
        Ok(Self { server, client, mirror, operator, exporter, endpoint, ca, peer })
    }

    /// Ends it after a test that passed.
    pub(crate) fn stop(self) {
        drop(self.exporter);
        self.server.stop();
    }

    fn federations(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("deckhouse.io", "v1alpha1", "IstioFederation");
        Api::all_with(self.client.clone(), &ApiResource::from_gvk(&kind))
    }

    /// Writes the address of the peer's exporter into the IstioFederation.
    pub(crate) async fn meet(&self, peer: &Self) -> Result<()> {
        let place = json!({"spec": {"metadataEndpoint": peer.endpoint, "metadata": {"ca": peer.ca}}});
        self.federations().patch(self.peer, &PatchParams::default(), &Patch::Merge(place)).await?;
        Ok(())
    }

    /// Facts about the cluster.
    pub(crate) fn facts(&self) -> Result<Facts> {
        Facts::of(&self.operator)
    }

    /// Switches the module on.
    pub(crate) async fn begin(&mut self) -> Result<Vec<Step>> {
        self.look().await?;
        let mut steps = Vec::new();
        let done = self.operator.start(&mut steps).await;
        self.after(steps, done).await
    }

    /// Runs every hook once.
    pub(crate) async fn round(&mut self) -> Result<Vec<Step>> {
        self.look().await?;
        let mut steps = Vec::new();
        let done = self.operator.round(&mut steps).await;
        self.after(steps, done).await
    }

    /// Fires the schedules.
    pub(crate) async fn tick(&mut self) -> Result<Vec<Step>> {
        self.look().await?;
        let mut steps = Vec::new();
        let done = self.operator.tick(&mut steps).await;
        self.after(steps, done).await
    }

    async fn look(&mut self) -> Result<()> {
        self.exporter.check()?;
        self.mirror.read(self.operator.cluster_mut()).await
    }

    /// Writes the changes to the API server, then reads its objects.
    async fn after(&mut self, steps: Vec<Step>, done: Result<(), OperatorError>) -> Result<Vec<Step>> {
        for step in &steps {
            self.mirror.write(self.operator.cluster(), &step.changes).await.with_context(|| step.to_string())?;
        }
        done?;
        self.look().await?;
        Ok(steps)
    }

    /// Host, ports and endpoints of each ServiceEntry in the API server.
    pub(crate) async fn imported(&self) -> Result<Vec<(String, Value, Value)>> {
        let kind = GroupVersionKind::gvk("networking.istio.io", "v1", "ServiceEntry");
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), "d8-istio", &ApiResource::from_gvk(&kind));
        let mut entries = Vec::new();
        for entry in api.list(&ListParams::default()).await? {
            let (owners, spec) = (entry.metadata.owner_references, &entry.data["spec"]);
            if owners.as_ref().map(Vec::len) != Some(2)
                || spec["resolution"] != "STATIC"
                || spec["location"] != "MESH_INTERNAL"
            {
                bail!("{spec} owned by {owners:?}");
            }
            let host = spec["hosts"][0].as_str().context("no host")?.to_owned();
            entries.push((host, spec["ports"].clone(), spec["endpoints"].clone()));
        }
        Ok(entries)
    }

    /// The conditions of the IstioFederation in the API server, as `type=status`.
    pub(crate) async fn conditions(&self) -> Result<Vec<String>> {
        let federation = self.federations().get_status(self.peer).await?;
        let conditions = federation.data["status"]["conditions"].as_array().context("no conditions")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(conditions.iter().map(|one| format!("{}={}", text(&one["type"]), text(&one["status"]))).collect())
    }

    /// Sets or removes the export label of a Service.
    pub(crate) async fn label(&self, namespace: &str, name: &str, value: &Value) -> Result<()> {
        let labels = json!({"metadata": {"labels": {"federation.istio.deckhouse.io/public-service": value}}});
        let services = Api::<Service>::namespaced(self.client.clone(), namespace);
        services.patch(name, &PatchParams::default(), &Patch::Merge(labels)).await?;
        Ok(())
    }
}

/// Starts the exporter with a certificate of its own: the process, its endpoint, the CA of its certificate.
async fn exporter(server: &ApiServer, settings: &Value) -> Result<(Component, String, String)> {
    let data = server.scratch().data();
    let identity = CertifiedKey::self_signed(&server_for(&["127.0.0.1"]));
    let (certificate, key, ports) = (data.join("tls.crt"), data.join("tls.key"), data.join("exporter.ports"));
    fs::write(&certificate, &identity.pem)?;
    fs::write(&key, identity.key_pem())?;
    let text = |pointer: &str| settings.pointer(pointer).and_then(Value::as_str).context("a setting is missing");
    let mut command = Command::new(built_program());
    command.args(["exporter", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--log-level", "debug"]);
    command.args(["--cluster-domain", text("/global/discovery/clusterDomain")?]);
    command.args(["--cluster-uuid", text("/global/discovery/clusterUUID")?]);
    command.args(["--inlet", text("/istio/alliance/ingressGateway/inlet")?]);
    command.arg("--kubeconfig").arg(server.kubeconfig()).arg("--port-file").arg(&ports);
    command.arg("--tls-cert").arg(&certificate).arg("--tls-key").arg(&key);
    let mut process = Component::start("exporter", &server.scratch().logs(), command)?;
    let text = process.ready(DEADLINE, async || Ok(fs::read_to_string(&ports)?)).await?;
    let ports: Value = serde_json::from_str(&text)?;
    let metadata: SocketAddr = ports["metadata"].as_str().context("no address")?.parse()?;
    Ok((process, format!("https://{metadata}/metadata"), identity.pem))
}
