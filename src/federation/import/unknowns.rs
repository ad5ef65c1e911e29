//! What is not known of the peers now, and so must not be withdrawn.
//!
//! A federation whose trust domain is refused is not among it: that follows from what its user, or the settings of this cluster,
//! say of it, so its hosts go as they go with the IstioFederation itself. Nothing that a peer sends makes it so.

use super::plan::World;
use crate::api::istio_federation::IstioFederation;
use crate::federation::names::{ServiceHost, TrustDomain};
use crate::federation::roster::cache_of;

/// What may happen to a ServiceEntry that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All that it came from is known: it is what the routes say.
    Decided,
    /// Something that it came from is not known: it stays as it is.
    Unknown,
}

/// What is not known, and so must not be withdrawn.
pub(super) struct Unknowns<'a> {
    /// Names and trust domains of federations whose services are not known.
    federations: Vec<(&'a str, &'a TrustDomain)>,
    /// Names of all federations that could be read, where some could not.
    readable: Option<Vec<&'a str>>,
}

impl<'a> Unknowns<'a> {
    pub(super) fn new(world: &World<'a>) -> Self {
        let is_unknown =
            |federation: &&IstioFederation| cache_of(federation).is_none_or(|cache| cache.private.is_none());
        let names = world.federations.iter().map(|federation| federation.metadata.name.as_str());
        let federations = world.federations.iter().filter(is_unknown).filter_map(|federation| {
            let name = federation.metadata.name.as_str();
            Some((name, world.roster.standing(name)?.ok()?))
        });
        Self { federations: federations.collect(), readable: (!world.all_read).then(|| names.collect()) }
    }

    /// Judges the ServiceEntry of that name and those contributors (a list separated by commas), where it has any.
    pub(super) fn verdict(&self, host: &str, contributors: Option<&str>) -> Verdict {
        if self.readable.is_none() && self.federations.is_empty() {
            return Verdict::Decided;
        }
        if let Some(readable) = &self.readable
            && contributors.is_none_or(|names| names.split(',').any(|name| !readable.contains(&name)))
        {
            return Verdict::Unknown;
        }
        let is_unknown = self.federations.iter().any(|(name, trust_domain)| {
            // Somebody may have edited the annotation away: then whoever could have offered the host counts.
            contributors.is_none_or(|names| names.split(',').any(|other| other == *name))
                && ServiceHost::vet(host, trust_domain).is_ok()
        });
        if is_unknown { Verdict::Unknown } else { Verdict::Decided }
    }
}
