//! Whatever happens beside the data path costs no request: exporter, istiod and operator die and come back, B's gateway moves. Of two
//! gateways one dies while it is published: what that costs HTTP is counted. Connections of plain TCP, which nobody tries again, fail
//! there as long as it is published: nothing takes it out of the mesh's view.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use istio_federation_e2e::mesh::{Mesh, scenario};
use istio_federation_e2e::until;
use serde_json::Value;

use crate::given::{BAR, CALLS, PATIENCE, answers, federated, unharmed};

#[tokio::test]
async fn nothing_beside_the_data_path_costs_a_request() -> Result<()> {
    scenario("resilience", async |mesh| {
        let apps = federated(mesh).await?;
        let Mesh { a, b, timeline } = mesh;
        answers(&apps.cart, &["get", &format!("{BAR}:80")], "200 ").await?;
        let mut load = [apps.cart.load(&format!("{BAR}:80"))?];
        unharmed(&mut load).await?;

        timeline.cause("B's exporter is killed");
        b.cluster.kubelet.kill();
        timeline.seen(unharmed(&mut load).await?);
        b.cluster.kubelet.release();

        for (name, side) in [("A", &mut *a), ("B", &mut *b)] {
            timeline.cause(format!("istiod of {name} is killed, and started again"));
            side.istiod.kill();
            timeline.seen(unharmed(&mut load).await?);
            side.istiod.start_again().await?;
            timeline.seen(unharmed(&mut load).await?);
        }
        for (name, side) in [("A", &mut *a), ("B", &mut *b)] {
            timeline.cause(format!("the operator of {name} is killed, and started again"));
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
        until("A's sidecar has both", PATIENCE, async || {
            let clusters = apps.cart.sidecar.admin("/clusters").await?;
            for address in addresses {
                let cluster = format!("outbound|80||{BAR}::{address}:15443::");
                ensure!(clusters.contains(&cluster), "no {cluster}");
            }
            Ok::<_, anyhow::Error>(())
        })
        .await?;
        timeline.seen(unharmed(&mut load).await?);
        timeline.cause("one of them is killed");
        b.gateways[0].proxy.kill();
        let (ended, failed) = load[0].next(5 * CALLS).await?;
        timeline.seen(format!("{ended} calls, {} failed {:?}", failed.len(), failed.first()));
        // Envoy tries another gateway where it cannot connect; only what was under way may be lost.
        ensure!(failed.len() <= 5, "{} of {ended} calls failed: {failed:?}", failed.len());
        let (ended, failed) = load[0].next(CALLS).await?;
        ensure!(failed.is_empty(), "it still costs {} of {ended} calls: {failed:?}", failed.len());
        timeline.seen("and nothing afterwards");
        Ok(())
    })
    .await
}

fn endpoints(entries: &BTreeMap<String, Value>) -> Result<Vec<String>> {
    let entry = entries.get(BAR).context("it is not imported")?;
    let endpoints = entry["spec"]["endpoints"].as_array().into_iter().flatten();
    Ok(endpoints.filter_map(|endpoint| endpoint["address"].as_str().map(str::to_owned)).collect())
}
