//! A request across two meshes: an app calls an app in the other cluster by name, which sees the caller's identity; HTTP/1.1, gRPC and
//! plain TCP, in both directions.

use anyhow::{Result, ensure};
use istio_federation_e2e::mesh::{Mesh, scenario};

use crate::given::{Apps, BAR, CART, answers, federated};

#[tokio::test]
async fn an_app_calls_one_of_the_other_cluster() -> Result<()> {
    scenario("request", async |mesh| {
        let Apps { cart, bar } = federated(mesh).await?;
        let Mesh { timeline, .. } = mesh;
        for (from, name, host, caller) in [
            (&cart, "bar", BAR, "spiffe://cluster-a.local/ns/shop/sa/cart"),
            (&bar, "cart", CART, "spiffe://cluster-b.local/ns/xyz/sa/bar"),
        ] {
            let answer = answers(from, &["get", &format!("{host}:80")], "200 ").await?;
            timeline.seen(format!("GET http://{host}/: {answer}"));
            ensure!(answer.contains(&format!("\"app\":\"{name}\"")), "another app answered: {answer}");
            ensure!(answer.contains(&format!("URI={caller}")), "the app does not see the caller: {answer}");
            let answer = answers(from, &["grpc", &format!("{host}:9000")], "grpc-status 0").await?;
            timeline.seen(format!("gRPC to {host}:9000: {answer}"));
            ensure!(answer.contains(&format!("URI={caller}")), "the app does not see the caller: {answer}");
            let answer = answers(from, &["tcp", &format!("{host}:5000"), "hello"], "heard").await?;
            timeline.seen(format!("TCP to {host}:5000: {answer}"));
            ensure!(answer == format!("{name} heard hello"), "another app answered: {answer}");
        }
        Ok(())
    })
    .await
}
