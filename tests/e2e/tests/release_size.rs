//! Size of the module's Helm release, which must fit into one Secret of at most 1 MiB.
#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy does not count helpers of tests as tests")]
#![allow(clippy::print_stdout, reason = "prints a figure")]

#[path = "../../schemas/openapi.rs"]
#[allow(dead_code, reason = "every test crate compiles this file, and each uses its part of it")]
mod openapi;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use istio_federation_e2e::{ApiServer, Helm, apply, install_crds};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use openapi::Schemas;
use serde_json::{Map, Value, json};

const PEERS: usize = 100;
/// Limit for the release: half of a Secret's 1 MiB.
const LIMIT: usize = 512 * 1024;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A PEM block around `bytes` incompressible bytes, which differ for each `seed`.
fn pem(label: &str, bytes: usize, seed: usize) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut state = u64::try_from(seed).unwrap().wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut text = format!("-----BEGIN {label}-----\n");
    for index in 1..=bytes.div_ceil(3) * 4 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.push(char::from(ALPHABET[usize::try_from(state >> 58).unwrap()]));
        if index % 64 == 0 {
            text.push('\n');
        }
    }
    format!("{text}\n-----END {label}-----\n")
}

/// Values of peers with RSA roots of 2048 bits, like istiod's; each has a root and a confined anchor.
fn values() -> Result<Value> {
    let (mut federations, mut documents, mut anchors) = (Vec::new(), Map::new(), Vec::new());
    for peer in 0..PEERS {
        let (name, domain) = (format!("peer-{peer}"), format!("cluster-{peer}.example"));
        let uuid = format!("6c1b3c0e-5b1f-4f0e-9a53-{peer:012}");
        federations.push(json!({"name": name, "clusterUUID": uuid, "trustDomain": domain}));
        let (key, root) = (pem("PUBLIC KEY", 44, peer), pem("CERTIFICATE", 780, peer + PEERS));
        documents.insert(uuid.clone(), json!({"clusterUUID": uuid, "authnKeyPub": key, "rootCA": root}));
        let anchor = pem("CERTIFICATE", 950, peer + 2 * PEERS);
        anchors.push(json!({"pem": anchor, "trustDomains": [domain], "federations": [name]}));
    }
    let internal = json!({"clusterUUID": "uuid-a", "remoteAuthnKeypair": {"pub": "", "priv": ""}, "federations": federations,
        "remotePublicMetadata": documents, "federationTrustAnchors": anchors});
    let federation = json!({"enabled": true, "clusterDomain": "cluster-a.local",
        "metadataExporter": {"image": "registry.example.com/istio-federation:v0.1.0"}});
    let settings = json!({"federation": federation, "internal": internal});
    let schemas = Schemas::read(&root()).map_err(anyhow::Error::msg)?;
    Ok(json!({"istio": schemas.filled(settings)}))
}

/// The release in a Secret: JSON, gzip, base64.
fn unpacked(stored: &[u8]) -> Result<Value> {
    let mut unpack =
        Command::new("sh").args(["-c", "base64 -d | gzip -dc"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut stdin = unpack.stdin.take().context("no stdin")?;
    let stored = stored.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(&stored));
    let output = unpack.wait_with_output()?;
    writer.join().unwrap()?;
    Ok(serde_json::from_slice(&output.stdout)?)
}

#[tokio::test]
async fn a_hundred_peers_fit_and_no_stray_file_is_stored() -> Result<()> {
    let server = ApiServer::start("release-size").await?;
    let client = server.client().await?;
    install_crds(&client).await?;
    let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    apply(&client, &["operator", "d8-istio"].map(namespace)).await?;
    // The packaged module if it was built, else the tree, which has the same files apart from those in .helmignore.
    let package = root().join("target/package/istio");
    let chart = if package.join("Chart.yaml").exists() { package } else { root() };
    Helm::on(&server)?.upgrade("istio", "operator", &chart, &values()?).await?;

    let secret = Api::<Secret>::namespaced(client, "operator").get("sh.helm.release.v1.istio.v1").await?;
    let stored = secret.data.context("no data")?.remove("release").context("no release")?.0;
    println!("a release of {PEERS} peers takes {} of {} bytes (chart: {})", stored.len(), 1024 * 1024, chart.display());
    ensure!(stored.len() < LIMIT, "{} bytes for {PEERS} peers", stored.len());

    let release = unpacked(&stored)?;
    let names = |part: &str| -> Vec<&str> {
        release["chart"][part].as_array().into_iter().flatten().filter_map(|file| file["name"].as_str()).collect()
    };
    let (files, templates) = (names("files"), names("templates"));
    ensure!(!templates.is_empty() && templates.iter().all(|name| name.starts_with("templates/")), "{templates:?}");
    ensure!(!files.is_empty() && files.iter().all(|name| name.starts_with("monitoring/")), "{files:?}");
    let peers = release["manifest"].as_str().context("no manifest")?.matches("kind: DestinationRule").count();
    ensure!(peers == PEERS, "{peers} peers in the release");
    server.stop();
    Ok(())
}
