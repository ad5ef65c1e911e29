//! A root CA that istiod signs with, and what else its key can sign.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};

/// A root with its key.
pub struct Root(CertifiedIssuer<'static, KeyPair>);

impl Root {
    /// P-256.
    pub fn new(organization: &str) -> anyhow::Result<Self> {
        Self::of(organization, KeyPair::generate()?)
    }

    /// With a key of the caller's.
    pub fn of(organization: &str, key: KeyPair) -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, organization);
        Ok(Self(CertifiedIssuer::self_signed(params, key)?))
    }

    /// Its certificate.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Its private key.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.0.key().serialize_pem()
    }

    /// What signs.
    #[must_use]
    pub fn issuer(&self) -> &CertifiedIssuer<'static, KeyPair> {
        &self.0
    }
}
