//! Which server certificates are believed, per peer.
//!
//! rustls does the work with the *ring* provider. What is added: roots that replace the system's, a server certificate
//! that is trusted as itself, and refusals that people can act on.

use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::certificate::CertificateFault;
use super::pem_text::{self, PemError};
use crate::api::istio_federation::MetadataTls;

/// `spec.metadata.ca` may be so long, in bytes.
const PEM_LIMIT: usize = 256 * 1024;
/// And hold so many certificates.
const CERTIFICATE_LIMIT: usize = 64;

/// Which certificates of a peer's server are believed.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Those that the system's root certificates vouch for.
    System,
    /// Only those that these vouch for, or that are among these. The system's roots are not used.
    Only(Certificates),
    /// All: whoever is on the path can pose as the peer.
    Insecure,
}

/// Configured certificates, at least one.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// All of them: a server may present one of these.
    pinned: Vec<CertificateDer<'static>>,
    /// Those that may sign others. A certificate that is no CA never becomes one by being configured.
    authorities: RootCertStore,
}

/// Why it cannot be said which certificates are believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The text is not PEM.
    #[error("spec.metadata.ca cannot be used: {0}")]
    Pem(PemError),
    /// A block is something else than a certificate.
    #[error("spec.metadata.ca cannot be used: PEM block {0} is not a certificate")]
    NotACertificate(usize),
    /// A block is a private key.
    #[error("spec.metadata.ca cannot be used: PEM block {0} is a PRIVATE KEY; remove it, and treat it as disclosed")]
    PrivateKey(usize),
    /// Too many certificates.
    #[error("spec.metadata.ca cannot be used: it holds more than {CERTIFICATE_LIMIT} certificates")]
    TooMany,
    /// There are no system roots.
    #[error("this system has no root certificates to verify the peer's server with: set spec.metadata.ca")]
    NoSystemRoots,
    /// rustls does not work here.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

impl Trust {
    /// What the user wants: `ca` wins over `insecureSkipVerify`, as with Deckhouse; an empty `ca` is none.
    pub fn from_spec(tls: Option<&MetadataTls>) -> Result<Self, TrustError> {
        let ca = tls.and_then(|tls| tls.ca.as_deref()).map(str::trim).unwrap_or_default();
        if !ca.is_empty() {
            return Self::only(ca);
        }
        let insecure = tls.and_then(|tls| tls.insecure_skip_verify).unwrap_or_default();
        Ok(if insecure { Self::Insecure } else { Self::System })
    }

    /// The certificates in `pem`, and nothing else.
    pub fn only(pem: &str) -> Result<Self, TrustError> {
        let blocks = pem_text::blocks(pem, PEM_LIMIT).map_err(TrustError::Pem)?;
        if blocks.len() > CERTIFICATE_LIMIT {
            return Err(TrustError::TooMany);
        }
        let mut certificates = Certificates { pinned: Vec::new(), authorities: RootCertStore::empty() };
        for (index, block) in blocks.into_iter().enumerate() {
            let position = index + 1;
            if block.tag().ends_with("PRIVATE KEY") {
                return Err(TrustError::PrivateKey(position));
            }
            let der = CertificateDer::from(block.into_contents());
            let Ok((_, certificate)) = X509Certificate::from_der(&der) else {
                return Err(TrustError::NotACertificate(position));
            };
            if is_authority(&certificate) {
                certificates.authorities.add(der.clone()).map_err(|_| TrustError::NotACertificate(position))?;
            }
            certificates.pinned.push(der);
        }
        Ok(Self::Only(certificates))
    }
}

fn is_authority(certificate: &X509Certificate<'_>) -> bool {
    let may_sign = certificate.key_usage().ok().flatten().is_none_or(|usage| usage.value.key_cert_sign());
    certificate.is_ca() && may_sign
}

/// The TLS configuration for a peer. The first that needs the system's roots loads them for the whole process.
pub(super) fn client_config(trust: &Trust) -> Result<Arc<ClientConfig>, TrustError> {
    config_with(trust, || {
        static SYSTEM: OnceLock<Arc<RootCertStore>> = OnceLock::new();
        Arc::clone(SYSTEM.get_or_init(|| {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            Arc::new(roots)
        }))
    })
}

pub(super) fn config_with(
    trust: &Trust,
    system: impl FnOnce() -> Arc<RootCertStore>,
) -> Result<Arc<ClientConfig>, TrustError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let belief = match trust {
        Trust::Insecure => Belief::All,
        Trust::System => {
            let roots = system();
            if roots.is_empty() {
                return Err(TrustError::NoSystemRoots);
            }
            Belief::Chains(chains(roots, &provider)?)
        }
        Trust::Only(Certificates { pinned, authorities }) => Belief::Only {
            pinned: pinned.clone(),
            chains: if authorities.is_empty() { None } else { Some(chains(Arc::new(authorities.clone()), &provider)?) },
        },
    };
    let verifier = Verifier { belief, provider: Arc::clone(&provider) };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TrustError::Tls(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn chains(roots: Arc<RootCertStore>, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, TrustError> {
    WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider))
        .build()
        .map_err(|error| TrustError::Tls(error.to_string()))
}

#[derive(Debug)]
enum Belief {
    All,
    Chains(Arc<WebPkiServerVerifier>),
    Only { pinned: Vec<CertificateDer<'static>>, chains: Option<Arc<WebPkiServerVerifier>> },
}

#[derive(Debug)]
struct Verifier {
    belief: Belief,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn judge(
        &self,
        server: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), CertificateFault> {
        let (chains, configured) = match &self.belief {
            Belief::All => return Ok(()),
            Belief::Only { pinned, .. } if pinned.iter().any(|one| one == server) => {
                return judge_pinned(server, name, now);
            }
            Belief::Only { chains, .. } => (chains.as_ref(), true),
            Belief::Chains(chains) => (Some(chains), false),
        };
        let Some(chains) = chains else {
            return Err(CertificateFault::unknown_issuer(server, configured));
        };
        match chains.verify_server_cert(server, intermediates, name, &[], now) {
            Ok(_) => Ok(()),
            Err(error) => Err(CertificateFault::new(&error, server, configured)),
        }
    }
}

/// A server certificate that is byte for byte a configured one: who issued it does not matter, nor whether it is a CA.
fn judge_pinned(server: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> Result<(), CertificateFault> {
    let malformed = |_| CertificateFault::Malformed;
    let (_, certificate) = X509Certificate::from_der(server).map_err(|_| CertificateFault::Malformed)?;
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let (begin, end) = (certificate.validity().not_before, certificate.validity().not_after);
    if seconds < begin.timestamp() {
        return Err(CertificateFault::not_yet_valid(begin.timestamp()));
    }
    if seconds > end.timestamp() {
        return Err(CertificateFault::expired(end.timestamp()));
    }
    let parsed = rustls::server::ParsedCertificate::try_from(server).map_err(malformed)?;
    rustls::client::verify_server_name(&parsed, name).map_err(|error| CertificateFault::new(&error, server, true))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        server: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.judge(server, intermediates, name, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(fault) => Err(rustls::CertificateError::Other(OtherError(Arc::new(fault))).into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        server: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, server, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        server: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, server, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
