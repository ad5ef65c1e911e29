//! Decides which server certificates are accepted, for each peer.
//!
//! rustls does the work with the *ring* provider. We add: roots that replace the system's, a pinned server certificate,
//! and refusals that people can act on.

use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};

use super::certificate_fault::CertificateFault;
use crate::api::istio_federation::MetadataTls;
use crate::federation::pem::{self, Limits, PemError};
use crate::federation::trust::CertificateInfo;

/// Limits of `spec.metadata.ca`.
const LIMITS: Limits = Limits { bytes: 256 * 1024, blocks: 64 };

/// Which certificates of a peer's server are accepted.
#[derive(Clone, Debug)]
pub enum ServerTrust {
    /// Those that chain to the system's root certificates.
    System,
    /// Those that chain to one of these, or are one of these. The system's roots are not used.
    Only(Certificates),
    /// All: anybody on the path can impersonate the peer.
    Insecure,
}

/// Configured certificates, at least one.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// All of them: a server may present any of these.
    pinned: Vec<CertificateDer<'static>>,
    /// The CAs among them. Configuring a certificate does not make it a CA.
    authorities: RootCertStore,
}

/// Why `spec.metadata` cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerTrustError {
    #[error("spec.metadata.ca cannot be used: {0}")]
    Pem(PemError),
    /// Too many PEM blocks.
    #[error("spec.metadata.ca cannot be used: it has more than {} certificates", LIMITS.blocks)]
    TooMany,
    /// This PEM block (counted from 1) is not a certificate.
    #[error("spec.metadata.ca cannot be used: PEM block {0} is not a certificate")]
    NotACertificate(usize),
    /// This PEM block (counted from 1) is a private key.
    #[error("spec.metadata.ca cannot be used: PEM block {0} is a PRIVATE KEY; remove it, and treat it as disclosed")]
    PrivateKey(usize),
    /// The system has no root certificates.
    #[error("this system has no root certificates to verify the peer's server with: set spec.metadata.ca")]
    NoSystemRoots,
    /// rustls cannot be configured.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

impl ServerTrust {
    /// From `spec.metadata`: `ca` wins over `insecureSkipVerify`, as in Deckhouse's federation; an empty `ca` counts as
    /// absent.
    pub fn from_spec(tls: Option<&MetadataTls>) -> Result<Self, ServerTrustError> {
        let ca = tls.and_then(|tls| tls.ca.as_deref()).map(str::trim).unwrap_or_default();
        if !ca.is_empty() {
            return Self::only(ca);
        }
        let insecure = tls.and_then(|tls| tls.insecure_skip_verify).unwrap_or_default();
        Ok(if insecure { Self::Insecure } else { Self::System })
    }

    /// Accepts the certificates in `pem` and those that chain to them.
    pub fn only(pem: &str) -> Result<Self, ServerTrustError> {
        let mut certificates = Certificates { pinned: Vec::new(), authorities: RootCertStore::empty() };
        for (position, block) in (1..).zip(pem::blocks(pem, LIMITS)) {
            let block = block.map_err(|error| match error {
                PemError::TooManyBlocks(_) => ServerTrustError::TooMany,
                error => ServerTrustError::Pem(error),
            })?;
            if block.label.ends_with("PRIVATE KEY") {
                return Err(ServerTrustError::PrivateKey(position));
            }
            let der = CertificateDer::from(block.content);
            let info = CertificateInfo::read(&der).map_err(|_| ServerTrustError::NotACertificate(position))?;
            if info.is_ca && info.may_sign {
                certificates.authorities.add(der.clone()).map_err(|_| ServerTrustError::NotACertificate(position))?;
            }
            certificates.pinned.push(der);
        }
        Ok(Self::Only(certificates))
    }
}

/// The TLS configuration for a peer. The system's roots are loaded once per process, when first needed.
pub(super) fn client_config(trust: &ServerTrust) -> Result<Arc<ClientConfig>, ServerTrustError> {
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
    trust: &ServerTrust,
    system: impl FnOnce() -> Arc<RootCertStore>,
) -> Result<Arc<ClientConfig>, ServerTrustError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let accepted = match trust {
        ServerTrust::Insecure => Accepted::All,
        ServerTrust::System => {
            let roots = system();
            if roots.is_empty() {
                return Err(ServerTrustError::NoSystemRoots);
            }
            Accepted::Chains(chains(roots, &provider)?)
        }
        ServerTrust::Only(Certificates { pinned, authorities }) => Accepted::Only {
            pinned: pinned.clone(),
            chains: if authorities.is_empty() { None } else { Some(chains(Arc::new(authorities.clone()), &provider)?) },
        },
    };
    let verifier = Verifier { accepted, provider: Arc::clone(&provider) };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ServerTrustError::Tls(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn chains(
    roots: Arc<RootCertStore>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, ServerTrustError> {
    WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider))
        .build()
        .map_err(|error| ServerTrustError::Tls(error.to_string()))
}

#[derive(Debug)]
enum Accepted {
    All,
    Chains(Arc<WebPkiServerVerifier>),
    Only { pinned: Vec<CertificateDer<'static>>, chains: Option<Arc<WebPkiServerVerifier>> },
}

#[derive(Debug)]
struct Verifier {
    accepted: Accepted,
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
        let (chains, configured) = match &self.accepted {
            Accepted::All => return Ok(()),
            Accepted::Only { pinned, .. } if pinned.iter().any(|one| one == server) => {
                return judge_pinned(server, name, now);
            }
            Accepted::Only { chains, .. } => (chains.as_ref(), true),
            Accepted::Chains(chains) => (Some(chains), false),
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

/// Checks a pinned certificate: only dates and host name matter, not the issuer, nor whether it is a CA.
fn judge_pinned(server: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> Result<(), CertificateFault> {
    let malformed = |_| CertificateFault::Malformed;
    let info = CertificateInfo::read(server).map_err(|_| CertificateFault::Malformed)?;
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if seconds < info.not_before {
        return Err(CertificateFault::not_yet_valid(info.not_before));
    }
    if seconds > info.not_after {
        return Err(CertificateFault::expired(info.not_after));
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
