//! Examples: the status after one answer and another.

use serde_json::{Value, json};

use super::play::{Play, ROOTS, exchange, failed, not_tried, private, private_of, public, resolved};
use crate::api::istio_federation::CacheSource;
use crate::federation::conditions::{
    ENDPOINT_VERIFIED, INGRESS_GATEWAYS_READY, OWN_IDENTITY_ACCEPTED, PRIVATE_EXCHANGE_READY, PUBLIC_EXCHANGE_READY,
    TRUST_ANCHORS_READY, TRUST_DOMAIN_ACCEPTED,
};
use crate::federation::discovery::{Exchange, Fetch, Pace, PrivateAnswer};
use crate::federation::roster::is_same_endpoint;

const GATEWAY: &[&str] = &["203.0.113.1"];

/// A peer that answered once with root 0, services a and b, and a gateway; tags `p` and `f`.
fn well() -> Play {
    Play::after(public(&[0], "p"), private("ab", GATEWAY, true, "f"))
}

fn verdict(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

#[test]
fn a_first_exchange_fills_everything() {
    let play = well();
    let cache = play.cache();
    let source =
        CacheSource { metadata_endpoint: "https://b.example/metadata".to_owned(), trust_domain: "b.local".to_owned() };
    assert_eq!(cache.source, Some(source));
    assert_eq!((cache.public_etag.as_deref(), cache.private_etag.as_deref()), (Some("\"p\""), Some("\"f\"")));
    assert_eq!(play.roots(), [0]);
    assert_eq!(play.services(), ["a.ns.svc.b.local", "b.ns.svc.b.local"]);
    assert_eq!(play.status().last_change_time, Some(play.now()));
    for (type_, reason) in [
        (TRUST_DOMAIN_ACCEPTED, "Accepted"),
        (ENDPOINT_VERIFIED, "Verified"),
        (PUBLIC_EXCHANGE_READY, "Succeeded"),
        (PRIVATE_EXCHANGE_READY, "Succeeded"),
        (TRUST_ANCHORS_READY, "Admitted"),
        (INGRESS_GATEWAYS_READY, "Accepted"),
    ] {
        assert_eq!(play.verdict(type_), verdict("True", reason), "{type_}");
        assert_eq!(play.condition(type_).observed_generation, Some(1));
    }
}

#[test]
fn either_document_counts_without_the_other() {
    let mut play = well();
    play.answer_at(100, exchange(failed(), private("abc", GATEWAY, true, "g")));
    assert_eq!((play.services().len(), play.roots(), play.cache().public_etag.as_deref()), (3, vec![0], Some("\"p\"")));
    assert_eq!(play.verdict(PUBLIC_EXCHANGE_READY), verdict("False", "FetchFailed"));
    assert_eq!(play.verdict(PRIVATE_EXCHANGE_READY), verdict("True", "Succeeded"));

    let mut play = well();
    play.answer_at(1000, exchange(public(&[0, 1], "q"), failed()));
    assert_eq!((play.services().len(), play.roots()), (2, vec![0, 1]));
    assert_eq!(play.cache().private_etag.as_deref(), Some("\"f\""));
    assert_eq!(play.verdict(PUBLIC_EXCHANGE_READY), verdict("True", "Succeeded"));
    assert_eq!(play.verdict(PRIVATE_EXCHANGE_READY), verdict("False", "FetchFailed"));
}

#[test]
fn a_peer_that_never_answered_leaves_no_cache() {
    let mut play = Play::new();
    play.answer(exchange(failed(), not_tried()));
    let status = play.status();
    assert_eq!((status.metadata_cache, status.last_change_time), (None, None));
    assert_eq!(play.verdict(PRIVATE_EXCHANGE_READY), verdict("Unknown", "AwaitingPublic"));
    assert_eq!(play.condition(ENDPOINT_VERIFIED).type_, "", "nothing is known of the certificate");
}

#[test]
fn transition_times_move_with_the_status_alone() {
    let mut play = well();
    let mut times = Vec::new();
    for (second, fetch) in [(45, failed()), (60, failed()), (90, not_tried()), (105, Fetch::NotModified)] {
        play.answer_at(second, exchange(Fetch::NotModified, fetch));
        let since = play.condition(PRIVATE_EXCHANGE_READY).last_transition_time.unwrap();
        times.push(second - play.now().duration_since(since).as_secs());
    }
    assert_eq!(times, [45, 45, 90, 105]);
    assert_eq!(play.condition(PUBLIC_EXCHANGE_READY).last_transition_time, well().status().last_change_time);
}

#[test]
fn a_flapping_peer_costs_few_writes_and_its_failures_are_still_measured() {
    for (pace, limit) in [(Pace::Patient, 4), (Pace::Eager, 8)] {
        let mut play = well();
        play.pace = pace;
        let mut writes = 0;
        for tick in 1..=8 {
            let before = play.status();
            let fetch = if tick % 2 == 1 { failed() } else { Fetch::NotModified };
            let measured = play.answer_at(tick * 15, exchange(Fetch::NotModified, fetch)).exchanged;
            assert_eq!((measured.public, measured.private), (Some(true), Some(tick % 2 == 0)));
            writes += u32::from(before != play.status());
        }
        assert_eq!(writes, limit, "{pace:?}");
    }
}

#[test]
fn a_lasting_failure_and_the_result_of_an_edit_are_written() {
    let mut play = well();
    for (second, status) in [(15, "True"), (30, "False"), (45, "False")] {
        play.answer_at(second, exchange(Fetch::NotModified, failed()));
        assert_eq!(play.verdict(PRIVATE_EXCHANGE_READY).0, status, "{second}");
    }
    let mut play = well();
    play.federation.metadata.generation = Some(2);
    play.answer_at(15, exchange(Fetch::NotModified, failed()));
    assert_eq!(play.verdict(PRIVATE_EXCHANGE_READY).0, "False");
}

#[test]
fn an_unverified_endpoint_is_shown_until_it_is_verified() {
    let mut play = Play::new();
    let unverified = |public| Exchange { unverified: true, ..exchange(public, not_tried()) };
    play.answer(unverified(public(&[0], "p")));
    assert_eq!(play.verdict(ENDPOINT_VERIFIED), verdict("False", "InsecureSkipVerify"));
    play.answer(exchange(failed(), failed()));
    assert_eq!(play.verdict(ENDPOINT_VERIFIED).0, "False", "a failure says nothing about it");
    play.answer(exchange(Fetch::NotModified, failed()));
    assert_eq!(play.verdict(ENDPOINT_VERIFIED), verdict("True", "Verified"));
}

/// That many services, each with a name of 200 characters.
fn large(services: usize, tag: &str) -> Fetch<PrivateAnswer> {
    let service = |n: usize| json!({"hostname": format!("{n:0200}"), "ports": []});
    private_of(&(0..services).map(service).collect::<Vec<_>>(), &[], true, Some(tag))
}

/// More than a megabyte.
fn huge(tag: &str) -> Fetch<PrivateAnswer> {
    large(6000, tag)
}

#[test]
fn an_oversized_private_document_keeps_the_last_good_one() {
    let mut play = well();
    let before = (play.cache().private, play.cache().private_etag);
    play.answer_at(1000, exchange(public(&[0, 1], "q"), huge("g")));
    assert_eq!((play.cache().private, play.cache().private_etag), before);
    assert_eq!(play.roots(), [0, 1], "the small document is not held up by the large one");
    assert_eq!(play.verdict(PRIVATE_EXCHANGE_READY), verdict("False", "DocumentTooLarge"));
    assert_eq!(
        play.verdict(INGRESS_GATEWAYS_READY),
        verdict("True", "Accepted"),
        "of what holds, not of what does not"
    );

    let mut first = Play::after(public(&[0], "p"), huge("f"));
    assert_eq!((first.cache().private, first.roots()), (None, vec![0]));
    first.answer_at(60, exchange(Fetch::NotModified, private("a", GATEWAY, true, "h")));
    assert_eq!(first.services().len(), 1);
}

#[test]
fn an_oversized_public_document_keeps_the_last_good_one() {
    let mut play = Play::after(public(&[0], "p"), large(4000, "f"));
    assert_eq!(play.services().len(), 4000);
    let before = play.cache();
    let Fetch::Fresh { mut document, etag } = public(&[0, 1], "q") else { unreachable!() };
    // Each of these characters is six bytes of JSON.
    document.root_ca.push_str(&"\u{1}".repeat(60_000));
    play.answer_at(1000, exchange(Fetch::Fresh { document, etag }, Fetch::NotModified));
    assert!(play.cache() == before);
    assert_eq!(play.verdict(PUBLIC_EXCHANGE_READY), verdict("False", "DocumentTooLarge"));
    assert_eq!(play.verdict(PRIVATE_EXCHANGE_READY), verdict("True", "Succeeded"));
    assert_eq!(play.verdict(TRUST_ANCHORS_READY), verdict("True", "Admitted"));
}

#[test]
fn countless_gateways_do_not_slow_down_other_peers() {
    // So many that comparing all pairs would take minutes.
    let gateways = |count: usize| {
        let gateway = |n: usize| json!({"address": format!("g{n}.example"), "port": 1});
        private_of(&[], &(0..count).map(gateway).collect::<Vec<_>>(), true, None)
    };
    let mut play = Play::after(public(&[0], "p"), gateways(20_000));
    play.answer_at(60, exchange(Fetch::NotModified, gateways(100_000)));
    assert_eq!(play.gateways().len(), 20_000);
    assert_eq!(play.verdict(PRIVATE_EXCHANGE_READY).1, "DocumentTooLarge");
}

#[test]
fn another_endpoint_keeps_services_and_anchors_but_not_the_identity() {
    let mut play = well();
    play.federation.spec.metadata_endpoint = "https://other.example".to_owned();
    let before = play.status();
    play.answer_at(15, exchange(failed(), not_tried()));
    assert_eq!(play.status().metadata_cache, before.metadata_cache);
    assert!(!is_same_endpoint(&play.cache(), &play.federation.spec), "so nobody takes its key or tags");

    // Not postponed, although the last write was 20 seconds ago: the user is waiting.
    play.answer_at(20, exchange(public(&[1], "q"), failed()));
    assert!(is_same_endpoint(&play.cache(), &play.federation.spec));
    assert_eq!((play.services().len(), play.gateways().len()), (2, 1));
    assert_eq!((play.cache().public_etag.as_deref(), play.cache().private_etag), (Some("\"q\""), None));
    assert_eq!(play.roots(), [0], "a root of its own has to wait its ten minutes");

    let mut play = well();
    play.federation.spec.metadata_endpoint = "https://other.example".to_owned();
    play.answer_at(20, exchange(public(&[0], "q"), huge("g")));
    assert_eq!((play.services().len(), play.cache().private_etag), (2, None), "no tag comes back either");
}

#[test]
fn another_trust_domain_starts_with_an_empty_cache() {
    let mut play = well();
    play.federation.spec.trust_domain = "c.local".to_owned();
    play.answer_at(15, exchange(failed(), not_tried()));
    assert!(play.status().metadata_cache.is_some(), "still in sight");
    assert_eq!(play.cache(), Play::new().cache(), "but of no use");
    play.answer_at(16, exchange(public(&[1], "q"), failed()));
    assert_eq!((play.roots(), play.services().len(), play.cache().private_etag), (vec![1], 0, None));
    assert_eq!(play.status().metadata_cache, Some(play.cache()));
}

#[test]
fn addresses_of_a_name_outlive_a_resolver_that_fails() {
    let answer = |names: &[(&str, &[&str])]| Exchange {
        resolved: resolved(names),
        ..exchange(Fetch::NotModified, private("a", &["gw.b.example"], true, "f"))
    };
    let mut play = Play::new();
    play.answer(exchange(public(&[0], "p"), private("a", &["gw.b.example"], true, "f")));
    assert_eq!(play.verdict(INGRESS_GATEWAYS_READY), verdict("False", "AllRefused"));
    let addresses = |play: &Play| play.gateways()[0].1.join(" ");
    play.answer_at(30, answer(&[("gw.b.example", &["203.0.113.1", "203.0.113.2"])]));
    assert_eq!(addresses(&play), "203.0.113.1 203.0.113.2");
    assert_eq!(play.verdict(INGRESS_GATEWAYS_READY), verdict("True", "Accepted"));
    let nowhere = answer(&[("gw.b.example", &["127.0.0.1", "0.0.0.0"])]);
    for (second, names) in [(1000, answer(&[])), (2000, answer(&[("gw.b.example", &[])])), (2500, nowhere)] {
        play.answer_at(second, names);
        assert_eq!(addresses(&play), "203.0.113.1 203.0.113.2");
    }
    play.answer_at(3000, exchange(failed(), failed()));
    assert_eq!(addresses(&play), "203.0.113.1 203.0.113.2");
    // A 304 is as good as a document.
    let held = Exchange { private: Fetch::NotModified, ..answer(&[("gw.b.example", &["203.0.113.3"])]) };
    play.answer_at(4000, held);
    assert_eq!(addresses(&play), "203.0.113.3");
}

#[test]
fn large_names_that_rotate_change_nothing_for_two_minutes() {
    let answer = |addresses: &[&str]| Exchange {
        resolved: resolved(&[("gw.b.example", addresses)]),
        ..exchange(Fetch::NotModified, private("a", &["gw.b.example"], true, "f"))
    };
    let mut play = Play::new();
    play.answer(Exchange { public: public(&[0], "p"), ..answer(&["203.0.113.1", "203.0.113.2"]) });
    for (second, new, held) in [
        (60, &["203.0.113.2", "203.0.113.3"][..], "203.0.113.1 203.0.113.2"),
        (119, &["203.0.113.1"], "203.0.113.1 203.0.113.2"),
        (120, &["203.0.113.2", "203.0.113.3"], "203.0.113.2 203.0.113.3"),
        // None of them is right at this point.
        (150, &["203.0.113.9"], "203.0.113.9"),
    ] {
        play.answer_at(second, answer(new));
        assert_eq!(play.gateways()[0].1.join(" "), held, "{second}");
    }
}

#[test]
fn without_our_own_chain_no_certificate_is_admitted_or_dropped() {
    let mut play = Play::new();
    play.own_chain_known = false;
    let next = play.answer(exchange(public(&[0], "p"), not_tried()));
    assert_eq!((next.refused_certificates, play.roots()), (None, vec![]));
    assert_eq!(play.verdict(TRUST_ANCHORS_READY), verdict("Unknown", "AwaitingOwnRoot"));
    play.own_chain_known = true;
    let next = play.answer_at(30, exchange(Fetch::NotModified, not_tried()));
    assert_eq!((next.refused_certificates, play.roots()), (Some(vec![]), vec![0]), "from the document of before");

    play.own_chain_known = false;
    let next = play.answer_at(1000, exchange(public(&[1], "q"), not_tried()));
    assert_eq!((next.refused_certificates, play.roots()), (None, vec![0]));
    assert_eq!(play.cache().public.unwrap().root_ca, ROOTS[1]);
}

#[test]
fn refused_certificates_are_reported() {
    let mut play = Play::new();
    let Fetch::Fresh { mut document, etag } = public(&[0], "p") else { unreachable!() };
    document.root_ca.push_str("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n");
    let next = play.answer(exchange(Fetch::Fresh { document, etag }, not_tried()));
    assert_eq!(next.refused_certificates.unwrap()[0].name, "rootCA, PEM block 2");
    assert_eq!(play.verdict(TRUST_ANCHORS_READY), verdict("True", "PartlyAdmitted"));
    // A new certificate has to wait, and this is reported too.
    let next = play.answer_at(100, exchange(public(&[0, 1], "q"), not_tried()));
    assert!(next.refused_certificates.unwrap()[0].reason.contains("ten minutes"));
    let mut none = Play::new();
    let Fetch::Fresh { mut document, etag } = public(&[], "p") else { unreachable!() };
    document.root_ca = "no root".to_owned();
    none.answer(exchange(Fetch::Fresh { document, etag }, not_tried()));
    assert_eq!(none.verdict(TRUST_ANCHORS_READY), verdict("False", "NoneAdmitted"));
}

#[test]
fn a_postponed_change_is_not_reported() {
    let mut play = well();
    let before = play.status();
    let next = play.answer_at(15, exchange(public(&[2], "q"), private("a", &["127.0.0.1"], true, "g")));
    assert_eq!((play.status(), next.refused_certificates), (before, None));
    play.answer_at(30, exchange(public(&[2], "q"), private("a", &["127.0.0.1"], true, "g")));
    assert_eq!(play.verdict(INGRESS_GATEWAYS_READY), verdict("False", "AllRefused"));
    assert_eq!(play.services(), ["a.ns.svc.b.local"]);
}

#[test]
fn an_eager_pace_postpones_nothing() {
    let mut play = well();
    play.pace = Pace::Eager;
    play.answer_at(1, exchange(public(&[0, 1], "q"), private("a", GATEWAY, true, "g")));
    assert_eq!((play.roots(), play.services().len()), (vec![0, 1], 1));
}

#[test]
fn a_clock_that_was_set_back_postpones_nothing() {
    let mut play = well();
    play.answer_at(-5000, exchange(Fetch::NotModified, private("abc", GATEWAY, true, "g")));
    assert_eq!((play.services().len(), play.status().last_change_time), (3, Some(play.now())));
}

#[test]
fn a_304_holds_for_the_gateways_that_are_listed() {
    let mut play = well();
    // The cache stays as it is, and with it the tag of the document with gateways.
    play.answer_at(60, exchange(Fetch::NotModified, private("ab", &[], true, "none")));
    assert_eq!((play.gateways().len(), play.cache().private_etag.as_deref()), (1, Some("\"f\"")));
    assert_eq!(play.verdict(INGRESS_GATEWAYS_READY), verdict("False", "NoIngressGateways"));
    play.answer_at(75, exchange(Fetch::NotModified, Fetch::NotModified));
    assert_eq!(play.verdict(INGRESS_GATEWAYS_READY), verdict("True", "Accepted"));

    // A document without gateways gets no 304, since the cache has gateways that it does not list.
    play.answer_at(120, exchange(Fetch::NotModified, private("a", &[], true, "none")));
    assert_eq!((play.services().len(), play.gateways().len(), play.cache().private_etag), (1, 1, None));
    assert_eq!(play.verdict(INGRESS_GATEWAYS_READY), verdict("False", "NoIngressGateways"));
}

#[test]
fn a_lost_condition_comes_back_with_a_304() {
    let mut play = well();
    if let Some(status) = &mut play.federation.status {
        status.conditions.clear();
    }
    play.answer_at(15, exchange(Fetch::NotModified, Fetch::NotModified));
    for type_ in [PUBLIC_EXCHANGE_READY, PRIVATE_EXCHANGE_READY, TRUST_ANCHORS_READY, INGRESS_GATEWAYS_READY] {
        assert_eq!(play.verdict(type_).0, "True", "{type_}");
    }
}

#[test]
fn only_the_first_tag_is_worth_a_write() {
    let tagged = |tag| exchange(Fetch::NotModified, private_of(&[], &[gateway()], true, tag));
    let gateway_only = || private_of(&[], &[gateway()], true, None);
    let mut play = Play::after(public(&[0], "p"), gateway_only());
    assert_eq!(play.cache().private_etag, None);
    for (second, sent, held) in [
        (15, Some("1"), None),
        (30, Some("2"), Some("\"2\"")),
        (100, Some("3"), Some("\"2\"")),
        (200, None, Some("\"2\"")),
    ] {
        play.answer_at(second, tagged(sent));
        assert_eq!(play.cache().private_etag.as_deref(), held, "{second}");
    }
}

fn gateway() -> Value {
    json!({"address": "203.0.113.1", "port": 15443})
}

#[test]
fn each_peer_shows_whether_it_accepts_our_identity() {
    let refusing = || Exchange { token_refused: true, ..exchange(public(&[0], "p"), failed()) };
    let mut play = Play::new();
    play.answer(refusing());
    assert!(play.federation.condition(OWN_IDENTITY_ACCEPTED).is_none(), "our UUID is one that peers accept");
    let mut play = Play { uuid: "prod:eu", ..Play::new() };
    play.answer(refusing());
    assert_eq!(play.verdict(OWN_IDENTITY_ACCEPTED), ("False".to_owned(), "ClusterUUIDRefused".to_owned()));
    let message = play.condition(OWN_IDENTITY_ACCEPTED).message;
    for part in ["istio.federation.clusterUUID is \"prod:eu\"", "1 to 128 letters", "spec.clusterUUID"] {
        assert!(message.contains(part), "{message}");
    }
    play.answer_at(100, exchange(Fetch::NotModified, failed()));
    assert_eq!(
        play.verdict(OWN_IDENTITY_ACCEPTED).0,
        "False",
        "another failure does not show whether the peer accepts it"
    );
    play.answer_at(200, exchange(Fetch::NotModified, private("a", GATEWAY, true, "g")));
    assert_eq!(play.verdict(OWN_IDENTITY_ACCEPTED), ("True".to_owned(), "Accepted".to_owned()));
}
