//! Bad settings are refused with a message that names the field, and running components do not change.

use std::time::Duration;

use anyhow::{Result, ensure};
use istio_federation_e2e::bench::{Bench, PATIENCE, scenario};
use istio_federation_e2e::until;
use serde_json::json;

use crate::given::{OF_B, federated, service};

#[tokio::test]
async fn refused_and_nothing_changes() -> Result<()> {
    scenario("bad-settings", async |bench| {
        federated(bench).await?;
        let Bench { a, b, timeline, .. } = bench;
        for (field, more) in [
            ("serviceAddressRange", json!({"federation": {"serviceAddressRange": "everything"}})),
            ("inlet", json!({"alliance": {"ingressGateway": {"inlet": "HostPort"}}})),
            ("noSuchSetting", json!({"noSuchSetting": true})),
            ("enabled", json!({"federation": {"enabled": "perhaps"}})),
        ] {
            let (before, mark) = (a.operator.log()?.len(), a.mark()?);
            timeline.cause(format!("{field} gets an invalid value"));
            a.operator.configure(true, &a.settings(&more)).await?;
            let line = until("the operator names the field", PATIENCE, async || {
                let log = a.operator.log()?;
                let line = log[before..].lines().find(|line| line.contains(field) && line.contains("istio"));
                line.map(str::to_owned).ok_or_else(|| anyhow::anyhow!("the log does not name {field}"))
            })
            .await?;
            timeline.seen(format!("refused: {line}"));
            let lost: Vec<_> =
                a.writes_since(mark)?.into_iter().filter(|write| !write.resource.ends_with("/status")).collect();
            ensure!(lost.is_empty(), "it wrote: {lost:?}");
            a.imports(&OF_B, Duration::from_secs(5)).await?;
        }
        timeline.cause("the settings are corrected, and B exports one more Service");
        a.operator.configure(true, &a.settings(&json!({}))).await?;
        b.apply(&[service("xyz", "new")]).await?;
        a.imports(&[OF_B[0], OF_B[1], "new.xyz.svc.cluster-b.local"], PATIENCE * 2).await?;
        timeline.seen("A imports it");
        Ok(())
    })
    .await
}
