//! The module is upgraded and downgraded while its peer changes: no object is deleted or recreated. The other version is the one before the
//! last change of the module, or that of `PREVIOUS=commit`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use istio_federation_e2e::bench::{Bench, Cluster, Module, PATIENCE, identities, scenario, unharmed};
use istio_federation_e2e::until;
use tokio::task::JoinHandle;

use crate::given::{OF_A, eager, federated, service_on};

/// Pause between two changes in B.
const PAUSE: Duration = Duration::from_secs(1);

#[tokio::test]
async fn there_and_back_nothing_is_lost() -> Result<()> {
    scenario("upgrade", async |bench| {
        let Some(previous) = tokio::task::spawn_blocking(Module::previous).await?? else {
            bench.timeline.seen("NOT RUN: this clone has no earlier commit of the module (PREVIOUS=commit names one)");
            return Ok(());
        };
        let current = Module::current()?;
        bench.timeline.seen(format!("the other version is that of commit {}", previous.version));
        eager(bench);
        for cluster in [&mut bench.a, &mut bench.b] {
            cluster.install(&previous)?;
        }
        federated(bench).await?;
        let Bench { a, b, timeline, .. } = bench;
        let before = [identities(a).await?, identities(b).await?];
        let marks = [a.mark()?, b.mark()?];
        let load = Load::start(b);

        for (what, is_a, module) in [
            ("A is upgraded", true, &current),
            ("B is upgraded", false, &current),
            ("A is downgraded", true, &previous),
            ("B is downgraded", false, &previous),
        ] {
            timeline.cause(what);
            let cluster = if is_a { &mut *a } else { &mut *b };
            cluster.change_to(module).await?;
            timeline.seen("converged");
            imports_newest(a, &load).await?;
            timeline.seen(format!("A imports B's newest exports, with change {} of B", load.changes()));
            b.imports(&OF_A, PATIENCE).await?;
            for (cluster, (before, mark)) in [&*a, &*b].into_iter().zip(before.iter().zip(marks)) {
                unharmed(cluster, before, mark).await?;
            }
        }
        ensure!(load.changes() > 20, "only {} changes", load.changes());
        load.stop().await
    })
    .await
}

/// Changes in B, one after the other: every second one exports one more Service, the others change a port.
struct Load {
    changes: Arc<AtomicUsize>,
    task: JoinHandle<Result<()>>,
}

impl Load {
    fn start(b: &Cluster) -> Self {
        let (client, changes) = (b.client.clone(), Arc::new(AtomicUsize::new(0)));
        let counted = changes.clone();
        let task = tokio::spawn(async move {
            loop {
                let number = counted.load(Ordering::Relaxed);
                let port = 1000 + u16::try_from(number)?;
                let name = if number.is_multiple_of(2) { format!("load-{number:05}") } else { "bar".to_owned() };
                istio_federation_e2e::apply(&client, &[service_on(port, "xyz", &name)]).await?;
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self { changes, task }
    }

    fn changes(&self) -> usize {
        self.changes.load(Ordering::Relaxed)
    }

    async fn stop(self) -> Result<()> {
        self.task.abort();
        match self.task.await {
            Ok(ended) => ended,
            Err(why) if why.is_cancelled() => Ok(()),
            Err(why) => Err(why.into()),
        }
    }
}

/// Waits until A has imported B's state at the time of this call.
async fn imports_newest(a: &Cluster, load: &Load) -> Result<()> {
    let done = load.changes().saturating_sub(2);
    let newest = format!("load-{:05}.xyz.svc.cluster-b.local", done / 2 * 2);
    until(&format!("A has imported change {done}"), PATIENCE, async || {
        ensure!(!load.task.is_finished(), "the changes in B have ended");
        let entries = a.service_entries().await?;
        ensure!(entries.contains_key(&newest), "not {newest}");
        let port = entries["bar.xyz.svc.cluster-b.local"]["spec"]["ports"][0]["number"].as_u64().context("no port")?;
        ensure!(port >= 1000 + u64::try_from(done)?, "bar has port {port}");
        Ok::<_, anyhow::Error>(())
    })
    .await
}
