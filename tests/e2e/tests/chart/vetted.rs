//! The API server accepts everything that our hooks let through from random peers.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use istio_federation::peer::SigningKey;
use istio_federation_e2e::{ApiServer, Helm, apply};
use istio_federation_testkit::Authority;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::module::{API_VERSIONS, OPERATOR, RELEASE, chart, key};
use crate::peers::Peer;
use crate::server::{owned, start};
use crate::situations::Situation;
use crate::world::make;

/// Number of clusters, of peers in each, and of services of each peer.
const SIZE: (usize, usize, usize) = (5, 24, 50);

/// Labels on both sides of the limits: one character too long, wrong case, with a line break.
fn label() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => "[a-z]([a-z0-9-]{0,10}[a-z0-9])?",
        2 => "[a-z0-9]{62,64}",
        1 => "[a-zA-Z0-9_.*-]{0,6}",
        1 => select(vec!["", "-", "a-", "-a", "1", "a b", "a\n---\nkind: Evil", "é", "a\u{7f}", "a\u{0}", "xn--a", "a.b"])
            .prop_map(str::to_owned),
    ]
}

fn port() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 1..=65535_u32, 2 => 78..82_u32, 1 => select(vec![0, 65535, 65536, u32::MAX])]
}

fn service_port() -> impl Strategy<Value = Value> {
    let name = prop_oneof![4 => "(http|tcp|grpc|tls|https|http2|grpc-web)(-[a-z0-9]{1,8})?", 3 => label()];
    let protocols =
        vec!["HTTP", "HTTP2", "GRPC", "GRPC-Web", "HTTPS", "TLS", "TCP", "UDP", "Mongo", "MySQL", "tcp", "", "\n"];
    (name, port(), select(protocols))
        .prop_map(|(name, port, protocol)| json!({"name": name, "port": port, "protocol": protocol}))
}

fn service(domain: &str) -> impl Strategy<Value = Value> + use<> {
    let suffix = prop_oneof![
        12 => Just(format!("svc.{domain}")),
        1 => select(vec!["svc.cluster-a.local", "svc.cluster.local", "svc", "example.com", "svc.cluster-b.local."])
            .prop_map(str::to_owned),
    ];
    let ports = prop_oneof![
        8 => prop::collection::vec(service_port(), 0..4),
        1 => prop::collection::vec(service_port(), 60..70),
    ];
    (label(), label(), suffix, ports).prop_map(
        |(name, namespace, suffix, ports)| json!({"hostname": format!("{name}.{namespace}.{suffix}"), "ports": ports}),
    )
}

fn gateway() -> impl Strategy<Value = Value> {
    let address = prop_oneof![
        6 => "(198\\.51\\.100|203\\.0\\.113)\\.[1-9][0-9]",
        1 => "2001:db8:(([1-9a-f][0-9a-f]{0,3}):){1,3}:[1-9]",
        1 => select(vec!["::ffff:198.51.100.7", "127.0.0.1", "10.255.0.1", "0.0.0.0", "64:ff9b::c633:6407", "fe80::1%a",
                         "198.51.100.007", "FF02::1", "gw.example", "Gw.Example.", "", "1", "1.2.3.4\n"])
            .prop_map(str::to_owned),
    ];
    let resolved = prop_oneof![3 => Just(json!(null)), 1 => Just(json!(["198.51.100.3", "2001:DB8::3"])), 1 => Just(json!(["x", "\n"]))];
    (address, port(), resolved).prop_map(|(address, port, resolved)| {
        let mut gateway = json!({"address": address, "port": port});
        if !resolved.is_null() {
            gateway["resolved"] = resolved;
        }
        gateway
    })
}

/// A distinct trust domain for each peer; some are so long that hosts hardly fit.
fn domain(number: usize) -> impl Strategy<Value = String> {
    let rest = prop_oneof![6 => "[a-z]{1,8}\\.example", 1 => "([a-z]{60}\\.){3}[a-z]{1,60}", 1 => "[a-zA-Z_.]{1,5}"];
    rest.prop_map(move |rest| format!("p{number}.{rest}"))
}

fn uuid() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[0-9a-f]{8}-[0-9a-f]{4}", 1 => "\\PC{1,20}", 1 => "[a-z\\x00-\\x1f\"{}]{1,8}"]
}

/// The IstioFederation of a peer with arbitrary metadata.
fn federation(number: usize) -> impl Strategy<Value = Value> {
    let of_domain = move |domain: String| {
        let services = prop::collection::vec(service(&domain), 1..SIZE.2);
        let gateways = prop::collection::vec(gateway(), 1..6);
        (Just(domain), services, gateways, uuid(), label())
    };
    domain(number).prop_flat_map(of_domain).prop_map(move |(domain, services, gateways, uuid, text)| {
        let mut federation =
            Peer { name: "peer", domain: "peer.example", services: &[("a.b", &[])], shared: false }.federation();
        federation["metadata"]["name"] = json!(format!("peer-{number}"));
        federation["spec"]["trustDomain"] = json!(domain);
        let cache = &mut federation["status"]["metadataCache"];
        cache["source"]["trustDomain"] = json!(domain);
        cache["private"] = json!({"ingressGateways": gateways, "publicServices": services});
        let key = SigningKey::generate().unwrap().to_pem().public;
        let root = Authority::root(&text.replace('\0', "")).pem();
        cache["anchors"][0]["certificate"] = json!(root);
        cache["public"] = json!({"clusterUUID": format!("{uuid}{number}"), "authnKeyPub": key, "rootCA": root});
        federation
    })
}

/// Names that Kubernetes accepts for our own objects, up to the limits.
fn own_name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]([a-z0-9-]{0,5}[a-z0-9])?", "[a-z][a-z0-9-]{60}[a-z0-9]{1,2}"]
}

/// Domains of ours; with some, the longest host names no longer fit.
fn own_domain() -> impl Strategy<Value = String> {
    prop_oneof![2 => Just("cluster-a.local".to_owned()), 1 => "([a-z]{60}\\.){1,2}own"]
}

/// Draws one value.
fn any<S: Strategy>(strategy: &S, runner: &mut TestRunner) -> S::Value {
    strategy.new_tree(runner).unwrap().current()
}

fn world(runner: &mut TestRunner) -> Situation {
    let peers = (0..SIZE.1).map(|number| any(&federation(number), runner)).collect();
    Situation {
        name: "random-peers",
        global: Value::Null,
        settings: json!({"federation": {"enabled": true, "clusterDomain": any(&own_domain(), runner),
            "metadataExporter": {"image": "registry.example.com/istio-federation:v0.1.0"}}}),
        peers,
        exported: any(&prop::collection::vec((own_name(), own_name()), 1..20), runner),
    }
}

fn offered(situation: &Situation) -> usize {
    let services =
        |peer: &Value| peer["status"]["metadataCache"]["private"]["publicServices"].as_array().map_or(0, Vec::len);
    situation.peers.iter().map(services).sum()
}

#[tokio::test]
async fn the_server_accepts_everything_that_hooks_let_through() -> Result<()> {
    let (server, client): (ApiServer, _) = start("chart-vetted").await?;
    let helm = Helm::on(&server)?;
    let mut runner = TestRunner::default();
    let (mut offers, mut taken) = (0, BTreeSet::new());
    for _ in 0..SIZE.0 {
        let situation = world(&mut runner);
        offers += offered(&situation);
        let made = make(situation).await?;
        let objects = helm.template(RELEASE, OPERATOR, chart(), &made.values, &API_VERSIONS).await?;
        apply(&client, &objects).await.context("rendered")?;
        let written = owned(&client, &made).await?;
        apply(&client, &written).await.context("written by hooks")?;
        taken.extend(objects.iter().chain(&written).map(key));
    }
    let entries = taken.iter().filter(|key| key.starts_with("ServiceEntry")).count();
    // Neither all nor nothing: otherwise this would prove nothing.
    ensure!(entries > offers / 10 && entries < offers * 9 / 10, "{entries} ServiceEntries of {offers} services");
    for (kind, least) in [("DestinationRule", SIZE.1), ("Gateway", SIZE.0)] {
        let count = taken.iter().filter(|key| key.starts_with(kind)).count();
        ensure!(count > least, "{count} objects of kind {kind}");
    }
    server.stop();
    Ok(())
}
