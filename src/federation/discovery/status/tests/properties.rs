//! Properties that hold for any sequence of answers.

use std::collections::BTreeSet;
use std::ops::Range;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::play::{Play, exchange, failed, not_tried, private, private_of, public};
use crate::api::metadata::PublicMetadata;
use crate::federation::discovery::{Fetch, PrivateAnswer};
use crate::federation::roster::is_same_endpoint;

/// An answer that gives no reason to change anything.
#[derive(Clone, Copy, Debug)]
enum Failure {
    Failed,
    NotTried,
    NotModified,
    NoGateways { complete: bool },
    TooLarge,
}

impl Failure {
    fn public(self) -> Fetch<PublicMetadata> {
        match self {
            Self::Failed => failed(),
            Self::NotModified => Fetch::NotModified,
            _ => not_tried(),
        }
    }

    fn private(self, services: &str) -> Fetch<PrivateAnswer> {
        match self {
            Self::Failed => failed(),
            Self::NotTried => not_tried(),
            Self::NotModified => Fetch::NotModified,
            Self::NoGateways { complete } => private(services, &[], complete, "no gateways"),
            Self::TooLarge => {
                let service = json!({"hostname": "x".repeat(2 * 1024 * 1024), "ports": []});
                private_of(&[service], &[], true, Some("too large"))
            }
        }
    }
}

fn failure() -> impl Strategy<Value = Failure> {
    prop_oneof![
        4 => Just(Failure::Failed),
        4 => Just(Failure::NotTried),
        4 => Just(Failure::NotModified),
        4 => any::<bool>().prop_map(|complete| Failure::NoGateways { complete }),
        1 => Just(Failure::TooLarge),
    ]
}

/// Services and gateways as JSON, in some order.
fn document(services: &BTreeSet<u8>, gateways: &BTreeSet<u8>, turn: usize) -> (Vec<Value>, Vec<Value>) {
    let ports = |n: u8| {
        let mut ports = vec![json!({"name": "http", "port": 80}), json!({"name": format!("tcp-{n}"), "port": 90})];
        ports.rotate_left(turn % 2);
        ports
    };
    let service = |n: &u8| json!({"hostname": format!("s{n}.ns.svc.b.local"), "ports": ports(*n)});
    let mut services: Vec<_> = services.iter().map(service).collect();
    let mut gateways: Vec<_> =
        gateways.iter().map(|n| json!({"address": format!("203.0.113.{n}"), "port": 15443})).collect();
    for list in [&mut services, &mut gateways] {
        if !list.is_empty() {
            let first = turn % list.len();
            list.rotate_left(first);
            if turn.is_multiple_of(3) {
                list.reverse();
            }
            // An item that is listed twice is cached once.
            list.extend(list.first().cloned());
        }
    }
    (services, gateways)
}

fn numbers(count: Range<usize>) -> impl Strategy<Value = BTreeSet<u8>> {
    proptest::collection::btree_set(1u8..9, count)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_sequence_of_failures_changes_the_cache(
        incomplete in any::<bool>(),
        own_chain_known in any::<bool>(),
        failures in proptest::collection::vec((failure(), failure(), 0i64..200_000), 1..8),
    ) {
        let mut play = Play::after(public(&[0, 1], "p"), private("abc", &["203.0.113.1", "203.0.113.2"], true, "f"));
        let mut services = "abc";
        if incomplete {
            // Some things are missing, but not yet for long enough.
            play.answer_at(60, exchange(public(&[0], "q"), private("ab", &["203.0.113.1"], false, "g")));
            services = "ab";
        }
        let before = play.status();
        play.own_chain_known = own_chain_known;
        for (public, private, pause) in failures {
            // A fresh document is not a failure: it may lack items, but then only within the two minutes.
            let says_something = matches!(private, Failure::NoGateways { .. }) && incomplete;
            play.second += if says_something { 0 } else { pause };
            let public = if incomplete { failed() } else { public.public() };
            let private = if says_something { failed() } else { private.private(services) };
            play.answer(exchange(public, private));
            prop_assert_eq!(play.status().metadata_cache, before.metadata_cache.clone());
            prop_assert_eq!(play.status().last_change_time, before.last_change_time);
        }
    }

    #[test]
    fn an_unchanged_document_changes_nothing(
        services in numbers(0..6),
        gateways in numbers(0..5),
        roots in proptest::collection::btree_set(0usize..4, 1..4),
        complete in any::<bool>(),
        again in proptest::collection::vec((0i64..100_000, 0usize..20, any::<bool>()), 1..5),
    ) {
        let roots: Vec<usize> = roots.into_iter().collect();
        let answer = |turn| {
            let (services, gateways) = document(&services, &gateways, turn);
            private_of(&services, &gateways, complete, Some("f"))
        };
        let mut play = Play::after(public(&roots, "p"), answer(0));
        let before = play.status();
        for (pause, turn, not_modified) in again {
            play.second += pause;
            // Without gateways there is no tag, and so no 304.
            let private = if not_modified && !gateways.is_empty() { Fetch::NotModified } else { answer(turn) };
            play.answer(exchange(if not_modified { Fetch::NotModified } else { public(&roots, "p") }, private));
            prop_assert_eq!(play.status(), before.clone());
        }
    }

    #[test]
    fn a_peer_that_keeps_changing_costs_one_write_in_thirty_seconds(
        steps in proptest::collection::vec(
            (1i64..20, numbers(0..4), numbers(1..3), numbers(1..3), any::<bool>(), any::<Option<u8>>()),
            1..20,
        ),
    ) {
        let mut play = Play::new();
        let mut last_write = None;
        for (index, (pause, services, gateways, roots, complete, tag)) in steps.into_iter().enumerate() {
            play.second += pause;
            let roots: Vec<usize> = roots.into_iter().map(|n| usize::from(n) % 4).collect();
            let (services, gateways) = document(&services, &gateways, 0);
            let tag = tag.map(|tag| tag.to_string());
            let before = play.status();
            let Fetch::Fresh { document, .. } = public(&roots, "p") else { unreachable!() };
            let public = Fetch::Fresh { document, etag: tag.clone() };
            play.answer(exchange(public, private_of(&services, &gateways, complete, tag.as_deref())));
            // Conditions count too.
            if play.status() != before {
                prop_assert!(index == 0 || last_write.is_some_and(|last| play.second - last >= 30));
                last_write = Some(play.second);
            }
        }
    }

    #[test]
    fn after_an_edit_no_older_answer_is_used(
        steps in proptest::collection::vec(
            (0u8..8, any::<bool>(), any::<bool>(), any::<bool>(), 0i64..2000),
            1..25,
        ),
    ) {
        let mut play = Play::new();
        let (mut domain_edits, mut edits) = (0, 0);
        for (edit, public_good, private_good, not_modified, pause) in steps {
            play.second += pause;
            match edit {
                0 if domain_edits < 3 => {
                    domain_edits += 1;
                    edits += 1;
                    play.federation.spec.trust_domain = format!("b{domain_edits}.local");
                }
                1 => {
                    edits += 1;
                    play.federation.spec.metadata_endpoint = format!("https://b{edits}.example");
                }
                _ => {}
            }
            let (used, kept) = (play.cache(), play.cache());
            let own = is_same_endpoint(&used, &play.federation.spec);
            // Every item of the peer carries the number of edits at the time of the answer.
            let said = format!("{domain_edits}-{edits}");
            let public_answer = match public(&[domain_edits, 4 + domain_edits], &said) {
                Fetch::Fresh { mut document, etag } if public_good => {
                    document.cluster_uuid.clone_from(&said);
                    Fetch::Fresh { document, etag }
                }
                _ if own && not_modified => Fetch::NotModified,
                _ => failed(),
            };
            // As in a real exchange: a peer is asked for the private document only after its identity is known.
            let private_answer = if private_good && (own || public_answer.is_good()) {
                let service = json!({"hostname": said, "ports": []});
                private_of(&[service], &[json!({"address": "203.0.113.1", "port": 1})], true, Some(&said))
            } else {
                failed()
            };
            let answered = public_answer.is_good();
            play.answer(exchange(public_answer, private_answer));

            let cache = play.cache();
            let of_domain = |text: &str| text.starts_with(&format!("{domain_edits}-"));
            prop_assert!(play.roots().iter().all(|root| root % 4 == domain_edits), "{:?}", play.roots());
            prop_assert!(play.services().iter().all(|host| of_domain(host)), "{:?}", play.services());
            if let Some(public) = &cache.public {
                prop_assert!(of_domain(&public.cluster_uuid));
            }
            if is_same_endpoint(&cache, &play.federation.spec) {
                let tag = format!("\"{said}\"");
                prop_assert_eq!(cache.public.as_ref().map(|public| &public.cluster_uuid), Some(&said));
                prop_assert!([&cache.public_etag, &cache.private_etag].into_iter().flatten().all(|found| *found == tag));
            } else {
                prop_assert!(!answered || own, "an answer of the endpoint that the user named is not put off");
            }
            // Items that still hold are not lost either.
            prop_assert!(kept.private.is_none() || cache.private.is_some());
            prop_assert!(kept.anchors.iter().all(|old| cache.anchors.iter().any(|new| new.certificate == old.certificate)));
        }
    }
}
