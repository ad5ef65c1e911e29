//! A workload: its Pod in the cluster, and its app with a sidecar on a host of its own.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::container::Container;
use super::network::Host;
use super::proxy::{Kind, Pod, Proxy};
use crate::Component;
use crate::bench::Cluster;

/// The user of the app.
const USER: u32 = 1000;
/// Node of all workloads: only Pods on nodes become endpoints.
const NODE: &str = "node-0";
/// Time limit of a call; the app gives up earlier.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running app.
pub struct Workload {
    /// Its host.
    pub host: Host,
    /// Its proxy.
    pub sidecar: Proxy,
    files: Files,
    _app: Component,
}

struct Files {
    name: String,
    home: PathBuf,
    program: PathBuf,
    logs: PathBuf,
}

impl Workload {
    /// Creates namespace, service account and Pod, and runs it. Its account and its label `app` have its name.
    pub(super) async fn start(
        cluster: &Cluster,
        istiod: &str,
        host: Host,
        (namespace, name): (&str, &str),
        program: PathBuf,
    ) -> anyhow::Result<Self> {
        let labels = json!({"app": name, "security.istio.io/tlsMode": "istio"});
        let metadata = json!({"name": name, "namespace": namespace, "labels": labels});
        cluster
            .apply(&[
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
                json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}),
                json!({
                    "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
                    "spec": {
                        "serviceAccountName": name, "nodeName": NODE,
                        "containers": [{"name": "app", "image": "bench.example/app"}],
                    },
                }),
            ])
            .await?;
        runs(cluster, namespace, name, &host).await?;
        let scratch = cluster.server.scratch();
        let files = Files {
            name: format!("{namespace}.{name}.app"),
            home: scratch.data().join(format!("{namespace}.{name}.app")),
            program,
            logs: scratch.logs(),
        };
        std::fs::create_dir_all(&files.home)?;
        let app = Component::start(&files.name, &files.logs, command(&host, &files, &["serve", name]))?;
        let pod = Pod { name, namespace, account: name, labels: &labels };
        let mut sidecar = Proxy::start(cluster, istiod, host.clone(), Kind::Sidecar, &pod).await?;
        sidecar.ready().await?;
        Ok(Self { host, sidecar, files, _app: app })
    }

    /// Runs the app alone: no Pod, no sidecar.
    pub(super) fn bare(cluster: &Cluster, host: &Host, name: &str, program: PathBuf) -> anyhow::Result<Component> {
        let scratch = cluster.server.scratch();
        let (home, logs) = (scratch.data().join(name), scratch.logs());
        std::fs::create_dir_all(&home)?;
        let files = Files { name: name.to_owned(), home, program, logs };
        Component::start(name, &files.logs, command(host, &files, &["serve", name]))
    }

    /// `GET /` by the app: status and body.
    pub async fn get(&self, address: &str) -> anyhow::Result<String> {
        self.call(&["get", address]).await
    }

    /// Runs the app's command line for a call. Returns its output.
    pub async fn call(&self, args: &[&str]) -> anyhow::Result<String> {
        let mut command = tokio::process::Command::from(command(&self.host, &self.files, args));
        let output = timeout(PATIENCE, command.kill_on_drop(true).output()).await.context("the call timed out")??;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if !output.status.success() {
            bail!("{}", text(&output.stderr));
        }
        Ok(text(&output.stdout))
    }

    /// Lets the app call repeatedly by HTTP, each time on a new connection; between proxies, connections are reused.
    pub fn load(&self, address: &str) -> anyhow::Result<Load> {
        self.load_by("http", address)
    }

    /// The same by gRPC.
    pub fn load_grpc(&self, address: &str) -> anyhow::Result<Load> {
        self.load_by("grpc", address)
    }

    /// The same by TCP, for which proxies make a new connection each time.
    pub fn load_tcp(&self, address: &str) -> anyhow::Result<Load> {
        self.load_by("tcp", address)
    }

    fn load_by(&self, protocol: &str, address: &str) -> anyhow::Result<Load> {
        let command = command(&self.host, &self.files, &["load", protocol, address]);
        let name = format!("{}.load.{address}", self.files.name);
        Ok(Load { component: Component::start(&name, &self.files.logs, command)?, read: 0 })
    }
}

/// An app that calls repeatedly. Ends when dropped.
pub struct Load {
    component: Component,
    read: usize,
}

impl Load {
    /// Number of calls that ended since the last call of this function, and the errors of failed ones.
    fn ended(&mut self) -> anyhow::Result<(usize, Vec<String>)> {
        self.component.check()?;
        let log = self.component.log()?;
        let new: Vec<&str> = log.lines().skip(self.read).collect();
        self.read += new.len();
        let failed = new.iter().filter(|line| **line != "ok").map(|line| (*line).to_owned());
        Ok((new.len(), failed.collect()))
    }

    /// Waits until `count` more calls have ended. Returns the number since the last time, and the errors of failed ones.
    pub async fn next(&mut self, count: usize) -> anyhow::Result<(usize, Vec<String>)> {
        let (before, mut failed) = self.ended()?;
        let mut ended = before;
        crate::until(&format!("{count} more calls have ended"), PATIENCE * 4, async || {
            let (more, new) = self.ended()?;
            ended += more;
            failed.extend(new);
            ensure!(ended >= before + count, "{} so far", ended - before);
            Ok::<_, anyhow::Error>(())
        })
        .await?;
        Ok((ended, failed))
    }
}

fn command(host: &Host, files: &Files, args: &[&str]) -> Command {
    let sees = [("app", files.program.clone())];
    let container = Container { host, user: USER, home: &files.home, sees: &sees, environment: &[] };
    container.command(&[&["/run/app"], args].concat())
}

/// Writes the status of a running and ready Pod, as a kubelet does.
pub(super) async fn runs(cluster: &Cluster, namespace: &str, name: &str, host: &Host) -> anyhow::Result<()> {
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let address = host.address.to_string();
    let now = jiff::Timestamp::now().to_string();
    let status: Value = json!({"status": {
        "phase": "Running", "hostIP": address, "podIP": address, "podIPs": [{"ip": address}], "startTime": now,
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now}],
    }});
    pods.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await?;
    Ok(())
}
