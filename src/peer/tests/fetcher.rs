//! Whole exchanges with peers that answer as a test says: requests, tokens, and results.

use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use istio_federation_testkit::{self as testkit, CertifiedKey, Federation, HttpsServer, server_for};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::client::Limits;
use super::super::fetcher::PeerFetcher;
use super::super::keys::SigningKey;
use super::super::token::{Expectations, TokenError, VerifiedCaller, verify};
use super::server_trust::patient;
use crate::api::istio_federation::IstioFederation;
use crate::api::metadata::TokenClaims;
use crate::federation::discovery::{Exchange, Fetch};
use crate::federation::ourselves::Ourselves;
use crate::federation::roster::Roster;

static LOCALHOST: LazyLock<CertifiedKey> = LazyLock::new(|| CertifiedKey::self_signed(&server_for(&["localhost"])));
static OUR_KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate().unwrap());
static PEERS_KEY: LazyLock<String> = LazyLock::new(|| SigningKey::generate().unwrap().to_pem().public);

const NOW: i64 = 1_796_083_200;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

/// An answer with this body and, where there is one, entity tag.
fn ok(body: &Value, etag: Option<&str>) -> String {
    let (body, etag) = (body.to_string(), etag.map(|etag| format!("ETag: {etag}\r\n")).unwrap_or_default());
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{etag}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn status(line: &str) -> String {
    format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n")
}

/// The public document of the cluster with that UUID.
fn public(uuid: &str) -> Value {
    json!({"clusterUUID": uuid, "authnKeyPub": *PEERS_KEY, "rootCA": "root of b"})
}

fn private() -> Value {
    json!({
        "ingressGateways": [{"address": "203.0.113.1", "port": 15443}],
        "publicServices": [{"hostname": "x.ns.svc.b.local", "ports": [{"name": "http-x", "port": 80}]}],
        "complete": true
    })
}

/// A peer with these answers to the requests for the two documents.
fn peer(public: String, private: String) -> HttpsServer {
    HttpsServer::tls(&LOCALHOST, move |head, stream| {
        let answer = match head.split(' ').nth(1) {
            Some("/m/public/public.json") => &public,
            Some("/m/private/federation.json") => &private,
            _ => return stream.write_all(status("404 Not Found").as_bytes()),
        };
        stream.write_all(answer.as_bytes())
    })
}

fn well_peer() -> HttpsServer {
    peer(ok(&public("uuid-b"), None), ok(&private(), None))
}

fn new_federation(peer: &HttpsServer) -> Federation {
    let spec = json!({"metadataEndpoint": peer.url("/m"), "metadata": {"ca": LOCALHOST.pem}});
    testkit::federation("b").created("2026-01-02T00:00:00Z").spec(&spec)
}

/// A federation with that peer, without status.
fn federation(peer: &HttpsServer) -> IstioFederation {
    new_federation(peer).read()
}

/// A federation with that peer, from which both documents are cached, with entity tags.
fn known(peer: &HttpsServer) -> IstioFederation {
    let cache = json!({
        "public": public("uuid-b"), "publicETag": "\"p\"",
        "private": {"ingressGateways": [], "publicServices": []}, "privateETag": "\"f\""
    });
    new_federation(peer).cached(&cache).read()
}

fn run(federations: &[IstioFederation], limits: Limits, run_end: Instant) -> Option<Exchange> {
    let values = json!({"istio": {"federation": {"clusterDomain": "a.local", "clusterUUID": "uuid-a"}}});
    let ours = Ourselves::from_values(&serde_json::from_value(values).unwrap(), None).unwrap();
    let roster = Mutex::new(Roster::new(federations, &ours));
    let fetcher = PeerFetcher { key: &OUR_KEY, uuid: &ours.uuid, roster: &roster, now: now(), limits };
    fetcher.fetch(&federations[0], run_end)
}

/// An exchange with the first of these, with all the time in the world.
fn exchange(federations: &[IstioFederation]) -> Exchange {
    run(federations, patient(), Instant::now() + Duration::from_mins(5)).unwrap()
}

/// Path of each request so far.
fn paths(server: &HttpsServer) -> Vec<String> {
    server.requests().iter().map(|head| head.split(' ').nth(1).unwrap().to_owned()).collect()
}

/// A header of each request so far.
fn headers(server: &HttpsServer, name: &str) -> Vec<Option<String>> {
    let of = |head: &String| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    server.requests().iter().map(of).collect()
}

/// The token of the last request.
fn token(server: &HttpsServer) -> String {
    let header = headers(server, "authorization").pop().flatten().unwrap();
    header.strip_prefix("Bearer ").unwrap().to_owned()
}

fn claims(token: &str) -> TokenClaims {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

fn host(server: &HttpsServer) -> String {
    format!("localhost:{}", server.address.port())
}

/// Whether a fetch failed, and why.
fn reason<T>(fetch: &Fetch<T>) -> &'static str {
    match fetch {
        Fetch::NotTried { reason, .. } | Fetch::Failed { reason, .. } => reason,
        Fetch::NotModified => "NotModified",
        Fetch::Fresh { .. } => "Fresh",
    }
}

fn reasons(exchange: &Exchange) -> (&'static str, &'static str) {
    (reason(&exchange.public), reason(&exchange.private))
}

#[test]
fn the_public_document_names_the_audience_of_the_token() {
    let server = peer(ok(&public("uuid-b"), Some("\"p\"")), ok(&private(), Some("\"f\"")));
    let exchange = exchange(&[federation(&server)]);
    assert_eq!(paths(&server), ["/m/public/public.json", "/m/private/federation.json"]);
    assert_eq!(headers(&server, "authorization")[0], None, "the public document needs no token");
    let expected = TokenClaims {
        aud: "uuid-b".to_owned(),
        sub: "uuid-a".to_owned(),
        iss: "d8-istio".to_owned(),
        scope: "private-federation".to_owned(),
        host: Some(host(&server)),
        nbf: NOW,
        exp: NOW + 60,
    };
    let token = token(&server);
    assert_eq!(claims(&token), expected);
    let ours = |sub: &str| (sub == "uuid-a").then(|| OUR_KEY.verifying_key());
    let expectations = Expectations { audience: "uuid-b", hosts: &[host(&server)], now: now() };
    assert_eq!(verify(&token, ours, &expectations), Ok(VerifiedCaller { uuid: "uuid-a".to_owned() }));

    let Fetch::Fresh { document, etag } = exchange.public else { panic!("{:?}", exchange.public) };
    assert_eq!((document.cluster_uuid.as_str(), etag.as_deref()), ("uuid-b", Some("\"p\"")));
    let Fetch::Fresh { document: answer, etag } = exchange.private else { panic!("{:?}", exchange.private) };
    assert_eq!((answer.complete, etag.as_deref()), (true, Some("\"f\"")));
    assert_eq!(answer.document.public_services[0].ports[0].protocol.as_deref(), Some("HTTP"), "normalized");
    assert!(!exchange.unverified);
}

#[test]
fn a_private_document_without_complete_is_incomplete() {
    let mut document = private();
    for complete in [json!(false), Value::Null] {
        document["complete"] = complete;
        let server = peer(ok(&public("uuid-b"), None), ok(&document, None));
        let Fetch::Fresh { document: answer, .. } = exchange(&[federation(&server)]).private else { panic!() };
        assert!(!answer.complete);
    }
}

#[test]
fn without_a_public_document_the_cached_identity_is_used() {
    for broken in [status("500 Broken"), ok(&json!({"clusterUUID": "uuid-x"}), None)] {
        let server = peer(broken, ok(&private(), None));
        let answer = exchange(&[known(&server)]);
        assert!(matches!(answer.public, Fetch::Failed { .. }));
        assert_eq!((reason(&answer.private), claims(&token(&server)).aud.as_str()), ("Fresh", "uuid-b"));

        let unclaimed = exchange(&[federation(&server)]);
        assert_eq!(reason(&unclaimed.private), "AwaitingPublic");
    }
    // But not an identity that belongs to another address or another cluster.
    let server = peer(status("500 Broken"), ok(&private(), None));
    for edit in ["metadataEndpoint", "trustDomain"] {
        let mut edited = serde_json::to_value(known(&server)).unwrap();
        edited["status"]["metadataCache"]["source"][edit] = json!("other");
        let edited = serde_json::from_value(edited).unwrap();
        assert_eq!(reason(&exchange(&[edited]).private), "AwaitingPublic", "{edit}");
    }
    assert!(paths(&server).iter().all(|path| path == "/m/public/public.json"));
}

#[test]
fn no_peer_gets_a_token_for_the_uuid_of_another() {
    // A second federation that has the UUID uuid-c.
    let third = well_peer();
    let mut other = serde_json::to_value(known(&third)).unwrap();
    other["metadata"] = json!({"name": "c", "creationTimestamp": "2026-01-01T00:00:00Z"});
    other["spec"]["trustDomain"] = json!("c.local");
    other["status"]["metadataCache"]["source"]["trustDomain"] = json!("c.local");
    other["status"]["metadataCache"]["public"]["clusterUUID"] = json!("uuid-c");
    let other: IstioFederation = serde_json::from_value(other).unwrap();

    for (is_known, expected, announced, refused) in [
        (false, None, "uuid-a", "OwnClusterUUID"),
        (false, None, "uuid-c", "ClusterUUIDTaken"),
        (true, None, "uuid-x", "ClusterUUIDChanged"),
        (false, Some("uuid-b"), "uuid-x", "ClusterUUIDMismatch"),
        (true, Some("uuid-x"), "uuid-b", "ClusterUUIDMismatch"),
    ] {
        let server = peer(ok(&public(announced), None), ok(&private(), None));
        let mut federation = if is_known { known(&server) } else { federation(&server) };
        federation.spec.cluster_uuid = expected.map(ToOwned::to_owned);
        let exchange = exchange(&[federation, other.clone()]);
        assert_eq!(reasons(&exchange), (refused, "AwaitingPublic"));
        assert_eq!(paths(&server), ["/m/public/public.json"], "{refused}");
    }
    // A UUID that the user configured belongs to the peer.
    let server = peer(ok(&public("uuid-x"), None), ok(&private(), None));
    let mut renamed = known(&server);
    renamed.spec.cluster_uuid = Some("uuid-x".to_owned());
    assert_eq!(reasons(&exchange(&[renamed, other])), ("Fresh", "Fresh"));
}

#[test]
fn a_304_gives_no_token_to_a_peer_that_lost_its_identity() {
    let server = peer(status("304 Not Modified"), ok(&private(), None));
    let mut named = serde_json::to_value(known(&server)).unwrap();
    named["metadata"]["name"] = json!("named");
    named["spec"]["trustDomain"] = json!("c.local");
    named["spec"]["clusterUUID"] = json!("uuid-b");
    let named = serde_json::from_value(named).unwrap();
    let answer = exchange(&[known(&server), named]);
    assert_eq!(reasons(&answer), ("ClusterUUIDTaken", "AwaitingPublic"));
    assert_eq!(paths(&server).len(), 1);
}

#[test]
fn a_failed_request_is_reported_before_its_consequences() {
    let server = peer(status("500 Broken"), ok(&private(), None));
    let mut federation = known(&server);
    federation.spec.cluster_uuid = Some("uuid-x".to_owned());
    assert_eq!(reasons(&exchange(&[federation])), ("NonOKResponse", "AwaitingPublic"));
    assert_eq!(paths(&server).len(), 1);
}

#[test]
fn entity_tags_go_only_to_the_peer_that_sent_them() {
    let absent = json!([{"kind": "PublicService", "name": "x", "since": "2026-01-01T00:00:00Z"}]);
    let edits: [(&str, Value, [Option<&str>; 2]); 6] = [
        ("", Value::Null, [Some("\"p\""), Some("\"f\"")]),
        ("/source/metadataEndpoint", json!("https://other.example"), [None, None]),
        ("/source/trustDomain", json!("c.local"), [None, None]),
        ("/public", Value::Null, [None, Some("\"f\"")]),
        ("/private", Value::Null, [Some("\"p\""), None]),
        ("/absent", absent, [Some("\"p\""), None]),
    ];
    for (member, value, tags) in edits {
        let server = well_peer();
        let mut object = serde_json::to_value(known(&server)).unwrap();
        let cache = &mut object["status"]["metadataCache"];
        match member.strip_prefix('/').map(|path| path.split_once('/').unwrap_or((path, ""))) {
            None => {}
            Some((name, "")) => cache[name] = value,
            Some((name, inner)) => cache[name][inner] = value,
        }
        assert_eq!(reasons(&exchange(&[serde_json::from_value(object).unwrap()])), ("Fresh", "Fresh"));
        assert_eq!(headers(&server, "if-none-match"), tags.map(|tag| tag.map(ToOwned::to_owned)), "{member}");
    }
    let server = peer(status("304 Not Modified"), status("304 Not Modified"));
    assert_eq!(reasons(&exchange(&[known(&server)])), ("NotModified", "NotModified"));
    assert_eq!(claims(&token(&server)).aud, "uuid-b");
}

#[test]
fn a_relayed_token_names_its_intended_host() {
    // At first contact a peer may claim to be another cluster; the token that it gets is useless there.
    let hostile = peer(ok(&public("uuid-of-victim"), None), status("401 Unauthorized"));
    let answer = exchange(&[federation(&hostile)]);
    assert_eq!(reasons(&answer), ("Fresh", "NonOKResponse"));
    let relayed = token(&hostile);
    let at_victim = |hosts: &[String]| {
        let ours = |sub: &str| (sub == "uuid-a").then(|| OUR_KEY.verifying_key());
        verify(&relayed, ours, &Expectations { audience: "uuid-of-victim", hosts, now: now() })
    };
    assert_eq!(at_victim(&["victim.example".to_owned()]), Err(TokenError::Host(host(&hostile))));
    assert!(at_victim(&[host(&hostile)]).is_ok(), "control: its own host accepts the token");
}

#[test]
fn a_public_document_without_a_good_key_is_refused() {
    let weak = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n-----END PUBLIC KEY-----\n";
    for key in ["key", weak, &OUR_KEY.to_pem().private] {
        let mut document = public("uuid-b");
        document["authnKeyPub"] = json!(key);
        let server = peer(ok(&document, None), ok(&private(), None));
        let answer = exchange(&[federation(&server)]);
        assert_eq!(reasons(&answer), ("InvalidPublicMetadata", "AwaitingPublic"));
        let Fetch::Failed { message, .. } = answer.public else { panic!() };
        assert!(message.starts_with(&format!("GET {}: ", server.url("/m/public/public.json"))), "{message}");
        assert!(message.contains("authnKeyPub"), "{message}");
        assert_eq!(paths(&server).len(), 1);
    }
}

#[test]
fn a_refused_private_document_is_a_failure() {
    for (body, refused) in [
        (json!({"ingressGateways": []}), "InvalidPrivateMetadata"),
        (json!({"ingressGateways": null, "publicServices": []}), "InvalidPrivateMetadata"),
        (json!("text"), "InvalidPrivateMetadata"),
    ] {
        let server = peer(ok(&public("uuid-b"), None), ok(&body, None));
        let answer = exchange(&[federation(&server)]);
        assert_eq!(reasons(&answer), ("Fresh", refused), "{body}");
        let Fetch::Failed { message, .. } = answer.private else { panic!() };
        assert!(message.contains("/m/private/federation.json") && !message.contains(&token(&server)), "{message}");
    }
}

#[test]
fn an_exchange_cut_short_by_the_end_of_the_run_has_no_result() {
    let in_ms = |ms| Instant::now() + Duration::from_millis(ms);
    let mute = HttpsServer::tls(&LOCALHOST, |_, _| {
        std::thread::park_timeout(Duration::from_mins(1));
        Ok(())
    });
    assert_eq!(run(&[federation(&mute)], patient(), in_ms(200)), None);
    // Control: with the usual time, it is a failure.
    let limits = Limits { exchange: Duration::from_millis(200), ..patient() };
    let failed = run(&[federation(&mute)], limits, in_ms(60_000)).unwrap();
    assert_eq!(reasons(&failed), ("FetchFailed", "AwaitingPublic"));
    // A failed half makes the whole exchange useless.
    let half = HttpsServer::tls(&LOCALHOST, |head, stream| {
        if head.contains("/private/") {
            std::thread::park_timeout(Duration::from_mins(1));
        }
        stream.write_all(ok(&public("uuid-b"), None).as_bytes())
    });
    assert_eq!(run(&[federation(&half)], patient(), in_ms(2000)), None);
    // Answers and failures before the end count, however soon the end is.
    let long = Limits { exchange: Duration::from_mins(10), ..patient() };
    assert_eq!(reasons(&run(&[federation(&well_peer())], long, in_ms(60_000)).unwrap()), ("Fresh", "Fresh"));
    let broken = peer(status("500 Broken"), String::new());
    assert_eq!(
        reasons(&run(&[federation(&broken)], long, in_ms(60_000)).unwrap()),
        ("NonOKResponse", "AwaitingPublic")
    );
}

#[test]
fn an_unverified_endpoint_is_marked() {
    let server = well_peer();
    let mut federation = federation(&server);
    let tls = federation.spec.metadata.get_or_insert_default();
    tls.insecure_skip_verify = Some(true);
    assert!(!exchange(std::slice::from_ref(&federation)).unverified, "ca wins");
    federation.spec.metadata.get_or_insert_default().ca = None;
    let insecure = exchange(std::slice::from_ref(&federation));
    assert!(insecure.unverified);
    assert_eq!(reasons(&insecure), ("Fresh", "Fresh"));

    let asked = paths(&server).len();
    let other = CertifiedKey::self_signed(&server_for(&["localhost"])).pem;
    for ca in [other.as_str(), "no certificate"] {
        federation.spec.metadata.get_or_insert_default().ca = Some(ca.to_owned());
        let refused = exchange(std::slice::from_ref(&federation));
        assert_eq!(reasons(&refused), ("FetchFailed", "AwaitingPublic"));
        assert!(!refused.unverified);
    }
    assert_eq!(paths(&server).len(), asked, "an unverified server gets no request");
}
