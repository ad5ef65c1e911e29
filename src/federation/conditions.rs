//! The conditions that discovery writes, by Kubernetes' conventions: `lastTransitionTime` moves with the status alone.
//!
//! Source: Kubernetes API conventions, "Typical status properties".

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};

use crate::api::istio_federation::IstioFederation;
use crate::api::kubernetes::Condition;

/// `spec.trustDomain` can be used.
pub const TRUST_DOMAIN_ACCEPTED: &str = "TrustDomainAccepted";
/// The public document was fetched and accepted.
pub const PUBLIC_EXCHANGE_READY: &str = "PublicMetadataExchangeReady";
/// The private document was fetched and accepted.
pub const PRIVATE_EXCHANGE_READY: &str = "PrivateMetadataExchangeReady";
/// The peer's roots were admitted as trust anchors.
pub const TRUST_ANCHORS_READY: &str = "TrustAnchorsReady";
/// The peer has gateways that traffic can go to.
pub const INGRESS_GATEWAYS_READY: &str = "IngressGatewaysReady";
/// The endpoint's certificate is verified.
pub const ENDPOINT_VERIFIED: &str = "MetadataEndpointVerified";

/// The peer accepts our own identity. Only while peers of this version would refuse it.
pub const OWN_IDENTITY_ACCEPTED: &str = "OwnIdentityAccepted";

/// The condition types that discovery owns, in the order in which they stand in status. All others are left alone.
pub const OWNED: [&str; 7] = [
    TRUST_DOMAIN_ACCEPTED,
    ENDPOINT_VERIFIED,
    PUBLIC_EXCHANGE_READY,
    PRIVATE_EXCHANGE_READY,
    TRUST_ANCHORS_READY,
    INGRESS_GATEWAYS_READY,
    OWN_IDENTITY_ACCEPTED,
];

/// Most characters of a message.
const MESSAGE_LIMIT: usize = 1024;

/// A new state of one condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionUpdate {
    /// One of [`OWNED`].
    pub type_: &'static str,
    /// `None` is Unknown.
    pub status: Option<bool>,
    /// One word for programs.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
}

impl ConditionUpdate {
    /// An update.
    #[must_use]
    pub fn new(type_: &'static str, status: Option<bool>, reason: &'static str, message: impl Into<String>) -> Self {
        Self { type_, status, reason, message: message.into() }
    }
}

fn word(status: Option<bool>) -> &'static str {
    match status {
        Some(true) => "True",
        Some(false) => "False",
        None => "Unknown",
    }
}

/// All conditions after `updates`: the owned ones as [`updated`] returns them, then those of others, untouched.
#[must_use]
pub fn merge(
    before: &[Condition],
    updates: &[ConditionUpdate],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let mut merged = updated(before, updates, generation, now);
    merged.extend(before.iter().filter(|condition| !OWNED.contains(&condition.type_.as_str())).cloned());
    merged
}

/// The owned conditions after `updates`: in the order of [`OWNED`]; a condition without an update stays as it was in `before`.
fn updated(
    before: &[Condition],
    updates: &[ConditionUpdate],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let owned = OWNED.into_iter().filter_map(|type_| {
        let old = before.iter().find(|condition| condition.type_ == type_);
        let Some(update) = updates.iter().find(|update| update.type_ == type_) else { return old.cloned() };
        let status = word(update.status);
        let since = old.filter(|old| old.status == status).and_then(|old| old.last_transition_time);
        Some(Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: update.reason.to_owned(),
            message: update.message.chars().take(MESSAGE_LIMIT).collect(),
            last_transition_time: since.or(Some(now)),
            last_probe_time: None,
            observed_generation: generation,
        })
    });
    owned.collect()
}

/// Removes the condition of that type.
pub fn remove(federation: &mut Cow<'_, IstioFederation>, type_: &str) {
    if federation.condition(type_).is_some()
        && let Some(status) = &mut federation.to_mut().status
    {
        status.conditions.retain(|condition| condition.type_ != type_);
    }
}

/// Whether an update is not written yet: its last change is less than `interval` ago, and it gets worse.
///
/// A flapping peer therefore costs few writes. A recovery and the result of a new spec are shown at once.
#[must_use]
pub fn is_postponed(
    before: &[Condition],
    update: &ConditionUpdate,
    generation: Option<i64>,
    now: Timestamp,
    interval: SignedDuration,
) -> bool {
    let Some(old) = before.iter().find(|condition| condition.type_ == update.type_) else { return false };
    let age = old.last_transition_time.map(|since| now.duration_since(since));
    update.status != Some(true)
        && old.status != word(update.status)
        && old.observed_generation == generation
        // A clock that was set back must not block updates.
        && age.is_some_and(|age| !age.is_negative() && age < interval)
}

/// The owned ones among `conditions`, in the order of [`OWNED`].
#[must_use]
pub fn owned(conditions: &[Condition]) -> Vec<Condition> {
    let find = |type_: &str| conditions.iter().find(|condition| condition.type_ == type_).cloned();
    OWNED.into_iter().filter_map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transition_time_moves_with_the_status_alone() {
        let [early, late, later]: [Timestamp; 3] = [10, 20, 30].map(|second| Timestamp::from_second(second).unwrap());
        let find = |status, message: &str| [ConditionUpdate::new(PUBLIC_EXCHANGE_READY, status, "R", message)];
        let first = updated(&[], &find(Some(false), "one"), Some(1), early);
        assert_eq!((first[0].status.as_str(), first[0].last_transition_time), ("False", Some(early)));
        let second = updated(&first, &find(Some(false), "two"), Some(2), late);
        assert_eq!((second[0].message.as_str(), second[0].last_transition_time), ("two", Some(early)));
        assert_eq!(second[0].observed_generation, Some(2));
        let third = updated(&second, &find(Some(true), ""), Some(2), later);
        assert_eq!(third[0].last_transition_time, Some(later));
    }

    #[test]
    fn conditions_without_an_update_stay_and_those_of_others_are_not_returned() {
        let now = Timestamp::from_second(10).unwrap();
        let foreign = Condition { type_: "DataplaneConnectionReady".to_owned(), ..Condition::default() };
        let mut before = updated(&[], &[ConditionUpdate::new(ENDPOINT_VERIFIED, Some(true), "R", "")], Some(1), now);
        before.insert(0, foreign);
        let after =
            updated(&before, &[ConditionUpdate::new(TRUST_DOMAIN_ACCEPTED, None, "R", "x".repeat(5000))], Some(2), now);
        let types: Vec<_> = after.iter().map(|condition| condition.type_.as_str()).collect();
        assert_eq!(types, [TRUST_DOMAIN_ACCEPTED, ENDPOINT_VERIFIED]);
        assert_eq!((after[0].message.len(), after[1].observed_generation), (MESSAGE_LIMIT, Some(1)));
        assert_eq!(owned(&before).len(), 1);
    }
}
