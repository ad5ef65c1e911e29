//! Waits until nothing is written.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use istio_federation_e2e::bench::Cluster;
use istio_federation_e2e::{AuditEvent, until};

/// Waits until nothing was written for two ticks of discovery.
pub(crate) async fn settles(cluster: &Cluster) -> Result<()> {
    settles_but_for(cluster, |_| false).await
}

/// As [`settles`], but ignores some writes.
pub(crate) async fn settles_but_for(cluster: &Cluster, passes: impl Fn(&AuditEvent) -> bool) -> Result<()> {
    let rest = Duration::from_secs(31);
    let mut last = (cluster.mark()?, Instant::now());
    until("a pause of 31 s between writes", Duration::from_mins(5), async || {
        let mut writes = cluster.writes_since(last.0)?;
        writes.retain(|write| !passes(write));
        if !writes.is_empty() {
            last = (cluster.mark()?, Instant::now());
        }
        ensure!(last.1.elapsed() >= rest, "last written: {:?}", writes.last());
        Ok::<_, anyhow::Error>(())
    })
    .await
}
