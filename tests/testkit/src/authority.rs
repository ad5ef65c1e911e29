//! Makes certificate authorities of meshes and servers, and certificates under them: honest or forged.

use std::net::IpAddr;
use std::sync::Arc;

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType, SignatureAlgorithm, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// A self-signed root with an RSA key of 2048 bits, which ring cannot generate. Its private key was thrown away.
pub const RSA_ROOT_PEM: &str = "\
-----BEGIN CERTIFICATE-----
MIIDIzCCAgugAwIBAgIUZVwuYuqs+1LKPMbdpK3IGyLdQ3cwDQYJKoZIhvcNAQEL
BQAwGDEWMBQGA1UECgwNY2x1c3Rlci5sb2NhbDAgFw0yNjExMjMwODU1MzVaGA8y
MTI2MTAzMDA4NTUzNVowGDEWMBQGA1UECgwNY2x1c3Rlci5sb2NhbDCCASIwDQYJ
KoZIhvcNAQEBBQADggEPADCCAQoCggEBAN3f6I0ExevSj/yOKuBJjDQ40uHUlxWL
TD0P1CU6Bt90LkuVDzsSKrCln9V1yevA4qWTikFY0TEasECC24rZx2Fjmm1yL/DR
V3+Wry1LbufzMSS+f68E27v5LcNd4uH1IdQ+4fEYKZw6acBRMUQCAgWr67vN8TCG
Az8EGZlsbOrT5XCUHkMXcb+pnwn1mYF0GbWgQQPFvXHtsG6EhN3B/TqvZ93fvXS4
BLwBwmrHiDtLvQR6j01J5reWUR1+MhUGVvUO68vvhx+JQNxsQ8d41A+3M3kpAKqy
DM3N8V69nsJEOaE/0bwOmDWbxW8b4bkqGrfbgHmCDst620Z+eYbh4iUCAwEAAaNj
MGEwHQYDVR0OBBYEFFfygaZRu7yd238iZhdCa+yAnRNTMB8GA1UdIwQYMBaAFFfy
gaZRu7yd238iZhdCa+yAnRNTMA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQD
AgIEMA0GCSqGSIb3DQEBCwUAA4IBAQAqqli8GqjZwiVUZXNOIfrn3HBFTOuMQFZ3
7MvgGstdO1l7sMOyfYFzdjWWS7YoE+WX+BKJKeP18hh4jiLiZ6kbmhCWcJSvzRsJ
xX5+bDLdk7zX8poErx0K6pNDrmNeeZqYF25+9/f0A8Z2C7BktWvUvFUg9qoX+xTg
NcnA8SPNML7inAkNJXLlOHRQES/hahCCTv9vJBoHf4NCNdiDA5CNlTx3W2PWfHZX
KJ/fMA2KLlDca+LT5P3LEwbha8wR9Um4chJyitpCMiwDzyhjvz+OIDW1CeKlJhAp
d7AsBZJZ/96B58s7BA/LPYf7EDZsQyLS+CpGbKujzdma469gpeUZ
-----END CERTIFICATE-----
";

/// Parameters of a CA certificate whose subject is the organization alone. Valid from 1975 to 4096.
#[must_use]
pub fn authority(organization: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, organization);
    params.use_authority_key_identifier_extension = true;
    params
}

/// Parameters of a server certificate for these DNS names and IP addresses.
#[must_use]
pub fn server_for(hosts: &[&str]) -> CertificateParams {
    CertificateParams::new(hosts.iter().map(|&host| host.to_owned()).collect::<Vec<_>>()).unwrap()
}

/// A CA with its key.
pub struct Authority {
    /// Subject of its certificate.
    pub organization: String,
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// Certificates between a leaf and the root.
    chain: Vec<CertificateDer<'static>>,
}

impl Authority {
    /// A root with a key on P-256.
    #[must_use]
    pub fn root(organization: &str) -> Self {
        Self::root_with(organization, KeyPair::generate().unwrap(), |_| {})
    }

    /// A root with this key and with changed parameters.
    #[must_use]
    pub fn root_with(organization: &str, key: KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = authority(organization);
        change(&mut params);
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        Self { organization: organization.to_owned(), issuer, chain: Vec::new() }
    }

    /// A root that is valid from the first of January of `year`.
    #[must_use]
    pub fn root_from(organization: &str, year: i32) -> Self {
        let key = KeyPair::generate().unwrap();
        Self::root_with(organization, key, |params| params.not_before = date_time_ymd(year, 1, 1))
    }

    /// A root with a key for this algorithm (ring generates no RSA keys).
    #[must_use]
    pub fn root_for(organization: &str, algorithm: &'static SignatureAlgorithm) -> Self {
        Self::root_with(organization, KeyPair::generate_for(algorithm).unwrap(), |_| {})
    }

    /// An intermediate CA that this one signs.
    #[must_use]
    pub fn intermediate(&self, organization: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::signed_by(authority(organization), key, &self.issuer).unwrap();
        let mut chain = vec![issuer.der().clone()];
        chain.extend(self.chain.iter().cloned());
        Self { organization: organization.to_owned(), issuer, chain }
    }

    /// The root again: the same key and subject, valid until the first of January of `year`.
    #[must_use]
    pub fn renewed(&self, year: i32) -> Self {
        Self::root_with(&self.organization, KeyPair::from_pem(&self.key_pem()).unwrap(), |params| {
            params.not_after = date_time_ymd(year, 1, 1);
            params.serial_number = Some(2.into());
        })
    }

    /// Its certificate.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    #[must_use]
    pub fn der(&self) -> &CertificateDer<'static> {
        self.issuer.der()
    }

    /// Its private key.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Certificate and key as rcgen signs with them.
    #[must_use]
    pub fn issuer(&self) -> &CertifiedIssuer<'static, KeyPair> {
        &self.issuer
    }

    /// A certificate with these parameters, without a chain.
    #[must_use]
    pub fn issue(&self, params: &CertificateParams) -> CertifiedKey {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        CertifiedKey { chain: vec![certificate.der().clone()], key, pem: certificate.pem() }
    }

    /// A certificate with these parameters, followed by the certificate of this CA.
    #[must_use]
    pub fn issue_with_chain(&self, params: &CertificateParams) -> CertifiedKey {
        let mut identity = self.issue(params);
        identity.chain.push(self.der().clone());
        identity
    }

    /// A workload's certificate with these names, followed by the intermediates up to the root.
    #[must_use]
    pub fn sign(&self, names: &[Name], common_name: Option<&str>) -> CertifiedKey {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        if let Some(name) = common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.subject_alt_names = names.iter().map(Name::to_san).collect();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let mut identity = self.issue(&params);
        identity.chain.extend(self.chain.iter().cloned());
        identity
    }
}

/// A certificate with its chain and key.
#[derive(Debug)]
pub struct CertifiedKey {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
    /// The certificate alone.
    pub pem: String,
}

impl CertifiedKey {
    /// A self-signed certificate with these parameters.
    #[must_use]
    pub fn self_signed(params: &CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { chain: vec![certificate.der().clone()], key, pem: certificate.pem() }
    }

    /// The certificate, then its chain.
    #[must_use]
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain.clone()
    }

    #[must_use]
    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }

    /// The private key.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// The private key as rustls signs with it.
    #[must_use]
    pub fn signing_key(&self) -> Arc<dyn rustls::sign::SigningKey> {
        ring::sign::any_supported_type(&self.private_key()).unwrap()
    }

    /// TLS of a server with this certificate.
    #[must_use]
    pub fn server_config(&self) -> ServerConfig {
        ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(self.chain(), self.private_key())
            .unwrap()
    }
}

/// A subject alternative name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    Uri(String),
    /// DNS name.
    Dns(String),
    /// E-mail address.
    Email(String),
    /// IP address.
    Ip(IpAddr),
    /// otherName: a user principal name.
    Other(String),
}

impl Name {
    fn to_san(&self) -> SanType {
        let ascii = |text: &str| Ia5String::try_from(text).unwrap();
        match self {
            Self::Uri(text) => SanType::URI(ascii(text)),
            Self::Dns(text) => SanType::DnsName(ascii(text)),
            Self::Email(text) => SanType::Rfc822Name(ascii(text)),
            Self::Ip(address) => SanType::IpAddress(*address),
            Self::Other(text) => SanType::OtherName((vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3], text.clone().into())),
        }
    }
}
