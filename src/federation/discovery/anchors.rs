//! The condition of a peer whose admitted certificates get no anchor in the mesh.

use std::borrow::Cow;

use jiff::Timestamp;

use super::messages;
use crate::api::istio_federation::IstioFederation;
use crate::api::kubernetes::Condition;
use crate::federation::conditions::{self, TRUST_ANCHORS_READY};
use crate::federation::reasons;
use crate::federation::roster::cache_of;
use crate::federation::trust::AnchorReport;

/// Sets the condition if no admitted certificate of the federation has an anchor, and resets it once one has.
///
/// `was` is the federation before this run: admission rewrites the condition in each run, so the time of its last
/// change is taken from there.
pub fn report_anchors(
    report: &AnchorReport,
    federation: &mut Cow<'_, IstioFederation>,
    was: &IstioFederation,
    now: Timestamp,
) {
    let Some(cache) = cache_of(federation).filter(|cache| !cache.anchors.is_empty()) else { return };
    let Some(status) = &federation.status else { return };
    let update = if report.has_anchor(&federation.metadata.name) {
        if federation.condition(TRUST_ANCHORS_READY).is_none_or(|condition| condition.reason != reasons::NONE_RENDERED)
        {
            return;
        }
        messages::of_anchors(cache, Some(&[]))
    } else {
        messages::of_missing_anchors(report.refused(&federation.metadata.name))
    };
    let others = status.conditions.iter().filter(|condition| condition.type_ != TRUST_ANCHORS_READY);
    let mut before: Vec<Condition> = others.cloned().collect();
    before.extend(was.condition(TRUST_ANCHORS_READY).cloned());
    let after = conditions::merge(&before, &[update], federation.metadata.generation, now);
    if status.conditions != after
        && let Some(status) = &mut federation.to_mut().status
    {
        status.conditions = after;
    }
}

#[cfg(test)]
mod tests {
    use istio_federation_testkit as testkit;
    use serde_json::json;

    use super::*;
    use crate::federation::ourselves::Ourselves;
    use crate::federation::reasons::NONE_RENDERED as NONE;
    use crate::federation::roster::Roster;
    use crate::federation::trust::{Judge, OwnChain, anchors_of_peers};

    const OWN_ROOT: &str = include_str!("../../../tests/replay/fixtures/own-root.pem");
    const PEER_ROOT: &str = include_str!("../../../tests/replay/fixtures/b-root.pem");

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// A federation with these admitted roots, and the state of its condition since second 1.
    fn federation(roots: &[&str], said: Option<(&str, &str)>) -> IstioFederation {
        let anchors: Vec<_> = roots.iter().map(|root| json!({"certificate": root, "role": "Root"})).collect();
        let federation = testkit::federation("b").cached(&json!({"anchors": anchors}));
        match said {
            Some((status, reason)) => {
                federation.condition(TRUST_ANCHORS_READY, status, reason, &at(1).to_string()).read()
            }
            None => federation.read(),
        }
    }

    /// The condition after a run at second 9 that has turned `was` into `is` so far.
    fn condition_after(was: &IstioFederation, is: &IstioFederation) -> Option<(String, String, Timestamp)> {
        let values = json!({"istio": {"federation": {"clusterDomain": "a.local", "clusterUUID": "a"}}});
        let ours = Ourselves::from_values(&serde_json::from_value(values).unwrap(), None).unwrap();
        let roster = Roster::new(std::slice::from_ref(is), &ours);
        let own = OwnChain::read(OWN_ROOT).unwrap();
        let report = AnchorReport::from(anchors_of_peers([is], &roster, &Judge::new(&own)));
        let mut after = Cow::Borrowed(is);
        report_anchors(&report, &mut after, was, at(9));
        let condition = after.status.as_ref()?.conditions.first()?.clone();
        Some((condition.status, condition.reason, condition.last_transition_time?))
    }

    fn says(status: &str, reason: &str, second: i64) -> (String, String, Timestamp) {
        (status.to_owned(), reason.to_owned(), at(second))
    }

    #[test]
    fn a_peer_without_an_anchor_is_not_ready_since_then() {
        let is = federation(&[OWN_ROOT], Some(("True", "Admitted")));
        assert_eq!(condition_after(&is, &is), Some(says("False", NONE, 9)));
        let was = federation(&[OWN_ROOT], Some(("False", NONE)));
        assert_eq!(
            condition_after(&was, &is),
            Some(says("False", NONE, 1)),
            "admission says otherwise in each run: that is no change"
        );
        assert_eq!(
            condition_after(&federation(&[], None), &federation(&[], None)),
            None,
            "nothing was admitted, nothing is said"
        );
    }

    #[test]
    fn one_anchor_is_enough() {
        let is = federation(&[OWN_ROOT, PEER_ROOT], Some(("True", "PartlyAdmitted")));
        assert_eq!(condition_after(&is, &is), Some(says("True", "PartlyAdmitted", 1)));
        let healed = federation(&[PEER_ROOT], Some(("False", NONE)));
        assert_eq!(condition_after(&healed, &healed), Some(says("True", "Admitted", 9)));
    }
}
