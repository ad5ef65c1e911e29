//! What the README says of installing, word for word: its blocks are applied as they stand there, and the operator has no other rights.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use istio_federation_e2e::bench::{Bench, MODULE_NAMESPACE, OPERATOR_NAMESPACE, PATIENCE, scenario};
use istio_federation_e2e::{parse_yaml, until};
use serde_json::{Value, json};

use crate::given::{OF_B, namespace, service};

#[tokio::test]
async fn as_the_readme_says() -> Result<()> {
    scenario("install", async |bench| {
        let Bench { a, b, timeline, .. } = bench;
        let blocks = blocks()?;
        let objects: Vec<Value> = blocks.iter().filter(|block| block.get("kind").is_some()).cloned().collect();
        let (settings, rights): (Vec<Value>, Vec<Value>) =
            objects.into_iter().partition(|object| object["metadata"]["name"] == "addon-operator");
        let [settings] = &settings[..] else { anyhow::bail!("{} ConfigMaps of the operator", settings.len()) };

        timeline.cause("the operator has no rights but those of the README");
        a.apply(&[namespace("istio-system")]).await?;
        a.delete(("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "", "addon-operator")).await?;
        a.apply(&rights).await?;
        let variables = blocks.iter().find_map(|block| block["env"].as_array()).context("no limits of the operator")?;
        for variable in variables {
            let text = |name: &str| variable[name].as_str().context("not a variable");
            a.operator.set(text("name")?, text("value")?);
        }
        a.patch(("v1", "ConfigMap", OPERATOR_NAMESPACE, "addon-operator"), settings).await?;
        a.operator.start()?;
        b.apply(&[namespace("xyz"), namespace("data"), service("xyz", "bar"), service("data", "database")]).await?;
        a.apply(&[namespace("shop"), service("shop", "cart")]).await?;
        tokio::try_join!(a.operator.converged(), b.switch_on())?;
        timeline.seen("it has converged");

        let istiod = blocks.iter().find(|block| block.get("pilot").is_some()).context("nothing about istiod")?;
        let name = istiod["pilot"]["env"]["SHARED_MESH_CONFIG"].as_str().context("no SHARED_MESH_CONFIG")?;
        until("istiod finds what it reads", PATIENCE, async || {
            let found = a.get(("v1", "ConfigMap", "istio-system", name)).await?.context("no ConfigMap")?;
            ensure!(found["data"]["mesh"].is_string(), "{found}");
            Ok(())
        })
        .await?;
        timeline.seen(format!("istiod would find {name}"));

        timeline.cause("both get an IstioFederation");
        a.apply(&[a.federation_with(b, "cluster-b", &json!({}))]).await?;
        b.apply(&[b.federation_with(a, "cluster-a", &json!({}))]).await?;
        a.imports(&OF_B, PATIENCE * 2).await?;
        timeline.seen("A imports what B exports");
        for object in [
            ("networking.istio.io/v1", "Gateway", MODULE_NAMESPACE, "shop"),
            ("networking.k8s.io/v1", "Ingress", MODULE_NAMESPACE, "metadata-exporter"),
        ] {
            a.exists(object, true).await?;
        }

        timeline.cause("the IstioFederation is deleted, and the module switched off");
        a.delete(("deckhouse.io/v1alpha1", "IstioFederation", "", "cluster-b")).await?;
        a.imports(&[], PATIENCE).await?;
        a.operator.configure(false, &json!({})).await?;
        a.exists(("v1", "ConfigMap", "istio-system", name), false).await?;
        let refused: Vec<_> = a.server.audit()?.into_iter().filter(|write| write.code == 403).collect();
        ensure!(refused.is_empty(), "the operator may not: {refused:?}");
        timeline.seen("all is gone, and nothing was forbidden");
        Ok(())
    })
    .await
}

/// The documents of all YAML blocks in the README's section "Install".
fn blocks() -> Result<Vec<Value>> {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md"))?;
    let section =
        readme.split("\n## ").find(|section| section.starts_with("Install\n")).context("no section Install")?;
    let (mut blocks, mut lines) = (Vec::new(), section.lines());
    while let Some(begin) = lines.find(|line| line.trim_start() == "```yaml") {
        let indent = begin.len() - begin.trim_start().len();
        let block = lines.by_ref().take_while(|line| line.trim_start() != "```");
        let text: Vec<&str> = block.map(|line| line.get(indent..).unwrap_or_default()).collect();
        blocks.extend(parse_yaml(&text.join("\n"))?);
    }
    Ok(blocks)
}
