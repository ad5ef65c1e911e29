//! The status of a federation after an exchange.

use std::collections::BTreeMap;
use std::mem;
use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};

use super::exchange::{Exchange, Fetch, Pace, PrivateAnswer};
use super::messages;
use crate::api::istio_federation::{
    CacheSource, CachedPrivateMetadata, IstioFederation, IstioFederationSpec, IstioFederationStatus, MetadataCache,
};
use crate::api::metadata::PublicMetadata;
use crate::federation::address;
use crate::federation::conditions;
use crate::federation::names::TrustDomain;
use crate::federation::offer::GatewayOffer;
use crate::federation::ourselves::Ourselves;
use crate::federation::refusal::Refusal;
use crate::federation::roster::{cache_of, is_same_endpoint};
use crate::federation::rotation;
use crate::federation::trust::{self, Judge};
use crate::federation::withdrawal;

/// Shortest time between two writes of the cache, and before a condition gets worse: limits the cost of a flapping peer.
const WRITE_INTERVAL: SignedDuration = SignedDuration::from_secs(30);
/// How long the addresses of a gateway's name are kept while one of them is still right: large names rotate theirs.
const RESOLVE_INTERVAL: SignedDuration = SignedDuration::from_mins(2);
/// Most bytes of a peer's cache in status, as JSON.
const CACHE_LIMIT: usize = 1024 * 1024;

/// Context for judging a peer's answers.
#[derive(Clone, Copy, Debug)]
pub struct StatusContext<'a> {
    /// Our cluster.
    pub ours: &'a Ourselves,
    /// Judges certificates. `None` while our own are unknown: no root is admitted then.
    pub judge: Option<&'a Judge<'a>>,
    /// The time.
    pub now: Timestamp,
    /// How fast requests and writes repeat.
    pub pace: Pace,
}

/// The status after an exchange, and results that status does not show.
#[derive(Clone, Debug, PartialEq)]
pub struct NextStatus {
    /// The new status; its `refused`, `refusedTotal` and `importedServices` are as before: [`super::refusals`] sets them.
    pub status: IstioFederationStatus,
    /// Refused certificates; `None` if none were judged in this run.
    pub refused_certificates: Option<Vec<Refusal>>,
    /// The gateways in the new status; `None` if none were vetted in this run.
    pub gateways: Option<GatewayOffer>,
    /// How the requests ended; a condition may show it later.
    pub exchanged: Exchanged,
}

/// Whether the documents were fetched and accepted; `None` for a document that was not requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchanged {
    /// The public document.
    pub public: Option<bool>,
    /// The private document.
    pub private: Option<bool>,
}

impl StatusContext<'_> {
    /// The status after an exchange with the peer of `trust_domain`. A failed request changes conditions and nothing else.
    #[must_use]
    pub fn next_status(
        &self,
        federation: &IstioFederation,
        trust_domain: &TrustDomain,
        exchange: Exchange,
    ) -> NextStatus {
        let old = cache_of(federation);
        let mut status = federation.status.clone().unwrap_or_default();
        let mut cache = old.cloned().unwrap_or_default();
        let mut updates = messages::of_exchange(trust_domain, &exchange);
        let refused = self.ours.refused_by_peers.as_ref();
        updates.extend(refused.and_then(|refused| messages::of_own_identity(refused, &exchange)));
        let Exchange { public, private, resolved, token_refused: _, unverified: _ } = exchange;

        let mut has_public = public.is_good();
        take_public(&mut cache, &federation.spec, public);
        let mut refused_certificates = if has_public { self.rotate(&mut cache) } else { None };

        let private_etag = cache.private_etag.clone();
        let mut lists_gateways = self.take_private(&mut cache, private);
        let old_private = old.and_then(|old| old.private.as_ref());
        if let Some(private) = &mut cache.private {
            self.resolve(private, old_private, &resolved, status.last_change_time);
        }

        if let Some(size) = oversize(&cache) {
            cache.private = old_private.cloned();
            cache.private_etag = private_etag;
            cache.absent = old.map(|old| old.absent.clone()).unwrap_or_default();
            lists_gateways = None;
            let mut culprit = conditions::PRIVATE_EXCHANGE_READY;
            if oversize(&cache).is_some() {
                culprit = conditions::PUBLIC_EXCHANGE_READY;
                cache = old.cloned().unwrap_or_default();
                (has_public, refused_certificates) = (false, None);
            }
            updates.retain(|update| update.type_ != culprit);
            updates.push(messages::too_large(culprit, size, CACHE_LIMIT));
        }

        let (mut content, mut gateways) = (Vec::new(), None);
        if has_public {
            content.push(messages::of_anchors(&cache, refused_certificates.as_deref()));
        }
        if let (Some(lists_gateways), Some(private)) = (lists_gateways, &cache.private) {
            let offer = GatewayOffer::vet(&private.ingress_gateways, self.ours);
            content.push(messages::of_gateways(&offer, lists_gateways));
            gateways = Some(offer);
        }
        if self.settle(&mut status, federation, cache) {
            updates.extend(content);
        } else {
            // Status describes the cache that it holds.
            (refused_certificates, gateways) = (None, None);
        }
        let status_of = |type_| updates.iter().find(|update| update.type_ == type_).and_then(|update| update.status);
        let exchanged = Exchanged {
            public: status_of(conditions::PUBLIC_EXCHANGE_READY),
            private: status_of(conditions::PRIVATE_EXCHANGE_READY),
        };
        let generation = federation.metadata.generation;
        if self.pace == Pace::Patient {
            updates.retain(|update| {
                !conditions::is_postponed(&status.conditions, update, generation, self.now, WRITE_INTERVAL)
            });
        }
        status.conditions = conditions::merge(&status.conditions, &updates, generation, self.now);
        NextStatus { status, refused_certificates, gateways, exchanged }
    }

    /// Takes the answer to the request for the private document; returns whether the peer's newest document lists gateways.
    fn take_private(&self, cache: &mut MetadataCache, answer: Fetch<PrivateAnswer>) -> Option<bool> {
        match answer {
            Fetch::Fresh { document: PrivateAnswer { document, complete }, etag } => {
                let lists_gateways = !document.ingress_gateways.is_empty();
                let merged = withdrawal::merge(cache.private.as_ref(), &cache.absent, document, complete, self.now);
                cache.private = Some(merged.document);
                cache.absent = merged.absent;
                // The last gateways are kept if none is listed; a later 304 would look the same as for a document that lists them.
                cache.private_etag = etag.filter(|_| lists_gateways);
                Some(lists_gateways)
            }
            Fetch::NotModified => cache.private.as_ref().map(|private| !private.ingress_gateways.is_empty()),
            Fetch::NotTried { .. } | Fetch::Failed { .. } => None,
        }
    }

    /// Puts the cache into the status, unless it is the same. Returns false if that is postponed: the last change is too recent.
    fn settle(
        &self,
        status: &mut IstioFederationStatus,
        federation: &IstioFederation,
        mut cache: MetadataCache,
    ) -> bool {
        if let Some(old) = cache_of(federation) {
            // A new tag for the same document is not worth a write; the first tag is.
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
            // Nothing yet. A cache of another spec stays visible and unused until there is a new one.
            return true;
        }
        status.last_change_time = Some(self.now);
        status.metadata_cache = Some(cache);
        true
    }

    fn is_too_soon(&self, last_change: Option<Timestamp>) -> bool {
        let since = last_change.map(|last| self.now.duration_since(last));
        // A clock that was set back must not block updates.
        self.pace == Pace::Patient && since.is_some_and(|since| !since.is_negative() && since < WRITE_INTERVAL)
    }

    /// Rotates the admitted certificates. `None` while our own chain is unknown.
    fn rotate(&self, cache: &mut MetadataCache) -> Option<Vec<Refusal>> {
        let judge = self.judge?;
        let public = cache.public.as_ref()?;
        let trust::Admission { certificates, mut refused } =
            trust::admit_document(&public.root_ca, public.intermediate_cas.as_deref(), judge, &cache.anchors, self.now);
        let changed = cache.anchors_change_time.filter(|_| self.pace == Pace::Patient);
        let rotation = rotation::rotate(&cache.anchors, changed, &certificates, self.now);
        cache.anchors = rotation.kept;
        cache.anchors_change_time = rotation.changed.or(cache.anchors_change_time);
        refused.extend(rotation.refused);
        refused.sort();
        Some(refused)
    }

    /// Fills in the addresses of gateways' names: the new ones, or the old ones if a name could not be resolved.
    fn resolve(
        &self,
        document: &mut CachedPrivateMetadata,
        old: Option<&CachedPrivateMetadata>,
        resolved: &BTreeMap<String, Vec<IpAddr>>,
        last_change: Option<Timestamp>,
    ) {
        let recent = last_change.is_some_and(|last| self.now.duration_since(last) < RESOLVE_INTERVAL);
        let old = old.into_iter().flat_map(|old| &old.ingress_gateways);
        let known: BTreeMap<&str, &Vec<String>> =
            old.map(|gateway| (gateway.gateway.address.as_str(), &gateway.resolved)).collect();
        for gateway in &mut document.ingress_gateways {
            let address = gateway.gateway.address.as_str();
            let known = known.get(address).copied();
            let old: Vec<IpAddr> =
                known.iter().flat_map(|known| known.iter()).filter_map(|known| known.parse().ok()).collect();
            let is_still_right = |new: &[IpAddr]| new.iter().any(|new| old.contains(new));
            let new = resolved.get(address).filter(|new| !new.is_empty()).filter(|new| !recent || !is_still_right(new));
            // An answer without a usable address does not replace usable ones: nobody decided to withdraw those.
            let new = new.filter(|new| known.is_none() || self.is_usable(new) || !self.is_usable(&old));
            gateway.resolved = match new {
                Some(new) => new.iter().map(ToString::to_string).collect(),
                None => known.cloned().unwrap_or_default(),
            };
        }
    }

    /// Whether one of the addresses can be a peer's gateway.
    fn is_usable(&self, addresses: &[IpAddr]) -> bool {
        addresses.iter().any(|address| address::refuse(*address, &self.ours.networks).is_none())
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

/// The size of the cache in bytes, if it exceeds the limit.
fn oversize(cache: &MetadataCache) -> Option<usize> {
    serde_json::to_vec(cache).map(|text| text.len()).ok().filter(|size| *size > CACHE_LIMIT)
}

#[cfg(test)]
mod tests;
