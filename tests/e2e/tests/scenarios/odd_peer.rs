//! A peer is away, broken or odd: its last good state stays, a condition says what is wrong, other peers notice nothing, and once it is
//! well again, all is well.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use istio_federation::peer::SigningKey;
use istio_federation_e2e::bench::{Bench, Cluster, Manner, PATIENCE, root, scenario};
use istio_federation_e2e::until;
use serde_json::{Value, json};

use crate::given::{OF_B, eager, federated, is_long, namespace, service};

const PUBLIC: &str = "PublicMetadataExchangeReady";
const PRIVATE: &str = "PrivateMetadataExchangeReady";
/// A peer that fails is asked again after 15 s, then 30 s, and so on up to 2 minutes.
const UNTIL_ASKED_AGAIN: Duration = Duration::from_mins(3);

#[tokio::test]
async fn broken_in_every_way_its_last_good_state_stays() -> Result<()> {
    scenario("broken-peer", async |bench| {
        // In the long run, with the pauses that users have.
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
        timeline.seen("and is well with it");

        for (number, (what, manner, part)) in [
            ("closes every connection", Manner::Closed, "closed the connection"),
            ("drips", Manner::Drips, "in time"),
            ("answers garbage", Manner::Says("200 OK", "{\"clusterUUID\": ["), ""),
            ("speaks no TLS", Manner::BrokenTls, "TLS"),
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
            timeline.seen(format!("A says: {why}"));
            ensure!(why.contains(part), "that does not say what is wrong: {why}");
            ensure!(state(a).await? == before, "something of B is gone or different");
            let host = format!("service-{number}.other.svc.cluster-c.local");
            c.apply(&[service("other", &format!("service-{number}"))]).await?;
            until("a new Service of C is imported", PATIENCE, async || {
                ensure!(a.service_entries().await?.contains_key(&host), "not yet");
                Ok::<_, anyhow::Error>(())
            })
            .await?;
            a.condition("cluster-c", (PUBLIC, "True", None)).await?;
            timeline.seen("A imports what is new in C meanwhile");
            b.front.set(Manner::Plain);
            healed(a).await?;
            timeline.seen("B is well again, and A knows");
            ensure!(state(a).await? == before, "something of B is gone or different");
        }

        timeline.cause("B's exporter is killed");
        b.kubelet.kill();
        a.condition("cluster-b", (PUBLIC, "False", None)).await?;
        ensure!(state(a).await? == before, "something of B is gone or different");
        b.kubelet.release();
        healed(a).await?;
        timeline.seen("it is back, and A knows");
        ensure!(state(a).await? == before, "something of B is gone or different");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn odd_documents_cost_nothing() -> Result<()> {
    scenario("odd-peer", async |bench| {
        federated(bench).await?;
        let Bench { a, b, timeline, .. } = bench;
        let before = state(a).await?;

        timeline.cause("B gives every answer another ETag");
        b.front.set(Manner::Changes(Arc::new(|_, _| {})));
        let mark = a.mark()?;
        asked(b, 6).await?;
        let writes = a.writes_since(mark)?;
        ensure!(writes.is_empty(), "that is written down: {writes:?}");
        timeline.seen("three more ticks, and nothing was written");

        timeline.cause("B gives every answer another root beside its own");
        b.front.set(Manner::Changes(Arc::new(|path, document| {
            if path.ends_with("public.json") {
                let own = document["rootCA"].as_str().unwrap_or_default().to_owned();
                document["rootCA"] = json!(format!("{own}{}", root("another one").unwrap_or_default()));
            }
        })));
        let mark = a.mark()?;
        asked(b, 10).await?;
        let helm = a.writes_since(mark)?.into_iter().filter(|write| write.resource == "configmaps").count();
        ensure!(helm == 0, "the mesh configuration was written {helm} times");
        let status = a.federation("cluster-b").await?.status.context("no status")?;
        let told = status.refused.iter().any(|refusal| refusal.reason.contains("ten minutes"));
        ensure!(told, "nothing says that the new ones have to wait: {:?}", status.refused);
        ensure!(imports(a).await? == before.0, "imports changed");
        timeline.seen("five more ticks, and the mesh configuration was not written");

        timeline.cause("B lists one of its services only, and does not say that this is all, as after a restart");
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

        timeline.cause("B gets another key for A than the one that A signs with");
        let wrong = SigningKey::generate()?.to_pem().public;
        a.front.set(Manner::Changes(Arc::new(move |path, document| {
            if path.ends_with("public.json") {
                document["authnKeyPub"] = json!(wrong);
            }
        })));
        let refused = (PRIVATE, "False", Some("NonOKResponse"));
        let why = a.condition_within("cluster-b", refused, UNTIL_ASKED_AGAIN).await?;
        timeline.seen(format!("A says: {why}"));
        ensure!(why.contains("another key"), "that does not say what is wrong: {why}");
        ensure!(state(a).await? == before, "something of B is gone or different");
        a.front.set(Manner::Plain);
        healed(a).await?;
        timeline.seen("B has the right one again, and A is let in");
        ensure!(imports(a).await? == before.0, "imports changed");
        Ok(())
    })
    .await
}

/// What A has of B: ServiceEntries, and the trust anchors.
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

/// Waits until B's front was connected to that many times: twice per tick, once for each document.
async fn asked(b: &Cluster, count: usize) -> Result<()> {
    let begin = b.front.asked();
    until(&format!("B is asked {count} times"), PATIENCE * 3, async || {
        let asked = b.front.asked() - begin;
        ensure!(asked >= count, "{asked} times");
        Ok::<_, anyhow::Error>(())
    })
    .await
}
