//! The exporter's real executable, with requests over HTTP.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use istio_federation::peer::{SigningKey, claims_for, sign};
use istio_federation_e2e::{Component, Scratch, until};
use jiff::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::hook_build::built_program;

/// Time limit of a condition, on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_mins(2);
/// UUID of the exporter's cluster.
pub(crate) const OWN_UUID: &str = "uuid-b";
/// UUID of the requesting peer.
pub(crate) const PEER_UUID: &str = "uuid-a";

/// Source of the exporter's objects.
pub(crate) enum Objects<'a> {
    /// From a folder.
    Folder(&'a Path),
    /// From the cluster of a kubeconfig.
    Cluster(&'a Path),
}

/// A running exporter, and the key of the requesting peer.
pub(crate) struct Exporter {
    process: Component,
    metadata: SocketAddr,
    admin: SocketAddr,
    peer: SigningKey,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) etag: String,
    pub(crate) body: String,
}

/// Everything that a peer can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Documents {
    pub(crate) public: Reply,
    pub(crate) spiffe: Reply,
    pub(crate) private: Reply,
}

impl Documents {
    /// The private document.
    pub(crate) fn offer(&self) -> Result<Value> {
        ensure!(self.private.status == 200, "{:?}", self.private);
        Ok(serde_json::from_str(&self.private.body)?)
    }
}

impl Exporter {
    /// Starts an exporter, and waits for its addresses.
    pub(crate) async fn start(
        name: &str,
        scratch: &Scratch,
        objects: Objects<'_>,
        inlet: &str,
        peer: &SigningKey,
    ) -> Result<Self> {
        let ports = scratch.data().join(format!("{name}.ports"));
        let mut command = Command::new(built_program());
        command.args([
            "exporter",
            "--listen",
            "127.0.0.1:0",
            "--metrics-listen",
            "127.0.0.1:0",
            "--log-level",
            "debug",
        ]);
        command.args(["--cluster-domain", "cluster-b.local", "--cluster-uuid", OWN_UUID, "--inlet", inlet]);
        command.arg("--port-file").arg(&ports);
        match objects {
            Objects::Folder(folder) => command.arg("--manifests").arg(folder),
            Objects::Cluster(kubeconfig) => command.arg("--kubeconfig").arg(kubeconfig),
        };
        let mut process = Component::start(name, &scratch.logs(), command)?;
        let text = process.ready(DEADLINE, async || Ok(std::fs::read_to_string(&ports)?)).await?;
        let ports: Value = serde_json::from_str(&text)?;
        let address = |name: &str| -> Result<SocketAddr> { Ok(ports[name].as_str().context("no address")?.parse()?) };
        Ok(Self {
            process,
            metadata: address("metadata")?,
            admin: address("metrics")?,
            peer: SigningKey::from_pem(&peer.to_pem().private)?,
        })
    }

    /// Waits until it is ready.
    pub(crate) async fn ready(&mut self) -> Result<()> {
        let admin = self.admin;
        self.process
            .ready(DEADLINE, async || {
                let reply = get(admin, "/readyz", None).await?;
                ensure!(reply.status == 200, "{}", reply.body);
                Ok(())
            })
            .await
    }

    /// The current documents, as a peer reads them.
    pub(crate) async fn documents(&self) -> Result<Documents> {
        Ok(Documents {
            public: get(self.metadata, "/metadata/public/public.json", None).await?,
            spiffe: get(self.metadata, "/metadata/public/spiffe-bundle-endpoint", None).await?,
            private: self.private().await?,
        })
    }

    /// The current private document, as a peer reads it.
    pub(crate) async fn private(&self) -> Result<Reply> {
        let token =
            sign(&self.peer, &claims_for(PEER_UUID, OWN_UUID, Some(self.metadata.to_string()), Timestamp::now()));
        get(self.metadata, "/metadata/private/federation.json", Some(&token)).await
    }

    /// `/readyz`.
    pub(crate) async fn readiness(&self) -> Result<Reply> {
        get(self.admin, "/readyz", None).await
    }

    /// The value of a metric; `series` is its name without prefix, with labels.
    pub(crate) async fn metric(&self, series: &str) -> Result<i64> {
        let text = get(self.admin, "/metrics", None).await?.body;
        let start = format!("d8_istio_metadata_exporter_{series} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&start));
        Ok(value.with_context(|| format!("no metric {series}"))?.parse()?)
    }

    /// Its output so far.
    pub(crate) fn log(&self) -> Result<String> {
        self.process.log()
    }

    /// Waits until the documents are as wanted, and returns them.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Documents) -> Result<bool>) -> Result<Documents> {
        until(what, DEADLINE, async || {
            let documents = self.documents().await?;
            if wanted(&documents)? {
                return Ok(documents);
            }
            bail!("{documents:?}")
        })
        .await
    }
}

/// One request on a connection of its own.
async fn get(address: SocketAddr, path: &str, token: Option<&str>) -> Result<Reply> {
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{authorization}Connection: close\r\n\r\n");
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await?;
        anyhow::Ok(reply)
    };
    let reply = timeout(DEADLINE, exchange).await.with_context(|| format!("{path}: no answer"))??;
    let (head, body) = reply.split_once("\r\n\r\n").with_context(|| format!("{path}: not HTTP: {reply:?}"))?;
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    let header = |line: &str| {
        Some(line.split_once(": ")?)
            .filter(|(name, _)| name.eq_ignore_ascii_case("etag"))
            .map(|(_, value)| value.to_owned())
    };
    let etag = head.lines().find_map(header).unwrap_or_default();
    ensure!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{path}: the answer has no content-length");
    Ok(Reply { status, etag, body: body.to_owned() })
}
