//! Failures outside the data path cost no call: exporter, istiod and operator die and come back, B's gateway moves. If a published gateway
//! falls silent or dies, the lost calls are counted; a peer's only gateway works again as soon as it is back.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use istio_federation_e2e::mesh::{Load, Mesh, Workload, scenario};
use istio_federation_e2e::until;
use serde_json::Value;

use crate::given::{BAR, CALLS, PATIENCE, answers, federated, tally, unharmed};

/// Shorter than the time for which proxies skip a gateway.
const AT_ONCE: Duration = Duration::from_secs(15);

#[tokio::test]
async fn failures_outside_the_data_path_cost_no_request() -> Result<()> {
    scenario("resilience", async |mesh| {
        let apps = federated(mesh).await?;
        let Mesh { a, b, timeline } = mesh;
        answers(&apps.cart, &["get", &format!("{BAR}:80")], "200 ").await?;
        answers(&apps.cart, &["tcp", &format!("{BAR}:5000"), "hello"], "heard").await?;
        let mut load = [apps.cart.load(&format!("{BAR}:80"))?, apps.cart.load_tcp(&format!("{BAR}:5000"))?];
        unharmed(&mut load).await?;

        timeline.cause("B's exporter is killed");
        b.cluster.kubelet.kill();
        timeline.seen(unharmed(&mut load).await?);
        b.cluster.kubelet.release();

        for (name, side) in [("A", &mut *a), ("B", &mut *b)] {
            timeline.cause(format!("istiod of {name} is killed and restarted"));
            side.istiod.kill();
            timeline.seen(unharmed(&mut load).await?);
            side.istiod.start_again().await?;
            timeline.seen(unharmed(&mut load).await?);
        }
        for (name, side) in [("A", &mut *a), ("B", &mut *b)] {
            timeline.cause(format!("the operator of {name} is killed and restarted"));
            side.cluster.operator.kill();
            timeline.seen(unharmed(&mut load).await?);
            side.cluster.operator.start()?;
            side.cluster.operator.converged().await?;
            timeline.seen(unharmed(&mut load).await?);
        }

        timeline.cause("B has a second gateway, and its load balancer moves there");
        b.run_gateway().await?;
        let addresses = [b.gateways[0].host.address, b.gateways[1].host.address];
        b.balance(&addresses[1..]).await?;
        until("A has the new address", PATIENCE, async || {
            let endpoints = endpoints(&a.cluster.service_entries().await?)?;
            ensure!(endpoints == [addresses[1].to_string()], "{endpoints:?}");
            Ok::<_, anyhow::Error>(())
        })
        .await?;
        timeline.seen("A has the new address");
        timeline.seen(unharmed(&mut load).await?);

        timeline.cause("both are published");
        b.balance(&addresses).await?;
        reached(&apps.cart, &addresses).await?;
        timeline.seen(unharmed(&mut load).await?);

        timeline.cause("one of them is killed");
        b.gateways[0].proxy.kill();
        // HTTP is retried elsewhere, except calls in progress. TCP is not retried, but the gateway is skipped: Envoy's workers apply that
        // within a second (`update_merge_window`), which is 25 calls.
        for (at, what, count, most) in [(0, "HTTP", 5 * CALLS, 5), (1, "TCP", 1, CALLS)] {
            let (ended, failed) = load[at].next(count).await?;
            timeline.seen(format!("{ended} calls of {what}, {} failed {}", failed.len(), tally(&failed)));
            ensure!(failed.len() <= most, "{} of {ended} calls failed: {}", failed.len(), tally(&failed));
        }
        timeline.seen(unharmed(&mut load).await?);

        timeline.cause("a third one replaces it");
        b.run_gateway().await?;
        let addresses = [addresses[1], b.gateways[2].host.address];
        b.balance(&addresses).await?;
        reached(&apps.cart, &addresses).await?;
        timeline.seen(recovered(&mut load).await?);
        timeline.cause("it falls silent");
        b.gateways[2].host.plug(false)?;
        for ((load, what), count) in load.iter_mut().zip(["HTTP", "TCP"]).zip([10 * CALLS, 1]) {
            // Longer than a call can take, so that all calls from before the gateway was skipped have ended.
            let (ended, failed) = load.next(count).await?;
            timeline.seen(format!("{ended} calls of {what}, {} failed {}", failed.len(), tally(&failed)));
        }
        timeline.seen(recovered(&mut load).await?);

        timeline.cause("the other one, now the only one, falls silent too");
        b.balance(&addresses[..1]).await?;
        reached(&apps.cart, &addresses[..1]).await?;
        b.gateways[1].host.plug(false)?;
        for load in &mut load {
            until("calls fail", PATIENCE, async || {
                let (_, failed) = load.next(1).await?;
                ensure!(failed.len() > 5, "{} do", failed.len());
                Ok::<_, anyhow::Error>(())
            })
            .await?;
        }
        timeline.cause("it answers again");
        b.gateways[1].host.plug(true)?;
        until("a call of TCP is answered", AT_ONCE, async || {
            apps.cart.call(&["tcp", &format!("{BAR}:5000"), "hello"]).await
        })
        .await?;
        timeline.seen("a call of TCP is answered");
        timeline.seen(recovered(&mut load).await?);
        Ok(())
    })
    .await
}

/// Waits until the app's sidecar has exactly these gateways for HTTP and TCP.
async fn reached(app: &Workload, gateways: &[Ipv4Addr]) -> Result<()> {
    until("the sidecar has the gateways", PATIENCE, async || {
        let clusters = app.sidecar.admin("/clusters").await?;
        for port in [80, 5000] {
            let prefix = format!("outbound|{port}||{BAR}::");
            let known = clusters.lines().filter_map(|line| line.strip_prefix(&prefix)?.strip_suffix("::hostname::"));
            let mut known: Vec<_> = known.map(str::to_owned).collect();
            known.sort_unstable();
            let wanted: Vec<_> = gateways.iter().map(|gateway| format!("{gateway}:15443")).collect();
            ensure!(known == wanted, "{known:?}");
        }
        Ok::<_, anyhow::Error>(())
    })
    .await
}

/// Waits until fifty calls of each load in a row are answered. Returns a line with the number of failures before.
async fn recovered(loads: &mut [Load]) -> Result<String> {
    let mut lines = Vec::new();
    for (load, what) in loads.iter_mut().zip(["HTTP", "TCP"]) {
        let (mut all, mut lost) = (0, 0);
        until("fifty calls in a row are answered", PATIENCE, async || {
            let (ended, failed) = load.next(CALLS).await?;
            all += ended;
            lost += failed.len();
            ensure!(failed.is_empty(), "{} of {ended} failed: {:?}", failed.len(), failed.first());
            Ok::<_, anyhow::Error>(())
        })
        .await?;
        lines.push(format!("{what}: {all} calls, {lost} failed"));
    }
    Ok(lines.join("; "))
}

fn endpoints(entries: &BTreeMap<String, Value>) -> Result<Vec<String>> {
    let entry = entries.get(BAR).context("it is not imported")?;
    let endpoints = entry["spec"]["endpoints"].as_array().into_iter().flatten();
    Ok(endpoints.filter_map(|endpoint| endpoint["address"].as_str().map(str::to_owned)).collect())
}
