//! A Kubernetes control plane: etcd, kube-apiserver with RBAC and admission, kube-controller-manager. No node, no kubelet.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::api::{Api, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

use crate::identity::Identity;
use crate::{AuditEvent, Component, Scratch, Tools, audit, free_port};

const PATIENCE: Duration = Duration::from_secs(90);
const AUDIENCES: &str = "https://kubernetes.default.svc,istio-ca";

/// Controllers that need nodes, or would react to their absence.
const NOT_WITHOUT_NODES: &str = "*,-node-ipam-controller,-node-lifecycle-controller,-node-route-controller,-cloud-node-lifecycle-controller,\
    -service-lb-controller,-taint-eviction-controller,-pod-garbage-collector-controller";

/// A running control plane on 127.0.0.1. Dropping it ends it and removes its data. Its logs stay, unless [`ApiServer::stop`] was called.
#[derive(Debug)]
pub struct ApiServer {
    // Fields are dropped in this order.
    controllers: Component,
    server: Component,
    etcd: Component,
    port: u16,
    token: String,
    scratch: Scratch,
}

/// A part of an [`ApiServer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// etcd.
    Etcd,
    /// kube-apiserver.
    Server,
    /// kube-controller-manager.
    Controllers,
}

impl ApiServer {
    /// Starts a control plane, and waits until it serves and its controllers work. `name` is part of the names of its folder and logs.
    pub async fn start(name: &str) -> anyhow::Result<Self> {
        let tools = Tools::find()?;
        let scratch = Scratch::new(name)?;
        let data = scratch.data();
        let identity = Identity::write(&data)?;
        let (etcd_port, peer_port, port, controllers_port) = (free_port()?, free_port()?, free_port()?, free_port()?);
        fs::write(data.join("audit-policy.json"), audit::POLICY)?;
        fs::write(data.join("admin.kubeconfig"), kubeconfig(&data, port, &json!({"token": identity.admin})))?;
        fs::write(
            data.join("controllers.kubeconfig"),
            kubeconfig(&data, port, &json!({"token": identity.controllers})),
        )?;

        let etcd = Component::start("etcd", &scratch.logs(), etcd(&tools, &data, etcd_port, peer_port))?;
        let server =
            Component::start("kube-apiserver", &scratch.logs(), kube_apiserver(&tools, &data, port, etcd_port))?;
        let controllers = kube_controller_manager(&tools, &data, controllers_port);
        // Started after the server serves: before, it would exit and be restarted with a delay.
        let idle = Component::start("kube-controller-manager", &scratch.logs(), Command::new("true"))?;
        let mut cluster = Self { controllers: idle, server, etcd, port, token: identity.admin, scratch };
        cluster.serves().await?;
        cluster.controllers = Component::start("kube-controller-manager", &cluster.scratch.logs(), controllers)?;
        cluster.controllers_work().await?;
        Ok(cluster)
    }

    /// Ends all components and removes the folder with the logs. Called at the end of a test that passed.
    pub fn stop(self) {
        let Self { controllers, server, etcd, scratch, .. } = self;
        drop((controllers, server, etcd));
        scratch.remove();
    }

    /// A client with all rights. Use one per test: its connections live in the test's runtime.
    pub async fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::try_from(self.config().await?)?)
    }

    /// A client that impersonates a user, such as `system:serviceaccount:d8-istio:exporter`. `groups` must include a service account's
    /// groups.
    pub async fn client_as(&self, user: &str, groups: &[&str]) -> anyhow::Result<Client> {
        let mut config = self.config().await?;
        config.auth_info.impersonate = Some(user.to_owned());
        config.auth_info.impersonate_groups = Some(groups.iter().map(|&group| group.to_owned()).collect());
        Ok(Client::try_from(config)?)
    }

    /// Configuration of a client with all rights.
    pub async fn config(&self) -> anyhow::Result<Config> {
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig())?;
        Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
    }

    /// Kubeconfig for programs that act with all rights.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.scratch.data().join("admin.kubeconfig")
    }

    /// Kubeconfig for programs that act as a service account. Its token is valid for an hour.
    pub async fn kubeconfig_of(&self, namespace: &str, service_account: &str) -> anyhow::Result<PathBuf> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, namespace);
        let request = TokenRequest { spec: TokenRequestSpec::default(), ..TokenRequest::default() };
        let answer = accounts.create_token_request(service_account, &PostParams::default(), &request).await?;
        let token = answer.status.context("the API server returned no token")?.token;
        let file = self.scratch.data().join(format!("{namespace}.{service_account}.kubeconfig"));
        fs::write(&file, kubeconfig(&self.scratch.data(), self.port, &json!({"token": token})))?;
        Ok(file)
    }

    /// `https://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.port)
    }

    /// The bearer token of the user `admin`.
    #[must_use]
    pub fn admin_token(&self) -> &str {
        &self.token
    }

    /// CA certificate of the server (PEM).
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.scratch.data().join("ca.crt")
    }

    /// Folder of data and logs, for further components of the same test.
    #[must_use]
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// Every write request so far, granted or not, in the order of the responses.
    pub fn audit(&self) -> anyhow::Result<Vec<AuditEvent>> {
        audit::read(&self.scratch.data().join("audit.log"))
    }

    /// Restarts kube-apiserver with SIGTERM, on the same port with the same data. Watches break, as in an upgrade.
    pub async fn restart_api_server(&mut self) -> anyhow::Result<()> {
        self.server.stop(Duration::from_secs(10)).await?;
        self.start_again(Part::Server).await
    }

    /// Kills one part with SIGKILL. It stays down until [`ApiServer::start_again`].
    pub fn kill(&mut self, part: Part) {
        self.part(part).kill();
    }

    /// Starts a killed part, and waits until the server serves.
    pub async fn start_again(&mut self, part: Part) -> anyhow::Result<()> {
        self.part(part).start_again()?;
        self.serves().await
    }

    /// Process ID of a part, for measurements.
    #[must_use]
    pub fn process(&self, part: Part) -> u32 {
        match part {
            Part::Etcd => self.etcd.id(),
            Part::Server => self.server.id(),
            Part::Controllers => self.controllers.id(),
        }
    }

    fn part(&mut self, part: Part) -> &mut Component {
        match part {
            Part::Etcd => &mut self.etcd,
            Part::Server => &mut self.server,
            Part::Controllers => &mut self.controllers,
        }
    }

    async fn serves(&mut self) -> anyhow::Result<()> {
        let client = self.client().await?;
        let ready = async || {
            self.etcd.check()?;
            let request = kube::core::Request::new("/readyz").list(&ListParams::default())?;
            let answer = client.request_text(request).await?;
            ensure!(answer == "ok", "/readyz says {answer:?}");
            Ok(())
        };
        self.server.ready(PATIENCE, ready).await
    }

    /// Each namespace gets a service account and a root certificate from a controller.
    async fn controllers_work(&mut self) -> anyhow::Result<()> {
        let client = self.client().await?;
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
        let roots: Api<ConfigMap> = Api::namespaced(client, "default");
        let ready = async || {
            accounts.get("default").await?;
            roots.get("kube-root-ca.crt").await?;
            Ok(())
        };
        self.controllers.ready(PATIENCE, ready).await
    }
}

fn url(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

fn kubeconfig(data: &Path, port: u16, user: &Value) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "e2e",
        "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": "e2e"}}],
        "clusters": [{"name": "e2e", "cluster": {"server": url(port), "certificate-authority": data.join("ca.crt")}}],
        "users": [{"name": "e2e", "user": user}],
    })
    .to_string()
}

fn etcd(tools: &Tools, data: &Path, port: u16, peer_port: u16) -> Command {
    let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer_port}"));
    let mut command = Command::new(&tools.etcd);
    command.arg("--data-dir").arg(data.join("etcd")).arg("--unsafe-no-fsync");
    command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    command.args(["--initial-cluster", &format!("default={peer}")]);
    command
}

fn kube_apiserver(tools: &Tools, data: &Path, port: u16, etcd_port: u16) -> Command {
    let file = |name: &str| data.join(name).display().to_string();
    let mut command = Command::new(&tools.kube_apiserver);
    command.args([
        format!("--etcd-servers=http://127.0.0.1:{etcd_port}"),
        format!("--secure-port={port}"),
        "--bind-address=127.0.0.1".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
        format!("--tls-cert-file={}", file("server.crt")),
        format!("--tls-private-key-file={}", file("server.key")),
        format!("--service-account-key-file={}", file("accounts.pub")),
        format!("--service-account-signing-key-file={}", file("accounts.key")),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--api-audiences={AUDIENCES}"),
        "--service-cluster-ip-range=10.255.0.0/16".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
        format!("--token-auth-file={}", file("tokens.csv")),
        // Tests create Pods and Deployments whose service accounts do not exist.
        "--disable-admission-plugins=ServiceAccount".to_owned(),
        format!("--audit-policy-file={}", file("audit-policy.json")),
        format!("--audit-log-path={}", file("audit.log")),
        "--audit-log-maxsize=4096".to_owned(),
    ]);
    command
}

fn kube_controller_manager(tools: &Tools, data: &Path, port: u16) -> Command {
    let file = |name: &str| data.join(name).display().to_string();
    let mut command = Command::new(&tools.kube_controller_manager);
    command.args([
        format!("--kubeconfig={}", file("controllers.kubeconfig")),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        format!("--cert-dir={}", file("controllers")),
        "--leader-elect=false".to_owned(),
        format!("--controllers={NOT_WITHOUT_NODES}"),
        format!("--service-account-private-key-file={}", file("accounts.key")),
        format!("--root-ca-file={}", file("ca.crt")),
    ]);
    command
}
