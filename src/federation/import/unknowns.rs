//! Which existing ServiceEntries must not be withdrawn, because the services of a peer are unknown at the moment.
//!
//! A federation whose trust domain is refused does not count as unknown: its own spec, or a setting of this cluster, is the
//! cause, so its hosts are withdrawn as if the IstioFederation were deleted; a peer cannot cause this.

use super::input::PlanInput;
use crate::api::istio_federation::IstioFederation;
use crate::federation::names::{ServiceHost, TrustDomain};
use crate::federation::roster::cache_of;

/// The allowed change of an existing ServiceEntry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Everything it came from is known: the routes decide.
    Decided,
    /// Something it came from is unknown: it stays as it is.
    Unknown,
}

/// The federations that are unknown at the moment.
pub(super) struct Unknowns<'a> {
    /// Names and trust domains of federations whose services are unknown.
    federations: Vec<(&'a str, &'a TrustDomain)>,
    /// Names of all federations that could be read; `None` if all could.
    readable: Option<Vec<&'a str>>,
}

impl<'a> Unknowns<'a> {
    pub(super) fn new(input: &PlanInput<'a>) -> Self {
        let is_unknown =
            |federation: &&IstioFederation| cache_of(federation).is_none_or(|cache| cache.private.is_none());
        let names = input.federations.iter().map(|federation| federation.metadata.name.as_str());
        let federations = input.federations.iter().filter(is_unknown).filter_map(|federation| {
            let name = federation.metadata.name.as_str();
            Some((name, input.roster.trust_domain_of(name)?.ok()?))
        });
        Self { federations: federations.collect(), readable: (!input.all_read).then(|| names.collect()) }
    }

    /// Judges the ServiceEntry of `host`; `contributors` is its annotation, a list separated by commas.
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
            // If somebody removed the annotation, every peer that could have offered the host counts.
            contributors.is_none_or(|names| names.split(',').any(|other| other == *name))
                && ServiceHost::vet(host, trust_domain).is_ok()
        });
        if is_unknown { Verdict::Unknown } else { Verdict::Decided }
    }
}
