//! What an exchange changes in the cache.

use std::collections::BTreeMap;
use std::mem;

use jiff::{SignedDuration, Timestamp};

use super::findings::{self, Gateways};
use super::{Exchange, Fetch, Pace, PrivateAnswer};
use crate::api::istio_federation::{
    CacheSource, CachedPrivateMetadata, IstioFederation, IstioFederationSpec, IstioFederationStatus, MetadataCache,
};
use crate::api::metadata::PublicMetadata;
use crate::federation::address;
use crate::federation::conditions;
use crate::federation::names::TrustDomain;
use crate::federation::ourselves::Ourselves;
use crate::federation::refusal::Refusal;
use crate::federation::roster::{cache_of, is_same_endpoint};
use crate::federation::rotation;
use crate::federation::trust::{self, OwnChain};
use crate::federation::withdrawal;

/// How long after a change of the cache the next is written, and how long a condition stays before it gets worse: a peer
/// that changes all the time costs that much and no more.
const WRITE_INTERVAL: SignedDuration = SignedDuration::from_secs(30);
/// How long resolved addresses of a gateway's name are kept while one of them is still right: large names rotate.
const RESOLVE_INTERVAL: SignedDuration = SignedDuration::from_mins(2);
/// Most bytes of what is kept of a peer in status.
const CACHE_LIMIT: usize = 1024 * 1024;

/// What judging a peer's answers needs besides the answers.
#[derive(Clone, Copy, Debug)]
pub struct Judge<'a> {
    /// Our cluster.
    pub ours: &'a Ourselves,
    /// Our own certificates; `None` while they are not known, and then no root is admitted.
    pub own_chain: Option<&'a OwnChain>,
    /// The time.
    pub now: Timestamp,
    /// How patiently.
    pub pace: Pace,
}

/// The status after an exchange, and which of the peer's certificates were refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Absorbed {
    /// The new status; its `refused`, `refusedTotal` and `importedServices` are as before: [`super::refusals`] sets them.
    pub status: IstioFederationStatus,
    /// Refused certificates; `None` where none were looked at.
    pub refused_certificates: Option<Vec<Refusal>>,
    /// How the requests ended, whatever the conditions say yet.
    pub exchanged: Exchanged,
}

/// Whether the documents could be had; `None` where one was not asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchanged {
    /// The public document.
    pub public: Option<bool>,
    /// The private document.
    pub private: Option<bool>,
}

impl Judge<'_> {
    /// Absorbs an exchange with the peer of `trust_domain`. A failed request changes conditions and nothing else.
    #[must_use]
    pub fn absorb(&self, federation: &IstioFederation, trust_domain: &TrustDomain, exchange: Exchange) -> Absorbed {
        let old = cache_of(federation);
        let mut status = federation.status.clone().unwrap_or_default();
        let mut cache = old.cloned().unwrap_or_default();
        let mut findings = findings::of_exchange(trust_domain, &exchange);
        let Exchange { public, private, resolved, unverified: _ } = exchange;

        let mut has_public = public.is_good();
        take_public(&mut cache, &federation.spec, public);
        let mut refused_certificates = if has_public { self.rotate(&mut cache) } else { None };

        let private_etag = cache.private_etag.clone();
        let mut listed = self.take_private(&mut cache, private);
        let old_private = old.and_then(|old| old.private.as_ref());
        if let Some(private) = &mut cache.private {
            self.resolve(private, old_private, &resolved, status.last_change_time);
        }

        if let Some(size) = oversize(&cache) {
            cache.private = old_private.cloned();
            cache.private_etag = private_etag;
            cache.absent = old.map(|old| old.absent.clone()).unwrap_or_default();
            listed = None;
            let mut culprit = conditions::PRIVATE_EXCHANGE_READY;
            if oversize(&cache).is_some() {
                culprit = conditions::PUBLIC_EXCHANGE_READY;
                cache = old.cloned().unwrap_or_default();
                (has_public, refused_certificates) = (false, None);
            }
            findings.retain(|finding| finding.type_ != culprit);
            findings.push(findings::too_large(culprit, size, CACHE_LIMIT));
        }

        let mut content = Vec::new();
        if has_public {
            content.push(findings::of_anchors(&cache, refused_certificates.as_deref()));
        }
        if let (Some(listed), Some(private)) = (listed, &cache.private) {
            content.push(findings::of_gateways(private, listed, trust_domain, self.ours));
        }
        if self.settle(&mut status, federation, cache) {
            findings.extend(content);
        } else {
            // What status says is of the cache that it holds.
            refused_certificates = None;
        }
        let status_of =
            |type_| findings.iter().find(|finding| finding.type_ == type_).and_then(|finding| finding.status);
        let exchanged = Exchanged {
            public: status_of(conditions::PUBLIC_EXCHANGE_READY),
            private: status_of(conditions::PRIVATE_EXCHANGE_READY),
        };
        let generation = federation.metadata.generation;
        if self.pace == Pace::Patient {
            findings.retain(|finding| {
                !conditions::is_put_off(&status.conditions, finding, generation, self.now, WRITE_INTERVAL)
            });
        }
        status.conditions = conditions::merge(&status.conditions, &findings, generation, self.now);
        Absorbed { status, refused_certificates, exchanged }
    }

    /// Takes the answer to the request for the private document, and tells whether the peer's document lists gateways.
    fn take_private(&self, cache: &mut MetadataCache, answer: Fetch<PrivateAnswer>) -> Option<Gateways> {
        match answer {
            Fetch::Fresh { document: PrivateAnswer { document, complete }, etag } => {
                let listed = Gateways::of(&document.ingress_gateways);
                let merged = withdrawal::merge(cache.private.as_ref(), &cache.absent, document, complete, self.now);
                cache.private = Some(merged.document);
                cache.absent = merged.absent;
                // Gateways are kept when none is listed: a 304 could not tell that from a document that lists them.
                cache.private_etag = etag.filter(|_| listed == Gateways::Listed);
                Some(listed)
            }
            Fetch::NotModified => cache.private.as_ref().map(|private| Gateways::of(&private.ingress_gateways)),
            Fetch::NotTried { .. } | Fetch::Failed { .. } => None,
        }
    }

    /// Puts the cache into the status, unless it is the same. False where that is put off: the last time was just now.
    fn settle(
        &self,
        status: &mut IstioFederationStatus,
        federation: &IstioFederation,
        mut cache: MetadataCache,
    ) -> bool {
        if let Some(old) = cache_of(federation) {
            // A tag that changes while its document does not is not worth a write; one where there was none is.
            let public_etag = mem::replace(&mut cache.public_etag, old.public_etag.clone());
            let private_etag = mem::replace(&mut cache.private_etag, old.private_etag.clone());
            let same_documents = cache == *old;
            if !same_documents || old.public_etag.is_none() {
                cache.public_etag = public_etag;
            }
            if !same_documents || old.private_etag.is_none() {
                cache.private_etag = private_etag;
            }
            if cache == *old {
                return true;
            }
            let is_awaited =
                (old.private.is_none() && cache.private.is_some()) || !is_same_endpoint(old, &federation.spec);
            if self.is_too_soon(status.last_change_time) && !is_awaited {
                return false;
            }
        } else if cache.source.is_none() {
            // Nothing yet. A cache of another spec stays in sight until there is a new one; nobody uses it.
            return true;
        }
        status.last_change_time = Some(self.now);
        status.metadata_cache = Some(cache);
        true
    }

    fn is_too_soon(&self, last_change: Option<Timestamp>) -> bool {
        let since = last_change.map(|last| self.now.duration_since(last));
        // A clock that was set back must not stop us.
        self.pace == Pace::Patient && since.is_some_and(|since| !since.is_negative() && since < WRITE_INTERVAL)
    }

    /// Rotates the admitted certificates. `None` while our own chain is not known.
    fn rotate(&self, cache: &mut MetadataCache) -> Option<Vec<Refusal>> {
        let own = self.own_chain?;
        let public = cache.public.as_ref()?;
        let trust::Admission { certificates, mut refused } =
            trust::admit_document(&public.root_ca, public.intermediate_cas.as_deref(), own, &cache.anchors, self.now);
        let changed = cache.anchors_change_time.filter(|_| self.pace == Pace::Patient);
        let rotation = rotation::rotate(&cache.anchors, changed, &certificates, self.now);
        cache.anchors = rotation.kept;
        cache.anchors_change_time = rotation.changed.or(cache.anchors_change_time);
        refused.extend(rotation.refused);
        refused.sort();
        Some(refused)
    }

    /// Fills in the addresses of gateways' names: the new ones, or the old ones where a name could not be resolved.
    fn resolve(
        &self,
        document: &mut CachedPrivateMetadata,
        old: Option<&CachedPrivateMetadata>,
        resolved: &BTreeMap<String, Vec<String>>,
        last_change: Option<Timestamp>,
    ) {
        let recent = last_change.is_some_and(|last| self.now.duration_since(last) < RESOLVE_INTERVAL);
        let old = old.into_iter().flat_map(|old| &old.ingress_gateways);
        let known: BTreeMap<&str, &Vec<String>> =
            old.map(|gateway| (gateway.gateway.address.as_str(), &gateway.resolved)).collect();
        for gateway in &mut document.ingress_gateways {
            let address = gateway.gateway.address.as_str();
            let known = known.get(address).copied();
            let is_still_right = |new: &[String]| known.is_some_and(|known| new.iter().any(|new| known.contains(new)));
            let new = resolved.get(address).filter(|new| !new.is_empty()).filter(|new| !recent || !is_still_right(new));
            // An answer that leads nowhere does not replace one that did: what it would withdraw, nobody decided to.
            let new = new.filter(|new| known.is_none_or(|known| self.is_usable(new) || !self.is_usable(known)));
            gateway.resolved = new.or(known).cloned().unwrap_or_default();
        }
    }

    /// Whether one of the addresses can be a peer's gateway.
    fn is_usable(&self, addresses: &[String]) -> bool {
        let mut parsed = addresses.iter().filter_map(|address| address.parse().ok());
        parsed.any(|address| address::refuse(address, &self.ours.networks).is_none())
    }
}

/// Takes the answer to the request for the public document.
fn take_public(cache: &mut MetadataCache, spec: &IstioFederationSpec, answer: Fetch<PublicMetadata>) {
    let Fetch::Fresh { document, etag } = answer else { return };
    if !is_same_endpoint(cache, spec) {
        cache.private_etag = None;
    }
    cache.source = Some(CacheSource {
        metadata_endpoint: spec.metadata_endpoint.clone(),
        trust_domain: spec.trust_domain.clone(),
    });
    cache.public = Some(document);
    cache.public_etag = etag;
}

/// The size of the cache in bytes, where it is too large.
fn oversize(cache: &MetadataCache) -> Option<usize> {
    serde_json::to_vec(cache).map(|text| text.len()).ok().filter(|size| *size > CACHE_LIMIT)
}

#[cfg(test)]
mod tests;
