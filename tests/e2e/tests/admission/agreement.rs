//! Policies and hooks agree: random objects near the limits are accepted by both or refused by both.

use anyhow::{Context, Result, ensure};
use istio_federation::api::kubernetes::Service;
use istio_federation::api::metadata::PRIVATE_PATH;
use istio_federation::federation::export::ExportedService;
use istio_federation::federation::names::{ClusterUuid, DnsName, TrustDomain};
use istio_federation::peer::{endpoint, host_of};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::cases::{Answer, Attempt, Table, collection, federation};
use super::policies::{Cluster, try_out};

/// Objects of each kind.
const OBJECTS: usize = 250;
/// Least number of accepted objects and of refused objects; with fewer, the test would prove nothing.
const OF_EACH: usize = 20;

/// Sends random objects, and compares the policies' answers with the hooks'.
async fn agree<T: std::fmt::Debug>(
    cluster: &Cluster<'_>,
    values: impl Strategy<Value = T>,
    object: impl Fn(&T) -> Value,
    hooks_take: impl Fn(&T) -> bool,
) -> Result<()> {
    let mut runner = TestRunner::default();
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..OBJECTS {
        let value = values.new_tree(&mut runner).map_err(anyhow::Error::msg)?.current();
        let body = object(&value);
        let answer = try_out(&cluster.admin, Attempt { method: "POST", path: collection(&body)?, body }).await?;
        let taken = match &answer {
            Answer::Refused(why) if why.starts_with("ValidatingAdmissionPolicy") => false,
            // Refused by the CRD or Kubernetes itself, so no hook ever sees it.
            Answer::Refused(_) => continue,
            Answer::Accepted | Answer::Warned(_) => true,
        };
        ensure!(taken == hooks_take(&value), "{value:?}: the hooks would differ; the API server says {answer:?}");
        *(if taken { &mut accepted } else { &mut refused }) += 1;
    }
    ensure!(accepted >= OF_EACH && refused >= OF_EACH, "{accepted} accepted, {refused} refused");
    Ok(())
}

fn near_a_trust_domain() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9.-]{1,12}",
        "[a-zA-Z0-9._-]{1,8}",
        "[0-9]{1,3}(\\.[0-9]{1,3}){3}",
        "[a-z]{60,66}",
        "([a-z]{50}\\.){4}[a-z]{45,60}",
        "(x\\.|X|\\.)?([cC]luster-a\\.)?(local|LOCAL|example)\\.?",
        "(sub\\.)?old\\.example",
    ]
}

fn near_a_cluster_uuid() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z0-9._-]{1,12}", "[!-~]{1,6}", "[ -~]{0,3}[a-f0-9é\n-]{1,8}", "[a-z]{126,130}"]
}

fn near_an_endpoint() -> impl Strategy<Value = String> {
    let host = prop_oneof![
        "[a-zA-Z0-9._-]{1,12}",
        "[a-z]{1,5}(\\.[a-z]{1,5}){1,3}\\.?",
        "[0-9]{1,3}(\\.[0-9]{1,3}){2,4}",
        "([a-z]{1,3}\\.)?0[xX][0-9a-g]{0,3}\\.?",
        "[a-z]{60,66}(\\.[a-z])?",
        "([a-z]{50}\\.){4}[a-z]{45,60}",
        "\\[([0-9a-f]{1,4}:){7}[0-9a-f]{1,5}\\]",
        "\\[[0-9a-f:]{2,12}\\]",
    ];
    let short = (host, "(:[0-9]{1,5})?", "(/[a-z._-]{0,5}){0,3}")
        .prop_map(|(host, port, path)| format!("https://{host}{port}{path}"));
    let long = (2020..2030_usize, "/{0,2}")
        .prop_map(|(length, slashes)| format!("{:x<length$}{slashes}", "https://a.example/"));
    prop_oneof![4 => short, 1 => long]
}

fn near_an_exported_service() -> impl Strategy<Value = Value> {
    let name = prop_oneof![4 => "[a-z][a-z0-9-]{0,3}", 1 => "[a-z]{62,63}"];
    let port = (name, 1..70_000_u32, prop_oneof![Just("TCP"), Just("UDP"), Just("SCTP")])
        .prop_map(|(name, port, protocol)| json!({"name": name, "port": port, "protocol": protocol}));
    let kind = prop_oneof![
        3 => Just(json!({})),
        1 => Just(json!({"clusterIP": "None"})),
        1 => Just(json!({"type": "NodePort"})),
        1 => Just(json!({"type": "ExternalName", "externalName": "a.example"})),
    ];
    (prop_oneof![4 => Just(""), 1 => Just("true")], kind, prop::collection::vec(port, 0..3)).prop_map(
        |(label, mut spec, ports)| {
            spec["ports"] = ports.into();
            let labels = json!({"federation.istio.deckhouse.io/public-service": label});
            let metadata = json!({"name": "tried", "namespace": "default", "labels": labels});
            json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
        },
    )
}

#[tokio::test]
async fn policies_and_hooks_judge_alike() -> Result<()> {
    let table = Table { name: "agreement".to_owned(), ..Table::read("on")? };
    let cluster = Cluster::with(&table).await?;
    let ours = ["cluster-a.local", "old.example"].map(|name| DnsName::parse(name).unwrap());

    agree(
        &cluster,
        near_a_trust_domain(),
        |domain| federation(&json!({"trustDomain": domain})),
        |domain| TrustDomain::vet(domain, &ours).is_ok(),
    )
    .await
    .context("trust domains")?;
    agree(
        &cluster,
        near_a_cluster_uuid(),
        |uuid| federation(&json!({"clusterUUID": uuid})),
        |uuid| ClusterUuid::parse(uuid).is_ok(),
    )
    .await
    .context("cluster UUIDs")?;
    agree(
        &cluster,
        near_an_endpoint(),
        |url| federation(&json!({"metadataEndpoint": url})),
        |url| host_of(&endpoint(url, PRIVATE_PATH)).is_ok(),
    )
    .await
    .context("endpoints")?;
    agree(&cluster, near_an_exported_service(), Value::clone, |service| {
        let service: Service = serde_json::from_value(service.clone()).unwrap();
        ExportedService::vet(&service, &ours[0]).is_ok()
    })
    .await
    .context("Services")?;
    cluster.server.stop();
    Ok(())
}
