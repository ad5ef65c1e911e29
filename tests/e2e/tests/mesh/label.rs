//! Time from a label in B to the first answered request in A, and its parts. With the eager pace, which is not the shipped one.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use istio_federation_e2e::bench::is_long;
use istio_federation_e2e::mesh::{Mesh, scenario};
use istio_federation_e2e::until;

use crate::given::{PATIENCE, answers, federated, service};

/// Steps of a change, in order.
const STATIONS: [&str; 5] = [
    "exporter: the document has it",
    "discovery: it is in A's status",
    "apply: A has the ServiceEntry",
    "istiod: A's has read it",
    "Envoy: a request of A is answered",
];

#[tokio::test]
async fn a_label_becomes_a_request() -> Result<()> {
    scenario("label", async |mesh| {
        // As shipped, a change of status within 30 s of another waits. This measures a single label, many times.
        mesh.a.cluster.operator.set("ISTIO_FEDERATION_PACE", "eager");
        let apps = federated(mesh).await?;
        let Mesh { a, b, timeline } = mesh;
        answers(&apps.cart, &["get", "bar.xyz.svc.cluster-b.local:80"], "200 ").await?;
        let before = b.exported().await?;

        let mut rounds = Vec::new();
        for round in 1..=if is_long() { 50 } else { 10 } {
            let name = format!("new-{round:02}");
            let (host, count) = (format!("{name}.xyz.svc.cluster-b.local"), before + round);
            let mut added = service("xyz", &name, true);
            added["spec"]["selector"]["app"] = "bar".into();
            timeline.cause(format!("B exports {name}"));
            let cause = Instant::now();
            b.cluster.apply(&[added]).await?;
            let exporter = until("the document has it", PATIENCE, async || {
                let exported = b.exported().await?;
                ensure!(exported == count, "{exported}");
                Ok::<_, anyhow::Error>(cause.elapsed())
            });
            let status = until("it is in A's status", PATIENCE, async || {
                let imported =
                    a.cluster.federation("cluster-b").await?.status.and_then(|status| status.imported_services);
                ensure!(
                    imported.is_some_and(|imported| usize::try_from(imported).is_ok_and(|n| n == count)),
                    "{imported:?}"
                );
                Ok::<_, anyhow::Error>(cause.elapsed())
            });
            let entry = until("A has the ServiceEntry", PATIENCE, async || {
                ensure!(a.cluster.service_entries().await?.contains_key(&host), "not yet");
                Ok::<_, anyhow::Error>(cause.elapsed())
            });
            let istiod = until("A's istiod has read it", PATIENCE, async || {
                let known = a.istiod.debug("/debug/registryz").await?.to_string();
                ensure!(known.contains(&host), "not yet");
                Ok::<_, anyhow::Error>(cause.elapsed())
            });
            let request = async {
                answers(&apps.cart, &["get", &format!("{host}:80")], "\"app\":\"bar\"").await?;
                Ok(cause.elapsed())
            };
            let (exporter, status, entry, istiod, request) =
                tokio::try_join!(exporter, status, entry, istiod, request)?;
            timeline.seen(format!("{host} answers"));
            rounds.push([exporter, status, entry, istiod, request]);
        }

        for (station, name) in STATIONS.iter().enumerate() {
            let times = rounds.iter().map(|round| {
                let since = station.checked_sub(1).map(|previous| round[previous]).unwrap_or_default();
                round[station].saturating_sub(since)
            });
            timeline.figure(name, spread(times));
        }
        timeline.figure("all of it", spread(rounds.iter().map(|round| round[STATIONS.len() - 1])));
        Ok(())
    })
    .await
}

/// Least, median and most, in seconds.
fn spread(times: impl Iterator<Item = Duration>) -> String {
    let mut times: Vec<Duration> = times.collect();
    times.sort();
    let [least, median, most] =
        [0, times.len() / 2, times.len().saturating_sub(1)].map(|place| times[place].as_secs_f64());
    format!("{least:.2} | {median:.2} | {most:.2}")
}
