//! Runs the exporter: connects sockets, source and documents, and stops them.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use axum_server::Handle;
use jiff::Timestamp;
use serde_json::json;
use thiserror::Error;

use super::feeder::Feeder;
use super::gate::Gate;
use super::identity::Identity;
use super::kubernetes::{ConnectError, WatchSet};
use super::listen::{GRACE, serve};
use super::manifests::Manifests;
use super::metrics::Metrics;
use super::router::{self, Server};
use super::source::{Feed, Source, SourceError};
use super::tls::{TlsError, TlsFiles};

/// Settings of an exporter.
#[derive(Clone, Debug)]
pub struct Settings {
    /// This cluster.
    pub identity: Identity,
    /// Address for peers.
    pub listen: SocketAddr,
    /// Address for metrics and probes.
    pub metrics_listen: SocketAddr,
    /// Hosts (with the port where it is not 443) that peers reach us by.
    pub public_hosts: Vec<String>,
    /// Our own TLS; `None` if a proxy in front of us terminates TLS.
    pub tls: Option<TlsFiles>,
    /// File to write the bound addresses to: `{"metadata": "<ip>:<port>", "metrics": "<ip>:<port>"}`.
    pub port_file: Option<PathBuf>,
}

/// Why an exporter failed or did not start.
#[derive(Debug, Error)]
pub enum RunError {
    /// An address is in use, or not ours.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        cause: io::Error,
    },
    /// The TLS files cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No connection to the API server.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The port file cannot be written.
    #[error("cannot write the port file {path}: {cause}", path = .path.display())]
    PortFile {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// A server failed.
    #[error("the server failed: {0}")]
    Serve(io::Error),
    /// The source ended.
    #[error("the source of objects ended: {0}")]
    Source(SourceError),
}

/// Where the Kubernetes objects come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Objects {
    /// A folder of manifests (YAML or JSON, with subfolders), read again when something in it changes.
    Folder(PathBuf),
    /// The cluster of this kubeconfig file, else of `KUBECONFIG`, else our own.
    Cluster(Option<PathBuf>),
}

/// Serves until `stop`, then lets running requests finish. Returns early only with an error.
pub async fn run(settings: Settings, objects: Objects, stop: impl Future<Output = ()> + Send) -> Result<(), RunError> {
    match objects {
        Objects::Folder(folder) => serve_from(settings, Manifests::new(folder), stop).await,
        Objects::Cluster(kubeconfig) => {
            let source = WatchSet::connect(kubeconfig.as_deref(), settings.identity.inlet).await?;
            serve_from(settings, source, stop).await
        }
    }
}

async fn serve_from<S: Source>(
    settings: Settings,
    source: S,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), RunError> {
    let (listener, address) = bind(settings.listen)?;
    let (metrics_listener, metrics_address) = bind(settings.metrics_listen)?;
    let tls = settings.tls.map(TlsFiles::load).transpose()?;

    for problem in settings.identity.problems() {
        tracing::warn!(problem, "peers may refuse this cluster");
    }
    let metrics = Metrics::default();
    let (feed, events) = Feed::new();
    let audience = settings.identity.cluster_uuid.to_string();
    let (feeder, documents) = Feeder::new(settings.identity, metrics.clone());
    let hosts = hosts(settings.public_hosts, address);
    if hosts.is_empty() {
        tracing::warn!("no public host is configured: the host claim of tokens is not checked");
    }
    let gate = Arc::new(Gate { audience, hosts, now: Timestamp::now });
    let server = Server { documents, gate, metrics, log_limit: Arc::default() };

    let handles = [Handle::new(), Handle::new()];
    let serving = async {
        tokio::try_join!(
            serve(listener, router::metadata(server.clone()), tls, handles[0].clone()),
            serve(metrics_listener, router::admin(server.clone()), None, handles[1].clone()),
        )
    };
    tokio::pin!(serving);

    if let Some(path) = settings.port_file {
        write_ports(&path, address, metrics_address).map_err(|cause| RunError::PortFile { path, cause })?;
    }
    tracing::info!(addr = %address, metrics = %metrics_address, "listening");

    tokio::select! {
        ended = &mut serving => return ended.map(|_| ()).map_err(RunError::Serve),
        () = feeder.follow(events) => return Err(RunError::Source(SourceError::Stopping)),
        ended = source.run(feed) => return Err(RunError::Source(ended)),
        () = stop => {}
    }
    tracing::info!("stopping");
    for handle in &handles {
        handle.graceful_shutdown(Some(GRACE));
    }
    serving.await.map(|_| ()).map_err(RunError::Serve)
}

fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), RunError> {
    let failed = |cause| RunError::Listen { address, cause };
    let listener = TcpListener::bind(address).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// The hosts that a token may be for: the configured ones, and our own address unless it is a wildcard.
fn hosts(mut named: Vec<String>, address: SocketAddr) -> Vec<String> {
    if !address.ip().is_unspecified() {
        let port = address.port();
        let with_port = |host: String| if port == 443 { host } else { format!("{host}:{port}") };
        let ip = address.ip();
        named.push(with_port(if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() }));
        if ip.is_loopback() {
            named.push(with_port("localhost".to_owned()));
        }
    }
    named
}

/// Writes a file and renames it, so that readers never get half of it.
fn write_ports(path: &Path, metadata: SocketAddr, metrics: SocketAddr) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::other("the path has no file name"))?;
    let unfinished = path.with_file_name(format!(".{}.{}", name.display(), std::process::id()));
    let ports = json!({"metadata": metadata.to_string(), "metrics": metrics.to_string()});
    fs::write(&unfinished, format!("{ports}\n"))?;
    fs::rename(unfinished, path)
}

#[cfg(test)]
mod tests;
