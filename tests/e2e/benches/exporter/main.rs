//! The exporter on a real API server, in figures: `make bench-exporter` prints them in the form of RESULTS.md in this folder.
//!
//! `EXPORTER` names the executable; without it the one of this profile is built.
#![allow(clippy::print_stdout, reason = "prints figures")]

mod connection;
#[path = "../../../common/hook_build.rs"]
mod hook_build;
#[path = "../../tests/exporter/objects.rs"]
mod objects;
mod process;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use istio_federation::peer::SigningKey;
use istio_federation_e2e::ApiServer;
use k8s_openapi::api::core::v1::Service;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use self::connection::Connection;
use self::process::Exporter;

/// Services of the large cluster.
const MANY: usize = 10_000;
/// Number of timed changes.
const CHANGES: u32 = 300;
/// Time for counting requests, and for measuring an idle process.
const WINDOW: Duration = Duration::from_secs(10);
/// Number of concurrent connections.
const CONNECTIONS: usize = 16;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let server = ApiServer::start("bench-exporter").await?;
    let client = server.client().await?;
    let (own, peer) = (SigningKey::generate()?, SigningKey::generate()?);
    objects::put(
        &client,
        &objects::example("cluster-b")?.into_iter().filter(|one| one["kind"] != "IstioFederation").collect::<Vec<_>>(),
    )
    .await?;
    let peers = json!({"uuid-a": {"authnKeyPub": peer.to_pem().public}}).to_string();
    let secret = |name: &str, members: Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "d8-istio"}, "stringData": members});
    objects::put(
        &client,
        &[
            secret("d8-remote-authn-keypair", json!({"pub.pem": own.to_pem().public})),
            secret("d8-remote-clusters-public-metadata", json!({"remote-public-metadata.json": peers})),
        ],
    )
    .await?;

    println!("| | exported Services | |\n| --- | --- | --- |");
    for services in [2, MANY] {
        fill(&client, services).await?;
        let begin = Instant::now();
        let exporter = Exporter::start(&server, peer_copy(&peer)?).await?;
        let first = exporter.complete(services).await?;
        println!("| start to first document | {services} | {} ms; {first} bytes |", begin.elapsed().as_millis());
        latency(&client, &exporter, services).await?;
        requests(&exporter, services).await?;
        let busy = exporter.cpu()?;
        tokio::time::sleep(WINDOW).await;
        let cpu = exporter.cpu()?.saturating_sub(busy).as_secs_f64() / WINDOW.as_secs_f64();
        let (now, most) = exporter.memory()?;
        println!("| memory, and its peak | {services} | {now:.0} MB; {most:.0} MB |");
        println!("| idle | {services} | {:.2} % of a core |", 100.0 * cpu);
    }
    println!(
        "\nLoad of the machine (`/proc/loadavg`) at the end: {}",
        std::fs::read_to_string("/proc/loadavg")?.trim()
    );
    server.stop();
    Ok(())
}

fn peer_copy(peer: &SigningKey) -> Result<SigningKey> {
    Ok(SigningKey::from_pem(&peer.to_pem().private)?)
}

/// Creates Services until `services` are exported, with typical annotations.
async fn fill(client: &Client, services: usize) -> Result<()> {
    let api = Api::<Service>::namespaced(client.clone(), "xyz");
    let made = stream::iter(2..services).map(|number| {
        let api = api.clone();
        async move {
            let service: Service = serde_json::from_value(json!({
                "metadata": {"name": format!("service-{number}"), "labels": {"federation.istio.deckhouse.io/public-service": ""},
                    "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "x".repeat(1500)}},
                "spec": {"clusterIP": "None", "selector": {"app": "a"}, "ports": [{"name": "http", "port": 80}, {"name": "grpc", "port": 81}]},
            }))?;
            api.create(&PostParams::default(), &service).await?;
            anyhow::Ok(())
        }
    });
    made.buffer_unordered(16).try_collect::<Vec<()>>().await?;
    Ok(())
}

/// Time from a write to a document with it.
async fn latency(client: &Client, exporter: &Exporter, services: usize) -> Result<()> {
    let api = Api::<Service>::namespaced(client.clone(), "xyz");
    let (mut from_request, mut from_answer) = (Vec::new(), Vec::new());
    for change in 0..CHANGES {
        // A token is valid for a minute, so each change gets a new one.
        let mut connection = exporter.connect().await?;
        let before = connection.private(None).await?.etag;
        let port = 1000 + change;
        let patch = Patch::Merge(json!({"spec": {"ports": [{"name": "http", "port": port}]}}));
        let asked = Instant::now();
        api.patch("bar", &PatchParams::default(), &patch).await?;
        let answered = Instant::now();
        let reply = loop {
            let reply = connection.private(Some(&before)).await?;
            if reply.status != 304 {
                break reply;
            }
            ensure!(answered.elapsed() < Duration::from_mins(1), "the change does not arrive");
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        ensure!(reply.status == 200, "status {}", reply.status);
        from_request.push(asked.elapsed());
        from_answer.push(answered.elapsed());
    }
    for (what, times) in [("sent", &mut from_request), ("answered by the API server", &mut from_answer)] {
        times.sort();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1000.0;
        println!(
            "| a write {what}, to a document with it: p50, p99, maximum | {services} | {:.1} ms; {:.1} ms; {:.1} ms |",
            at(50),
            at(99),
            at(100)
        );
    }
    Ok(())
}

/// Requests per second, each with a token.
async fn requests(exporter: &Exporter, services: usize) -> Result<()> {
    for conditional in [false, true] {
        let mut workers = tokio::task::JoinSet::new();
        let end = Instant::now() + WINDOW;
        for _ in 0..CONNECTIONS {
            let mut connection: Connection = exporter.connect().await?;
            workers.spawn(async move {
                let etag = connection.private(None).await?.etag;
                let mut count = 0_u32;
                while Instant::now() < end {
                    let reply = connection.private(conditional.then_some(&*etag)).await?;
                    ensure!(reply.status == if conditional { 304 } else { 200 }, "status {}", reply.status);
                    count += 1;
                }
                Ok(count)
            });
        }
        let mut count = 0;
        while let Some(one) = workers.join_next().await {
            count += one??;
        }
        let what = if conditional { "with `If-None-Match`" } else { "with the whole document" };
        println!("| requests per second, {what} | {services} | {:.0} |", f64::from(count) / WINDOW.as_secs_f64());
    }
    Ok(())
}
