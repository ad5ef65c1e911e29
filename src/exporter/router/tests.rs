//! Tests of the routes, in process.

use std::time::Duration;

use axum::body::to_bytes;
use axum::http::Method;
use axum::http::header::{ALLOW, AUTHORIZATION, CONTENT_LENGTH, HOST, IF_NONE_MATCH};
use istio_federation_testkit::Authority;
use istio_federation_testkit::manifests::{data, exported, gateway};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::ServiceExt as _;

use super::super::feeder::Feeder;
use super::super::identity::Identity;
use super::super::index::{Event, WatchFailure};
use super::super::inlet::Inlet;
use super::super::object::Object;
use super::super::selection::Selection;
use super::super::source::Feed;
use super::*;
use crate::api::metadata::TokenClaims;
use crate::federation::names::OwnTrustDomain;
use crate::peer::SigningKey;
use crate::peer::{claims_for, sign};

const PUBLIC: &str = "/metadata/public/public.json";
const SPIFFE: &str = "/metadata/public/spiffe-bundle-endpoint";
const PRIVATE: &str = "/metadata/private/federation.json";
const NOW: i64 = 1_700_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

/// Cluster b, whose peer is cluster a.
struct World {
    server: Server,
    peer: SigningKey,
    unknown: SigningKey,
}

struct Reply {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Reply {
    fn header(&self, name: &HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

async fn world(synced: &[Selection]) -> World {
    fed(synced, []).await
}

/// What `synced` holds is read, then something more happens.
async fn fed(synced: &[Selection], more: impl IntoIterator<Item = Event>) -> World {
    let (peer, own) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let peers = json!({"uuid-a": {"clusterUUID": "uuid-a", "authnKeyPub": peer.to_pem().public, "rootCA": "x"}});
    let manifests = [
        data("Secret", "d8-remote-authn-keypair", "pub.pem", &own.to_pem().public),
        data("Secret", "d8-remote-clusters-public-metadata", "remote-public-metadata.json", &peers.to_string()),
        data("ConfigMap", "istio-ca-root-cert", "root-cert.pem", &Authority::root("b").pem()),
        gateway("10.0.0.1"),
        exported("xyz", "bar", "http", 80),
    ];
    let objects: Vec<_> = manifests.into_iter().filter_map(|manifest| Object::read(manifest).unwrap()).collect();
    let identity = Identity {
        cluster_uuid: "uuid-b".parse().unwrap(),
        cluster_domain: OwnTrustDomain::parse("cluster-b.local").unwrap(),
        inlet: Inlet::LoadBalancer,
    };
    let metrics = Metrics::default();
    let (feeder, documents) = Feeder::new(identity, metrics.clone());
    let (feed, events) = Feed::new();
    let resets = synced.iter().map(|&selection| Event::Reset(selection, objects.clone()));
    feed.send(resets.chain(more).collect()).await.unwrap();
    drop(feed);
    feeder.follow(events).await;
    let gate = Gate { audience: "uuid-b".to_owned(), hosts: vec!["b.example".to_owned()], now };
    World { server: Server { documents, gate: Arc::new(gate), metrics, log_limit: Arc::default() }, peer, unknown: own }
}

impl World {
    async fn send(&self, request: axum::http::request::Builder, body: Body) -> Reply {
        let response = metadata(self.server.clone()).oneshot(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
        Reply { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn get(&self, path: &str) -> Reply {
        self.send(Request::get(path), Body::empty()).await
    }

    async fn get_private(&self, token: &str) -> Reply {
        self.send(Request::get(PRIVATE).header(AUTHORIZATION, format!("Bearer {token}")), Body::empty()).await
    }

    fn token(&self, change: fn(&mut TokenClaims)) -> String {
        let mut claims = claims_for("uuid-a", "uuid-b", Some("b.example".to_owned()), now());
        change(&mut claims);
        sign(&self.peer, &claims)
    }

    fn metric(&self, line: &str) -> bool {
        self.server.metrics.encode().lines().any(|found| found == format!("d8_istio_metadata_exporter_{line}"))
    }
}

#[tokio::test]
async fn public_documents_are_open() {
    let world = world(&Selection::ALL).await;
    for path in [PUBLIC, SPIFFE] {
        let reply = world.get(path).await;
        assert_eq!(reply.status, 200, "{path}");
        assert_eq!(reply.header(&CONTENT_TYPE), "application/json");
        assert_eq!(reply.header(&CACHE_CONTROL), "no-cache");
        assert!(reply.header(&ETAG).starts_with('"'));
        serde_json::from_str::<Value>(&reply.body).unwrap();
    }
    assert!(world.get(PUBLIC).await.body.starts_with(r#"{"clusterUUID":"uuid-b","authnKeyPub":"-----BEGIN "#));
    let healthz = world.get("/healthz").await;
    assert_eq!((healthz.status, healthz.body.as_str()), (200, "Ok."));
}

#[tokio::test]
async fn a_peer_reads_the_private_document() {
    let world = world(&Selection::ALL).await;
    let reply = world.get_private(&world.token(|_| {})).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header(&CACHE_CONTROL), "private, no-store");
    let document: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(document["publicServices"][0]["hostname"], "bar.xyz.svc.cluster-b.local");
    assert_eq!(document["complete"], true);
    for good in [
        world.token(|claims| claims.host = None),
        world.token(|claims| claims.nbf += 30),
        world.token(|claims| (claims.nbf, claims.exp) = (NOW - 90, NOW - 30)),
        world.token(|claims| claims.exp = NOW + 600),
    ] {
        assert_eq!(world.get_private(&good).await.status, 200);
    }
}

#[tokio::test]
async fn every_refusal_looks_the_same() {
    let world = world(&Selection::ALL).await;
    let good = world.token(|_| {});
    let unknown_key = sign(&world.unknown, &claims_for("uuid-z", "uuid-b", None, now()));
    let impostor = sign(&world.unknown, &claims_for("uuid-a", "uuid-b", None, now()));
    // The claims of one token under the signature of another.
    let (claims, other) = (good.rsplit_once('.').unwrap().0, world.token(|claims| claims.host = None));
    let resigned = format!("{claims}.{}", other.rsplit_once('.').unwrap().1);
    let bad = [
        unknown_key,
        impostor,
        world.token(|claims| "uuid-c".clone_into(&mut claims.aud)),
        world.token(|claims| "api".clone_into(&mut claims.scope)),
        world.token(|claims| "me".clone_into(&mut claims.iss)),
        world.token(|claims| claims.host = Some("c.example".to_owned())),
        world.token(|claims| claims.nbf = NOW + 31),
        world.token(|claims| (claims.nbf, claims.exp) = (NOW - 91, NOW - 31)),
        world.token(|claims| claims.exp = NOW + 601),
        String::new(),
        "a.b.c".to_owned(),
        format!("{good}x"),
        resigned,
        format!(" {good}"),
        "x".repeat(5000),
    ];
    let without = world.get(PRIVATE).await;
    assert_eq!((without.status, without.header(&WWW_AUTHENTICATE)), (401, "Bearer"));
    assert!(without.headers.get(ETAG).is_none());
    for token in &bad {
        let reply = world.get_private(token).await;
        assert_eq!((reply.status, &reply.body, &reply.headers), (401, &without.body, &without.headers), "{token}");
    }
    let basic = world.send(Request::get(PRIVATE).header(AUTHORIZATION, format!("Basic {good}")), Body::empty()).await;
    assert_eq!(basic.status, 401);
    let twice = Request::get(PRIVATE)
        .header(AUTHORIZATION, format!("Bearer {good}"))
        .header(AUTHORIZATION, format!("Bearer {good}"));
    assert_eq!(world.send(twice, Body::empty()).await.status, 401);
    for (reason, count) in [("no_token", 3), ("signature", 2), ("time", 3), ("unknown_caller", 1), ("not_for_us", 2)] {
        assert!(
            world.metric(&format!("rejected_tokens_total{{reason=\"{reason}\"}} {count}")),
            "{reason}: {}",
            world.server.metrics.encode()
        );
    }
}

#[tokio::test]
async fn not_modified_is_answered_only_behind_the_gate() {
    let world = world(&Selection::ALL).await;
    let etag = world.get_private(&world.token(|_| {})).await.header(&ETAG).to_owned();
    let ask = |token: String, tag: String| {
        Request::get(PRIVATE).header(AUTHORIZATION, format!("Bearer {token}")).header(IF_NONE_MATCH, tag)
    };
    let reply = world.send(ask(world.token(|_| {}), format!("\"x\", W/{etag}")), Body::empty()).await;
    assert_eq!((reply.status, reply.header(&ETAG), reply.body.as_str()), (304, etag.as_str(), ""));
    assert_eq!(reply.header(&CACHE_CONTROL), "private, no-store");
    assert_eq!(world.send(ask(world.token(|_| {}), "\"x\"".to_owned()), Body::empty()).await.status, 200);
    assert_eq!(world.send(ask("none".to_owned(), etag), Body::empty()).await.status, 401);
    let public = world.get(PUBLIC).await.header(&ETAG).to_owned();
    let reply = world.send(Request::get(PUBLIC).header(IF_NONE_MATCH, &public), Body::empty()).await;
    assert_eq!((reply.status, reply.body.as_str()), (304, ""));
}

#[tokio::test]
async fn nothing_is_served_until_everything_is_read() {
    let starting = world(&[]).await;
    for path in [PUBLIC, SPIFFE, PRIVATE] {
        let reply = starting.get(path).await;
        assert_eq!((reply.status, reply.header(&RETRY_AFTER)), (503, "5"), "{path}");
    }
    assert_eq!(starting.get("/healthz").await.status, 200);

    // Keys are known and Services are not: callers without a token get 401, peers get 503.
    let early = world(&Selection::ALL[1..]).await;
    assert_eq!(early.get(PRIVATE).await.status, 401);
    assert_eq!(early.get_private(&early.token(|_| {})).await.status, 503);
    assert_eq!(early.get(PUBLIC).await.status, 503);
    assert_eq!(ready(&early).await, (503, "not read yet: exported_services\n".to_owned()));
    assert_eq!(ready(&world(&Selection::ALL).await).await, (200, "ok\n".to_owned()));
}

async fn ready(world: &World) -> (u16, String) {
    let request = Request::get("/readyz").body(Body::empty()).unwrap();
    let (parts, body) = admin(world.server.clone()).oneshot(request).await.unwrap().into_parts();
    (parts.status.as_u16(), String::from_utf8(to_bytes(body, 10_000).await.unwrap().to_vec()).unwrap())
}

#[tokio::test]
async fn failures_are_shown_while_the_last_good_documents_are_served() {
    let failing = |selection, problem: &str, age: u64| {
        let since = Instant::now().checked_sub(Duration::from_secs(age)).unwrap();
        Event::Failing(selection, WatchFailure { since, problem: problem.to_owned() })
    };
    let events = [
        failing(Selection::Roots, "forbidden", 0),
        failing(Selection::Nodes, "unreadable", 0),
        failing(Selection::GatewayPods, "unreadable", 0),
    ];
    let young = fed(&Selection::ALL, events).await;
    let body = ready(&young).await;
    assert_eq!(body, (200, "ok\nfailing for 0 s: forbidden\nfailing for 0 s: unreadable\n".to_owned()));
    assert!(young.get_private(&young.token(|_| {})).await.body.ends_with(r#""complete":true}"#));
    assert!(young.metric("watch_failing{watch=\"roots\"} 1") && young.metric("watch_failing{watch=\"peers\"} 0"));
    assert!(young.metric("watch_failing_since_timestamp_seconds{watch=\"peers\"} 0") && young.metric("stale 0"));

    let old = fed(&Selection::ALL, [failing(Selection::Roots, "forbidden", 1000)]).await;
    let body = "ok\nfailing for 1000 s: forbidden\nstale: the private document is not marked complete\n";
    assert_eq!(ready(&old).await, (200, body.to_owned()));
    let document = old.get_private(&old.token(|_| {})).await;
    assert!(document.status == 200 && !document.body.contains("complete"), "{}", document.body);
    assert!(old.metric("stale 1"));
    let metrics = old.server.metrics.encode();
    let since = metrics.lines().find_map(|line| line.split_once("failing_since_timestamp_seconds{watch=\"roots\"} "));
    let age = Timestamp::now().as_second() - since.unwrap().1.parse::<i64>().unwrap();
    assert!((1000..1060).contains(&age), "{age}");

    let starting = fed(&Selection::ALL[1..], [failing(Selection::ExportedServices, "x", 3)]).await;
    assert_eq!(ready(&starting).await, (503, "not read yet: exported_services\nfailing for 3 s: x\n".to_owned()));
}

#[tokio::test]
async fn only_get_and_head_without_a_body() {
    let world = world(&Selection::ALL).await;
    for path in [PUBLIC, SPIFFE, PRIVATE, "/healthz"] {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH] {
            let reply = world.send(Request::builder().method(&method).uri(path), Body::empty()).await;
            assert_eq!((reply.status, reply.header(&ALLOW)), (405, "GET,HEAD"), "{method} {path}");
        }
        let reply = world.send(Request::get(path), Body::from("body")).await;
        assert_eq!((reply.status, reply.header(&CONNECTION)), (413, "close"), "{path}");
    }
    let (get, head) = (world.get(PUBLIC).await, world.send(Request::head(PUBLIC), Body::empty()).await);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header(&ETAG), get.header(&ETAG));
    assert_eq!(head.header(&CONTENT_LENGTH), get.body.len().to_string());
    assert_eq!(world.send(Request::head(PRIVATE), Body::empty()).await.status, 401);
    for path in ["/", "/metadata", "/metadata/public/public.json/", "/metadata/private/multicluster.json", "/metrics"] {
        assert_eq!(world.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn metrics_count_requests_and_exports() {
    let world = world(&Selection::ALL).await;
    world.get(PUBLIC).await;
    world.get("/some/path?x=1").await;
    world.get("/other").await;
    world.send(Request::get(PUBLIC).header(HOST, "b.example"), Body::from("x")).await;
    for line in [
        "requests_total{route=\"public\",code=\"200\"} 1",
        "requests_total{route=\"public\",code=\"413\"} 1",
        "requests_total{route=\"other\",code=\"404\"} 2",
        "document_available{document=\"private\"} 1",
        "watch_synced{watch=\"nodes\"} 1",
        "exported_services 1",
        "gateways 1",
        "peers 1",
    ] {
        assert!(world.metric(line), "{line}\n{}", world.server.metrics.encode());
    }
    assert!(world.server.metrics.encode().contains("document_last_change_timestamp_seconds{document=\"public\"}"));
    let reply =
        admin(world.server.clone()).oneshot(Request::get("/metrics").body(Body::empty()).unwrap()).await.unwrap();
    assert!(reply.headers()[CONTENT_TYPE].to_str().unwrap().starts_with("application/openmetrics-text"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_authorization_header_opens_the_gate_or_breaks_it(value in proptest::collection::vec(any::<u8>(), 0..300)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = world(&Selection::ALL).await;
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let reply = world.send(Request::get(PRIVATE).header(AUTHORIZATION, value), Body::empty()).await;
                assert_eq!(reply.status, 401);
            }
        });
    }
}
