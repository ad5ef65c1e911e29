//! Faults of a server's certificate, with messages that name the cure.

use jiff::Timestamp;
use rustls::CertificateError;
use rustls::pki_types::{CertificateDer, UnixTime};

use crate::federation::trust::CertificateInfo;
use crate::text::printable;

/// Why a server's certificate is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// Its validity has ended: the date, as `YYYY-MM-DD`.
    #[error("certificate has expired ({0}): the peer's owner has to renew it")]
    Expired(String),
    /// Its validity has not begun: the date, as `YYYY-MM-DD`.
    #[error("certificate is not valid before {0}: is a clock wrong, here or there?")]
    NotYetValid(String),
    /// It is for other hosts: the first five of them, or the reason why it has no names.
    #[error("certificate is not for this host but for {0}: fix spec.metadataEndpoint or have it issued for the host")]
    Name(String),
    #[error("certificate is self-signed: if it is the peer's, put it into spec.metadata.ca{}", instead(*configured))]
    SelfSigned {
        /// Whether `spec.metadata.ca` is set.
        configured: bool,
    },
    #[error("{}", unknown_issuer(*configured))]
    UnknownIssuer {
        /// Whether `spec.metadata.ca` is set.
        configured: bool,
    },
    /// It, or its chain, cannot be read.
    #[error("certificate is malformed")]
    Malformed,
    #[error("certificate is not acceptable: {0}")]
    Other(String),
}

fn instead(configured: bool) -> &'static str {
    if configured { " (a different certificate is there now)" } else { "" }
}

fn unknown_issuer(configured: bool) -> &'static str {
    if configured {
        "certificate is not signed by the CA in spec.metadata.ca: put the CA of the peer's server there"
    } else {
        "certificate is signed by a CA that this system does not know: put that CA into spec.metadata.ca"
    }
}

impl CertificateFault {
    /// Why rustls refused `server`; `configured` says whether `spec.metadata.ca` is set.
    pub(super) fn new(error: &rustls::Error, server: &CertificateDer<'_>, configured: bool) -> Self {
        let rustls::Error::InvalidCertificate(error) = error else {
            return Self::Other(printable(&error.to_string()));
        };
        match error {
            CertificateError::ExpiredContext { not_after, .. } => Self::expired(unix_seconds(*not_after)),
            CertificateError::NotValidYetContext { not_before, .. } => Self::not_yet_valid(unix_seconds(*not_before)),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::Name(names(server))
            }
            CertificateError::BadEncoding => Self::Malformed,
            CertificateError::UnknownIssuer => Self::unknown_issuer(server, configured),
            // A self-signed certificate is often a CA as well; then rustls refuses it before looking for its issuer.
            _ if is_self_issued(server) => Self::SelfSigned { configured },
            other => Self::Other(printable(&other.to_string())),
        }
    }

    pub(super) fn unknown_issuer(server: &CertificateDer<'_>, configured: bool) -> Self {
        if is_self_issued(server) { Self::SelfSigned { configured } } else { Self::UnknownIssuer { configured } }
    }

    pub(super) fn expired(seconds: i64) -> Self {
        Self::Expired(date(seconds))
    }

    pub(super) fn not_yet_valid(seconds: i64) -> Self {
        Self::NotYetValid(date(seconds))
    }
}

fn unix_seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

fn date(seconds: i64) -> String {
    // Certificates can have years that jiff does not support.
    Timestamp::from_second(seconds).map_or_else(|_| "a distant date".to_owned(), |time| time.strftime("%F").to_string())
}

fn is_self_issued(server: &CertificateDer<'_>) -> bool {
    CertificateInfo::read(server).is_ok_and(|info| info.is_self_issued)
}

/// The first five hosts that a certificate is for.
fn names(server: &CertificateDer<'_>) -> String {
    let hosts = CertificateInfo::read(server).map(|info| info.hosts).unwrap_or_default();
    if hosts.is_empty() {
        return "none (it has no subject alternative names)".to_owned();
    }
    printable(&hosts.into_iter().take(5).collect::<Vec<_>>().join(", "))
}
