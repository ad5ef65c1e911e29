//! The operator of a cluster: the real addon-operator if `ADDON_OPERATOR` is set, else the stand-in. Both have the same command line.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::module::{self, Module};
use super::pod;
use crate::{ApiServer, Component, apply, free_port};

/// Variable with the path of the real addon-operator.
const REAL: &str = "ADDON_OPERATOR";
/// Namespace of the operator, its settings and its release.
pub const NAMESPACE: &str = "addon-operator";
const SERVICE_ACCOUNT: &str = "addon-operator";
const CONFIG_MAP: &str = "addon-operator";
/// Time limit from its start to its first converge, and for a change of settings.
const PATIENCE: Duration = Duration::from_mins(2);

/// An operator with the module, on one cluster; not running at first.
pub struct AddonOperator {
    component: Option<Component>,
    client: Client,
    command: Option<Command>,
    logs: PathBuf,
    modules: PathBuf,
    port: u16,
}

impl AddonOperator {
    /// The kind of operator, for the first line of every scenario's output.
    #[must_use]
    pub fn kind() -> String {
        match std::env::var(REAL) {
            Ok(path) => format!("operator: the real addon-operator, {path}"),
            Err(_) => {
                format!("operator: a STAND-IN for addon-operator; {REAL}=/path/to/addon-operator selects the real one")
            }
        }
    }

    /// Creates its account, its settings (module off) and its folders.
    pub(super) async fn prepare(server: &ApiServer) -> anyhow::Result<Self> {
        let client = server.client().await?;
        let metadata = json!({"name": SERVICE_ACCOUNT, "namespace": NAMESPACE});
        apply(
            &client,
            &[
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
                json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}),
                json!({
                    "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                    "metadata": {"name": SERVICE_ACCOUNT},
                    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
                    "subjects": [{"kind": "ServiceAccount", "name": SERVICE_ACCOUNT, "namespace": NAMESPACE}],
                }),
                json!({
                    "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CONFIG_MAP, "namespace": NAMESPACE},
                    "data": {"global": "{}", "istioEnabled": "false"},
                }),
            ],
        )
        .await?;
        let (data, logs) = (server.scratch().data(), server.scratch().logs());
        let (modules, global_hooks, files) = (data.join("modules"), data.join("global-hooks"), logs.join("hooks"));
        for folder in [&modules, &global_hooks, &files] {
            fs::create_dir_all(folder)?;
        }
        fs::write(modules.join("values.yaml"), "{}\n")?;
        let program = match std::env::var_os(REAL) {
            Some(path) => PathBuf::from(path),
            None => module::program("operator", &data)?,
        };
        let kubeconfig = server.kubeconfig_of(NAMESPACE, SERVICE_ACCOUNT).await?;
        let port = free_port()?;
        let socket = data.join("operator.socket");
        let credentials = data.join("account-of-operator");
        pod::write_credentials(&client, NAMESPACE, SERVICE_ACCOUNT, &server.ca_file(), &credentials).await?;
        let mut command = pod::command(&credentials, &program);
        command
            .arg(pod::PROGRAM)
            .arg("start")
            .arg("--modules-dir")
            .arg(&modules)
            .arg("--global-hooks-dir")
            .arg(&global_hooks);
        command.arg("--tmp-dir").arg(&files).args(["--namespace", NAMESPACE, "--config-map", CONFIG_MAP]);
        command.args(["--prometheus-listen-address", "127.0.0.1", "--prometheus-listen-port", &port.to_string()]);
        command.arg("--debug-unix-socket").arg(&socket);
        command.envs(pod::environment(server)?);
        command.env("KUBECONFIG", &kubeconfig).env("KUBE_CONFIG", &kubeconfig).env("LOG_LEVEL", "info");
        for client in ["KUBE_CLIENT", "OBJECT_PATCHER_KUBE_CLIENT", "HELM_MONITOR_KUBE_CLIENT"] {
            command.env(format!("{client}_QPS"), "200").env(format!("{client}_BURST"), "400");
        }
        Ok(Self { component: None, client, command: Some(command), logs, modules, port })
    }

    /// Sets a variable of its environment, before its first start.
    pub fn set(&mut self, name: &str, value: &str) {
        if let Some(command) = &mut self.command {
            command.env(name, value);
        }
    }

    /// Installs a version of the module, for its next start.
    pub(super) fn install(&self, module: &Module) -> anyhow::Result<()> {
        module.install(&self.modules)
    }

    /// Its user name in the audit log.
    #[must_use]
    pub fn user() -> String {
        format!("system:serviceaccount:{NAMESPACE}:{SERVICE_ACCOUNT}")
    }

    /// Starts it.
    pub fn start(&mut self) -> anyhow::Result<()> {
        match (&mut self.component, self.command.take()) {
            (None, Some(command)) => {
                self.component = Some(Component::start("operator", &self.logs, command)?);
                Ok(())
            }
            (Some(component), _) => component.start_again(),
            (None, None) => bail!("the operator could not be started before"),
        }
    }

    /// Waits until it has converged once since its start.
    pub async fn converged(&mut self) -> anyhow::Result<()> {
        let port = self.port;
        let component = self.component.as_mut().context("the operator was not started")?;
        component
            .ready(PATIENCE, async || {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
                stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: operator\r\nconnection: close\r\n\r\n").await?;
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await?;
                ensure!(
                    answer.starts_with("HTTP/1.1 200"),
                    "not converged: {}",
                    answer.lines().last().unwrap_or_default()
                );
                Ok(())
            })
            .await
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(component) = &mut self.component {
            component.kill();
        }
    }

    /// Stops it with SIGTERM.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        match &mut self.component {
            Some(component) => component.stop(Duration::from_secs(30)).await,
            None => Ok(()),
        }
    }

    /// Its log so far.
    pub fn log(&self) -> anyhow::Result<String> {
        self.component.as_ref().context("the operator was not started")?.log()
    }

    /// Its process ID, for measurements.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        self.component.as_ref().map(Component::id)
    }

    /// Writes the settings: whether the module is on, and its section. Both change in one update: the operator does not notice a change of
    /// the switch alone.
    pub async fn configure(&self, is_on: bool, section: &Value) -> anyhow::Result<()> {
        let settings: Api<ConfigMap> = Api::namespaced(self.client.clone(), NAMESPACE);
        let data = json!({"data": {"istioEnabled": is_on.to_string(), "istio": section.to_string()}});
        settings.patch(CONFIG_MAP, &PatchParams::default(), &Patch::Merge(&data)).await?;
        Ok(())
    }
}
