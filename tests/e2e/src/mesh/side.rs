//! A cluster of the bench with a mesh: istiod, the gateways of the module's `DaemonSet`, workloads.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use istio_federation_testkit::Authority;
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::http;
use super::istiod::Istiod;
use super::network::{Host, Network};
use super::proxy::{Kind, Pod, Proxy};
use super::workload::{Workload, runs};
use crate::bench::{Cluster, MODULE_NAMESPACE, program};
use crate::{Component, until};

const PATIENCE: Duration = Duration::from_mins(1);
/// Port of the exporter in the chart.
const EXPORTER_METRICS: u16 = 8081;
/// Last bytes of addresses.
const ISTIOD: u8 = 2;
const FIRST_GATEWAY: u8 = 10;
const FIRST_WORKLOAD: u8 = 20;

/// One cluster with its mesh.
pub struct Side<'a> {
    /// The cluster.
    pub cluster: &'a mut Cluster,
    /// Its istiod.
    pub istiod: Istiod,
    /// Root CA of its istiod.
    pub root: Authority,
    /// Its gateways.
    pub gateways: Vec<Gateway>,
    network: Rc<Network>,
    range: [u8; 3],
    hosts: u8,
    program: PathBuf,
    workloads: Vec<Rc<Workload>>,
}

/// A gateway of the module.
pub struct Gateway {
    /// Its host.
    pub host: Host,
    /// Its proxy.
    pub proxy: Proxy,
}

impl<'a> Side<'a> {
    /// Starts istiod.
    pub(super) async fn start(
        cluster: &'a mut Cluster,
        network: Rc<Network>,
        range: [u8; 3],
        root: Authority,
    ) -> anyhow::Result<Self> {
        let host = network.add(address(range, ISTIOD))?;
        host.room.show(cluster.server.url().rsplit(':').next().context("no port")?.parse()?).await?;
        Istiod::prepare(cluster, &host).await?;
        add_node(cluster, 0).await?;
        let program = program("workload", &cluster.server.scratch().data())?;
        let mut istiod = Istiod::start(cluster, host, &root)?;
        istiod.ready().await?;
        Ok(Self {
            cluster,
            istiod,
            root,
            gateways: Vec::new(),
            network,
            range,
            hosts: 0,
            program,
            workloads: Vec::new(),
        })
    }

    /// Adds an empty host.
    pub fn host(&mut self) -> anyhow::Result<Host> {
        self.hosts += 1;
        self.network.add(address(self.range, FIRST_WORKLOAD + self.hosts))
    }

    /// Runs an app.
    pub async fn run(&mut self, namespace: &str, name: &str) -> anyhow::Result<Rc<Workload>> {
        let host = self.host()?;
        let istiod = address(self.range, ISTIOD).to_string();
        let workload =
            Rc::new(Workload::start(self.cluster, &istiod, host, (namespace, name), self.program.clone()).await?);
        self.workloads.push(workload.clone());
        Ok(workload)
    }

    /// Number of services that its exporter currently exports.
    pub async fn exported(&self) -> anyhow::Result<usize> {
        let metrics = http::get(&self.cluster.kubelet.room, EXPORTER_METRICS, "/metrics").await?;
        let line = metrics.lines().find_map(|line| line.strip_prefix("d8_istio_metadata_exporter_exported_services "));
        Ok(line.context("no such metric")?.parse()?)
    }

    /// Runs an app outside of the mesh.
    pub fn run_outside(&mut self, name: &str) -> anyhow::Result<(Host, Component)> {
        let host = self.host()?;
        let app = Workload::bare(self.cluster, &host, name, self.program.clone())?;
        Ok((host, app))
    }

    /// Sets the addresses of its load balancer.
    pub async fn balance(&self, addresses: &[Ipv4Addr]) -> anyhow::Result<()> {
        let services: Api<Service> = Api::namespaced(self.cluster.client.clone(), MODULE_NAMESPACE);
        let ingress: Vec<_> = addresses.iter().map(|address| json!({"ip": address.to_string()})).collect();
        let status = Patch::Merge(json!({"status": {"loadBalancer": {"ingress": ingress}}}));
        services.patch_status("ingressgateway", &PatchParams::default(), &status).await?;
        Ok(())
    }

    /// Writes the proxies' configuration and state to the logs.
    pub(super) async fn dump(&self) {
        let workloads = self.workloads.iter().map(|workload| &workload.sidecar);
        for proxy in workloads.chain(self.gateways.iter().map(|gateway| &gateway.proxy)) {
            proxy.dump(&self.cluster.server.scratch().logs()).await;
        }
    }

    /// Adds a node, and runs the Pod of the module's `DaemonSet` on it. Its host has the load balancer's address.
    pub async fn run_gateway(&mut self) -> anyhow::Result<()> {
        let index = u8::try_from(self.gateways.len())?;
        let node = add_node(self.cluster, index).await?;
        let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(self.cluster.client.clone(), MODULE_NAMESPACE);
        let params = ListParams::default().labels("app=ingressgateway");
        let pod = until("the DaemonSet has a Pod for the node", PATIENCE, async || {
            let list = pods.list(&params).await?;
            let is_there = |pod: &k8s_openapi::api::core::v1::Pod| {
                serde_json::to_string(&pod.spec).is_ok_and(|spec| spec.contains(&format!("\"{node}\"")))
            };
            list.items.into_iter().find(is_there).context("not yet")
        })
        .await?;
        let host = self.network.add(address(self.range, FIRST_GATEWAY + index))?;
        let binding = json!({"metadata": {"name": pod.name_any()}, "target": {"kind": "Node", "name": node}});
        let _: Value = pods.create_subresource("binding", &pod.name_any(), &PostParams::default(), &binding).await?;
        runs(self.cluster, MODULE_NAMESPACE, &pod.name_any(), &host).await?;
        let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
        let labels = json!(pod.labels());
        let pod = Pod { name: &pod.name_any(), namespace: MODULE_NAMESPACE, account, labels: &labels };
        let istiod = address(self.range, ISTIOD).to_string();
        let mut proxy = Proxy::start(self.cluster, &istiod, host.clone(), Kind::Gateway, &pod).await?;
        proxy.ready().await?;
        self.gateways.push(Gateway { host, proxy });
        Ok(())
    }
}

/// Adds a node, unless it exists.
async fn add_node(cluster: &Cluster, index: u8) -> anyhow::Result<String> {
    let node = format!("node-{index}");
    cluster.apply(&[json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})]).await?;
    // A new node is tainted until its kubelet reports it as ready.
    cluster.patch(("v1", "Node", "", &node), &json!({"spec": {"taints": null}})).await?;
    Ok(node)
}

fn address([a, b, c]: [u8; 3], last: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, last)
}
