//! The list of confined anchors, made of the admitted certificates of all peers.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::istio_federation::{AdmittedCertificate, ItemKind};
use crate::api::values::TrustAnchorEntry;
use crate::federation::names::TrustDomain;
use crate::federation::pem::encode_certificate;
use crate::federation::refusal::Refusal;

use super::admit::{CertificateSet, Standing, refuse};
use super::certificate::CaCertificate;
use super::confine::Confined;
use super::judge::Judge;
use super::refusal::RefusalReason;

/// Most bytes of the subjects of all anchors together. A TLS server lists them in its certificate request, which ends at
/// 64 KiB; at 67 KB every inbound handshake failed. Half of it leaves room for our own roots.
pub const SUBJECTS_LIMIT: usize = 32 * 1024;

/// The admitted certificates of one peer.
#[derive(Clone, Copy, Debug)]
pub struct PeerCertificates<'a> {
    /// Name of its IstioFederation.
    pub federation: &'a str,
    pub trust_domain: &'a TrustDomain,
    /// The certificates that discovery admitted.
    pub certificates: &'a [AdmittedCertificate],
}

/// The anchors for the mesh.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnchorList {
    /// Sorted by PEM text; every text is one block.
    pub entries: Vec<TrustAnchorEntry>,
    /// Certificates without an anchor, with the name of their IstioFederation; sorted.
    pub refused: Vec<(String, Refusal)>,
}

/// Builds the anchors. The order of peers, certificates and blocks does not matter.
///
/// Certificates are judged again, except for their dates. All anchors of a key have the same dates (earliest start, latest
/// end) and the trust domains of all peers that offer it: a verifier takes the first anchor that fits and tries no other,
/// so two of them must not allow different things.
#[must_use]
pub fn build_anchors(peers: &[PeerCertificates<'_>], judge: &Judge<'_>) -> AnchorList {
    let mut refused = BTreeSet::new();
    let candidates = vet(peers, judge, &mut refused);
    let candidates = distinguishable(candidates, &mut refused);
    let candidates = within_subjects_limit(candidates, &mut refused);
    let mut keys: BTreeMap<&[u8], Vec<&Candidate<'_>>> = BTreeMap::new();
    for candidate in &candidates {
        keys.entry(candidate.certificate.key.bits()).or_default().push(candidate);
    }
    let mut entries = Vec::new();
    for of_key in keys.values() {
        match confine_key(of_key) {
            Ok(made) => entries.extend(made),
            Err(error) => {
                let reason = RefusalReason::from(error);
                refused.extend(of_key.iter().map(|candidate| candidate.refuse(&reason)));
            }
        }
    }
    entries.sort_by(|a, b| a.pem.cmp(&b.pem));
    let as_anchor = |(federation, refusal)| (federation, Refusal { kind: ItemKind::TrustAnchor, ..refusal });
    AnchorList { entries, refused: refused.into_iter().map(as_anchor).collect() }
}

/// A vetted certificate and the peer that offers it.
struct Candidate<'a> {
    /// Its position among the certificates of its peer.
    rank: usize,
    federation: &'a str,
    trust_domain: &'a str,
    certificate: CaCertificate,
}

impl Candidate<'_> {
    fn refuse(&self, reason: &RefusalReason) -> (String, Refusal) {
        (self.federation.to_owned(), refuse(&self.certificate.der, reason))
    }

    /// Identifies its anchor. Subject (byte by byte) and key identifier are part of it, because certificates refer to
    /// their issuer by both.
    fn anchor(&self) -> (&[u8], &[u8], &[u8]) {
        let certificate = &self.certificate;
        (certificate.key.bits(), certificate.subject.der(), &certificate.key_identifier)
    }
}

/// Judges the certificates of all peers. The result is in order of priority: every peer's first certificate before any
/// second one, so that a peer with many certificates cannot push out another's only one.
fn vet<'a>(
    peers: &[PeerCertificates<'a>],
    judge: &Judge<'_>,
    refused: &mut BTreeSet<(String, Refusal)>,
) -> Vec<Candidate<'a>> {
    let mut candidates = Vec::new();
    for peer in peers {
        let trust_domain = peer.trust_domain.as_str();
        let mut offered = CertificateSet::default();
        for admitted in peer.certificates {
            offered.add(admitted.role, "an admitted certificate", &admitted.certificate);
        }
        let vetted = offered.vet(judge, |_| Ok(Standing::Established));
        refused.extend(vetted.refused.into_iter().map(|refusal| (peer.federation.to_owned(), refusal)));
        candidates.extend(vetted.certificates.into_iter().enumerate().map(|(rank, (_, certificate))| Candidate {
            rank,
            federation: peer.federation,
            trust_domain,
            certificate,
        }));
    }
    candidates.sort_by(|a, b| {
        let place = |candidate: &Candidate<'a>| (candidate.rank, candidate.federation);
        place(a).cmp(&place(b)).then_with(|| a.certificate.der.cmp(&b.certificate.der))
    });
    candidates
}

/// Leaves out certificates that a proxy could confuse with another: those without key identifier whose subject a
/// certificate with another key has as well.
///
/// The order of a proxy's list decides which of the two it finds. The certificate with an identifier always stays: only the
/// other's leaves can be misattributed, and nobody may push out another peer by copying its name.
fn distinguishable<'a>(
    candidates: Vec<Candidate<'a>>,
    refused: &mut BTreeSet<(String, Refusal)>,
) -> Vec<Candidate<'a>> {
    let shadow_of = |place: usize| {
        let CaCertificate { subject, key, names_its_key, .. } = &candidates[place].certificate;
        let shadows = |other: &CaCertificate, earlier| {
            other.key.bits() != key.bits()
                && other.subject.canonical() == subject.canonical()
                && (other.names_its_key || earlier)
        };
        let mut others = candidates.iter().enumerate().filter(|_| !names_its_key);
        others.find(|(at, other)| shadows(&other.certificate, *at < place)).map(|(_, other)| other.federation)
    };
    let shadows: Vec<Option<&str>> = (0..candidates.len()).map(shadow_of).collect();
    let judged = candidates.into_iter().zip(shadows).filter_map(|(candidate, shadow)| match shadow {
        None => Some(candidate),
        Some(federation) => {
            let whose = format!("IstioFederation/{federation}");
            refused.insert(candidate.refuse(&RefusalReason::SharedSubject(whose)));
            None
        }
    });
    judged.collect()
}

fn within_subjects_limit<'a>(
    candidates: Vec<Candidate<'a>>,
    refused: &mut BTreeSet<(String, Refusal)>,
) -> Vec<Candidate<'a>> {
    let mut taken = BTreeSet::new();
    let mut total = 0;
    let mut kept = Vec::new();
    for candidate in candidates {
        let (key, subject, identifier) = candidate.anchor();
        let anchor = (key.to_vec(), subject.to_vec(), identifier.to_vec());
        // Two bytes of length for each name in a certificate request (RFC 8446, 4.2.4).
        let cost = if taken.contains(&anchor) { 0 } else { subject.len() + 2 };
        if total + cost > SUBJECTS_LIMIT {
            refused.insert(candidate.refuse(&RefusalReason::SubjectsLimit(SUBJECTS_LIMIT)));
            continue;
        }
        total += cost;
        taken.insert(anchor);
        kept.push(candidate);
    }
    kept
}

/// The anchors of one key: usually one.
fn confine_key(candidates: &[&Candidate<'_>]) -> Result<Vec<TrustAnchorEntry>, der::Error> {
    let certificates = || candidates.iter().map(|candidate| &candidate.certificate);
    let trust_domains: BTreeSet<&str> = candidates.iter().map(|candidate| candidate.trust_domain).collect();
    let federations: BTreeSet<&str> = candidates.iter().map(|candidate| candidate.federation).collect();
    let not_before = certificates().map(|certificate| certificate.not_before).min().unwrap_or_default();
    let not_after = certificates().map(|certificate| certificate.not_after).max().unwrap_or_default();
    let path_length = certificates()
        .map(|certificate| certificate.path_length)
        .max_by_key(|length| length.map_or(u16::MAX, u16::from));
    let mut newest: BTreeMap<_, &CaCertificate> = BTreeMap::new();
    for candidate in candidates {
        let certificate = &candidate.certificate;
        let age = |certificate: &CaCertificate| (certificate.not_after, certificate.der.clone());
        newest
            .entry(candidate.anchor())
            .and_modify(|known| {
                if age(certificate) > age(known) {
                    *known = certificate;
                }
            })
            .or_insert(certificate);
    }
    newest
        .into_values()
        .map(|certificate| {
            let confined = Confined {
                subject: &certificate.subject,
                key: &certificate.key,
                key_identifier: &certificate.key_identifier,
                serial: certificate.serial.as_deref(),
                not_before,
                not_after,
                path_length: path_length.flatten(),
                trust_domains: &trust_domains,
            };
            Ok(TrustAnchorEntry {
                pem: encode_certificate(&confined.to_der()?),
                trust_domains: trust_domains.iter().map(ToString::to_string).collect(),
                federations: federations.iter().map(ToString::to_string).collect(),
            })
        })
        .collect()
}
