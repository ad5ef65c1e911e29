//! Judges the certificates of a run: each is read once, and each signature verified once.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::certificate::CaCertificate;
use super::own::OwnChain;
use super::refusal::RefusalReason;

/// DER of a certificate, and bits of the issuer's key.
type Signature = (Vec<u8>, Vec<u8>);
type Verdict = Result<CaCertificate, RefusalReason>;

/// Judges peers' certificates against ours. Keeps its results: discovery judges a certificate when a peer publishes it and
/// again for the list of anchors.
#[derive(Clone, Debug)]
pub struct Judge<'a> {
    own: &'a OwnChain,
    /// By DER.
    certificates: RefCell<BTreeMap<Vec<u8>, Verdict>>,
    signatures: RefCell<BTreeMap<Signature, bool>>,
}

impl<'a> Judge<'a> {
    /// A judge that has not seen any certificate yet.
    #[must_use]
    pub fn new(own: &'a OwnChain) -> Self {
        Self { own, certificates: RefCell::default(), signatures: RefCell::default() }
    }

    /// The certificate, unless its form, its key or its likeness to one of ours refuses it.
    pub(super) fn certificate(&self, der: &[u8]) -> Verdict {
        let judge = || CaCertificate::read(der).and_then(|read| self.own.judge(&read).map(|()| read));
        self.certificates.borrow_mut().entry(der.to_vec()).or_insert_with(judge).clone()
    }

    /// Whether `issuer` is named as the issuer of `certificate` and signed it.
    pub(super) fn is_issued_by(&self, certificate: &CaCertificate, issuer: &CaCertificate) -> bool {
        let names = (certificate.der.clone(), issuer.key.bits().to_vec());
        certificate.issuer == *issuer.subject.canonical()
            && *self.signatures.borrow_mut().entry(names).or_insert_with(|| certificate.signed.verifies(&issuer.key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN_ROOT: &str = include_str!("../../../tests/replay/fixtures/own-root.pem");
    const PEER_ROOT: &str = include_str!("../../../tests/replay/fixtures/b-root.pem");

    #[test]
    fn a_certificate_is_read_once_and_a_signature_verified_once() {
        let own = OwnChain::read(OWN_ROOT).unwrap();
        let judge = Judge::new(&own);
        let der = crate::federation::pem::certificates(PEER_ROOT, crate::federation::pem::CA_LIST).remove(0).unwrap();
        let root = judge.certificate(&der).unwrap();
        assert!(judge.is_issued_by(&root, &root));
        // Planted results, which no judging would give, show that the second answer comes from the cache.
        judge.certificates.borrow_mut().insert(der.clone(), Err(RefusalReason::OwnKey));
        judge.signatures.borrow_mut().values_mut().for_each(|verified| *verified = false);
        assert_eq!(judge.certificate(&der).unwrap_err(), RefusalReason::OwnKey);
        assert!(!judge.is_issued_by(&root, &root));
    }
}
