//! The operator is killed at every step, API server and etcd are restarted, and then nothing happens for a while: no object is lost or
//! recreated, and nothing is written while nothing changes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use istio_federation_e2e::bench::{
    Bench, Cluster, MODULE_NAMESPACE, PATIENCE, identities, is_loss, scenario, unharmed,
};
use istio_federation_e2e::{Part, until};
use serde_json::json;

use crate::given::{OF_B, federated, is_long, namespace, service};
use crate::rest::settles;

const KEY: (&str, &str, &str, &str) = ("v1", "Secret", MODULE_NAMESPACE, "d8-remote-authn-keypair");
/// Time from the operator's first start until it is killed; twice as long after the second start, and so on, to hit another step each time.
const STEP: Duration = Duration::from_millis(250);

#[tokio::test]
async fn killed_at_every_step_of_its_first_start() -> Result<()> {
    scenario("killed-while-starting", async |bench| {
        let Bench { a, timeline, .. } = bench;
        a.apply(&[namespace("shop"), service("shop", "cart")]).await?;
        a.operator.configure(true, &a.settings(&json!({}))).await?;
        let (mut kills, mut key) = (0, None);
        loop {
            a.operator.start()?;
            let converged = tokio::time::timeout(STEP * (kills + 1), a.operator.converged()).await;
            let now = a.get(KEY).await?.map(|secret| secret["data"].clone());
            ensure!(key.is_none() || key == now, "another key pair after {kills} kills");
            key = now;
            if let Ok(converged) = converged {
                converged?;
                break;
            }
            a.operator.kill();
            kills += 1;
        }
        timeline.seen(format!("converged after {kills} kills, each {STEP:?} later than the one before"));
        ensure!(kills > 3, "it was killed only {kills} times");
        a.operator.kill();
        a.operator.start()?;
        a.operator.converged().await?;
        let now = a.get(KEY).await?.map(|secret| secret["data"].clone());
        ensure!(now.is_some() && now == key, "another key pair after a kill at rest");
        let deleted: Vec<_> = a.writes_since(0)?.into_iter().filter(is_loss).collect();
        ensure!(deleted.is_empty(), "something was deleted: {deleted:?}");
        a.exists(("networking.istio.io/v1", "Gateway", MODULE_NAMESPACE, "shop"), true).await
    })
    .await
}

#[tokio::test]
async fn restarts_lose_nothing_and_at_rest_nothing_is_written() -> Result<()> {
    scenario("restarts", async |bench| {
        federated(bench).await?;
        let Bench { a, b, timeline, .. } = bench;
        let before = identities(a).await?;
        let mark = a.mark()?;

        timeline.cause("the operator is killed and restarted");
        a.operator.kill();
        a.operator.start()?;
        a.operator.converged().await?;
        timeline.seen("converged");
        unharmed(a, &before, mark).await?;

        timeline.cause("it is stopped, a Service of B appears, and it is restarted");
        a.operator.stop().await?;
        b.apply(&[service("xyz", "late")]).await?;
        a.operator.start()?;
        a.imports(&[OF_B[0], OF_B[1], "late.xyz.svc.cluster-b.local"], PATIENCE).await?;
        timeline.seen("it is imported");
        unharmed(a, &before, mark).await?;

        timeline.cause("A's API server is restarted");
        a.server.restart_api_server().await?;
        still_works(a, b, "after-api-server").await?;
        timeline.seen("A still imports new Services");
        unharmed(a, &before, mark).await?;

        timeline.cause("A's etcd is killed and restarted");
        a.server.kill(Part::Etcd);
        a.server.start_again(Part::Etcd).await?;
        still_works(a, b, "after-etcd").await?;
        timeline.seen("A still imports new Services");
        unharmed(a, &before, mark).await?;

        // Wait for the effects of the last change.
        settles(a).await?;
        settles(b).await?;
        timeline.cause("nothing happens");
        let (quiet_a, quiet_b) = (a.mark()?, b.mark()?);
        tokio::time::sleep(quiet()).await;
        for (cluster, mark) in [(&*a, quiet_a), (&*b, quiet_b)] {
            let writes = cluster.writes_since(mark)?;
            ensure!(writes.is_empty(), "at rest, the operator of {} wrote: {writes:?}", cluster.name);
        }
        timeline.seen("nothing was written");
        Ok(())
    })
    .await
}

/// Duration of the quiet phase. It is measured itself, so it is a time and not a condition.
fn quiet() -> Duration {
    if is_long() { Duration::from_mins(30) } else { Duration::from_mins(2) }
}

async fn still_works(a: &Cluster, b: &Cluster, name: &str) -> Result<()> {
    b.apply(&[service("xyz", name)]).await?;
    let host = format!("{name}.xyz.svc.cluster-b.local");
    until("the new Service is imported", PATIENCE * 2, async || {
        a.service_entries().await?.get(&host).map(drop).context("not yet")
    })
    .await
}
