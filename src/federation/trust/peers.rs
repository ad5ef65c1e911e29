//! From all federations to the anchors of the mesh, and the certificates without an anchor.

use std::collections::{BTreeMap, BTreeSet};

use super::anchor_list::{AnchorList, PeerCertificates, build_anchors};
use super::judge::Judge;
use crate::api::istio_federation::IstioFederation;
use crate::federation::refusal::Refusal;
use crate::federation::roster::{Roster, cache_of};

/// The anchors of all federations whose trust domain is accepted. The mesh and status use this same function.
#[must_use]
pub fn anchors_of_peers<'a>(
    federations: impl IntoIterator<Item = &'a IstioFederation>,
    roster: &'a Roster,
    judge: &Judge<'_>,
) -> AnchorList {
    let peers = federations.into_iter().filter_map(|federation| {
        let name = federation.metadata.name.as_str();
        let trust_domain = roster.trust_domain_of(name)?.ok()?;
        let certificates = cache_of(federation)?.anchors.as_slice();
        (!certificates.is_empty()).then_some(PeerCertificates { federation: name, trust_domain, certificates })
    });
    build_anchors(&peers.collect::<Vec<_>>(), judge)
}

/// Which federations have an anchor in the mesh, and which certificates have none.
#[derive(Clone, Debug, Default)]
pub struct AnchorReport {
    names: BTreeSet<String>,
    refused: BTreeMap<String, Vec<Refusal>>,
}

impl From<AnchorList> for AnchorReport {
    fn from(anchors: AnchorList) -> Self {
        let mut report = Self::default();
        report.names.extend(anchors.entries.into_iter().flat_map(|entry| entry.federations));
        for (federation, refusal) in anchors.refused {
            report.refused.entry(federation).or_default().push(refusal);
        }
        report
    }
}

impl AnchorReport {
    /// Whether the federation `name` has an anchor.
    #[must_use]
    pub fn has_anchor(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// The certificates of the federation `name` that have no anchor.
    #[must_use]
    pub fn refused(&self, name: &str) -> &[Refusal] {
        self.refused.get(name).map(Vec::as_slice).unwrap_or_default()
    }
}
