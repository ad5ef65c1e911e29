//! A peer is down, broken or odd: its last good state stays, a condition reports the fault, other peers are not affected, and after the
//! fault everything recovers.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use istio_federation::peer::SigningKey;
use istio_federation_e2e::bench::{Bench, Cluster, Manner, PATIENCE, scenario};
use istio_federation_e2e::until;
use istio_federation_testkit::Authority;
use serde_json::{Value, json};

use crate::given::{OF_B, eager, federated, is_long, namespace, service};

const PUBLIC: &str = "PublicMetadataExchangeReady";
const PRIVATE: &str = "PrivateMetadataExchangeReady";
/// Longest time until a failing peer is asked again: the delay grows from 15 s to 2 minutes.
const UNTIL_ASKED_AGAIN: Duration = Duration::from_mins(3);

#[tokio::test]
async fn the_last_good_state_of_a_broken_peer_stays() -> Result<()> {
    scenario("broken-peer", async |bench| {
        // The long run has the pauses of the shipped module.
        if !is_long() {
            eager(bench);
        }
        bench.add("cluster-c.local").await?;
        federated(bench).await?;
        let Bench { a, b, c: Some(c), timeline, .. } = bench else { bail!("no cluster C") };
        let before = state(a).await?;
        timeline.cause("A federates with C too");
        c.apply(&[namespace("other")]).await?;
        c.switch_on().await?;
        a.apply(&[a.federation_with(c, "cluster-c", &json!({}))]).await?;
        c.apply(&[c.federation_with(a, "cluster-a", &json!({}))]).await?;
        a.condition("cluster-c", (PRIVATE, "True", None)).await?;
        timeline.seen("C is ready");

        for (number, (what, manner, part)) in [
            ("closes every connection", Manner::Closed, "closed the connection"),
            ("sends one byte at a time", Manner::Drips, "in time"),
            ("answers garbage", Manner::Says("200 OK", "{\"clusterUUID\": ["), ""),
            ("does not speak TLS", Manner::BrokenTls, "TLS"),
            ("answers 500", Manner::Says("500 Internal Server Error", "{}"), "500"),
            ("answers nothing", Manner::Says("200 OK", ""), ""),
            ("answers an empty object", Manner::Says("200 OK", "{}"), ""),
        ]
        .into_iter()
        .take(if is_long() { 7 } else { 3 })
        .enumerate()
        {
            timeline.cause(format!("B's front {what}"));
            b.front.set(manner);
            let why = a.condition("cluster-b", (PUBLIC, "False", None)).await?;
            timeline.seen(format!("A reports: {why}"));
            ensure!(why.contains(part), "the message does not name the fault: {why}");
            ensure!(state(a).await? == before, "an import of B or its anchor changed");
            let host = format!("service-{number}.other.svc.cluster-c.local");
            c.apply(&[service("other", &format!("service-{number}"))]).await?;
            until("a new Service of C is imported", PATIENCE, async || {
                ensure!(a.service_entries().await?.contains_key(&host), "not yet");
                Ok::<_, anyhow::Error>(())
            })
            .await?;
            a.condition("cluster-c", (PUBLIC, "True", None)).await?;
            timeline.seen("meanwhile, A imports a new Service of C");
            b.front.set(Manner::Plain);
            healed(a).await?;
            timeline.seen("B has recovered, and A reports it");
            ensure!(state(a).await? == before, "an import of B or its anchor changed");
        }

        timeline.cause("B's exporter is killed");
        b.kubelet.kill();
        a.condition("cluster-b", (PUBLIC, "False", None)).await?;
        ensure!(state(a).await? == before, "an import of B or its anchor changed");
        b.kubelet.release();
        healed(a).await?;
        timeline.seen("it is back, and A reports it");
        ensure!(state(a).await? == before, "an import of B or its anchor changed");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn odd_documents_cause_no_writes() -> Result<()> {
    scenario("odd-peer", async |bench| {
        federated(bench).await?;
        let Bench { a, b, timeline, .. } = bench;
        let before = state(a).await?;

        timeline.cause("every answer of B has another ETag");
        b.front.set(Manner::Changes(Arc::new(|_, _| {})));
        let mark = a.mark()?;
        asked(b, 6).await?;
        let writes = a.writes_since(mark)?;
        ensure!(writes.is_empty(), "it is written: {writes:?}");
        timeline.seen("three more ticks, and nothing was written");

        timeline.cause("every answer of B has another root in addition to its own");
        b.front.set(Manner::Changes(Arc::new(|path, document| {
            if path.ends_with("public.json") {
                let own = document["rootCA"].as_str().unwrap_or_default().to_owned();
                document["rootCA"] = json!(format!("{own}{}", Authority::root("another one").pem()));
            }
        })));
        let mark = a.mark()?;
        asked(b, 10).await?;
        let helm = a.writes_since(mark)?.into_iter().filter(|write| write.resource == "configmaps").count();
        ensure!(helm == 0, "the mesh configuration was written {helm} times");
        let status = a.federation("cluster-b").await?.status.context("no status")?;
        let is_reported = status.refused.iter().any(|refusal| refusal.reason.contains("ten minutes"));
        ensure!(is_reported, "the status does not report that new roots must wait: {:?}", status.refused);
        ensure!(imports(a).await? == before.0, "imports changed");
        timeline.seen("five more ticks, and the mesh configuration was not written");

        timeline
            .cause("B lists only one of its services, in a document that is not marked complete, as after a restart");
        b.front.set(Manner::Changes(Arc::new(|path, document| {
            if path.ends_with("federation.json") {
                document.as_object_mut().map(|members| members.remove("complete"));
                if let Some(services) = document["publicServices"].as_array_mut() {
                    services.truncate(1);
                }
            }
        })));
        asked(b, 6).await?;
        ensure!(imports(a).await? == before.0, "imports changed");
        timeline.seen("three more ticks, and all imports are there");
        b.front.set(Manner::Plain);

        timeline.cause("B gets a key for A that A does not sign with");
        let wrong = SigningKey::generate()?.to_pem().public;
        a.front.set(Manner::Changes(Arc::new(move |path, document| {
            if path.ends_with("public.json") {
                document["authnKeyPub"] = json!(wrong);
            }
        })));
        let refused = (PRIVATE, "False", Some("NonOKResponse"));
        let why = a.condition_within("cluster-b", refused, UNTIL_ASKED_AGAIN).await?;
        timeline.seen(format!("A reports: {why}"));
        ensure!(why.contains("an old key or UUID of ours"), "the message does not name the fault: {why}");
        ensure!(state(a).await? == before, "an import of B or its anchor changed");
        a.front.set(Manner::Plain);
        healed(a).await?;
        timeline.seen("B has the right key again, and accepts A");
        ensure!(imports(a).await? == before.0, "imports changed");
        Ok(())
    })
    .await
}

/// A's ServiceEntries and trust anchors.
async fn state(a: &Cluster) -> Result<(Value, Value)> {
    let mesh = a.mesh_config().await?;
    let anchors = mesh["caCertificates"].as_array().into_iter().flatten();
    let of_b = anchors.filter(|anchor| anchor["trustDomains"] == json!(["cluster-b.local"])).cloned().collect();
    Ok((imports(a).await?, of_b))
}

async fn imports(a: &Cluster) -> Result<Value> {
    let mut entries = a.service_entries().await?;
    entries.retain(|host, _| host.ends_with(".cluster-b.local"));
    ensure!(entries.keys().eq(OF_B), "{:?}", entries.keys());
    Ok(entries.values().map(|entry| json!([entry["metadata"]["uid"], entry["spec"]])).collect())
}

async fn healed(a: &Cluster) -> Result<()> {
    for condition in [PUBLIC, PRIVATE] {
        a.condition_within("cluster-b", (condition, "True", None), UNTIL_ASKED_AGAIN).await?;
    }
    Ok(())
}

/// Waits for `count` connections to B's front: two per tick, one for each document.
async fn asked(b: &Cluster, count: usize) -> Result<()> {
    let begin = b.front.asked();
    until(&format!("B is asked {count} times"), PATIENCE * 3, async || {
        let asked = b.front.asked() - begin;
        ensure!(asked >= count, "{asked} times");
        Ok::<_, anyhow::Error>(())
    })
    .await
}
