//! The exporter process, and its use of CPU and memory.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use istio_federation::peer::{SigningKey, claims_for, sign};
use istio_federation_e2e::{ApiServer, Component, until};
use jiff::Timestamp;
use serde_json::Value;

use crate::connection::Connection;
use crate::hook_build::built_program;

const DEADLINE: Duration = Duration::from_mins(2);
/// Clock ticks per second of /proc, on every Linux that this runs on.
const TICKS: u64 = 100;

/// A running exporter.
pub(crate) struct Exporter {
    process: Component,
    metadata: SocketAddr,
    peer: SigningKey,
}

impl Exporter {
    pub(crate) async fn start(server: &ApiServer, peer: SigningKey) -> Result<Self> {
        let ports = server.scratch().data().join("exporter.ports");
        if ports.exists() {
            fs::remove_file(&ports)?;
        }
        let program = std::env::var_os("EXPORTER").map_or_else(built_program, PathBuf::from);
        let mut command = Command::new(program);
        command.args(["exporter", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--inlet", "NodePort"]);
        command.args(["--cluster-domain", "cluster-b.local", "--cluster-uuid", "uuid-b"]);
        command.arg("--kubeconfig").arg(server.kubeconfig()).arg("--port-file").arg(&ports);
        let mut process = Component::start("exporter", &server.scratch().logs(), command)?;
        let text = process.ready(DEADLINE, async || Ok(fs::read_to_string(&ports)?)).await?;
        let ports: Value = serde_json::from_str(&text)?;
        Ok(Self { process, metadata: ports["metadata"].as_str().context("no address")?.parse()?, peer })
    }

    pub(crate) async fn connect(&self) -> Result<Connection> {
        let claims = claims_for("uuid-a", "uuid-b", Some(self.metadata.to_string()), Timestamp::now());
        Connection::to(self.metadata, &sign(&self.peer, &claims)).await
    }

    /// Waits until that many Services are served; returns the bytes of the document.
    pub(crate) async fn complete(&self, services: usize) -> Result<usize> {
        until("all Services are served", DEADLINE, async || {
            let reply = self.connect().await?.private(None).await?;
            ensure!(reply.status == 200, "status {}", reply.status);
            let document: Value = serde_json::from_slice(&reply.body)?;
            let found = document["publicServices"].as_array().map_or(0, Vec::len);
            ensure!(found == services, "{found} Services");
            anyhow::Ok(reply.body.len())
        })
        .await
    }

    /// Resident memory now, and the most so far, in MB.
    pub(crate) fn memory(&self) -> Result<(f64, f64)> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let of = |name: &str| -> Result<f64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).context("no such line")?;
            Ok(line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
        };
        Ok((of("VmRSS")?, of("VmHWM")?))
    }

    /// Time that it has spent on a processor so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // After the name of the program, which may hold anything: state is field 3, user and system time are 14 and 15.
        let fields: Vec<&str> = text.rsplit_once(')').context("no name")?.1.split_whitespace().collect();
        let ticks = fields.iter().skip(11).take(2).map(|field| field.parse::<u64>()).sum::<Result<u64, _>>()?;
        Ok(Duration::from_millis(ticks * 1000 / TICKS))
    }
}
