//! Refusals and the number of imported services in status, written after all federations are judged together.

use std::borrow::Cow;
use std::mem;

use crate::api::istio_federation::{IstioFederation, IstioFederationStatus, ItemKind, Refused};
use crate::federation::import::Outcome;
use crate::federation::refusal::Refusal;

/// How many refusals status lists.
const LISTED: usize = 64;

/// Sets `refused`, `refusedTotal` and `importedServices` of a federation from the result of its offer, if they differ.
///
/// `certificates` are the certificates refused in this run, `anchors` those that have no anchor; `None` keeps the
/// refusals in status.
pub fn record_refusals(
    federation: &mut Cow<'_, IstioFederation>,
    outcome: Option<Outcome>,
    certificates: Option<&[Refusal]>,
    anchors: Option<&[Refusal]>,
) {
    let Some(status) = &federation.status else { return };
    let outcome = outcome.unwrap_or_default();
    let mut refused = Vec::new();
    for (kind, new) in [(ItemKind::Certificate, certificates), (ItemKind::TrustAnchor, anchors)] {
        match new {
            Some(new) => refused.extend(new.iter().cloned().map(Refused::from)),
            None => refused.extend(status.refused.iter().filter(|old| old.kind == kind).cloned()),
        }
    }
    refused.extend(outcome.refused.into_iter().map(Refused::from));
    refused.sort();
    let total = u32::try_from(refused.len()).unwrap_or(u32::MAX);
    refused.truncate(LISTED);
    let refused_total = (total > 0).then_some(total);
    let has_document = status.metadata_cache.as_ref().is_some_and(|cache| cache.private.is_some());
    let imported_services = has_document.then(|| u32::try_from(outcome.imported).unwrap_or(u32::MAX));
    let is_same = status.refused == refused
        && status.refused_total == refused_total
        && status.imported_services == imported_services;
    if !is_same && let Some(status) = &mut federation.to_mut().status {
        *status = IstioFederationStatus { refused, refused_total, imported_services, ..mem::take(status) };
    }
}

#[cfg(test)]
mod tests {
    use std::slice;

    use istio_federation_testkit as testkit;
    use serde_json::{Value, json};

    use super::*;
    use crate::federation::import::Routes;
    use crate::federation::ourselves::Ourselves;
    use crate::federation::roster::Roster;

    fn ours() -> Ourselves {
        let values = json!({"istio": {"federation": {"clusterDomain": "a.local", "clusterUUID": "a"}}});
        Ourselves::from_values(&serde_json::from_value(values).unwrap(), None).unwrap()
    }

    /// A federation for b.local with these services, after [`record_refusals`].
    fn recorded(hosts: &[String], before: &Value, certificates: Option<&[Refusal]>) -> IstioFederationStatus {
        let services: Vec<_> = hosts.iter().map(|host| testkit::service(host, &[("http", 80)])).collect();
        let cache = json!({"private": testkit::private_document("203.0.113.1", &services)});
        let federation: IstioFederation =
            testkit::federation("b").status(&json!({"refused": before})).cached(&cache).read();
        let roster = Roster::new(slice::from_ref(&federation), &ours());
        let outcome = Routes::new([&federation], &roster, &ours()).outcomes.remove("b");
        let mut federation = Cow::Owned(federation);
        record_refusals(&mut federation, outcome, certificates, None);
        federation.into_owned().status.unwrap()
    }

    fn names(status: &IstioFederationStatus) -> Vec<&str> {
        status.refused.iter().map(|refused| refused.name.as_str()).collect()
    }

    #[test]
    fn imported_services_are_counted_and_refused_ones_listed() {
        let status = recorded(&["x.ns.svc.b.local".to_owned(), "google.com".to_owned()], &json!([]), None);
        assert_eq!(
            (status.imported_services, status.refused_total, names(&status)),
            (Some(1), Some(1), vec!["google.com"])
        );
        let nothing = recorded(&[], &json!([]), None);
        assert_eq!((nothing.imported_services, nothing.refused_total), (Some(0), None));
    }

    #[test]
    fn the_list_is_bounded_and_the_total_is_not() {
        let hosts: Vec<String> = (0..1000).rev().map(|n| format!("{n:04}.example")).collect();
        let certificates = [Refusal::new(ItemKind::Certificate, "O=b", "bad")];
        let status = recorded(&hosts, &json!([]), Some(&certificates));
        assert_eq!((status.refused.len(), status.refused_total), (LISTED, Some(1001)));
        assert_eq!((status.refused[0].name.as_str(), status.refused[1].name.as_str()), ("O=b", "0000.example"));
        let shuffled: Vec<String> = hosts.iter().rev().cloned().collect();
        let same = recorded(&shuffled, &json!([]), Some(&certificates));
        assert_eq!(status, IstioFederationStatus { metadata_cache: status.metadata_cache.clone(), ..same });
    }

    #[test]
    fn certificates_that_were_not_judged_keep_their_refusals() {
        let before = json!([
            {"kind": "Certificate", "name": "O=old", "reason": "bad"},
            {"kind": "PublicService", "name": "gone.example", "reason": "bad"}
        ]);
        assert_eq!(names(&recorded(&[], &before, None)), ["O=old"]);
        assert!(recorded(&[], &before, Some(&[])).refused.is_empty());
    }

    #[test]
    fn refused_anchors_and_refused_certificates_are_separate() {
        let before = json!({"refused": [{"kind": "Certificate", "name": "O=bad", "reason": "bad"},
                                        {"kind": "TrustAnchor", "name": "O=old", "reason": "full"}]});
        let mut federation: IstioFederation = testkit::federation("b").status(&before).read();
        for (anchors, expected) in [
            (None, &["O=bad", "O=old"][..]),
            (Some(vec![Refusal::new(ItemKind::TrustAnchor, "O=new", "full")]), &["O=bad", "O=new"]),
            (Some(vec![]), &["O=bad"]),
        ] {
            let mut seen = Cow::Owned(federation.clone());
            record_refusals(&mut seen, None, None, anchors.as_deref());
            federation = seen.into_owned();
            assert_eq!(names(federation.status.as_ref().unwrap()), expected);
        }
    }

    #[test]
    fn without_a_document_no_services_are_counted_or_refused() {
        let mut federation: IstioFederation = testkit::federation("b").status(&json!({})).read();
        let mut seen = Cow::Borrowed(&federation);
        record_refusals(&mut seen, None, None, None);
        assert!(matches!(seen, Cow::Borrowed(_)), "what does not change is not copied");
        federation.status = None;
        let mut seen = Cow::Borrowed(&federation);
        record_refusals(&mut seen, None, Some(&[Refusal::new(ItemKind::Certificate, "O=b", "bad")]), Some(&[]));
        assert_eq!(seen.status, None);
    }
}
