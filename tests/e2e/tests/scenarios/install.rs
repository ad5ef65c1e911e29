//! docs/INSTALL.md, word for word: its blocks are applied as they are, and the operator has no other rights.

use anyhow::{Context, Result, ensure};
use istio_federation_e2e::bench::{Bench, MODULE_NAMESPACE, Module, OPERATOR_NAMESPACE, PATIENCE, scenario};
use istio_federation_e2e::{Install, parse_yaml, until};
use serde_json::{Value, json};

use crate::given::{OF_B, namespace, service};

#[tokio::test]
async fn as_install_says() -> Result<()> {
    scenario("install", async |bench| {
        let Bench { a, b, timeline, .. } = bench;
        let install = Install::read()?;
        let (settings, rights): (Vec<Value>, Vec<Value>) =
            install.objects().into_iter().partition(|object| object["metadata"]["name"] == "addon-operator");
        let [settings] = &settings[..] else { anyhow::bail!("{} ConfigMaps of the operator", settings.len()) };

        timeline.cause("the operator has no rights but those of INSTALL.md");
        a.apply(&[namespace("istio-system")]).await?;
        a.delete(("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "", "addon-operator")).await?;
        a.apply(&rights).await?;
        for (name, value) in install.operator_environment()? {
            a.operator.set(&name, &value);
        }
        let istio = parse_yaml(settings["data"]["istio"].as_str().context("no settings of the module")?)?;
        let image = &istio.first().context("empty settings")?["federation"]["metadataExporter"]["image"];
        a.push_image(&Module::current()?, image.as_str().context("no image")?)?;
        a.patch(("v1", "ConfigMap", OPERATOR_NAMESPACE, "addon-operator"), settings).await?;
        a.operator.start()?;
        b.apply(&[namespace("xyz"), namespace("data"), service("xyz", "bar"), service("data", "database")]).await?;
        a.apply(&[namespace("shop"), service("shop", "cart")]).await?;
        tokio::try_join!(a.operator.converged(), b.switch_on())?;
        timeline.seen("it has converged");

        let istiod = install.istiod_environment()?;
        let shared = istiod.iter().find(|(name, _)| name == "SHARED_MESH_CONFIG");
        let name = shared.map(|(_, value)| value.as_str()).context("no SHARED_MESH_CONFIG")?;
        until("istiod finds its ConfigMap", PATIENCE, async || {
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
