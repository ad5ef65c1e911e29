//! `istio-federation exporter`: serves this cluster's metadata to its peers.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::exporter::{Identity, Inlet, Objects, Settings, TlsFiles, run};
use crate::federation::names::{ClusterUuid, OwnTrustDomain};
use crate::peer::host_of;

/// Options of the exporter; each can come from the environment as well.
#[derive(Args, Clone, Debug)]
pub struct ExporterArgs {
    /// Folder of Kubernetes manifests to serve from, instead of a cluster (YAML, JSON; read again when something in it
    /// changes)
    #[arg(long, env = "MANIFESTS", value_name = "DIR", conflicts_with = "kubeconfig")]
    manifests: Option<PathBuf>,
    /// Kubeconfig of the cluster to serve [default: KUBECONFIG, else the cluster that the exporter runs in]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Address to serve the metadata on; port 0 takes a free one
    #[arg(long, env = "LISTEN", value_name = "IP:PORT", default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// Address to serve /metrics, /healthz and /readyz on
    #[arg(long, env = "METRICS_LISTEN", value_name = "IP:PORT", default_value = "127.0.0.1:8081")]
    metrics_listen: SocketAddr,
    /// Domain of this cluster, which is its trust domain
    #[arg(long, env = "CLUSTER_DOMAIN", value_name = "DOMAIN", value_parser = OwnTrustDomain::in_use)]
    cluster_domain: OwnTrustDomain,
    /// UUID of this cluster
    #[arg(long, env = "CLUSTER_UUID", value_name = "UUID", value_parser = ClusterUuid::in_use)]
    cluster_uuid: ClusterUuid,
    /// Start although peers refuse the UUID or the domain: the cluster runs with them already
    #[arg(long, env = "IDENTITY_IN_USE")]
    identity_in_use: bool,
    /// How the ingress gateway is reached: LoadBalancer or NodePort
    #[arg(long, env = "INLET", value_name = "INLET", default_value_t)]
    inlet: Inlet,
    /// Host of this exporter as peers reach it (with the port if it is not 443); a token for another host is refused
    #[arg(long = "public-host", env = "PUBLIC_HOSTS", value_name = "HOST", value_delimiter = ',', value_parser = public_host)]
    public_hosts: Vec<String>,
    /// Certificate chain (PEM) to serve HTTPS with; loaded again when the file changes
    #[arg(long, env = "TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key (PEM) of the certificate
    #[arg(long, env = "TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// File to write the bound addresses to: {"metadata": "IP:PORT", "metrics": "IP:PORT"}
    #[arg(long, env = "PORT_FILE", value_name = "FILE")]
    port_file: Option<PathBuf>,
    /// Stop when standard input ends, so that the exporter does not outlive the process that started it
    #[arg(long)]
    until_stdin_ends: bool,
    /// How log lines look
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t)]
    log_format: LogFormat,
    /// Lowest level of log lines: error, warn, info, debug (with every refused request) or trace
    #[arg(long, env = "LOG_LEVEL", value_name = "LEVEL", default_value = "info")]
    log_level: tracing::Level,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl ExporterArgs {
    /// Serves until SIGTERM or SIGINT.
    pub fn run(self) -> anyhow::Result<()> {
        init_log(self.log_format, self.log_level);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
        runtime.block_on(async {
            let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
            let until_stdin_ends = self.until_stdin_ends;
            let stop = async move {
                tokio::select! {
                    _ = term.recv() => {}
                    _ = int.recv() => {}
                    () = stdin_end(), if until_stdin_ends => {}
                }
            };
            let (settings, objects) = self.settings()?;
            Ok(run(settings, objects, stop).await?)
        })
    }

    fn settings(self) -> anyhow::Result<(Settings, Objects)> {
        let Self {
            manifests,
            kubeconfig,
            listen,
            metrics_listen,
            cluster_domain,
            cluster_uuid,
            identity_in_use,
            inlet,
            public_hosts,
            tls_cert,
            tls_key,
            port_file,
            until_stdin_ends: _,
            log_format: _,
            log_level: _,
        } = self;
        let identity = Identity { cluster_uuid, cluster_domain, inlet };
        if let Some(problem) = identity.problems().first().filter(|_| !identity_in_use) {
            anyhow::bail!(
                "peers would refuse this cluster: {problem}; set another, or --identity-in-use if the cluster runs with it already"
            );
        }
        let tls = tls_cert.zip(tls_key).map(|(certificate, key)| TlsFiles { certificate, key });
        let objects = manifests.map_or(Objects::Cluster(kubeconfig), Objects::Folder);
        Ok((Settings { identity, listen, metrics_listen, public_hosts, tls, port_file }, objects))
    }
}

/// Waits in a thread of its own: a thread of the runtime would keep it from stopping.
async fn stdin_end() {
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // Only its end counts, or an error.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = ended.send(());
    });
    let _ = end.await;
}

/// As in a token: lower case, with the port if it is not 443.
fn public_host(text: &str) -> Result<String, String> {
    let written = host_of(&format!("https://{text}")).ok();
    written.filter(|_| !text.contains('/')).ok_or_else(|| "a host name or IP address, with :PORT if not 443".to_owned())
}

/// Our own lines only: the Kubernetes client logs every request, and failures that we log already.
fn init_log(format: LogFormat, level: tracing::Level) {
    let ours = Targets::new().with_target(env!("CARGO_CRATE_NAME"), level);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let log = tracing_subscriber::registry().with(ours);
    match format {
        LogFormat::Text => log.with(lines.with_ansi(false)).init(),
        LogFormat::Json => log.with(lines.json().flatten_event(true)).init(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: ExporterArgs,
    }

    fn parse(more: &[&str]) -> Result<(Settings, Objects), String> {
        let given = |option: &str| more.contains(&option);
        let least = [["--cluster-domain", "b.local"], ["--cluster-uuid", "b"]];
        let least = least.iter().filter(|[option, _]| !given(option)).flatten();
        let all = ["x"].iter().chain(least).chain(more);
        let parsed = Cli::try_parse_from(all).map_err(|error| error.to_string())?;
        parsed.args.settings().map_err(|error| error.to_string())
    }

    #[test]
    fn options_become_settings() {
        let (settings, _) = parse(&["--inlet", "NodePort", "--tls-cert", "c", "--tls-key", "k"]).unwrap();
        assert_eq!(settings.identity.inlet, Inlet::NodePort);
        assert_eq!(settings.identity.cluster_domain.as_str(), "b.local");
        assert_eq!(settings.tls, Some(TlsFiles { certificate: "c".into(), key: "k".into() }));
        assert_eq!(settings.listen, "0.0.0.0:8080".parse().unwrap());
        let hosts = ["--public-host", "Metadata.B.example,10.0.0.1:31443", "--public-host", "[2001:DB8::1]:443"];
        assert_eq!(parse(&hosts).unwrap().0.public_hosts, ["metadata.b.example", "10.0.0.1:31443", "[2001:db8::1]"]);
    }

    #[test]
    fn the_source_is_a_folder_or_a_cluster() {
        let place = |more: &[&str]| parse(more).unwrap().1;
        assert_eq!(place(&[]), Objects::Cluster(None));
        assert_eq!(place(&["--kubeconfig", "k"]), Objects::Cluster(Some("k".into())));
        assert_eq!(place(&["--manifests", "m"]), Objects::Folder("m".into()));
    }

    #[test]
    fn an_identity_that_peers_refuse_has_to_be_in_use() {
        for (bad, named) in
            [(["--cluster-uuid", "prod:eu"], "cluster UUID"), (["--cluster-domain", "10.0.0.1"], "cluster domain")]
        {
            let error = parse(&bad).err().unwrap();
            assert!(error.contains(named) && error.contains("--identity-in-use"), "{error}");
            let [option, value] = bad;
            let (settings, _) = parse(&[option, value, "--identity-in-use"]).unwrap();
            let Identity { cluster_uuid, cluster_domain, .. } = settings.identity;
            assert!([cluster_uuid.as_str(), cluster_domain.as_str()].contains(&value));
        }
    }

    #[test]
    fn bad_options_are_refused_with_their_name() {
        for (bad, option) in [
            (&["--inlet", "HostPort"][..], "--inlet"),
            (&["--cluster-domain", "B_LOCAL"], "--cluster-domain"),
            (&["--cluster-uuid", "a b"], "--cluster-uuid"),
            (&["--public-host", "https://b.example"], "--public-host"),
            (&["--public-host", "b.example/metadata"], "--public-host"),
            (&["--tls-cert", "c"], "--tls-key"),
            (&["--listen", "8080"], "--listen"),
            (&["--manifests", "m", "--kubeconfig", "k"], "--kubeconfig"),
        ] {
            let error = parse(bad).err().unwrap();
            let named = error.contains(&format!("'{option}")) || error.contains(&format!("  {option}"));
            assert!(named && !error.contains("multiple times"), "{error}");
        }
    }
}
