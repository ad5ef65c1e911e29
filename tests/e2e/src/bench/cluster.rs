//! One cluster of the bench: a real control plane, an operator with the module, and their surroundings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use istio_federation::api::istio_federation::IstioFederation;
use istio_federation_testkit::Authority;
use kube::Client;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use super::addon_operator::{AddonOperator, NAMESPACE as OPERATOR_NAMESPACE};
use super::cloud;
use super::front::Front;
use super::kubelet::Kubelet;
use super::module::{self, Module};
use super::room::Room;
use crate::{ApiServer, AuditEvent, ShellOperator, apply, install_crds_of_others, until};

/// Namespace of the module.
pub const MODULE_NAMESPACE: &str = "d8-istio";
/// The exporter's image; its tag is the version of the module.
const IMAGE: &str = "bench.example/istio-federation";
/// Port of the exporter's container, behind the front.
const HTTP: u16 = 8080;
/// Default time limit: several ticks of discovery, on a slow machine.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// The module's ConfigMap for istiod.
pub const MESH_CONFIG: Id<'_> = ("v1", "ConfigMap", MODULE_NAMESPACE, "istio-federation-mesh");

/// One cluster.
pub struct Cluster {
    /// Its name, one letter.
    pub name: &'static str,
    /// Its trust domain.
    pub domain: String,
    /// Its control plane.
    pub server: ApiServer,
    /// A client with all rights.
    pub client: Client,
    /// Its operator.
    pub operator: AddonOperator,
    /// The ingress of its exporter.
    pub front: Front,
    /// Runs its exporter.
    pub kubelet: Kubelet,
    /// The version of its module.
    version: String,
}

/// Parameters of a cluster.
pub(super) struct Plan {
    /// One letter.
    pub(super) name: &'static str,
    /// Its trust domain.
    pub(super) domain: String,
    /// The address of its load balancer.
    pub(super) gateway: &'static str,
    /// Parts of Istio in the cluster.
    pub(super) istio: Istio,
}

/// Parts of Istio in a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Istio {
    /// Nothing.
    None,
    /// Its CRDs, and the root that istiod publishes.
    Played,
    /// Its CRDs. istiod, which publishes its root itself, is started later.
    Real,
}

/// Identity of an object: API version, kind, namespace (empty for cluster scope) and name.
pub type Id<'a> = (&'a str, &'a str, &'a str, &'a str);

impl Cluster {
    /// Starts everything except the operator.
    pub(super) async fn start(scenario: &str, plan: &Plan) -> anyhow::Result<Self> {
        let name = plan.name;
        let server = ApiServer::start(&format!("{scenario}-{name}")).await?;
        let client = server.client().await?;
        if plan.istio != Istio::None {
            install_crds_of_others(&client).await?;
        }
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": MODULE_NAMESPACE}});
        apply(&client, &[namespace]).await?;
        if plan.istio != Istio::Real {
            let mesh_root = Authority::root(&format!("mesh of cluster {name}")).pem();
            apply(&client, &[cloud::root_config_map(MODULE_NAMESPACE, &mesh_root)]).await?;
        }
        let operator = AddonOperator::prepare(&server).await?;
        let room = Room::new()?;
        let exporter = (MODULE_NAMESPACE, "metadata-exporter");
        let kubelet = Kubelet::start(&server, &room, exporter, &images(&server)).await?;
        let front = Front::start(room, HTTP).await?;
        cloud::start(client.clone(), MODULE_NAMESPACE, plan.gateway);
        let (domain, version) = (plan.domain.clone(), String::new());
        let mut cluster = Self { name, domain, server, client, operator, front, kubelet, version };
        cluster.install(&Module::current()?)?;
        Ok(cluster)
    }

    /// Installs a version of the module, for the operator's next start.
    pub fn install(&mut self, module: &Module) -> anyhow::Result<()> {
        module.push_image(&images(&self.server), &module.version)?;
        self.operator.install(module)?;
        self.version.clone_from(&module.version);
        Ok(())
    }

    /// Makes the module's image available under another name, as a user who pushes it does.
    pub fn push_image(&self, module: &Module, image: &str) -> anyhow::Result<()> {
        let (_, tag) = image.rsplit_once(':').context("an image without a tag")?;
        module.push_image(&images(&self.server), tag)
    }

    /// Replaces the module by another version, as an upgrade does: the operator is stopped and started, and the settings name another
    /// image of the exporter. Waits until the operator has converged.
    pub async fn change_to(&mut self, module: &Module) -> anyhow::Result<()> {
        self.operator.stop().await?;
        self.install(module)?;
        self.switch_on().await
    }

    /// Settings with federation on, with `more` merged over them.
    #[must_use]
    pub fn settings(&self, more: &Value) -> Value {
        let mut settings = json!({
            "federation": {
                "enabled": true, "clusterDomain": self.domain, "metadataHost": self.front.host(),
                "metadataExporter": {"image": format!("{IMAGE}:{}", self.version)},
            },
            "https": {"mode": "OnlyInURI"},
        });
        merge(&mut settings, more);
        settings
    }

    /// Starts the operator with the module on, and waits until it has converged.
    pub async fn switch_on(&mut self) -> anyhow::Result<()> {
        self.operator.configure(true, &self.settings(&json!({}))).await?;
        self.operator.start()?;
        self.operator.converged().await
    }

    /// Applies the chart once with Helm, without an operator; `internal` has the values that hooks would compute.
    pub async fn apply_chart(&self, internal: &Value) -> anyhow::Result<()> {
        module::apply_chart(&self.server, OPERATOR_NAMESPACE, &self.settings(&json!({"internal": internal}))).await
    }

    /// Starts shell-operator with these hooks, and with environment variables in place of values.
    pub fn start_shell_operator(&self, hooks: &[&str]) -> anyhow::Result<ShellOperator> {
        let folder = module::links(&self.server, hooks)?;
        let environment =
            [("ISTIO_FEDERATION_ENABLED", "true"), ("CLUSTER_DOMAIN", self.domain.as_str()), ("LOG_LEVEL", "info")];
        ShellOperator::start_with(&self.server, &folder, &environment)
    }

    /// An IstioFederation for `peer`, with `more` merged over its spec.
    #[must_use]
    pub fn federation_with(&self, peer: &Self, name: &str, more: &Value) -> Value {
        federation(name, &peer.domain, &peer.front, more)
    }

    /// Creates or changes objects, as a user.
    pub async fn apply(&self, objects: &[Value]) -> anyhow::Result<()> {
        apply(&self.client, objects).await.map(drop)
    }

    /// Changes an object, as a user: a JSON Merge Patch.
    pub async fn patch(&self, id: Id<'_>, patch: &Value) -> anyhow::Result<()> {
        self.api(id).patch(id.3, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }

    /// Deletes an object, as a user.
    pub async fn delete(&self, id: Id<'_>) -> anyhow::Result<()> {
        self.api(id).delete(id.3, &DeleteParams::default()).await?;
        Ok(())
    }

    /// An object.
    pub async fn get(&self, id: Id<'_>) -> anyhow::Result<Option<Value>> {
        match self.api(id).get_opt(id.3).await {
            Ok(found) => Ok(found.map(serde_json::to_value).transpose()?),
            // The kind is not served.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(why) => Err(why.into()),
        }
    }

    /// Objects of a kind, by name; of all namespaces if `namespace` is empty.
    pub async fn list(&self, version: &str, kind: &str, namespace: &str) -> anyhow::Result<BTreeMap<String, Value>> {
        let list = self.api((version, kind, namespace, "")).list(&ListParams::default()).await?;
        let named = |object: DynamicObject| -> anyhow::Result<(String, Value)> {
            Ok((object.metadata.name.clone().unwrap_or_default(), serde_json::to_value(object)?))
        };
        list.items.into_iter().map(named).collect()
    }

    /// The ServiceEntries of the module, by name.
    pub async fn service_entries(&self) -> anyhow::Result<BTreeMap<String, Value>> {
        self.list("networking.istio.io/v1", "ServiceEntry", MODULE_NAMESPACE).await
    }

    /// An IstioFederation.
    pub async fn federation(&self, name: &str) -> anyhow::Result<IstioFederation> {
        let id = ("deckhouse.io/v1alpha1", "IstioFederation", "", name);
        let object = self.get(id).await?.with_context(|| format!("no IstioFederation {name}"))?;
        Ok(serde_json::from_value(object)?)
    }

    /// Waits until an IstioFederation has a condition: type, status, and reason if given. Returns its message.
    pub async fn condition(&self, name: &str, wanted: (&str, &str, Option<&str>)) -> anyhow::Result<String> {
        self.condition_within(name, wanted, PATIENCE).await
    }

    /// As [`Cluster::condition`], with another time limit.
    pub async fn condition_within(
        &self,
        name: &str,
        (type_, status, reason): (&str, &str, Option<&str>),
        patience: Duration,
    ) -> anyhow::Result<String> {
        until(&format!("{name} says {type_}={status}"), patience, async || {
            let federation = self.federation(name).await?;
            let conditions = federation.status.map(|status| status.conditions).unwrap_or_default();
            let found = conditions.iter().find(|condition| condition.type_ == type_);
            let found = found.with_context(|| format!("no condition {type_} yet"))?;
            let fits = found.status == status && reason.is_none_or(|reason| found.reason == reason);
            ensure!(fits, "{type_}={} ({}): {}", found.status, found.reason, found.message);
            Ok::<_, anyhow::Error>(format!("{}: {}", found.reason, found.message))
        })
        .await
    }

    /// The module's mesh configuration (JSON in a ConfigMap).
    pub async fn mesh_config(&self) -> anyhow::Result<Value> {
        let config_map = self.get(MESH_CONFIG).await?.context("no mesh configuration")?;
        Ok(serde_json::from_str(config_map["data"]["mesh"].as_str().context("no mesh")?)?)
    }

    /// Replaces the mesh configuration, as a user would by hand.
    pub async fn set_mesh_config(&self, mesh: &Value) -> anyhow::Result<()> {
        self.patch(MESH_CONFIG, &json!({"data": {"mesh": mesh.to_string()}})).await
    }

    /// Waits until exactly these hosts are imported.
    pub async fn imports(&self, hosts: &[&str], patience: Duration) -> anyhow::Result<BTreeMap<String, Value>> {
        until(&format!("cluster {} imports {hosts:?}", self.name), patience, async || {
            let entries = self.service_entries().await?;
            let names: Vec<&str> = entries.keys().map(String::as_str).collect();
            ensure!(names == hosts, "{names:?}");
            Ok::<_, anyhow::Error>(entries)
        })
        .await
    }

    /// Waits until `count` hosts are imported.
    pub async fn imports_count(&self, count: usize, patience: Duration) -> anyhow::Result<()> {
        until(&format!("cluster {} imports {count} hosts", self.name), patience, async || {
            // One of them and the number of the others, because there may be thousands.
            let one = ListParams::default().limit(1);
            let list = self.api(("networking.istio.io/v1", "ServiceEntry", MODULE_NAMESPACE, "")).list(&one).await?;
            let others = usize::try_from(list.metadata.remaining_item_count.unwrap_or_default())?;
            ensure!(list.items.len() + others == count, "{}", list.items.len() + others);
            Ok::<_, anyhow::Error>(())
        })
        .await
    }

    /// Waits until an object exists, or until it is gone.
    pub async fn exists(&self, id: Id<'_>, there: bool) -> anyhow::Result<()> {
        let what = format!("{} {} {}", id.1, id.3, if there { "exists" } else { "is gone" });
        until(&what, PATIENCE, async || match self.get(id).await? {
            Some(_) if !there => bail!("it exists"),
            None if there => bail!("it does not exist"),
            _ => Ok(()),
        })
        .await
    }

    /// Number of writes in the audit log.
    pub fn mark(&self) -> anyhow::Result<usize> {
        Ok(self.server.audit()?.len())
    }

    /// The operator's successful writes since `mark`. Refused ones do not count: a stale snapshot may cause a create of an existing object.
    pub fn writes_since(&self, mark: usize) -> anyhow::Result<Vec<AuditEvent>> {
        let user = AddonOperator::user();
        Ok(self.server.audit()?.into_iter().skip(mark).filter(|event| event.user == user && event.code < 300).collect())
    }

    /// Writes objects for debugging a failed scenario to the logs.
    pub(super) async fn dump(&self, logs: &Path) -> anyhow::Result<()> {
        let mut text = String::new();
        for (version, kind, namespace) in [
            ("deckhouse.io/v1alpha1", "IstioFederation", ""),
            ("networking.istio.io/v1", "ServiceEntry", MODULE_NAMESPACE),
            ("networking.istio.io/v1", "Gateway", MODULE_NAMESPACE),
            ("networking.istio.io/v1", "DestinationRule", MODULE_NAMESPACE),
            ("v1", "ConfigMap", MODULE_NAMESPACE),
            ("v1", "Service", ""),
            ("apps/v1", "Deployment", MODULE_NAMESPACE),
        ] {
            for object in self.list(version, kind, namespace).await.unwrap_or_default().values() {
                text.push_str("---\n");
                text.push_str(&serde_saphyr::to_string(object)?);
            }
        }
        std::fs::write(logs.join("objects.yaml"), text)?;
        Ok(())
    }

    fn api(&self, (version, kind, namespace, _): Id<'_>) -> Api<DynamicObject> {
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        match namespace {
            "" => Api::all_with(self.client.clone(), &resource),
            namespace => Api::namespaced_with(self.client.clone(), namespace, &resource),
        }
    }
}

/// The folder of images that its kubelet can run.
fn images(server: &ApiServer) -> PathBuf {
    server.scratch().data().join("images")
}

/// An IstioFederation for the exporter behind `front`, with `more` merged over its spec.
pub(super) fn federation(name: &str, domain: &str, front: &Front, more: &Value) -> Value {
    let mut spec = json!({
        "trustDomain": domain,
        "metadataEndpoint": format!("https://{}/metadata", front.host()),
        "metadata": {"ca": front.ca()},
    });
    merge(&mut spec, more);
    json!({"apiVersion": "deckhouse.io/v1alpha1", "kind": "IstioFederation", "metadata": {"name": name}, "spec": spec})
}

/// A JSON Merge Patch.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in patch {
        match value {
            Value::Null => drop(target.as_object_mut().and_then(|members| members.remove(name))),
            value => merge(&mut target[name], value),
        }
    }
}
