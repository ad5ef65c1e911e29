//! istiod of one cluster, with a root of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use istio_federation_testkit::Authority;
use serde_json::{Value, json};

use super::container::within;
use super::http;
use super::network::Host;
use super::settings;
use crate::bench::{Cluster, MODULE_NAMESPACE};
use crate::{Component, Tools};

/// Port of its debug interface.
const HTTP: u16 = 8080;
const PATIENCE: Duration = Duration::from_mins(1);

/// A running istiod.
pub struct Istiod {
    component: Component,
    host: Host,
    folder: PathBuf,
}

impl Istiod {
    /// Writes the mesh configuration, as istiod's chart does.
    pub(super) async fn prepare(cluster: &Cluster, host: &Host) -> anyhow::Result<()> {
        let mesh = settings::mesh_config(&cluster.domain, &format!("{}:15012", host.address))?;
        let config_map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio", "namespace": MODULE_NAMESPACE},
            "data": {"mesh": mesh.to_string()},
        });
        cluster.apply(&[config_map]).await
    }

    pub(super) fn start(cluster: &Cluster, host: Host, root: &Authority) -> anyhow::Result<Self> {
        let folder = cluster.server.scratch().data().join("istiod");
        write(&folder, root, &root.pem())?;
        let mut command = within(&host.room);
        command.arg(Tools::istio()?.join("bin/pilot-discovery")).arg("discovery").current_dir(&folder);
        command.arg("--kubeconfig").arg(cluster.server.kubeconfig());
        command.args(["--domain", &settings::cluster_domain(&cluster.domain)?]);
        command.args(["--monitoringAddr", ":15014", "--ctrlz_port", "0"]);
        environment(&mut command, cluster, &host)?;
        let component = Component::start("istiod", &cluster.server.scratch().logs(), command)?;
        Ok(Self { component, host, folder })
    }

    /// Waits until it serves.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        let room = &self.host.room;
        self.component.ready(PATIENCE, async || http::get(room, HTTP, "/ready").await.map(drop)).await
    }

    /// Restarts it with another CA and these published roots.
    pub async fn change(&mut self, authority: &Authority, roots: &str) -> anyhow::Result<()> {
        self.kill();
        write(&self.folder, authority, roots)?;
        self.start_again().await
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.component.kill();
    }

    /// Starts it again.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.component.start_again()?;
        self.ready().await
    }

    /// Fails with the end of its log if it no longer runs.
    pub fn check(&mut self) -> anyhow::Result<()> {
        self.component.check()
    }

    /// Its log so far.
    pub fn log(&self) -> anyhow::Result<String> {
        self.component.log()
    }

    /// The answer of its debug interface at a path.
    pub async fn debug(&self, path: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&http::get(&self.host.room, HTTP, path).await?)?)
    }
}

/// The files of a plugged-in CA: a root, or an intermediate right below one.
fn write(folder: &Path, authority: &Authority, roots: &str) -> anyhow::Result<()> {
    let folder = folder.join("etc/cacerts");
    fs::create_dir_all(&folder)?;
    for (name, text) in [
        ("ca-cert.pem", authority.pem().as_str()),
        ("ca-key.pem", &authority.key_pem()),
        ("cert-chain.pem", &authority.pem()),
        ("root-cert.pem", roots),
    ] {
        fs::write(folder.join(name), text)?;
    }
    Ok(())
}

fn environment(command: &mut Command, cluster: &Cluster, host: &Host) -> anyhow::Result<()> {
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.env("POD_NAMESPACE", MODULE_NAMESPACE).env("POD_NAME", "istiod").env("REVISION", "default");
    command.env("CLUSTER_ID", cluster.name).env("ISTIOD_CUSTOM_HOST", host.address.to_string());
    command.envs(settings::istiod_environment()?);
    Ok(())
}
