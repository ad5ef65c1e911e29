//! A root CA for istiod, and everything that the owner of its key can sign, honest or forged.

use std::process::Command;

use anyhow::ensure;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Year in which renewed certificates expire; rcgen's others expire in 4096.
pub const RENEWED: i32 = 4100;

/// A CA with its key.
pub struct Authority {
    /// The only attribute of its subject.
    pub organization: String,
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// Certificates between a leaf and the root.
    chain: Vec<CertificateDer<'static>>,
}

/// Type of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// P-256.
    Ec,
    /// RSA, 2048 bits.
    Rsa,
}

impl Authority {
    /// A root.
    pub fn root(organization: &str, key: Key) -> anyhow::Result<Self> {
        let issuer = CertifiedIssuer::self_signed(authority(organization), generate(key)?)?;
        Ok(Self { organization: organization.to_owned(), issuer, chain: Vec::new() })
    }

    /// Signs an intermediate CA.
    pub fn intermediate(&self, organization: &str) -> anyhow::Result<Self> {
        let issuer = CertifiedIssuer::signed_by(authority(organization), KeyPair::generate()?, &self.issuer)?;
        let mut chain = vec![issuer.der().clone()];
        chain.extend(self.chain.iter().cloned());
        Ok(Self { organization: organization.to_owned(), issuer, chain })
    }

    /// The renewed root: same key and subject, later end.
    pub fn renewed(&self) -> anyhow::Result<Self> {
        let mut params = authority(&self.organization);
        params.not_after = date_time_ymd(RENEWED, 1, 1);
        params.serial_number = Some(2.into());
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::from_pem(&self.key_pem())?)?;
        Ok(Self { organization: self.organization.clone(), issuer, chain: Vec::new() })
    }

    /// Its certificate.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Its private key.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// The issuer of its signatures.
    #[must_use]
    pub fn issuer(&self) -> &CertifiedIssuer<'static, KeyPair> {
        &self.issuer
    }

    /// Signs a leaf with these names and this common name.
    pub fn sign(&self, names: &[Name], common_name: Option<&str>) -> anyhow::Result<Identity> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        if let Some(name) = common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.subject_alt_names = names.iter().map(Name::to_san).collect::<anyhow::Result<_>>()?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let leaf = params.signed_by(&key, &self.issuer)?;
        let mut chain = vec![leaf.der().clone()];
        chain.extend(self.chain.iter().cloned());
        Ok(Identity { chain, key: PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)? })
    }
}

/// A certificate with its chain and key.
#[derive(Debug)]
pub struct Identity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

/// A subject alternative name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// URI.
    Uri(String),
    /// DNS name.
    Dns(String),
    /// E-mail address.
    Email(String),
    /// IP address.
    Ip(std::net::IpAddr),
    /// otherName: a user principal name.
    Other(String),
}

impl Name {
    fn to_san(&self) -> anyhow::Result<SanType> {
        let ascii = |text: &str| Ia5String::try_from(text);
        Ok(match self {
            Self::Uri(text) => SanType::URI(ascii(text)?),
            Self::Dns(text) => SanType::DnsName(ascii(text)?),
            Self::Email(text) => SanType::Rfc822Name(ascii(text)?),
            Self::Ip(address) => SanType::IpAddress(*address),
            Self::Other(text) => SanType::OtherName((vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3], text.clone().into())),
        })
    }
}

fn authority(organization: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, organization);
    params.use_authority_key_identifier_extension = true;
    params
}

fn generate(key: Key) -> anyhow::Result<KeyPair> {
    match key {
        Key::Ec => Ok(KeyPair::generate()?),
        // ring cannot generate RSA keys.
        Key::Rsa => {
            let output = Command::new("openssl").args(["genrsa", "2048"]).output()?;
            ensure!(output.status.success(), "openssl genrsa: {}", String::from_utf8_lossy(&output.stderr));
            Ok(KeyPair::from_pem(std::str::from_utf8(&output.stdout)?)?)
        }
    }
}
