//! The chart and the hooks' objects on a real API server.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use istio_federation::federation::managed::OWNER_APP;
use istio_federation_e2e::{ApiServer, Helm, apply, install_crds, until};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DynamicObject, ListParams};
use kube::discovery::{Discovery, verbs};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use crate::module::{API_VERSIONS, OPERATOR, RELEASE, chart};
use crate::world::{ALL, Made};

/// Kinds whose objects come and go by themselves.
const RESTLESS: [&str; 2] = ["Event", "Lease"];

/// A control plane with all kinds and namespaces that the situations need.
pub(crate) async fn start(name: &str) -> Result<(ApiServer, Client)> {
    let server = ApiServer::start(name).await?;
    let client = server.client().await?;
    install_crds(&client).await?;
    let namespaces = [OPERATOR, "d8-istio", "d8-monitoring", "istio-system", "gateways"];
    let namespaces =
        namespaces.map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    apply(&client, &namespaces).await?;
    Ok((server, client))
}

/// The hooks' objects, with the UIDs of the server's owner ConfigMaps.
pub(crate) async fn owned(client: &Client, made: &Made) -> Result<Vec<Value>> {
    let owners: Api<ConfigMap> = Api::namespaced(client.clone(), "d8-istio");
    let owners = owners.list(&ListParams::default().labels(&format!("app={OWNER_APP}"))).await?.items;
    ensure!(owners.len() == 2, "{} owners", owners.len());
    let mut objects = made.objects.clone();
    for reference in objects.iter_mut().flat_map(|object| object["metadata"]["ownerReferences"].as_array_mut().unwrap())
    {
        let owner =
            owners.iter().find(|owner| reference["name"] == owner.name_any()).context("an owner of another name")?;
        reference["uid"] = json!(owner.uid());
    }
    Ok(objects)
}

#[tokio::test]
async fn every_situation_is_accepted_strictly() -> Result<()> {
    let (server, client) = start("chart-strict").await?;
    let helm = Helm::on(&server)?;
    let (mut rendered, mut written) = (0, 0);
    for made in &*ALL {
        let objects = helm.template(RELEASE, OPERATOR, chart(), &made.values, &API_VERSIONS).await?;
        rendered += apply(&client, &objects).await.with_context(|| made.name())?.len();
        if !made.objects.is_empty() {
            let objects = owned(&client, made).await?;
            written += apply(&client, &objects).await.with_context(|| made.name())?.len();
        }
    }
    ensure!(rendered > 15 * ALL.len() && written > 10, "only {rendered} rendered and {written} written by hooks");
    server.stop();
    Ok(())
}

/// Every object, except those of kinds that change by themselves.
async fn everything(client: &Client) -> Result<BTreeSet<String>> {
    let discovery = Discovery::new(client.clone()).run().await?;
    let mut keys = BTreeSet::new();
    for group in discovery.groups() {
        for (resource, capabilities) in group.recommended_resources() {
            if !capabilities.supports_operation(verbs::LIST) || RESTLESS.contains(&resource.kind.as_str()) {
                continue;
            }
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            for object in api.list_metadata(&ListParams::default()).await?.items {
                keys.insert(format!(
                    "{} {}/{}",
                    resource.kind,
                    object.namespace().unwrap_or_default(),
                    object.name_any()
                ));
            }
        }
    }
    Ok(keys)
}

/// A tour with every transition between two situations, which ends where it starts.
fn every_way(count: usize) -> Vec<usize> {
    let mut way: Vec<usize> = (0..count).flat_map(|from| (from + 1..count).flat_map(move |to| [from, to])).collect();
    way.push(0);
    way
}

#[test]
fn the_tour_has_every_transition() {
    let way = every_way(7);
    let steps: BTreeSet<(usize, usize)> = way.windows(2).map(|step| (step[0], step[1])).collect();
    assert_eq!((steps.len(), way.len()), (42, 43));
}

#[tokio::test]
async fn every_situation_upgrades_to_every_other_and_off_leaves_nothing() -> Result<()> {
    let (server, client) = start("chart-upgrades").await?;
    let helm = Helm::on(&server)?;
    let before = everything(&client).await?;
    let way = every_way(ALL.len());
    ensure!(ALL[0].name() == "off" && way.len() > 12 * 11);
    let mut last = "nothing";
    for &at in &way {
        let made = &ALL[at];
        let upgraded = helm.upgrade(RELEASE, OPERATOR, chart(), &made.values).await;
        upgraded.with_context(|| format!("from {last} to {}", made.name()))?;
        last = made.name();
        if !made.objects.is_empty() {
            apply(&client, &owned(&client, made).await?).await.with_context(|| made.name())?;
        }
    }
    let release = format!("Secret {OPERATOR}/sh.helm.release.v1.{RELEASE}.");
    let kept = |key: &String| {
        key == "Secret d8-istio/d8-remote-authn-keypair"
            || key.starts_with("ValidatingAdmissionPolicy")
            || key.starts_with(&release)
    };
    until("everything of federation is gone", Duration::from_mins(1), async || {
        let now = everything(&client).await?;
        let left: Vec<&String> = now.difference(&before).filter(|key| !kept(key)).collect();
        ensure!(left.is_empty(), "{left:?}");
        ensure!(now.iter().any(|key| key.ends_with("d8-remote-authn-keypair")), "the key pair is gone");
        ensure!(before.is_subset(&now), "also deleted: {:?}", before.difference(&now));
        Ok(())
    })
    .await?;
    server.stop();
    Ok(())
}
