//! What an exchange changes in the cache.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::findings::{self, Gateways};
use super::{Exchange, Fetch, Pace};
use crate::api::istio_federation::{
    CacheSource, CachedPrivateMetadata, IstioFederation, IstioFederationStatus, MetadataCache,
};
use crate::federation::conditions;
use crate::federation::names::TrustDomain;
use crate::federation::ourselves::Ourselves;
use crate::federation::refusal::Refusal;
use crate::federation::roster::{cache_of, is_same_endpoint};
use crate::federation::rotation;
use crate::federation::trust::{self, OwnChain};
use crate::federation::withdrawal;

/// How long after a change of the cache the next is written: a peer that changes all the time costs that much and no more.
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
}

impl Judge<'_> {
    /// Absorbs an exchange with the peer of `trust_domain`. A failed request changes conditions and nothing else.
    #[must_use]
    pub fn absorb(&self, federation: &IstioFederation, trust_domain: &TrustDomain, exchange: Exchange) -> Absorbed {
        let before = cache_of(federation);
        let mut status = federation.status.clone().unwrap_or_default();
        let mut cache = before.cloned().unwrap_or_default();
        let mut findings = findings::of_exchange(trust_domain, &exchange);

        let mut refused_certificates = None;
        if exchange.public.is_good() {
            if let Fetch::Fresh { document, etag } = exchange.public {
                if !is_same_endpoint(&cache, &federation.spec) {
                    cache.private_etag = None;
                }
                cache.source = Some(CacheSource {
                    metadata_endpoint: federation.spec.metadata_endpoint.clone(),
                    trust_domain: federation.spec.trust_domain.clone(),
                });
                cache.public = Some(document);
                cache.public_etag = etag;
            }
            let refused = self.rotate(&mut cache);
            findings.push(findings::of_anchors(&cache, refused.as_deref()));
            refused_certificates = refused;
        }

        let listed = match exchange.private {
            Fetch::Fresh { document: answer, etag } => {
                let listed = Gateways { any: !answer.document.ingress_gateways.is_empty() };
                let merged = withdrawal::merge(
                    cache.private.as_ref(),
                    &cache.absent,
                    answer.document,
                    answer.complete,
                    self.now,
                );
                cache.private = Some(merged.document);
                cache.absent = merged.absent;
                cache.private_etag = etag;
                Some(listed)
            }
            Fetch::NotModified => findings::listed_before(&status.conditions),
            Fetch::NotTried { .. } | Fetch::Failed { .. } => None,
        };
        if let Some(private) = &mut cache.private {
            let old = before.and_then(|cache| cache.private.as_ref());
            self.resolve(private, old, &exchange.resolved, status.last_change_time);
            if let Some(listed) = listed {
                findings.push(findings::of_gateways(private, listed, trust_domain, self.ours));
            }
        }

        if let Some(size) = oversize(&cache) {
            findings.retain(|finding| finding.type_ != conditions::PRIVATE_EXCHANGE_READY);
            findings.push(findings::too_large(size, CACHE_LIMIT));
            cache.private = before.and_then(|cache| cache.private.clone());
            cache.private_etag = before.and_then(|cache| cache.private_etag.clone());
            cache.absent = before.map(|cache| cache.absent.clone()).unwrap_or_default();
        }
        self.settle(&mut status, federation, cache);
        status.conditions = conditions::merge(&status.conditions, &findings, federation.metadata.generation, self.now);
        Absorbed { status, refused_certificates }
    }

    /// Puts the cache into the status, where it is worth a write.
    fn settle(&self, status: &mut IstioFederationStatus, federation: &IstioFederation, mut cache: MetadataCache) {
        let Some(old) = cache_of(federation) else {
            // For another spec, the old cache stays in sight until there is a new one; nobody uses it.
            if cache.source.is_some() {
                status.last_change_time = Some(self.now);
                status.metadata_cache = Some(cache);
            }
            return;
        };
        let same_tags = |cache: &MetadataCache| MetadataCache {
            public_etag: old.public_etag.clone(),
            private_etag: old.private_etag.clone(),
            ..cache.clone()
        };
        let too_soon = status.last_change_time.is_some_and(|last| {
            let since = self.now.duration_since(last);
            self.pace == Pace::Patient && !since.is_negative() && since < WRITE_INTERVAL
        });
        let first_documents = old.private.is_none() && cache.private.is_some();
        let edited = !is_same_endpoint(old, &federation.spec);
        if same_tags(&cache) == *old {
            // A peer whose tag changes and whose document does not is not worth a write; one that begins to tag is.
            if old.public_etag.is_some() {
                cache.public_etag.clone_from(&old.public_etag);
            }
            if old.private_etag.is_some() {
                cache.private_etag.clone_from(&old.private_etag);
            }
            status.metadata_cache = Some(cache);
        } else if !too_soon || first_documents || edited {
            status.last_change_time = Some(self.now);
            status.metadata_cache = Some(cache);
        }
    }

    /// Rotates the admitted certificates. `None` while our own chain is not known.
    fn rotate(&self, cache: &mut MetadataCache) -> Option<Vec<Refusal>> {
        let own = self.own_chain?;
        let public = cache.public.as_ref()?;
        let trust::Admission { certificates, mut refused } =
            trust::admit_document(&public.root_ca, public.intermediate_cas.as_deref(), own, self.now);
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
        for gateway in &mut document.ingress_gateways {
            let known = old.into_iter().flat_map(|old| &old.ingress_gateways);
            let known = known.filter(|known| known.gateway.address == gateway.gateway.address);
            let known = known.map(|known| known.resolved.clone()).next().unwrap_or_default();
            gateway.resolved = match resolved.get(&gateway.gateway.address) {
                None => known,
                Some(new) if recent && new.iter().any(|address| known.contains(address)) => known,
                Some(new) => new.clone(),
            };
        }
    }
}

/// The size of the cache in bytes, where it is too large.
fn oversize(cache: &MetadataCache) -> Option<usize> {
    serde_json::to_vec(cache).map(|text| text.len()).ok().filter(|size| *size > CACHE_LIMIT)
}

#[cfg(test)]
mod tests;
