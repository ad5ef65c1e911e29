//! Tests of the documents: their content, and when they are unavailable.

use std::time::Duration;

use istio_federation_testkit::manifests::{data, exported, gateway};
use istio_federation_testkit::{Authority, CertifiedKey, server_for};
use serde_json::{Value, json};

use super::super::index::Event;
use super::super::object::{INTERMEDIATES_CONFIG_MAP, Object};
use super::*;
use crate::federation::names::OwnTrustDomain;
use crate::peer::SigningKey;

fn identity() -> Identity {
    Identity {
        cluster_uuid: "uuid-b".parse().unwrap(),
        cluster_domain: OwnTrustDomain::parse("cluster-b.local").unwrap(),
        inlet: super::super::inlet::Inlet::LoadBalancer,
    }
}

fn key_pem() -> String {
    SigningKey::generate().unwrap().to_pem().public
}

fn index(manifests: &[Value]) -> Index {
    let mut index = Index::default();
    let objects: Vec<_> = manifests.iter().filter_map(|m| Object::read(m.clone()).unwrap()).collect();
    for selection in Selection::ALL {
        index.reset(selection, objects.clone());
    }
    index
}

fn world(key: &str, roots: &str) -> Vec<Value> {
    vec![
        data("Secret", "d8-remote-authn-keypair", "pub.pem", key),
        data("ConfigMap", "istio-ca-root-cert", "root-cert.pem", roots),
        gateway("10.0.0.1"),
        exported("xyz", "bar", "http", 80),
        exported("abc", "zoo", "grpc", 9090),
        exported("abc", "bar-2", "ppp", 1),
    ]
}

fn body(document: &Document) -> String {
    String::from_utf8(document.as_ref().unwrap().body.to_vec()).unwrap()
}

fn reason(document: &Document) -> String {
    document.as_ref().unwrap_err().to_string()
}

#[test]
fn the_public_document_has_deckhouses_members_in_its_order() {
    let (key, root) = (key_pem(), Authority::root("root").pem());
    let documents = Documents::render(&index(&world(&key, &root)), &identity(), Instant::now());
    let root = root.replace("\r\n", "\n");
    let expected = format!(
        r#"{{"clusterUUID":"uuid-b","authnKeyPub":{},"rootCA":{}}}"#,
        serde_json::to_string(&key).unwrap(),
        serde_json::to_string(&root).unwrap()
    );
    assert_eq!(body(&documents.public), expected);
}

#[test]
fn the_private_document_is_sorted_and_marked_complete() {
    let world = world(&key_pem(), &Authority::root("root").pem());
    let expected = concat!(
        r#"{"ingressGateways":[{"address":"10.0.0.1","port":15443}],"publicServices":["#,
        r#"{"hostname":"bar-2.abc.svc.cluster-b.local","ports":[{"name":"ppp","port":1,"protocol":"TCP"}]},"#,
        r#"{"hostname":"bar.xyz.svc.cluster-b.local","ports":[{"name":"http","port":80,"protocol":"HTTP"}]},"#,
        r#"{"hostname":"zoo.abc.svc.cluster-b.local","ports":[{"name":"grpc","port":9090,"protocol":"GRPC"}]}],"#,
        r#""complete":true}"#
    );
    for rotation in 0..world.len() {
        let mut world = world.clone();
        world.rotate_left(rotation);
        let documents = Documents::render(&index(&world), &identity(), Instant::now());
        assert_eq!(body(&documents.private), expected);
        assert_eq!((documents.gateways, documents.services), (1, 3));
    }
}

#[test]
fn no_exports_and_no_gateways_still_make_a_document() {
    let mut world = world(&key_pem(), &Authority::root("root").pem());
    world.truncate(2);
    let documents = Documents::render(&index(&world), &identity(), Instant::now());
    assert_eq!(body(&documents.private), r#"{"ingressGateways":[],"publicServices":[],"complete":true}"#);
}

#[test]
fn documents_are_unavailable_until_everything_is_synced() {
    let world = world(&key_pem(), &Authority::root("root").pem());
    for late in Selection::needed(identity().inlet) {
        let mut partial = Index::default();
        let objects: Vec<_> = world.iter().filter_map(|m| Object::read(m.clone()).unwrap()).collect();
        for selection in Selection::needed(identity().inlet).filter(|&selection| selection != late) {
            partial.reset(selection, objects.clone());
        }
        let documents = Documents::render(&partial, &identity(), Instant::now());
        assert_eq!(documents.unsynced, [late]);
        for document in [&documents.public, &documents.private, &documents.spiffe] {
            assert_eq!(document.as_ref().unwrap_err(), &Unavailable::Unsynced);
        }
        assert_eq!(documents.peers.is_some(), late != Selection::Peers, "{late}");
    }
}

#[test]
fn an_incomplete_document_is_not_served() {
    let (key, root) = (key_pem(), Authority::root("root").pem());
    let render = |world: &[Value]| Documents::render(&index(world), &identity(), Instant::now());
    let without = |position: usize| {
        let mut world = world(&key, &root);
        world.remove(position);
        render(&world)
    };
    let keyless = without(0);
    assert!(reason(&keyless.public).starts_with("Secret d8-istio/d8-remote-authn-keypair has no pub.pem"));
    assert!(keyless.spiffe.is_ok() && keyless.private.is_ok());
    let rootless = without(1);
    assert!(reason(&rootless.public).starts_with("ConfigMap d8-istio/istio-ca-root-cert has no root-cert.pem"));
    assert!(rootless.spiffe.is_err() && rootless.private.is_ok());
    for bad in ["", "aaa", &CertifiedKey::self_signed(&server_for(&["leaf.example"])).pem, &root[..200]] {
        let documents = render(&world(&key, bad));
        assert!(reason(&documents.public).starts_with("root-cert.pem of ConfigMap d8-istio/istio-ca-root-cert: "));
    }
    for bad in ["", "bbb", &root] {
        let documents = render(&world(bad, &root));
        assert!(reason(&documents.public).starts_with("pub.pem of Secret d8-istio/d8-remote-authn-keypair: "));
    }
    let mut odd = world(&key, &root);
    odd.push(data("ConfigMap", "metadata-exporter-ingressgateway-advertise", "gateways.json", "{"));
    let documents = render(&odd);
    assert!(reason(&documents.private).contains("metadata-exporter-ingressgateway-advertise"));
    assert!(documents.public.is_ok());
}

#[test]
fn intermediates_are_published_next_to_the_root() {
    let root = Authority::root_from("root", 2020);
    let (one, two) = (root.intermediate("one"), root.intermediate("two"));
    let chain = format!("{}{}{}", one.pem(), two.pem(), root.pem());
    let render = |chain: &str| {
        let mut world = world(&key_pem(), &root.pem());
        world.push(data("ConfigMap", INTERMEDIATES_CONFIG_MAP.0, INTERMEDIATES_CONFIG_MAP.1, chain));
        Documents::render(&index(&world), &identity(), Instant::now())
    };
    let member = |documents: &Documents| {
        serde_json::from_str::<PublicMetadata>(&body(&documents.public)).unwrap().intermediate_cas
    };
    let both = format!("{}{}", one.pem(), two.pem()).replace("\r\n", "\n");
    assert_eq!(member(&render(&chain)), Some(both));
    assert_eq!(member(&render(&root.pem())), None, "a root CA that signs workload certificates has no intermediates");
    assert_eq!(member(&render("\n")), None);
    let broken = render(&chain[..chain.len() - 60]);
    let place = "intermediate-cas.pem of ConfigMap d8-istio/metadata-exporter-intermediate-cas: ";
    assert!(reason(&broken.public).starts_with(place));
}

#[test]
fn the_etag_follows_the_content_alone() {
    let (key, root) = (key_pem(), Authority::root("root").pem());
    let first = world(&key, &root);
    let mut reordered = first.clone();
    reordered.reverse();
    let mut changed = first.clone();
    changed[3] = exported("xyz", "bar", "http", 81);
    let etag =
        |world: &[Value]| Documents::render(&index(world), &identity(), Instant::now()).private.unwrap().etag.clone();
    assert_eq!(etag(&first), etag(&reordered));
    assert_ne!(etag(&first), etag(&changed));
    assert!(etag(&first).starts_with('"') && etag(&first).len() == 34);
}

#[test]
fn a_service_that_cannot_be_exported_is_named() {
    let mut world = world(&key_pem(), &Authority::root("root").pem());
    let mut external = exported("xyz", "outside", "http", 80);
    external["spec"]["type"] = json!("ExternalName");
    world.push(external);
    let documents = Documents::render(&index(&world), &identity(), Instant::now());
    assert_eq!(documents.not_exported, [("xyz/outside".to_owned(), NotExported::ExternalName)]);
    assert_eq!(documents.services, 3);
}

#[test]
fn a_stale_document_keeps_its_content_but_is_not_marked_complete() {
    let mut index = index(&world(&key_pem(), &Authority::root("root").pem()));
    let since = Instant::now();
    let at = |index: &Index, seconds| Documents::render(index, &identity(), since + Duration::from_secs(seconds));
    let fresh = at(&index, 0);
    let failure = WatchFailure { since, problem: "forbidden".to_owned() };
    index.handle(Event::Failing(Selection::GatewayServices, failure.clone()));
    let failing = at(&index, 9);
    assert_eq!((&failing.private, failing.stale), (&fresh.private, false));
    assert_eq!(failing.failures, [(Selection::GatewayServices, failure)]);
    let stale = at(&index, 10);
    assert_eq!(body(&stale.private), body(&fresh.private).replace(r#","complete":true"#, ""));
    assert_eq!((&stale.public, &stale.spiffe, stale.stale), (&fresh.public, &fresh.spiffe, true));
    index.handle(Event::Current(Selection::GatewayServices));
    assert_eq!(at(&index, 11).private, fresh.private);
}
