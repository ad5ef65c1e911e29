//! What can be wrong with a server's certificate, told to people.

use std::net::{Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;
use rustls::CertificateError;
use rustls::pki_types::{CertificateDer, UnixTime};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::text::printable;

/// Why a server's certificate is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// Its time is over.
    #[error("certificate has expired ({0}): the peer's owner has to renew it")]
    Expired(String),
    /// Its time has not come.
    #[error("certificate is not valid before {0}: wrong clock here or there?")]
    NotYetValid(String),
    /// It is for other hosts.
    #[error("certificate is not for this host but for {0}: fix spec.metadataEndpoint or have it issued for the host")]
    Name(String),
    /// It signs itself.
    #[error("certificate is self-signed: if it is the peer's, put it into spec.metadata.ca{}", instead(*configured))]
    SelfSigned {
        /// Whether `spec.metadata.ca` is set.
        configured: bool,
    },
    /// Nobody we know signed it.
    #[error("{}", stranger(*configured))]
    UnknownIssuer {
        /// Whether `spec.metadata.ca` is set.
        configured: bool,
    },
    /// It, or its chain, cannot be read.
    #[error("certificate is malformed")]
    Malformed,
    /// It is wrong in another way.
    #[error("certificate is not acceptable: {0}")]
    Other(String),
}

fn instead(configured: bool) -> &'static str {
    if configured { " (what is there now is another one)" } else { "" }
}

fn stranger(configured: bool) -> &'static str {
    if configured {
        "certificate is not signed by the CA in spec.metadata.ca: put the CA of the peer's server there"
    } else {
        "certificate is signed by a CA that this system does not know: put that CA into spec.metadata.ca"
    }
}

impl CertificateFault {
    /// What rustls found wrong with `server`; `configured` is whether `spec.metadata.ca` is set.
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
            // A self-signed certificate is often a CA, too, and is refused as such before anybody asks for its issuer.
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
    // Certificates can name years that jiff does not have.
    Timestamp::from_second(seconds).map_or_else(|_| "a distant time".to_owned(), |time| time.strftime("%F").to_string())
}

fn is_self_issued(server: &CertificateDer<'_>) -> bool {
    X509Certificate::from_der(server).is_ok_and(|(_, server)| server.subject() == server.issuer())
}

/// The hosts that a certificate is for, as far as they are worth showing.
fn names(server: &CertificateDer<'_>) -> String {
    let parsed = X509Certificate::from_der(server);
    let alternatives = parsed.as_ref().ok().and_then(|(_, server)| server.subject_alternative_name().ok().flatten());
    let all: Vec<String> = alternatives
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => ip(bytes),
            _ => None,
        })
        .take(5)
        .collect();
    if all.is_empty() { "none (it has no subject alternative names)".to_owned() } else { printable(&all.join(", ")) }
}

fn ip(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| Ipv4Addr::from(bytes).to_string());
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| Ipv6Addr::from(bytes).to_string())).ok()
}
