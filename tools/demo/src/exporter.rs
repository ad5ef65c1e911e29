//! The metadata exporter of one cluster: a process of the program that ships, with TLS made for the demo.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use serde::Deserialize;
use tokio::time::{Instant, sleep};

/// How long an exporter may take to be ready.
const DEADLINE: Duration = Duration::from_secs(20);
/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Pause between two looks at it.
const PAUSE: Duration = Duration::from_millis(20);

/// The cluster of an exporter.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) cluster_domain: String,
    pub(crate) cluster_uuid: String,
    pub(crate) inlet: String,
}

/// A running exporter. It ends when this value is dropped.
#[derive(Debug)]
pub(crate) struct Exporter {
    process: Child,
    log: PathBuf,
    /// Endpoint for peers: `https://127.0.0.1:<port>/metadata`.
    pub(crate) endpoint: String,
    /// CA of its certificate (PEM).
    pub(crate) ca: String,
}

/// The port file of the exporter.
#[derive(Deserialize)]
struct Ports {
    metadata: SocketAddr,
    metrics: SocketAddr,
}

impl Drop for Exporter {
    fn drop(&mut self) {
        // It has nothing to finish, and nothing may outlive the demo.
        self.process.kill().and_then(|()| self.process.wait()).ok();
    }
}

impl Exporter {
    /// Starts an exporter for the manifests in `manifests`, with its files in `folder`, and waits until it is ready.
    pub(crate) async fn start(
        program: &Path,
        folder: &Path,
        manifests: &Path,
        identity: &Identity,
    ) -> anyhow::Result<Self> {
        let ca = make_certificate(folder).context("cannot make TLS certificates")?;
        let (log, ports) = (folder.join("exporter.log"), folder.join("exporter-ports.json"));
        let process = Command::new(program)
            .arg("exporter")
            .args(["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--log-level", "debug"])
            .args(["--cluster-domain", &identity.cluster_domain, "--cluster-uuid", &identity.cluster_uuid])
            .args(["--inlet", &identity.inlet])
            .arg("--manifests")
            .arg(manifests)
            .arg("--tls-cert")
            .arg(folder.join(CERTIFICATE))
            .arg("--tls-key")
            .arg(folder.join(KEY))
            .arg("--port-file")
            .arg(&ports)
            .env_remove("PUBLIC_HOSTS")
            // Open until this process ends, even if it is killed.
            .arg("--until-stdin-ends")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut exporter = Self { process, log, endpoint: String::new(), ca };
        let end = Instant::now() + DEADLINE;
        while !exporter.is_ready(&ports).await? {
            if Instant::now() >= end {
                bail!("the exporter is not ready after {DEADLINE:?}: {}", exporter.last_words());
            }
            sleep(PAUSE).await;
        }
        Ok(exporter)
    }

    /// Fails if the exporter has ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.process.try_wait().context("cannot watch the exporter")? {
            bail!("the exporter ended with {status}: {}", self.last_words());
        }
        Ok(())
    }

    async fn is_ready(&mut self, ports: &Path) -> anyhow::Result<bool> {
        self.check()?;
        // The file is written in one step.
        let Ok(text) = fs::read_to_string(ports) else { return Ok(false) };
        let Ports { metadata, metrics } = serde_json::from_str(&text).context("cannot read the port file")?;
        self.endpoint = format!("https://{metadata}/metadata");
        let probe = format!("http://{metrics}/readyz");
        // Proxies of the environment are not for this machine.
        let agent = ureq::Agent::config_builder().proxy(None).timeout_global(Some(PATIENCE)).build().new_agent();
        let answer = tokio::task::spawn_blocking(move || agent.get(&probe).call().is_ok());
        Ok(answer.await.unwrap_or(false))
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let last = log.lines().last().unwrap_or("it said nothing").to_owned();
        format!("{last} (log: {})", self.log.display())
    }
}

const CERTIFICATE: &str = "exporter-tls.pem";
const KEY: &str = "exporter-tls.key";

/// Makes a CA, and a certificate for the loopback address under it. Returns the CA; its key is forgotten.
fn make_certificate(folder: &Path) -> anyhow::Result<String> {
    let mut ca = CertificateParams::default();
    ca.distinguished_name.push(DnType::CommonName, "CA of the demo's exporter");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_key = KeyPair::generate()?;
    let ca_pem = ca.self_signed(&ca_key)?.pem();
    let key = KeyPair::generate()?;
    let server = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()])?;
    let certificate = server.signed_by(&key, &Issuer::new(ca, ca_key))?;
    fs::write(folder.join(CERTIFICATE), certificate.pem())?;
    fs::write(folder.join(KEY), key.serialize_pem())?;
    fs::write(folder.join("exporter-ca.pem"), &ca_pem)?;
    Ok(ca_pem)
}
