//! shell-operator, which runs hooks without values and without Helm.

use std::path::Path;
use std::process::Command;

use anyhow::Context;

use crate::{ApiServer, Component, Tools, free_port};

/// A running shell-operator with all rights on an API server.
#[derive(Debug)]
pub struct ShellOperator {
    component: Component,
    port: u16,
}

impl ShellOperator {
    /// Starts it with the executables of a folder as its hooks. It ignores hidden folders, such as temporary ones. It has no signal of
    /// readiness: wait for an effect of the hooks with [`Component::ready`].
    pub fn start(server: &ApiServer, hooks: &Path) -> anyhow::Result<Self> {
        Self::start_with(server, hooks, &[])
    }

    /// As [`ShellOperator::start`], with variables for the hooks' environment.
    pub fn start_with(server: &ApiServer, hooks: &Path, environment: &[(&str, &str)]) -> anyhow::Result<Self> {
        let port = free_port()?;
        let own = server.scratch().data().join("shell-operator");
        std::fs::create_dir_all(&own).with_context(|| own.display().to_string())?;
        let mut command = Command::new(Tools::shell_operator()?);
        command.arg("start").arg("--hooks-dir").arg(hooks).arg("--tmp-dir").arg(&own);
        command.arg("--kube-config").arg(server.kubeconfig()).args(["--namespace", "default"]);
        command.args(["--listen-address", "127.0.0.1", "--listen-port", &port.to_string()]);
        command.arg("--debug-unix-socket").arg(own.join("debug.socket"));
        command.envs(environment.iter().copied());
        let component = Component::start("shell-operator", &server.scratch().logs(), command)?;
        Ok(Self { component, port })
    }

    /// The process, to wait for, kill and restart.
    pub fn component(&mut self) -> &mut Component {
        &mut self.component
    }

    /// Port on 127.0.0.1 with its metrics at `/metrics`, and those of its hooks at `/metrics/hooks`.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}
