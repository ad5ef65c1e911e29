//! The rule for withdrawing items that a peer no longer lists.
//!
//! At once if the document is marked complete, else after it was missing from two fresh documents at least two minutes apart.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::api::istio_federation::{Absence, CachedPrivateMetadata, ItemKind};
use crate::api::metadata::IngressGateway;

/// How long something must be missing. Deckhouse's exporter serves partial lists while its caches fill.
const PATIENCE: SignedDuration = SignedDuration::from_mins(2);

/// The cache after a fresh document, and the items that are missing but not withdrawn yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Merged {
    /// The document to cache.
    pub(crate) document: CachedPrivateMetadata,
    /// Items that are kept although the fresh document lacks them.
    pub(crate) absent: Vec<Absence>,
}

/// Merges a fresh, normalized document into the cached one. A 304 is not a fresh document.
///
/// An empty list of gateways withdraws none: services that cannot be reached would be useless.
#[must_use]
pub(crate) fn merge(
    cached: Option<&CachedPrivateMetadata>,
    absent: &[Absence],
    fresh: CachedPrivateMetadata,
    complete: bool,
    now: Timestamp,
) -> Merged {
    let mut merged = Merged { document: fresh, absent: Vec::new() };
    let Some(cached) = cached else { return merged };
    let first_missing: BTreeMap<(ItemKind, &str), Timestamp> =
        absent.iter().map(|absence| ((absence.kind, absence.name.as_str()), absence.since)).collect();
    let mut keeps = |kind: ItemKind, name: String| {
        // A time in the future comes from a wrong clock.
        let since = first_missing.get(&(kind, name.as_str())).copied().filter(|since| *since <= now).unwrap_or(now);
        let keep = !complete && now.duration_since(since) < PATIENCE;
        if keep {
            merged.absent.push(Absence { kind, name, since });
        }
        keep
    };

    let services = &mut merged.document.public_services;
    let listed: BTreeSet<String> = services.iter().map(|service| service.hostname.clone()).collect();
    for old in &cached.public_services {
        if !listed.contains(&old.hostname) && keeps(ItemKind::PublicService, old.hostname.clone()) {
            services.push(old.clone());
        }
    }
    services.sort();

    let gateways = &mut merged.document.ingress_gateways;
    if gateways.is_empty() {
        gateways.clone_from(&cached.ingress_gateways);
    } else {
        let listed: BTreeSet<IngressGateway> = gateways.iter().map(|gateway| gateway.gateway.clone()).collect();
        for old in &cached.ingress_gateways {
            let name = format!("{}:{}", old.gateway.address, old.gateway.port);
            if !listed.contains(&old.gateway) && keeps(ItemKind::IngressGateway, name) {
                gateways.push(old.clone());
            }
        }
        gateways.sort();
    }
    merged.absent.sort();
    merged
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// A document with the services and gateways of those letters.
    fn document(services: &str, gateways: &str) -> CachedPrivateMetadata {
        let services: Vec<_> = services.chars().map(|c| json!({"hostname": c.to_string(), "ports": []})).collect();
        let gateways: Vec<_> = gateways.chars().map(|c| json!({"address": c.to_string(), "port": 1})).collect();
        serde_json::from_value(json!({"publicServices": services, "ingressGateways": gateways})).unwrap()
    }

    #[test]
    fn a_complete_document_decides_at_once() {
        let merged = merge(Some(&document("ab", "xy")), &[], document("a", "y"), true, at(0));
        assert_eq!(merged, Merged { document: document("a", "y"), absent: vec![] });
        assert_eq!(merge(Some(&document("ab", "x")), &[], document("", "x"), true, at(0)).document, document("", "x"));
    }

    #[test]
    fn a_document_without_the_mark_needs_two_minutes() {
        let cached = document("ab", "xy");
        let first = merge(Some(&cached), &[], document("a", "y"), false, at(0));
        assert_eq!(first.document, cached);
        let names: Vec<_> = first.absent.iter().map(|absence| (absence.name.as_str(), absence.since)).collect();
        assert_eq!(names, [("x:1", at(0)), ("b", at(0))]);
        let later = merge(Some(&first.document), &first.absent, document("a", "y"), false, at(119));
        assert_eq!(later, first, "nothing to write");
        let done = merge(Some(&first.document), &first.absent, document("a", "y"), false, at(120));
        assert_eq!(done, Merged { document: document("a", "y"), absent: vec![] });
    }

    #[test]
    fn a_host_that_comes_back_starts_again() {
        let cached = document("ab", "x");
        let gone = merge(Some(&cached), &[], document("a", "x"), false, at(0));
        let back = merge(Some(&gone.document), &gone.absent, document("ab", "x"), false, at(60));
        assert_eq!(back, Merged { document: document("ab", "x"), absent: vec![] });
        let again = merge(Some(&back.document), &back.absent, document("a", "x"), false, at(130));
        assert_eq!(again.document, cached);
    }

    #[test]
    fn a_clock_that_was_set_back_keeps_nothing_forever() {
        let cached = document("ab", "x");
        let ahead = merge(Some(&cached), &[], document("a", "x"), false, at(100_000));
        let back = merge(Some(&ahead.document), &ahead.absent, document("a", "x"), false, at(0));
        assert_eq!(back.absent[0].since, at(0));
        let later = merge(Some(&back.document), &back.absent, document("a", "x"), false, at(120));
        assert_eq!(later.document, document("a", "x"));
    }

    #[test]
    fn an_empty_list_of_gateways_withdraws_none() {
        for complete in [true, false] {
            for second in [0, 1000] {
                let absent = [Absence { kind: ItemKind::IngressGateway, name: "x:1".to_owned(), since: at(0) }];
                let merged = merge(Some(&document("a", "xy")), &absent, document("a", ""), complete, at(second));
                assert_eq!(merged.document, document("a", "xy"));
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_is_withdrawn_within_two_minutes_of_its_last_listing(
            steps in proptest::collection::vec(("[a-d]{0,4}", "[w-z]{0,3}", 0i64..90), 1..12)
        ) {
            let (mut cached, mut absent, mut now) = (None, Vec::new(), 0);
            let mut seen = std::collections::BTreeMap::new();
            for (services, gateways, pause) in steps {
                now += pause;
                let fresh = document(&services, &gateways);
                for service in &fresh.public_services {
                    seen.insert(service.hostname.clone(), now);
                }
                let merged = merge(cached.as_ref(), &absent, fresh.clone(), false, at(now));
                for (host, last) in &seen {
                    let there = merged.document.public_services.iter().any(|service| service.hostname == *host);
                    prop_assert!(there || now - last >= 120, "{host} went {} s after it was last listed", now - last);
                }
                let twice = merge(Some(&merged.document), &merged.absent, fresh, false, at(now));
                prop_assert_eq!(&twice.absent, &merged.absent);
                cached = Some(merged.document);
                absent = merged.absent;
            }
        }
    }
}
