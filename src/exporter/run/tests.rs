//! Tests of the whole exporter on real sockets.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::time::Duration;

use istio_federation_testkit::manifests::{data, exported, gateway};
use istio_federation_testkit::{Authority, CertifiedKey, server_for};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

use super::super::inlet::Inlet;
use super::*;
use crate::federation::names::OwnTrustDomain;
use crate::peer::SigningKey;
use crate::peer::{claims_for, sign};

const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

struct Running {
    folder: tempfile::TempDir,
    metadata: SocketAddr,
    metrics: SocketAddr,
    peer: SigningKey,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), RunError>>,
}

fn write(folder: &Path, name: &str, manifest: &Value) {
    std::fs::write(folder.join(name), manifest.to_string()).unwrap();
}

fn settings(folder: &Path, tls: Option<TlsFiles>) -> Settings {
    Settings {
        identity: Identity {
            cluster_uuid: "uuid-b".parse().unwrap(),
            cluster_domain: OwnTrustDomain::parse("cluster-b.local").unwrap(),
            inlet: Inlet::LoadBalancer,
        },
        listen: LOOPBACK,
        metrics_listen: LOOPBACK,
        public_hosts: vec![],
        tls,
        port_file: Some(folder.join("ports")),
    }
}

/// Starts an exporter and waits for its port file and for its documents.
async fn start(tls: Option<TlsFiles>) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let manifests = folder.path().join("manifests");
    std::fs::create_dir(&manifests).unwrap();
    let (peer, own) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let peers = json!({"uuid-a": {"clusterUUID": "uuid-a", "authnKeyPub": peer.to_pem().public}}).to_string();
    let secret = data("Secret", "d8-remote-clusters-public-metadata", "remote-public-metadata.json", &peers);
    write(&manifests, "peers.yaml", &secret);
    write(&manifests, "key.yaml", &data("Secret", "d8-remote-authn-keypair", "pub.pem", &own.to_pem().public));
    let root = Authority::root("b").pem();
    write(&manifests, "root.yaml", &data("ConfigMap", "istio-ca-root-cert", "root-cert.pem", &root));
    write(&manifests, "gateway.yaml", &gateway("10.0.0.1"));
    write(&manifests, "bar.yaml", &exported("xyz", "bar", "http", 80));

    let (stop, stopped) = oneshot::channel();
    let settings = settings(folder.path(), tls);
    let stopped = async move { stopped.await.unwrap_or_default() };
    let ended = tokio::spawn(run(settings, Objects::Folder(manifests), stopped));
    let ports = folder.path().join("ports");
    until(|| ports.exists()).await;
    let ports: Value = serde_json::from_slice(&std::fs::read(ports).unwrap()).unwrap();
    let port = |name: &str| ports[name].as_str().unwrap().parse().unwrap();
    let running = Running { metadata: port("metadata"), metrics: port("metrics"), folder, peer, stop, ended };
    loop {
        let reply = plain(running.metrics, "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".into()).await;
        if reply.starts_with("HTTP/1.1 200") {
            return running;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn until(mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), wait).await.expect("the condition is met");
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    stream
}

fn exchange(mut stream: impl io::Read + io::Write, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = Vec::new();
    // A refused client may get a reset instead of an end.
    let _ = stream.read_to_end(&mut reply);
    String::from_utf8(reply).unwrap()
}

async fn plain(address: SocketAddr, request: String) -> String {
    spawn_blocking(move || exchange(connect(address), &request)).await.unwrap()
}

fn private(token: &str) -> String {
    format!(
        "GET /metadata/private/federation.json HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Connection: close\r\n\r\n"
    )
}

fn token(running: &Running, host: &str) -> String {
    sign(&running.peer, &claims_for("uuid-a", "uuid-b", Some(host.to_owned()), Timestamp::now()))
}

#[tokio::test]
async fn a_change_in_the_folder_reaches_the_document() {
    let running = start(None).await;
    let token = token(&running, &running.metadata.to_string());
    let reply = plain(running.metadata, private(&token)).await;
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.contains("bar.xyz.svc.cluster-b.local"), "{reply}");
    let manifests = running.folder.path().join("manifests");
    write(&manifests, "foo.yaml", &exported("xyz", "foo", "http", 80));
    loop {
        let reply = plain(running.metadata, private(&token)).await;
        if reply.contains("foo.xyz.svc.cluster-b.local") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    running.stop.send(()).unwrap();
    running.ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn tokens_for_another_host_are_refused_at_our_own_address() {
    let running = start(None).await;
    let port = running.metadata.port();
    for (host, status) in [
        (format!("127.0.0.1:{port}"), "200"),
        (format!("localhost:{port}"), "200"),
        ("127.0.0.1".to_owned(), "401"),
        ("c.example".to_owned(), "401"),
    ] {
        let reply = plain(running.metadata, private(&token(&running, &host))).await;
        assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {reply}");
    }
}

#[tokio::test]
async fn tls_of_our_own() {
    let identity = CertifiedKey::self_signed(&server_for(&["localhost"]));
    let folder = tempfile::tempdir().unwrap();
    let tls = TlsFiles { certificate: folder.path().join("tls.crt"), key: folder.path().join("tls.key") };
    std::fs::write(&tls.certificate, &identity.pem).unwrap();
    std::fs::write(&tls.key, identity.key_pem()).unwrap();
    let running = start(Some(tls)).await;

    let mut roots = RootCertStore::empty();
    roots.add(identity.chain().remove(0)).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let address = running.metadata;
    let reply = spawn_blocking(move || {
        let client =
            ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap().to_owned()).unwrap();
        let request = "GET /metadata/public/public.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        exchange(StreamOwned::new(client, connect(address)), request)
    });
    let reply = reply.await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.contains(r#"{"clusterUUID":"uuid-b""#), "{reply}");
    let unencrypted = plain(address, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".to_owned()).await;
    assert!(!unencrypted.contains("200"), "{unencrypted:?}");
    let metrics = plain(running.metrics, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".into()).await;
    assert!(metrics.contains("d8_istio_metadata_exporter_exported_services 1\n"), "{metrics}");
}

#[tokio::test]
async fn oversized_heads_are_refused() {
    let running = start(None).await;
    let large = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let many = format!("GET /healthz HTTP/1.1\r\n{}\r\n", "X: x\r\n".repeat(100));
    for request in [large, many] {
        let reply = plain(running.metadata, request).await;
        assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 431 "), "{reply}");
    }
    let body = "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nxxxx";
    assert!(plain(running.metadata, body.to_owned()).await.starts_with("HTTP/1.1 413 "));
}

#[tokio::test]
async fn a_running_answer_is_finished_before_the_end() {
    let running = start(None).await;
    // More than the buffers of two sockets hold, so that the answer is still under way when the end comes.
    let long = ["x", "y", "z"].map(|letter| letter.repeat(63)).join(".");
    let many: Vec<_> = (1..=u16::MAX).map(|port| json!({"address": long, "port": port})).collect();
    let name = "metadata-exporter-ingressgateway-advertise";
    let large = data("ConfigMap", name, "gateways.json", &serde_json::to_string(&many).unwrap());
    std::fs::write(running.folder.path().join("manifests/large.json"), large.to_string()).unwrap();
    let metrics = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    while !plain(running.metrics, metrics.to_owned()).await.contains("_gateways 65535\n") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let mut stream = connect(running.metadata);
    stream.write_all(private(&token(&running, &running.metadata.to_string())).as_bytes()).unwrap();
    let begun = spawn_blocking(move || {
        stream.read_exact(&mut [0; 15]).unwrap();
        stream
    });
    let mut stream = begun.await.unwrap();
    running.stop.send(()).unwrap();
    until(|| TcpStream::connect(running.metadata).is_err()).await;
    let rest = spawn_blocking(move || {
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        rest
    });
    assert!(rest.await.unwrap().ends_with(r#""complete":true}"#));
    running.ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_address_in_use_is_a_clear_error() {
    let taken = TcpListener::bind(LOOPBACK).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { listen: taken.local_addr().unwrap(), ..settings(folder.path(), None) };
    let source = Objects::Folder(folder.path().to_owned());
    let error = run(settings, source, std::future::pending()).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot listen on {}: ", taken.local_addr().unwrap())), "{error}");
}

#[test]
fn our_own_address_is_a_host_that_tokens_may_be_for() {
    let of = |address: &str| hosts(vec!["b.example".to_owned()], address.parse().unwrap());
    assert_eq!(of("0.0.0.0:8080"), ["b.example"]);
    assert_eq!(of("[::]:8080"), ["b.example"]);
    assert_eq!(of("10.0.0.1:8080"), ["b.example", "10.0.0.1:8080"]);
    assert_eq!(of("127.0.0.1:443"), ["b.example", "127.0.0.1", "localhost"]);
    assert_eq!(of("[::1]:8443"), ["b.example", "[::1]:8443", "localhost:8443"]);
}
