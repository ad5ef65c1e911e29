//! Admission: which of a peer's published CA certificates are accepted.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::api::istio_federation::{AdmittedCertificate, CertificateRole, ItemKind};
use crate::federation::pem::{self, PemError};
use crate::federation::refusal::Refusal;

use super::certificate::{CaCertificate, subject_text};
use super::judge::Judge;
use super::refusal::RefusalReason;

/// Most roots, and most intermediates, of one peer.
pub const CERTIFICATE_LIMIT: usize = 3;

/// The result of judging a peer's published certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// The admitted ones, one PEM block each, roots first; whatever the order in the document.
    pub certificates: Vec<AdmittedCertificate>,
    /// The others.
    pub refused: Vec<Refusal>,
}

/// Judges the members `rootCA` and `intermediateCAs` of a public document. Validity is checked only here, and not for
/// certificates in `admitted`: an admitted certificate is not withdrawn because it expires.
#[must_use]
pub fn admit_document(
    root_ca: &str,
    intermediate_cas: Option<&str>,
    judge: &Judge<'_>,
    admitted: &[AdmittedCertificate],
    now: Timestamp,
) -> Admission {
    let mut offered = CertificateSet::default();
    offered.add(CertificateRole::Root, "rootCA", root_ca);
    if let Some(text) = intermediate_cas.filter(|text| !text.trim().is_empty()) {
        offered.add(CertificateRole::Intermediate, "intermediateCAs", text);
    }
    let vetted = offered.vet(judge, |certificate| {
        let pem = pem::encode_certificate(&certificate.der);
        if admitted.iter().any(|admitted| admitted.certificate == pem) {
            return Ok(Standing::Established);
        }
        certificate.judge_validity(now).map(|()| Standing::New)
    });
    let certificates = vetted
        .certificates
        .into_iter()
        .map(|(role, certificate)| AdmittedCertificate {
            certificate: pem::encode_certificate(&certificate.der),
            role,
            missing_since: None,
        })
        .collect();
    Admission { certificates, refused: vetted.refused }
}

/// The certificates that one peer offers, each once, by role; and the blocks that could not be read.
#[derive(Default)]
pub(super) struct CertificateSet {
    certificates: BTreeSet<(CertificateRole, Vec<u8>)>,
    refused: Vec<Refusal>,
}

/// Whether a certificate was admitted before: those have priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    Established,
    New,
}

type Ranked = (Standing, CaCertificate);

/// The certificates after judging: roots first; within a role established ones first, then by notBefore.
pub(super) struct Vetted {
    pub(super) certificates: Vec<(CertificateRole, CaCertificate)>,
    pub(super) refused: Vec<Refusal>,
}

/// A refusal of a certificate, named by its subject if that can be read.
pub(super) fn refuse(der: &[u8], reason: &RefusalReason) -> Refusal {
    Refusal::new(ItemKind::Certificate, &name_of(der), reason)
}

fn name_of(der: &[u8]) -> String {
    subject_text(der).unwrap_or_else(|| "a certificate without readable subject".to_owned())
}

/// The subject of a certificate (one PEM block), for people.
#[must_use]
pub fn subject_of(pem: &str) -> String {
    name_of(&pem::certificates(pem, pem::CA_LIST).into_iter().find_map(Result::ok).unwrap_or_default())
}

impl CertificateSet {
    /// Adds the PEM blocks of a text; `member` names it in refusals of unreadable blocks.
    pub(super) fn add(&mut self, role: CertificateRole, member: &str, text: &str) {
        for (block, found) in (1..).zip(pem::certificates(text, pem::CA_LIST)) {
            match found {
                Ok(der) => {
                    self.certificates.insert((role, der));
                }
                Err(error) => {
                    let name = match error {
                        PemError::TooLong(_) | PemError::NoBlock | PemError::TooManyBlocks(_) => member.to_owned(),
                        _ => format!("{member}, PEM block {block}"),
                    };
                    self.refused.push(Refusal::new(ItemKind::Certificate, &name, error));
                }
            }
        }
    }

    /// Judges everything. `standing_of` judges validity and returns whether a certificate was admitted before.
    pub(super) fn vet(
        self,
        judge: &Judge<'_>,
        standing_of: impl Fn(&CaCertificate) -> Result<Standing, RefusalReason>,
    ) -> Vetted {
        let mut refused = self.refused;
        let (mut roots, mut intermediates) = (Vec::new(), Vec::new());
        for (role, der) in self.certificates {
            let judged = judge.certificate(&der).and_then(|certificate| Ok((standing_of(&certificate)?, certificate)));
            match (judged, role) {
                (Ok(candidate), CertificateRole::Root) => roots.push(candidate),
                (Ok(candidate), CertificateRole::Intermediate) => intermediates.push(candidate),
                (Err(reason), _) => refused.push(refuse(&der, &reason)),
            }
        }
        let roots = admit_roots(judge, roots, &mut refused);
        let intermediates = admit_intermediates(judge, &roots, intermediates, &mut refused);
        let with_role = |role| move |certificate| (role, certificate);
        let certificates = roots
            .into_iter()
            .map(with_role(CertificateRole::Root))
            .chain(intermediates.into_iter().map(with_role(CertificateRole::Intermediate)))
            .collect();
        refused.sort();
        refused.dedup();
        Vetted { certificates, refused }
    }
}

fn admit_roots(judge: &Judge<'_>, candidates: Vec<Ranked>, refused: &mut Vec<Refusal>) -> Vec<CaCertificate> {
    let mut roots = Vec::new();
    for (standing, candidate) in candidates {
        let reason = if !candidate.is_self_issued() {
            RefusalReason::NotSelfSigned
        } else if judge.is_issued_by(&candidate, &candidate) {
            roots.push((standing, candidate));
            continue;
        } else {
            RefusalReason::Signature
        };
        refused.push(refuse(&candidate.der, &reason));
    }
    first(roots, "roots", refused)
}

/// Admits certificates that an admitted root signed, and those that such an intermediate signed in turn.
fn admit_intermediates(
    judge: &Judge<'_>,
    roots: &[CaCertificate],
    candidates: Vec<Ranked>,
    refused: &mut Vec<Refusal>,
) -> Vec<CaCertificate> {
    let mut admitted: Vec<Ranked> = Vec::new();
    let mut waiting = Vec::new();
    for (standing, candidate) in candidates {
        if roots.iter().any(|root| root.der == candidate.der) {
            // Chain files usually end with the root.
        } else if judge.is_issued_by(&candidate, &candidate) {
            refused.push(refuse(&candidate.der, &RefusalReason::SelfSigned));
        } else {
            waiting.push((standing, candidate));
        }
    }
    loop {
        let before = admitted.len();
        for (standing, mut candidate) in std::mem::take(&mut waiting) {
            let allowed = issuers_of(judge, &candidate, roots, &admitted)
                .filter_map(|issuer| below(issuer.path_length, candidate.path_length).ok())
                .max_by_key(|length| length.map_or(u16::MAX, u16::from));
            match allowed {
                Some(length) => {
                    candidate.path_length = length;
                    admitted.push((standing, candidate));
                }
                None => waiting.push((standing, candidate)),
            }
        }
        if admitted.len() == before {
            break;
        }
    }
    for (_, candidate) in waiting {
        let issued = issuers_of(judge, &candidate, roots, &admitted).next().is_some();
        refused.push(refuse(&candidate.der, &if issued { RefusalReason::PathLength } else { RefusalReason::NoIssuer }));
    }
    first(admitted, "intermediates", refused)
}

fn issuers_of<'a>(
    judge: &Judge<'_>,
    candidate: &CaCertificate,
    roots: &'a [CaCertificate],
    admitted: &'a [Ranked],
) -> impl Iterator<Item = &'a CaCertificate> {
    roots.iter().chain(admitted.iter().map(|(_, issuer)| issuer)).filter(|issuer| judge.is_issued_by(candidate, issuer))
}

/// The path length of a CA below an issuer: its own, but shorter than the issuer's.
fn below(issuer: Option<u8>, own: Option<u8>) -> Result<Option<u8>, RefusalReason> {
    match issuer {
        None => Ok(own),
        Some(length) => {
            let most = length.checked_sub(1).ok_or(RefusalReason::PathLength)?;
            Ok(Some(own.map_or(most, |own| own.min(most))))
        }
    }
}

/// Takes the established ones, then the earliest notBefore: a new certificate displaces none that the peer still offers.
fn first(mut all: Vec<Ranked>, what: &'static str, refused: &mut Vec<Refusal>) -> Vec<CaCertificate> {
    all.sort_by(|(a, left), (b, right)| (a, left.not_before, &left.der).cmp(&(b, right.not_before, &right.der)));
    let surplus = all.split_off(CERTIFICATE_LIMIT.min(all.len()));
    let reason = RefusalReason::TooMany { limit: CERTIFICATE_LIMIT, what };
    refused.extend(surplus.iter().map(|(_, certificate)| refuse(&certificate.der, &reason)));
    all.into_iter().map(|(_, certificate)| certificate).collect()
}
