//! The demo with two real API servers: real exporters watch them, and the real hook executable runs until each cluster imports the
//! other's exports.
//!
//! Stand-ins are the demo's small operator, which decides when a hook runs and with which snapshots, and the demo's chart. Both read from
//! the API server and write to it ([`mirror`]).
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "../../common/hook_build.rs"]
mod hook_build;
#[path = "story/mirror.rs"]
mod mirror;
#[path = "exporter/objects.rs"]
mod objects;
#[path = "story/side.rs"]
mod side;

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use istio_federation_demo::expect::missing;
use istio_federation_sim::operator::Step;
use serde_json::{Value, json};

use crate::side::Side;

/// Time limit for the clusters to federate, on a busy machine.
const DEADLINE: Duration = Duration::from_mins(5);
/// Pause before the next round, while exporters read the changes.
const PAUSE: Duration = Duration::from_millis(100);

#[tokio::test]
async fn two_clusters_federate() -> Result<()> {
    let (mut a, mut b) = (Side::start("cluster-a", "cluster-b").await?, Side::start("cluster-b", "cluster-a").await?);
    a.meet(&b).await?;
    b.meet(&a).await?;

    federate(&mut a, &mut b).await?;

    let nodes = |port: &str| json!([{"address": "198.51.100.11", "ports": {port: 30443}}, {"address": "198.51.100.12", "ports": {port: 30443}}]);
    let imported = [
        entry(
            "bar.xyz.svc.cluster-b.local",
            &json!([{"name": "http", "number": 80, "protocol": "HTTP"}]),
            &nodes("http"),
        ),
        entry(
            "database.data.svc.cluster-b.local",
            &json!([{"name": "tcp-5432", "number": 5432, "protocol": "TCP"}]),
            &nodes("tcp-5432"),
        ),
    ];
    ensure!(a.imported().await? == imported, "{:#?}", a.imported().await?);
    let balancer = |ports: &Value| json!([{"address": "203.0.113.10", "ports": ports}]);
    let imported = [
        entry(
            "cart.shop.svc.cluster-a.local",
            &json!([{"name": "grpc-api", "number": 9000, "protocol": "GRPC"}, {"name": "metrics", "number": 9090, "protocol": "HTTP"}]),
            &balancer(&json!({"grpc-api": 15443, "metrics": 15443})),
        ),
        entry(
            "catalog.shop.svc.cluster-a.local",
            &json!([{"name": "http", "number": 80, "protocol": "HTTP"}]),
            &balancer(&json!({"http": 15443})),
        ),
    ];
    ensure!(b.imported().await? == imported, "{:#?}", b.imported().await?);
    for side in [&a, &b] {
        let conditions = side.conditions().await?;
        ensure!(conditions.len() == 6 && conditions.iter().all(|one| one.ends_with("=True")), "{conditions:?}");
    }

    // A user labels a Service in B, and it appears in A. After the label is removed, the ServiceEntry goes at once, because the
    // exporter's document is complete.
    for (label, wanted) in [(json!(""), 3), (Value::Null, 2)] {
        b.label("xyz", "foo", &label).await?;
        let begin = Instant::now();
        while a.imported().await?.len() != wanted {
            ensure!(begin.elapsed() < DEADLINE, "not {wanted} ServiceEntries: {:#?}", a.imported().await?);
            a.tick().await?;
            tokio::time::sleep(PAUSE).await;
        }
    }
    a.stop();
    b.stop();
    Ok(())
}

fn entry(host: &str, ports: &Value, endpoints: &Value) -> (String, Value, Value) {
    (host.to_owned(), ports.clone(), endpoints.clone())
}

/// Runs both operators in turn until both clusters are as expected, and a round of all hooks changes nothing.
async fn federate(a: &mut Side, b: &mut Side) -> Result<()> {
    let begin = Instant::now();
    let mut steps = a.begin().await?;
    steps.extend(b.begin().await?);
    loop {
        let missing = [missing(&a.facts()?, &b.facts()?), missing(&b.facts()?, &a.facts()?)].concat();
        let noise: Vec<String> = steps.iter().filter(|step| !step.is_silent()).map(Step::to_string).collect();
        if missing.is_empty() && noise.is_empty() {
            return Ok(());
        }
        if begin.elapsed() > DEADLINE {
            bail!("after {DEADLINE:?}, missing: {missing:#?}\nand still changing: {noise:#?}");
        }
        if noise.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
        steps = a.round().await?;
        steps.extend(b.round().await?);
    }
}
