//! Faults of a fetch, with messages that name the cure.
//!
//! The texts end up in conditions, so the same fault always has the same text: no ports of ours, no measured times, and
//! whatever a peer sent is made printable and short.

use std::io;
use std::time::Duration;

use rustls::CertificateError;

use super::certificate_fault::CertificateFault;
use super::resolve::ResolveError;
use super::url::UrlError;
use crate::federation::reasons::{FETCH_FAILED, NON_OK_RESPONSE};
use crate::text::printable;

/// A fetch that returned no document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("GET {url}: {fault}")]
pub struct FetchError {
    /// The URL, printable.
    pub url: String,
    /// The reason.
    pub fault: FetchFault,
}

impl FetchError {
    /// The condition reason of Deckhouse's federation: `NonOKResponse` for an unexpected status, else `FetchFailed`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self.fault {
            FetchFault::Status { .. } | FetchFault::Unauthorized { .. } | FetchFault::Redirect { .. } => {
                NON_OK_RESPONSE
            }
            _ => FETCH_FAILED,
        }
    }
}

/// Why a fetch failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchFault {
    /// The URL is refused.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The host has no address.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The token cannot be sent.
    #[error("the token has characters that no HTTP header may have")]
    Token,
    #[error("connection refused: nothing listens on that address and port; is the peer's metadata exporter published?")]
    Refused,
    /// No connection within this time, TLS handshake included.
    #[error("no connection within {}: no route, a firewall, or a server that does not speak TLS", seconds(*.0))]
    ConnectTimeout(Duration),
    /// No complete answer in time; the limit for a whole exchange.
    #[error("no complete answer in time (limit: {} for the whole exchange)", seconds(*.0))]
    Deadline(Duration),
    /// The connection ended before the answer did.
    #[error("the server closed the connection before its answer was complete")]
    Closed,
    /// Another failure of the network.
    #[error("network error: {0}")]
    Network(String),
    /// The server's certificate is not accepted.
    #[error(transparent)]
    Certificate(#[from] CertificateFault),
    /// The server does not speak TLS.
    #[error("the server does not answer with TLS: is this the HTTPS port?")]
    NotTls,
    /// TLS fails for another reason.
    #[error("TLS error: {0}")]
    Tls(String),
    /// The server does not speak HTTP/1.1.
    #[error("the server does not answer with valid HTTP")]
    NotHttp,
    /// The header of the answer is longer than this many bytes.
    #[error("the header of the answer is longer than {0} bytes")]
    HeaderTooLarge(usize),
    /// The document is larger than this many bytes.
    #[error("the document is larger than {0} bytes")]
    TooLarge(u64),
    /// The document has this media type.
    #[error("the answer is not JSON but \"{0}\": a login or error page of a proxy? Check spec.metadataEndpoint")]
    ContentType(String),
    /// The document has this content encoding, although none was requested.
    #[error("the answer is encoded as \"{0}\", which was not requested")]
    Encoded(String),
    #[error("HTTP status {status}: redirected to {to}, which is not followed; fix spec.metadataEndpoint")]
    Redirect {
        /// Status of the answer.
        status: u16,
        /// Target: scheme and host as the server wrote them, printable.
        to: String,
    },
    /// The server answers 401.
    #[error("HTTP status 401: {}", unauthorized(*with_token))]
    Unauthorized {
        /// Whether we sent a token.
        with_token: bool,
    },
    /// Any other status than 200 (or 304 to a conditional request).
    #[error("HTTP status {status}{}", hint(*status))]
    Status {
        /// Status of the answer.
        status: u16,
    },
}

fn seconds(limit: Duration) -> String {
    format!("{} s", limit.as_secs_f32())
}

fn unauthorized(with_token: bool) -> &'static str {
    if with_token {
        "the peer does not accept our token; usually it has no IstioFederation for this cluster yet, or has not read \
         our public metadata yet (less likely: clock skew, or the peer has an old key or UUID of ours)"
    } else {
        "the public metadata must be readable without authentication; does a proxy in front of it ask for it?"
    }
}

fn hint(status: u16) -> &'static str {
    match status {
        304 => ": \"not modified\", although the request was not conditional",
        403 => ": forbidden; is there a proxy or firewall in front of the peer's metadata exporter?",
        404 => ": not found; is the path in spec.metadataEndpoint right?",
        429 => ": too many requests, says the peer",
        502..=504 => ": the peer's metadata exporter is not ready, or the proxy in front of it cannot reach it",
        500..=599 => ": the peer's metadata exporter failed; see its log",
        _ => "",
    }
}

/// The limits that some texts mention.
#[derive(Clone, Copy, Debug)]
pub(super) struct NamedLimits {
    pub(super) connect: Duration,
    pub(super) exchange: Duration,
    pub(super) header: usize,
}

impl FetchFault {
    /// From an error of ureq, which may wrap one of our own connector and resolver.
    pub(super) fn new(error: ureq::Error, limits: NamedLimits) -> Self {
        match error {
            ureq::Error::Timeout(ureq::Timeout::Connect) => Self::ConnectTimeout(limits.connect),
            ureq::Error::Timeout(_) => Self::Deadline(limits.exchange),
            ureq::Error::Io(error) => Self::from_io(&error),
            ureq::Error::Rustls(error) => Self::from_rustls(&error),
            ureq::Error::BodyExceedsLimit(limit) => Self::TooLarge(limit),
            ureq::Error::LargeResponseHeader(..) => Self::HeaderTooLarge(limits.header),
            ureq::Error::Protocol(_) | ureq::Error::Http(_) => Self::NotHttp,
            ureq::Error::Other(error) => match error.downcast::<Self>() {
                Ok(fault) => *fault,
                Err(error) => Self::Network(printable(&error.to_string())),
            },
            other => Self::Network(printable(&other.to_string())),
        }
    }

    fn from_io(error: &io::Error) -> Self {
        if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
            return Self::from_rustls(error);
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            // Which of these occurs depends on timing.
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Self::Closed,
            // Only the kind: the system's texts differ between machines.
            kind => Self::Network(kind.to_string()),
        }
    }

    fn from_rustls(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(CertificateError::Other(error)) => {
                let fault = error.0.downcast_ref::<CertificateFault>().cloned();
                Self::Certificate(fault.unwrap_or(CertificateFault::Malformed))
            }
            rustls::Error::InvalidMessage(_) => Self::NotTls,
            other => Self::Tls(printable(&other.to_string())),
        }
    }
}
