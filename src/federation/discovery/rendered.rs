//! What becomes of a peer's admitted certificates beside those of all others: some get no anchor in the mesh.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::findings;
use crate::api::istio_federation::IstioFederation;
use crate::api::kubernetes::Condition;
use crate::federation::conditions::{self, Finding, TRUST_ANCHORS_READY};
use crate::federation::refusal::Refusal;
use crate::federation::roster::{Roster, cache_of};
use crate::federation::trust::{self, Anchors, OwnChain, PeerCertificates};

/// Reason of the condition where a peer has no anchor although certificates of it were admitted.
const NONE: &str = "NoneRendered";

/// The anchors of all federations that are fit. One function for the mesh and for status: what one does, the other says.
#[must_use]
pub fn anchors<'a>(
    federations: impl IntoIterator<Item = &'a IstioFederation>,
    roster: &'a Roster,
    own: &OwnChain,
) -> Anchors {
    let peers = federations.into_iter().filter_map(|federation| {
        let name = federation.metadata.name.as_str();
        let trust_domain = roster.standing(name)?.ok()?;
        let certificates = cache_of(federation)?.anchors.as_slice();
        (!certificates.is_empty()).then_some(PeerCertificates { federation: name, trust_domain, certificates })
    });
    trust::anchors(&peers.collect::<Vec<_>>(), own)
}

/// Who has an anchor, and what has none.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    names: BTreeSet<String>,
    refused: BTreeMap<String, Vec<Refusal>>,
}

impl From<Anchors> for Rendered {
    fn from(anchors: Anchors) -> Self {
        let mut rendered = Self::default();
        rendered.names.extend(anchors.entries.into_iter().flat_map(|entry| entry.federations));
        for (federation, refusal) in anchors.refused {
            rendered.refused.entry(federation).or_default().push(refusal);
        }
        rendered
    }
}

impl Rendered {
    /// What of the federation `name` has no anchor.
    #[must_use]
    pub fn refused(&self, name: &str) -> &[Refusal] {
        self.refused.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// Lets the federation's condition say where none of its admitted certificates has an anchor, and no longer where one has.
    ///
    /// `was` is the federation before this run: what it said then and says again has not changed since.
    pub fn tell(&self, federation: &mut Cow<'_, IstioFederation>, was: &IstioFederation, now: Timestamp) {
        let is_ours = |condition: &&Condition| is_about_anchors(condition);
        let Some(cache) = cache_of(federation).filter(|cache| !cache.anchors.is_empty()) else { return };
        let Some(status) = &federation.status else { return };
        let finding = if self.names.contains(&federation.metadata.name) {
            if status.conditions.iter().find(is_ours).is_none_or(|said| said.reason != NONE) {
                return;
            }
            findings::of_anchors(cache, Some(&[]))
        } else {
            let first = self.refused(&federation.metadata.name).first();
            let because = first.map(|first| format!(": {}: {}", first.name, first.reason)).unwrap_or_default();
            let message = format!("no admitted certificate has an anchor in the mesh{because}");
            Finding::new(TRUST_ANCHORS_READY, Some(false), NONE, message)
        };
        let mut before: Vec<_> = status.conditions.iter().filter(|said| !is_about_anchors(said)).cloned().collect();
        before.extend(was.status.iter().flat_map(|status| &status.conditions).find(is_ours).cloned());
        let after = conditions::merge(&before, &[finding], federation.metadata.generation, now);
        if status.conditions != after
            && let Some(status) = &mut federation.to_mut().status
        {
            status.conditions = after;
        }
    }
}

fn is_about_anchors(condition: &Condition) -> bool {
    condition.type_ == TRUST_ANCHORS_READY
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::federation::ourselves::Ourselves;

    const OWN_ROOT: &str = include_str!("../../../tests/replay/fixtures/own-root.pem");
    const PEER_ROOT: &str = include_str!("../../../tests/replay/fixtures/b-root.pem");

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// A federation with these admitted roots, and what its condition said since second 1.
    fn federation(roots: &[&str], said: Option<(&str, &str)>) -> IstioFederation {
        let anchors: Vec<_> = roots.iter().map(|root| json!({"certificate": root, "role": "Root"})).collect();
        let condition = said.map(|(status, reason)| {
            json!({"type": TRUST_ANCHORS_READY, "status": status, "reason": reason, "message": "", "lastTransitionTime": at(1)})
        });
        serde_json::from_value(json!({
            "metadata": {"name": "b"},
            "spec": {"trustDomain": "b.local", "metadataEndpoint": "https://b"},
            "status": {"conditions": condition.into_iter().collect::<Vec<_>>(), "metadataCache": {
                "source": {"trustDomain": "b.local", "metadataEndpoint": "https://b"}, "anchors": anchors}}
        }))
        .unwrap()
    }

    /// What the condition says after a run at second 9, where `is` is what the run made of `was` until then.
    fn told(was: &IstioFederation, is: &IstioFederation) -> Option<(String, String, Timestamp)> {
        let values = json!({"istio": {"federation": {"clusterDomain": "a.local", "clusterUUID": "a"}}});
        let ours = Ourselves::from_values(&serde_json::from_value(values).unwrap(), None).unwrap();
        let roster = Roster::new(std::slice::from_ref(is), &ours);
        let rendered = Rendered::from(anchors([is], &roster, &OwnChain::read(OWN_ROOT).unwrap()));
        let mut seen = Cow::Borrowed(is);
        rendered.tell(&mut seen, was, at(9));
        let condition = seen.status.as_ref()?.conditions.first()?.clone();
        Some((condition.status, condition.reason, condition.last_transition_time?))
    }

    fn says(status: &str, reason: &str, second: i64) -> (String, String, Timestamp) {
        (status.to_owned(), reason.to_owned(), at(second))
    }

    #[test]
    fn a_peer_without_an_anchor_is_not_ready_since_then() {
        let is = federation(&[OWN_ROOT], Some(("True", "Admitted")));
        assert_eq!(told(&is, &is), Some(says("False", NONE, 9)));
        let was = federation(&[OWN_ROOT], Some(("False", NONE)));
        assert_eq!(
            told(&was, &is),
            Some(says("False", NONE, 1)),
            "admission says otherwise in each run: that is no change"
        );
        assert_eq!(told(&federation(&[], None), &federation(&[], None)), None, "nothing was admitted, nothing is said");
    }

    #[test]
    fn one_anchor_is_enough() {
        let is = federation(&[OWN_ROOT, PEER_ROOT], Some(("True", "PartlyAdmitted")));
        assert_eq!(told(&is, &is), Some(says("True", "PartlyAdmitted", 1)));
        let healed = federation(&[PEER_ROOT], Some(("False", NONE)));
        assert_eq!(told(&healed, &healed), Some(says("True", "Admitted", 9)));
    }
}
