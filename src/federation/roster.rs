//! The roster of all IstioFederations: their vetted trust domains and cluster UUIDs.
//!
//! Peers have no say: the spec decides, then age (oldest wins).

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::names::{TrustDomain, TrustDomainError};
use super::ourselves::Ourselves;
use super::reasons;
use crate::api::istio_federation::{IstioFederation, IstioFederationSpec, MetadataCache};

/// Why an IstioFederation's trust domain is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustDomainRefused {
    /// It is ours, or not a valid name.
    #[error("spec.trustDomain: {0}")]
    TrustDomain(#[from] TrustDomainError),
    /// An older IstioFederation has it.
    #[error("spec.trustDomain: IstioFederation/{0} has it too: set spec.sharedTrustDomain on both, or delete one")]
    Taken(String),
}

impl TrustDomainRefused {
    /// The reason that a condition shows.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TrustDomain(TrustDomainError::Name(_) | TrustDomainError::Address) => reasons::INVALID_TRUST_DOMAIN,
            Self::TrustDomain(TrustDomainError::Ours { .. }) => reasons::OWN_TRUST_DOMAIN,
            Self::Taken(_) => reasons::TRUST_DOMAIN_TAKEN,
        }
    }
}

/// Why a cluster UUID is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    #[error("the peer announces our own cluster UUID: check spec.metadataEndpoint")]
    Ours,
    /// The user named another.
    #[error("the peer announces cluster UUID {announced}, but spec.clusterUUID is {expected}")]
    Unexpected {
        /// The peer's value.
        announced: String,
        /// The user's value.
        expected: String,
    },
    /// The peer had another one until now.
    #[error(
        "the peer's cluster UUID changed from {bound} to {announced}: if that is right, set spec.clusterUUID to it"
    )]
    Changed {
        /// The peer's first value.
        bound: String,
        /// Its present value.
        announced: String,
    },
    /// It belongs to another IstioFederation.
    #[error("IstioFederation/{0} has this cluster UUID: if this peer is the right one, set spec.clusterUUID here")]
    Taken(String),
}

impl ClaimError {
    /// The reason that a condition shows.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Ours => reasons::OWN_CLUSTER_UUID,
            Self::Unexpected { .. } => reasons::CLUSTER_UUID_MISMATCH,
            Self::Changed { .. } => reasons::CLUSTER_UUID_CHANGED,
            Self::Taken(_) => reasons::CLUSTER_UUID_TAKEN,
        }
    }
}

/// The cache of a federation, if it was fetched for the trust domain that the spec has now.
#[must_use]
pub fn cache_of(federation: &IstioFederation) -> Option<&MetadataCache> {
    let cache = federation.status.as_ref()?.metadata_cache.as_ref()?;
    let source = cache.source.as_ref()?;
    (source.trust_domain == federation.spec.trust_domain).then_some(cache)
}

/// [`cache_of`], if it was also fetched from the endpoint that the spec has now: only then do its cluster UUID and entity
/// tags hold.
#[must_use]
pub fn current_cache_of(federation: &IstioFederation) -> Option<&MetadataCache> {
    cache_of(federation).filter(|cache| is_same_endpoint(cache, &federation.spec))
}

/// Whether the cache was fetched from the endpoint that the spec has now.
#[must_use]
pub(crate) fn is_same_endpoint(cache: &MetadataCache, spec: &IstioFederationSpec) -> bool {
    cache.source.as_ref().is_some_and(|source| source.metadata_endpoint == spec.metadata_endpoint)
}

/// The roster's entry for one federation.
#[derive(Clone, Debug)]
struct Entry {
    trust_domain: Result<TrustDomain, TrustDomainRefused>,
    /// Older is smaller.
    age: (Option<Timestamp>, String),
    /// `spec.clusterUUID`.
    expected: Option<String>,
    /// The UUID that it had before this run.
    bound: Option<String>,
    /// The UUID that it was given in this run.
    announced: Option<String>,
}

impl Entry {
    /// Its claim to `uuid`, best first; `None` if its spec names another UUID, or its trust domain is refused.
    fn claim_to(&self, uuid: &str) -> Option<impl Ord + '_> {
        let [named, bound, announced] =
            [&self.expected, &self.bound, &self.announced].map(|known| known.as_deref() == Some(uuid));
        let claims = self.trust_domain.is_ok() && (named || (self.expected.is_none() && (bound || announced)));
        claims.then_some((!named, !bound, &self.age))
    }
}

/// All federations, judged.
#[derive(Clone, Debug)]
pub struct Roster {
    our_uuid: String,
    entries: BTreeMap<String, Entry>,
}

impl Roster {
    /// Judges the trust domains of all federations. Their order does not matter.
    #[must_use]
    pub fn new(federations: &[IstioFederation], ours: &Ourselves) -> Self {
        let own = ours.trust_domains();
        let mut by_age: Vec<&IstioFederation> = federations.iter().collect();
        by_age.sort_by_key(|federation| age(federation));
        let mut holders: BTreeMap<&str, (&str, bool)> = BTreeMap::new();
        let mut entries = BTreeMap::new();
        for federation in by_age {
            let (name, spec) = (federation.metadata.name.as_str(), &federation.spec);
            let shared = spec.shared_trust_domain == Some(true);
            let vetted =
                TrustDomain::vet(&spec.trust_domain, &own).map_err(TrustDomainRefused::from).and_then(|trust_domain| {
                    let (holder, holder_shares) = *holders.entry(&spec.trust_domain).or_insert((name, shared));
                    if holder == name || (shared && holder_shares) {
                        Ok(trust_domain)
                    } else {
                        Err(TrustDomainRefused::Taken(holder.to_owned()))
                    }
                });
            let cache = current_cache_of(federation);
            let entry = Entry {
                trust_domain: vetted,
                age: age(federation),
                expected: spec.cluster_uuid.clone().filter(|uuid| !uuid.is_empty()),
                bound: cache.and_then(|cache| cache.public.as_ref()).map(|public| public.cluster_uuid.clone()),
                announced: None,
            };
            entries.insert(name.to_owned(), entry);
        }
        Self { our_uuid: ours.uuid.clone(), entries }
    }

    /// The vetted trust domain of a federation. `None` for a name that is not in the roster.
    #[must_use]
    pub fn trust_domain_of(&self, name: &str) -> Option<Result<&TrustDomain, &TrustDomainRefused>> {
        self.entries.get(name).map(|entry| entry.trust_domain.as_ref())
    }

    /// Lets the federation `name` have `uuid`, unless it has another or another federation has a better claim to it.
    ///
    /// In the same run an older federation may still win the UUID by announcing it later: claims are judged again once
    /// all are in.
    pub fn claim(&mut self, name: &str, uuid: &str) -> Result<(), ClaimError> {
        if uuid == self.our_uuid {
            return Err(ClaimError::Ours);
        }
        let Some(claimant) = self.entries.get_mut(name) else { return Ok(()) };
        match (&claimant.expected, claimant.bound.as_ref().or(claimant.announced.as_ref())) {
            (Some(expected), _) if expected != uuid => {
                return Err(ClaimError::Unexpected { announced: uuid.to_owned(), expected: expected.clone() });
            }
            (None, Some(bound)) if bound != uuid => {
                return Err(ClaimError::Changed { bound: bound.clone(), announced: uuid.to_owned() });
            }
            _ => claimant.announced = Some(uuid.to_owned()),
        }
        let claims = self.entries.iter().filter_map(|(name, entry)| Some((entry.claim_to(uuid)?, name)));
        match claims.min() {
            Some((_, best)) if best != name => Err(ClaimError::Taken(best.clone())),
            _ => Ok(()),
        }
    }

    /// The federation's UUID, if it may still claim it.
    pub fn identity(&mut self, name: &str) -> Result<Option<String>, ClaimError> {
        let has = |entry: &Entry| entry.bound.clone().or_else(|| entry.announced.clone());
        let Some(uuid) = self.entries.get(name).and_then(has) else { return Ok(None) };
        self.claim(name, &uuid).map(|()| Some(uuid))
    }
}

fn age(federation: &IstioFederation) -> (Option<Timestamp>, String) {
    (federation.metadata.creation_timestamp, federation.metadata.name.clone())
}

#[cfg(test)]
mod tests {
    use istio_federation_testkit as testkit;
    use serde_json::json;

    use super::*;

    fn ours() -> Ourselves {
        let values = json!({"istio": {"federation": {"clusterDomain": "a.local", "clusterUUID": "ours"}}});
        Ourselves::from_values(&serde_json::from_value(values).unwrap(), None).unwrap()
    }

    /// A federation created at the given second, bound to the UUID where there is one.
    fn federation(name: &str, second: u32, domain: &str, bound: Option<&str>) -> IstioFederation {
        let federation = testkit::federation(name).domain(domain).created(&format!("2026-01-01T00:00:{second:02}Z"));
        match bound {
            Some(uuid) => federation.cached(&json!({"public": testkit::public_document(uuid)})).read(),
            None => federation.read(),
        }
    }

    fn roster(federations: &[IstioFederation]) -> Roster {
        Roster::new(federations, &ours())
    }

    #[test]
    fn a_trust_domain_belongs_to_the_oldest_unless_all_share_it() {
        let mut old = federation("old", 1, "b.local", None);
        let mut young = federation("a-young", 2, "b.local", None);
        let refusal_of = |old: &IstioFederation, young: &IstioFederation, name: &str| {
            let pair = [young.clone(), old.clone()];
            roster(&pair).trust_domain_of(name).unwrap().err().map(ToString::to_string)
        };
        assert_eq!(refusal_of(&old, &young, "old"), None);
        assert!(refusal_of(&old, &young, "a-young").is_some_and(|reason| reason.contains("IstioFederation/old")));
        young.spec.shared_trust_domain = Some(true);
        assert!(refusal_of(&old, &young, "a-young").is_some(), "one side alone is not enough");
        old.spec.shared_trust_domain = Some(true);
        assert_eq!(refusal_of(&old, &young, "a-young"), None);
    }

    #[test]
    fn our_own_domain_is_refused() {
        let own = roster(&[federation("own", 1, "a.local", None), federation("upper", 1, "A.local", None)]);
        assert_eq!(own.trust_domain_of("own").unwrap().unwrap_err().reason(), "OwnTrustDomain");
        assert_eq!(own.trust_domain_of("upper").unwrap().unwrap_err().reason(), "InvalidTrustDomain");
        assert!(own.trust_domain_of("nobody").is_none());
    }

    #[test]
    fn the_first_exchange_binds_the_uuid() {
        let mut roster = roster(&[federation("b", 1, "b.local", None), federation("c", 2, "c.local", None)]);
        assert_eq!(roster.identity("b"), Ok(None));
        assert_eq!(roster.claim("b", "uuid-b"), Ok(()));
        assert_eq!(roster.claim("b", "uuid-b"), Ok(()));
        assert_eq!(roster.claim("b", "uuid-x").unwrap_err().reason(), "ClusterUUIDChanged");
        assert_eq!(roster.claim("c", "uuid-b"), Err(ClaimError::Taken("b".to_owned())));
        assert_eq!(roster.claim("c", "ours"), Err(ClaimError::Ours));
        assert_eq!(roster.identity("b"), Ok(Some("uuid-b".to_owned())));
    }

    #[test]
    fn two_announce_one_uuid_in_a_run_and_the_older_wins_in_either_order() {
        let [old, young] = [federation("old", 1, "b.local", None), federation("a-young", 2, "c.local", None)];
        let taken = Err(ClaimError::Taken("old".to_owned()));
        for order in [["old", "a-young"], ["a-young", "old"]] {
            let mut roster = roster(&[young.clone(), old.clone()]);
            for name in order {
                let _ = roster.claim(name, "u");
            }
            assert_eq!((roster.claim("old", "u"), roster.claim("a-young", "u")), (Ok(()), taken.clone()));
            assert_eq!((roster.identity("old"), roster.identity("a-young").ok()), (Ok(Some("u".to_owned())), None));
        }
    }

    #[test]
    fn a_bound_uuid_beats_age_and_a_uuid_in_spec_beats_both() {
        let bound = federation("bound", 2, "b.local", Some("u"));
        let mut older = federation("older", 1, "c.local", None);
        assert_eq!(
            roster(&[bound.clone(), older.clone()]).claim("older", "u"),
            Err(ClaimError::Taken("bound".to_owned()))
        );
        older.spec.cluster_uuid = Some("u".to_owned());
        let mut named = roster(&[bound, older]);
        assert_eq!(named.identity("bound"), Err(ClaimError::Taken("older".to_owned())));
        assert_eq!(named.claim("older", "u"), Ok(()));
        assert_eq!(named.claim("older", "v").unwrap_err().reason(), "ClusterUUIDMismatch");
    }

    #[test]
    fn a_change_of_uuid_is_accepted_if_spec_has_the_new_one() {
        let mut changed = federation("b", 1, "b.local", Some("u1"));
        assert!(roster(std::slice::from_ref(&changed)).claim("b", "u2").is_err());
        changed.spec.cluster_uuid = Some("u2".to_owned());
        assert_eq!(roster(&[changed]).claim("b", "u2"), Ok(()));
    }

    #[test]
    fn an_edited_spec_discards_the_old_identity() {
        for edit in [
            |spec: &mut IstioFederationSpec| spec.trust_domain = "z.local".to_owned(),
            |spec: &mut IstioFederationSpec| spec.metadata_endpoint = "https://other".to_owned(),
        ] {
            let mut edited = federation("b", 1, "b.local", Some("u1"));
            edit(&mut edited.spec);
            assert_eq!(roster(&[edited]).identity("b"), Ok(None));
        }
    }

    #[test]
    fn a_refused_trust_domain_cannot_claim_a_uuid() {
        let mut federations = vec![federation("own", 1, "a.local", Some("u")), federation("b", 2, "b.local", None)];
        assert_eq!(roster(&federations).claim("b", "u"), Ok(()));
        federations[0] = federation("own", 1, "c.local", Some("u"));
        assert!(roster(&federations).claim("b", "u").is_err(), "else the case above proves nothing");
    }
}
