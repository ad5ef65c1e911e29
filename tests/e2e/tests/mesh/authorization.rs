//! Policies in B admit and refuse A's clients as written, by principal and by namespace.

use anyhow::{Result, bail, ensure};
use istio_federation_e2e::mesh::{Mesh, Workload, scenario};
use istio_federation_e2e::until;
use serde_json::json;

use crate::given::{BAR, PATIENCE, answers, federated};

#[tokio::test]
async fn policies_admit_and_refuse_as_written() -> Result<()> {
    scenario("authorization", async |mesh| {
        let apps = federated(mesh).await?;
        let Mesh { a, b, timeline } = mesh;
        let other = a.run("garden", "mole").await?;
        for from in [&apps.cart, &other] {
            answers(from, &["get", &format!("{BAR}:80")], "200 ").await?;
            answers(from, &["tcp", &format!("{BAR}:5000"), "hello"], "heard").await?;
        }
        timeline.cause("B admits by principal, by namespace and trust domain, and by port");
        let path = |path: &str| json!([{"operation": {"paths": [path]}}]);
        let policy = json!({
            "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
            "metadata": {"name": "bar", "namespace": "xyz"},
            "spec": {"action": "ALLOW", "selector": {"matchLabels": {"app": "bar"}}, "rules": [
                {"from": [{"source": {"principals": ["cluster-a.local/ns/shop/sa/cart"]}}], "to": path("/principal")},
                {"from": [{"source": {"principals": ["cluster-b.local/ns/shop/sa/cart"]}}], "to": path("/principal-of-b")},
                {"from": [{"source": {"namespaces": ["shop"], "trustDomains": ["cluster-a.local"]}}], "to": path("/namespace")},
                {"from": [{"source": {"namespaces": ["shop"], "trustDomains": ["cluster-b.local"]}}], "to": path("/namespace-of-b")},
                {"from": [{"source": {"namespaces": ["shop"]}}], "to": path("/namespace-of-anybody")},
                {
                    "from": [{"source": {"principals": ["cluster-a.local/ns/shop/sa/cart"]}}],
                    "to": [{"operation": {"ports": ["5000"]}}],
                },
            ]},
        });
        b.cluster.apply(&[policy]).await?;
        until("the policy takes effect", PATIENCE, async || match other.get(&format!("{BAR}:80")).await?.as_str() {
            answer if answer.starts_with("403 ") => Ok(()),
            answer => bail!("{answer}"),
        })
        .await?;
        for (caller, who, path, status) in [
            (&apps.cart, "shop/cart", "/principal", "200 "),
            (&apps.cart, "shop/cart", "/principal-of-b", "403 "),
            (&apps.cart, "shop/cart", "/namespace", "200 "),
            (&apps.cart, "shop/cart", "/namespace-of-b", "403 "),
            (&apps.cart, "shop/cart", "/namespace-of-anybody", "200 "),
            (&apps.cart, "shop/cart", "/elsewhere", "403 "),
            (&other, "garden/mole", "/principal", "403 "),
            (&other, "garden/mole", "/namespace", "403 "),
            (&other, "garden/mole", "/namespace-of-anybody", "403 "),
        ] {
            let answer = caller.call(&["get", &format!("{BAR}:80"), path]).await?;
            timeline.seen(format!("{who:12} {path:22} {}", &answer[..3]));
            ensure!(answer.starts_with(status), "{who} {path}: {answer}");
        }
        let hello = ["tcp", &format!("{BAR}:5000"), "hello"];
        ensure!(apps.cart.call(&hello).await? == "bar heard hello", "shop/cart is refused on TCP");
        refused(&other, &hello).await?;
        timeline.seen("TCP: shop/cart is answered, garden/mole is not");
        Ok(())
    })
    .await
}

async fn refused(from: &Workload, call: &[&str]) -> Result<()> {
    match from.call(call).await {
        Ok(answer) => bail!("it is answered: {answer}"),
        Err(why) => {
            ensure!(
                format!("{why:#}").contains("closed without an answer") || format!("{why:#}").contains("reset"),
                "{why:#}"
            );
            Ok(())
        }
    }
}
