//! A proxy of the mesh: pilot-agent, which gets its certificates and starts Envoy.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::api::{Api, PostParams};
use serde_json::Value;

use super::container::Container;
use super::http;
use super::network::Host;
use super::settings;
use crate::bench::Cluster;
use crate::{Component, Tools, until};

/// The user whose traffic is not captured.
const USER: u32 = 1337;
/// Port of Envoy's admin interface.
const ADMIN: u16 = 15000;
/// Port of pilot-agent's readiness.
const STATUS: u16 = 15020;
/// The roots of its mesh, in its folder.
const ROOTS: &str = "var/run/secrets/istio/root-cert.pem";
const PATIENCE: Duration = Duration::from_mins(1);
/// Longer than any run.
const TOKEN: i64 = 12 * 60 * 60;

/// A running proxy.
pub struct Proxy {
    name: String,
    component: Component,
    host: Host,
    home: PathBuf,
}

/// What kind of proxy it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// In the Pod of an app, whose traffic it captures.
    Sidecar,
    /// Without an app.
    Gateway,
}

/// The Pod of a proxy.
pub(super) struct Pod<'a> {
    pub(super) name: &'a str,
    pub(super) namespace: &'a str,
    pub(super) account: &'a str,
    pub(super) labels: &'a Value,
}

impl Proxy {
    pub(super) async fn start(
        cluster: &Cluster,
        istiod: &str,
        host: Host,
        kind: Kind,
        pod: &Pod<'_>,
    ) -> anyhow::Result<Self> {
        let home = home(cluster, pod).await?;
        let sees = [("istio", Tools::istio()?), ("envoy", Tools::envoy()?)];
        let agent = "/run/istio/bin/pilot-agent";
        if kind == Kind::Sidecar {
            let environment = settings::capture_environment()?;
            let capture = Container { host: &host, user: 0, home: &home, sees: &sees, environment: &environment };
            let output = capture.command(&[&[agent], &CAPTURE[..]].concat()).output()?;
            ensure!(output.status.success(), "istio-iptables: {}", String::from_utf8_lossy(&output.stderr));
        }
        let environment = environment(cluster, istiod, &host, kind, pod)?;
        let container = Container { host: &host, user: USER, home: &home, sees: &sees, environment: &environment };
        let domain = format!("{}.svc.{}", pod.namespace, settings::cluster_domain(&cluster.domain)?);
        let role = if kind == Kind::Sidecar { "sidecar" } else { "router" };
        let template = "--templateFile=/run/istio/envoy_bootstrap.json";
        let command = container.command(&[agent, "proxy", role, "--domain", &domain, template]);
        let name = format!("{}.{}", pod.namespace, pod.name);
        let component = Component::start(&name, &cluster.server.scratch().logs(), command)?;
        Ok(Self { name, component, host, home })
    }

    /// Waits until it has its certificates and its configuration.
    pub(super) async fn ready(&mut self) -> anyhow::Result<()> {
        let room = &self.host.room;
        self.component.ready(PATIENCE, async || http::get(room, STATUS, "/healthz/ready").await.map(drop)).await
    }

    /// Writes the roots that istiod publishes into its folder, as a kubelet does after a change.
    pub fn bring_roots(&self, roots: &str) -> anyhow::Result<()> {
        Ok(fs::write(self.home.join(ROOTS), roots)?)
    }

    /// Kills it and its Envoy with SIGKILL.
    pub fn kill(&mut self) {
        self.component.kill();
    }

    /// The answer of Envoy's admin interface at a path.
    pub async fn admin(&self, path: &str) -> anyhow::Result<String> {
        http::get(&self.host.room, ADMIN, path).await
    }

    /// Writes files with Envoy's configuration and state, as far as available.
    pub(super) async fn dump(&self, logs: &Path) {
        for what in ["certs", "config_dump", "clusters", "listeners", "stats"] {
            if let Ok(text) = self.admin(&format!("/{what}")).await {
                fs::write(logs.join(format!("{}.{what}", self.name)), text).ok();
            }
        }
    }
}

/// All TCP in both directions except the proxy's own, as istiod's injection has it. The environment decides whether DNS is captured.
const CAPTURE: [&str; 15] = [
    "istio-iptables",
    "-p",
    "15001",
    "-z",
    "15006",
    "-u",
    "1337",
    "-m",
    "REDIRECT",
    "-i",
    "*",
    "-b",
    "*",
    "-d",
    "15090,15021,15020",
];

/// Creates its working folder with token and root, as a kubelet mounts them.
async fn home(cluster: &Cluster, pod: &Pod<'_>) -> anyhow::Result<PathBuf> {
    let home = cluster.server.scratch().data().join(format!("{}.{}", pod.namespace, pod.name));
    let (tokens, istio) = (home.join("var/run/secrets/tokens"), home.join("var/run/secrets/istio"));
    for folder in [&tokens, &istio] {
        fs::create_dir_all(folder)?;
    }
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client.clone(), pod.namespace);
    let spec = TokenRequestSpec {
        audiences: vec!["istio-ca".to_owned()],
        expiration_seconds: Some(TOKEN),
        ..TokenRequestSpec::default()
    };
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let answer = accounts.create_token_request(pod.account, &PostParams::default(), &request).await?;
    fs::write(tokens.join("istio-token"), answer.status.context("the API server returned no token")?.token)?;
    let roots: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), pod.namespace);
    let root = until("istiod has published its root", PATIENCE, async || {
        let roots = roots.get("istio-ca-root-cert").await?;
        roots.data.and_then(|mut data| data.remove("root-cert.pem")).context("no root-cert.pem")
    });
    fs::write(home.join(ROOTS), root.await?)?;
    own(&home)?;
    Ok(home)
}

/// Changes the owner of a folder to the proxy's user.
fn own(path: &Path) -> anyhow::Result<()> {
    chown(path, Some(USER), Some(USER))?;
    if path.is_dir() {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        for entry in fs::read_dir(path)? {
            own(&entry?.path())?;
        }
    }
    Ok(())
}

/// The environment that istiod's injection would fill in.
fn environment(
    cluster: &Cluster,
    istiod: &str,
    host: &Host,
    kind: Kind,
    pod: &Pod<'_>,
) -> anyhow::Result<Vec<(String, String)>> {
    let discovery = format!("{istiod}:15012");
    let mesh = settings::mesh_config(&cluster.domain, &discovery)?;
    let trust_domain = mesh["trustDomain"].as_str().context("no trust domain")?;
    let of_the_pod = [
        ("POD_NAME", pod.name.to_owned()),
        ("POD_NAMESPACE", pod.namespace.to_owned()),
        ("INSTANCE_IP", host.address.to_string()),
        ("SERVICE_ACCOUNT", pod.account.to_owned()),
        ("TRUST_DOMAIN", trust_domain.to_owned()),
        ("PROXY_CONFIG", settings::proxy_config(&mesh)?.to_string()),
        ("CA_ADDR", discovery),
        ("PILOT_CERT_PROVIDER", "istiod".to_owned()),
        ("ISTIO_META_CLUSTER_ID", cluster.name.to_owned()),
        ("ISTIO_META_MESH_ID", trust_domain.to_owned()),
        ("ISTIO_METAJSON_LABELS", pod.labels.to_string()),
    ];
    let of_the_pod = of_the_pod.map(|(name, value)| (name.to_owned(), value));
    Ok(of_the_pod.into_iter().chain(settings::proxy_environment(kind)?).collect())
}
