//! Many peers, a quarter of them dead or hostile, and thousands of services: exports of the healthy peers are imported, and one label costs
//! one ServiceEntry and one status write, as with ten services. A and B are clusters; the others are real exporters of manifests.

mod peers;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use istio_federation_e2e::bench::{
    Bench, Cluster, MODULE_NAMESPACE, OPERATOR_NAMESPACE, PATIENCE, Peer, Timeline, Usage, scenario,
};
use istio_federation_e2e::{AuditEvent, Part, until};
use jiff::Timestamp;
use serde_json::Value;

use self::peers::{Crowd, Way};
use crate::given::{OF_B, federated, is_long, service};
use crate::rest::settles_but_for;

const PATIENT: Duration = Duration::from_mins(10);

#[tokio::test]
async fn forty_peers_with_five_thousand_services() -> Result<()> {
    crowd(40, 5_000).await
}

#[tokio::test]
async fn two_hundred_peers() -> Result<()> {
    if is_long() { crowd(200, 5_000).await } else { left_out("two hundred peers") }
}

#[tokio::test]
async fn ten_peers_with_ten_thousand_services() -> Result<()> {
    if is_long() { crowd(10, 10_000).await } else { left_out("ten thousand services") }
}

#[expect(clippy::unnecessary_wraps, clippy::print_stderr, reason = "a skipped test says so")]
fn left_out(what: &str) -> Result<()> {
    eprintln!("not run: {what}; make e2e-long has them");
    Ok(())
}

async fn crowd(count: usize, services: usize) -> Result<()> {
    scenario(&format!("{count}-peers-{services}-services"), async |bench| {
        federated(bench).await?;
        let Bench { a, b, timeline, .. } = bench;
        let small: Vec<Value> = (OF_B.len()..10).map(|number| service("xyz", &format!("small-{number}"))).collect();
        b.apply(&small).await?;
        a.imports_count(10, PATIENCE).await?;
        let few = label(a, b, timeline, &[], "few").await?;

        timeline.cause(format!("{count} peers in all, a quarter of them dead or hostile, export {services} services"));
        let before = usage(a)?;
        let crowd = Crowd::start(a, count, services).await?;
        timeline.seen("all exporters run");
        let federations: Vec<Value> = crowd.all().map(Peer::federation).collect();
        a.apply(&federations).await?;
        let mut hosts = crowd.hosts.clone();
        hosts.extend(a.service_entries().await?.into_keys());
        a.imports_count(hosts.len(), PATIENT).await?;
        let converged = timeline.seen(format!("{} hosts are imported", hosts.len()));
        let found: BTreeSet<String> = a.service_entries().await?.into_keys().collect();
        ensure!(
            found == hosts,
            "not the exports of the healthy peers: {:?}",
            found.symmetric_difference(&hosts).next()
        );
        for peer in &crowd.well {
            a.condition(&peer.name, ("PrivateMetadataExchangeReady", "True", None)).await?;
        }
        for (_, peer) in crowd.hostile.iter().filter(|(way, _)| way.is_reported()) {
            let why = a.condition(&peer.name, ("PublicMetadataExchangeReady", "False", None)).await?;
            timeline.seen(format!("{}: {why}", peer.name));
        }
        let after = usage(a)?;
        let many = label(a, b, timeline, &crowd.hostile, "many").await?;

        timeline.figure(format!("{count} peers, {services} services, until imported"), format!("{converged:.1?}"));
        let (ticks, own) = ([few.all, many.all], [few.own, many.own]);
        timeline
            .figure("one label, ticks of the schedule included: with 10 services, with all", format!("{ticks:.1?}"));
        timeline.figure("of that, from status to ServiceEntry", format!("{own:.2?}"));
        for ((name, before), (_, after)) in before.iter().zip(&after) {
            let cpu = after.cpu.saturating_sub(before.cpu);
            timeline.figure(format!("{name}: CPU until imported; memory"), format!("{cpu:.1?}; {} MB", after.memory));
        }
        let exporters = crowd.all().filter_map(|peer| Usage::of(peer.process()).ok());
        let add = |(cpu, most): (Duration, u64), usage: Usage| (cpu + usage.cpu, most.max(usage.memory));
        let (cpu, memory) = exporters.fold((Duration::ZERO, 0), add);
        timeline.figure("exporters: CPU of all; memory of the largest", format!("{cpu:.1?}; {memory} MB"));
        timeline.figure("Helm release, of 1048576 bytes", release(a).await?);
        Ok(())
    })
    .await
}

/// Times of one label.
struct Label {
    /// Until the ServiceEntry existed.
    all: Duration,
    /// Of that, from the status to the ServiceEntry.
    own: Duration,
}

/// Labels one Service of B once A is at rest, and checks A's writes. Hostile peers may cause other writes.
async fn label(
    a: &Cluster,
    b: &Cluster,
    timeline: &mut Timeline,
    hostile: &[(Way, Peer)],
    name: &str,
) -> Result<Label> {
    let is_hostile = |write: &AuditEvent| {
        hostile.iter().any(|(_, peer)| write.name == peer.name || write.name.ends_with(&peer.domain))
    };
    settles_but_for(a, is_hostile).await?;
    timeline.cause(format!("A is at rest, and one more Service of B gets the label: {name}"));
    let mark = a.mark()?;
    b.apply(&[service("xyz", name)]).await?;
    let host = format!("{name}.xyz.svc.cluster-b.local");
    until("it is imported", PATIENCE, async || {
        let id = ("networking.istio.io/v1", "ServiceEntry", MODULE_NAMESPACE, &*host);
        a.get(id).await?.map(drop).context("not yet")
    })
    .await?;
    let all = timeline.seen("it is imported");
    settles_but_for(a, is_hostile).await?;
    let mut writes = a.writes_since(mark)?;
    writes.retain(|write| !is_hostile(write));
    let written: Vec<_> =
        writes.iter().map(|write| format!("{} {} {}", write.verb, write.resource, write.name)).collect();
    let wanted = ["patch istiofederations/status cluster-b".to_owned(), format!("create serviceentries {host}")];
    ensure!(written == wanted, "the label caused other writes: {written:?}");
    timeline.seen("two writes, and none in 31 s since");
    let at = |index: usize| -> Result<Timestamp> { Ok(writes[index].at.parse()?) };
    Ok(Label { all, own: at(1)?.duration_since(at(0)?).try_into()? })
}

/// The processes of A.
fn usage(a: &Cluster) -> Result<Vec<(&'static str, Usage)>> {
    let mut processes = vec![("operator with hooks and Helm", a.operator.process().context("no operator")?)];
    for (name, part) in [("kube-apiserver", Part::Server), ("etcd", Part::Etcd), ("controllers", Part::Controllers)] {
        processes.push((name, a.server.process(part)));
    }
    processes.into_iter().map(|(name, process)| Ok((name, Usage::of(process)?))).collect()
}

/// Bytes of the newest Secret of the release.
async fn release(a: &Cluster) -> Result<usize> {
    let secrets = a.list("v1", "Secret", OPERATOR_NAMESPACE).await?;
    let releases = secrets.iter().filter(|(name, _)| name.starts_with("sh.helm.release"));
    let version =
        |secret: &Value| secret["metadata"]["labels"]["version"].as_str().and_then(|text| text.parse::<u64>().ok());
    let (_, newest) = releases.max_by_key(|(_, secret)| version(secret)).context("no release")?;
    // Base64.
    Ok(newest["data"]["release"].as_str().context("no data")?.len() / 4 * 3)
}
