//! The list of confined anchors, made of the admitted certificates of all peers.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::istio_federation::{AdmittedCertificate, ItemKind};
use crate::api::values::TrustAnchorEntry;
use crate::federation::names::TrustDomain;
use crate::federation::pem::encode_certificate;
use crate::federation::refusal::Refusal;

use super::admit::{Offered, Standing, refuse};
use super::certificate::CaCertificate;
use super::confine::Confined;
use super::fault::Fault;
use super::own::OwnChain;

/// Most bytes of the subjects of all anchors together. A TLS server lists them in its certificate request, which ends at
/// 64 KiB; at 67 KB every inbound handshake failed. Half of it leaves room for our own roots.
pub const SUBJECTS_LIMIT: usize = 32 * 1024;

/// The admitted certificates of one peer.
#[derive(Clone, Copy, Debug)]
pub struct PeerCertificates<'a> {
    /// Name of its IstioFederation.
    pub federation: &'a str,
    /// Its trust domain.
    pub trust_domain: &'a TrustDomain,
    /// What discovery admitted.
    pub certificates: &'a [AdmittedCertificate],
}

/// The anchors for the mesh.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Anchors {
    /// Sorted by PEM text; every text is one block.
    pub entries: Vec<TrustAnchorEntry>,
    /// What gets no anchor, with the name of its IstioFederation; sorted.
    pub refused: Vec<(String, Refusal)>,
}

/// Builds the anchors. A pure function of a set: the order of peers, certificates and blocks changes nothing.
///
/// Certificates are judged again, without their dates. One key gives anchors with the same dates (earliest begin, latest
/// end) and trust domains (of all peers that offer it), whoever offers which certificate of it: a verifier takes the first
/// that fits and does not go back, so no two of them may differ in what they allow.
#[must_use]
pub fn anchors(peers: &[PeerCertificates<'_>], own: &OwnChain) -> Anchors {
    let mut refused = BTreeSet::new();
    let offers = vet(peers, own, &mut refused);
    let offers = told_apart(offers, &mut refused);
    let offers = within_subjects_limit(offers, &mut refused);
    let mut keys: BTreeMap<&[u8], Vec<&Offer<'_>>> = BTreeMap::new();
    for offer in &offers {
        keys.entry(offer.certificate.key.bits()).or_default().push(offer);
    }
    let mut entries = Vec::new();
    for of_key in keys.values() {
        match confine_key(of_key) {
            Ok(made) => entries.extend(made),
            Err(error) => {
                let fault = Fault::from(error);
                refused.extend(of_key.iter().map(|offer| offer.refuse(&fault)));
            }
        }
    }
    entries.sort_by(|a, b| a.pem.cmp(&b.pem));
    let as_anchor = |(federation, refusal)| (federation, Refusal { kind: ItemKind::TrustAnchor, ..refusal });
    Anchors { entries, refused: refused.into_iter().map(as_anchor).collect() }
}

/// A vetted certificate and who offers it.
struct Offer<'a> {
    /// Its place among the certificates of its peer.
    rank: usize,
    federation: &'a str,
    trust_domain: &'a str,
    certificate: CaCertificate,
}

impl Offer<'_> {
    fn refuse(&self, fault: &Fault) -> (String, Refusal) {
        (self.federation.to_owned(), refuse(&self.certificate.der, fault))
    }

    /// Which anchor it leads to. The subject byte by byte and the key identifier are part of it, because certificates
    /// below refer to their issuer by both.
    fn anchor(&self) -> (&[u8], &[u8], &[u8]) {
        let certificate = &self.certificate;
        (certificate.key.bits(), certificate.subject.der(), &certificate.key_identifier)
    }
}

/// Judges the certificates of all peers; in the order in which they have a claim to a place in the list: every peer's first
/// certificate before anybody's second, so that nobody's many certificates push out another's only one.
fn vet<'a>(
    peers: &[PeerCertificates<'a>],
    own: &OwnChain,
    refused: &mut BTreeSet<(String, Refusal)>,
) -> Vec<Offer<'a>> {
    let mut offers = Vec::new();
    for peer in peers {
        let trust_domain = peer.trust_domain.as_str();
        let mut offered = Offered::default();
        for admitted in peer.certificates {
            offered.add(admitted.role, "an admitted certificate", &admitted.certificate);
        }
        let vetted = offered.vet(own, |_| Ok(Standing::Established));
        refused.extend(vetted.refused.into_iter().map(|refusal| (peer.federation.to_owned(), refusal)));
        offers.extend(vetted.certificates.into_iter().enumerate().map(|(rank, (_, certificate))| Offer {
            rank,
            federation: peer.federation,
            trust_domain,
            certificate,
        }));
    }
    offers.sort_by(|a, b| {
        let place = |offer: &Offer<'a>| (offer.rank, offer.federation);
        place(a).cmp(&place(b)).then_with(|| a.certificate.der.cmp(&b.certificate.der))
    });
    offers
}

/// Leaves out who could be taken for another: one without identifier, where another key's has its subject.
///
/// Which of two such a proxy finds first hangs on the order of its list. Never the one with the identifier: only what the
/// other signs can go astray, and nobody may push another out by copying a name.
fn told_apart<'a>(offers: Vec<Offer<'a>>, refused: &mut BTreeSet<(String, Refusal)>) -> Vec<Offer<'a>> {
    let shadow_of = |place: usize| {
        let CaCertificate { subject, key, names_its_key, .. } = &offers[place].certificate;
        let shadows = |other: &CaCertificate, earlier| {
            other.key.bits() != key.bits()
                && other.subject.canonical() == subject.canonical()
                && (other.names_its_key || earlier)
        };
        let mut others = offers.iter().enumerate().filter(|_| !names_its_key);
        others.find(|(at, other)| shadows(&other.certificate, *at < place)).map(|(_, other)| other.federation)
    };
    let shadows: Vec<Option<&str>> = (0..offers.len()).map(shadow_of).collect();
    let judged = offers.into_iter().zip(shadows).filter_map(|(offer, shadow)| match shadow {
        None => Some(offer),
        Some(federation) => {
            let whose = format!("IstioFederation/{federation}");
            refused.insert(offer.refuse(&Fault::SharedSubject(whose)));
            None
        }
    });
    judged.collect()
}

fn within_subjects_limit<'a>(offers: Vec<Offer<'a>>, refused: &mut BTreeSet<(String, Refusal)>) -> Vec<Offer<'a>> {
    let mut taken = BTreeSet::new();
    let mut total = 0;
    let mut kept = Vec::new();
    for offer in offers {
        let (key, subject, identifier) = offer.anchor();
        let anchor = (key.to_vec(), subject.to_vec(), identifier.to_vec());
        // Two bytes of length for each name in a certificate request (RFC 8446, 4.2.4).
        let cost = if taken.contains(&anchor) { 0 } else { subject.len() + 2 };
        if total + cost > SUBJECTS_LIMIT {
            refused.insert(offer.refuse(&Fault::SubjectsLimit(SUBJECTS_LIMIT)));
            continue;
        }
        total += cost;
        taken.insert(anchor);
        kept.push(offer);
    }
    kept
}

/// The anchors of one key: usually one.
fn confine_key(offers: &[&Offer<'_>]) -> Result<Vec<TrustAnchorEntry>, der::Error> {
    let certificates = || offers.iter().map(|offer| &offer.certificate);
    let trust_domains: BTreeSet<&str> = offers.iter().map(|offer| offer.trust_domain).collect();
    let federations: BTreeSet<&str> = offers.iter().map(|offer| offer.federation).collect();
    let not_before = certificates().map(|certificate| certificate.not_before).min().unwrap_or_default();
    let not_after = certificates().map(|certificate| certificate.not_after).max().unwrap_or_default();
    let path_length = certificates()
        .map(|certificate| certificate.path_length)
        .max_by_key(|length| length.map_or(u16::MAX, u16::from));
    let mut newest: BTreeMap<_, &CaCertificate> = BTreeMap::new();
    for offer in offers {
        let certificate = &offer.certificate;
        let age = |certificate: &CaCertificate| (certificate.not_after, certificate.der.clone());
        newest
            .entry(offer.anchor())
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
