//! Tests of the trust room: admission, the anchors, and the verdicts of a verifier on them.

mod admission;
mod confinement;
mod crossing;
mod hostile;
mod info;
mod maker;
mod verifier;

use crate::api::istio_federation::{AdmittedCertificate, CertificateRole};
use crate::federation::names::{DnsName, TrustDomain};
use crate::federation::pem::PemError;

use super::{Admission, AnchorList, Judge, OwnChain, PeerCertificates, admit_document, build_anchors};
use crate::federation::pem::encode_certificate as to_pem;

/// The certificates of a PEM text.
fn certificates_of(text: &str) -> Vec<Result<Vec<u8>, PemError>> {
    crate::federation::pem::certificates(text, crate::federation::pem::CA_LIST)
}

/// 2026-12-01, within the validity of all certificates made here.
fn now() -> jiff::Timestamp {
    jiff::Timestamp::from_second(1_796_083_200).unwrap()
}

fn domain(text: &str) -> TrustDomain {
    TrustDomain::vet(text, &[DnsName::parse("a.local").unwrap()]).unwrap()
}

fn pem_of(certificates: &[&[u8]]) -> String {
    certificates.iter().map(|der| to_pem(der)).collect()
}

fn own(certificates: &[&[u8]]) -> OwnChain {
    OwnChain::read(&pem_of(certificates)).unwrap()
}

/// A chain that is unrelated to all peers.
fn own_unrelated() -> OwnChain {
    own(&[&maker::Ca::root("our root").der])
}

fn admit(roots: &[&[u8]], intermediates: &[&[u8]], own: &OwnChain) -> Admission {
    let intermediates = (!intermediates.is_empty()).then(|| pem_of(intermediates));
    admit_document(&pem_of(roots), intermediates.as_deref(), &Judge::new(own), &[], now())
}

/// A peer in a test: its name, trust domain and admitted certificates.
#[derive(Clone)]
struct Peer {
    federation: String,
    trust_domain: TrustDomain,
    certificates: Vec<AdmittedCertificate>,
}

impl Peer {
    fn new(federation: &str, trust_domain: &str, roots: &[&[u8]], intermediates: &[&[u8]]) -> Self {
        let one = |role| move |der: &&[u8]| AdmittedCertificate { certificate: to_pem(der), role, missing_since: None };
        let certificates = roots
            .iter()
            .map(one(CertificateRole::Root))
            .chain(intermediates.iter().map(one(CertificateRole::Intermediate)))
            .collect();
        Self { federation: federation.to_owned(), trust_domain: domain(trust_domain), certificates }
    }
}

fn anchors_of(peers: &[Peer], own: &OwnChain) -> AnchorList {
    let peers: Vec<_> = peers
        .iter()
        .map(|peer| PeerCertificates {
            federation: &peer.federation,
            trust_domain: &peer.trust_domain,
            certificates: &peer.certificates,
        })
        .collect();
    build_anchors(&peers, &Judge::new(own))
}

/// The DER of all anchors.
fn ders(anchors: &AnchorList) -> Vec<Vec<u8>> {
    anchors.entries.iter().map(|entry| certificates_of(&entry.pem).remove(0).unwrap()).collect()
}

/// A certificate of `testdata/`.
macro_rules! testdata {
    ($name:literal) => {
        $crate::federation::trust::tests::certificates_of(include_str!(concat!("../testdata/", $name, ".pem")))
            .remove(0)
            .unwrap()
    };
}
use testdata;
