//! Without Istio's CRDs the module stays off and reports why, and the operator goes on. The module starts once they exist.

use anyhow::Result;
use istio_federation_e2e::bench::{Bench, MODULE_NAMESPACE, scenario_without_istio};
use istio_federation_e2e::{install_crds_of_others, until};
use serde_json::json;

use crate::given::{namespace, service};

#[tokio::test]
async fn it_waits_for_them_without_blocking_the_operator() -> Result<()> {
    scenario_without_istio("without-istio", async |bench| {
        let Bench { a, timeline, .. } = bench;
        a.apply(&[namespace("shop"), service("shop", "cart")]).await?;
        timeline.cause("the module is switched on, on a cluster without Istio");
        a.operator.configure(true, &a.settings(&json!({}))).await?;
        a.operator.start()?;
        a.operator.converged().await?;
        timeline.seen("the operator has converged");
        let why = until("the operator logs why", std::time::Duration::from_mins(1), async || {
            let log = a.operator.log()?;
            let line = log.lines().find(|line| line.contains("Istio") && line.contains("CRD"));
            line.map(str::to_owned).ok_or_else(|| anyhow::anyhow!("no such line in the log"))
        })
        .await?;
        timeline.seen(why);

        timeline.cause("Istio's CRDs appear, and the operator converges again");
        install_crds_of_others(&a.client).await?;
        a.operator.configure(true, &a.settings(&json!({"highAvailability": false}))).await?;
        a.exists(("networking.istio.io/v1", "Gateway", MODULE_NAMESPACE, "shop"), true).await?;
        timeline.seen("the module works");
        Ok(())
    })
    .await
}
