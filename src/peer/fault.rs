//! What can go wrong with a fetch, told to people.
//!
//! The texts end up in conditions, so the same fault always gives the same text: no ports of ours, no measured times,
//! and whatever a peer sent made printable and short.

use std::io;
use std::time::Duration;

use rustls::CertificateError;

use super::certificate::CertificateFault;
use super::resolve::ResolveError;
use super::url::UrlError;
use super::{FETCH_FAILED, NON_OK_RESPONSE};
use crate::text::printable;

/// A fetch that gave no document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("GET {url}: {fault}")]
pub struct FetchError {
    /// What was asked; printable.
    pub url: String,
    /// What went wrong.
    pub fault: Fault,
}

impl FetchError {
    /// Deckhouse's reason for the condition: [`FETCH_FAILED`] or [`NON_OK_RESPONSE`].
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self.fault {
            Fault::Status { .. } | Fault::Unauthorized { .. } | Fault::Redirect { .. } => NON_OK_RESPONSE,
            _ => FETCH_FAILED,
        }
    }
}

/// What went wrong with a fetch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// This URL is not asked.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The host has no address.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The token cannot be sent.
    #[error("the token has characters that no HTTP header may have")]
    Token,
    /// Nobody listens.
    #[error("connection refused: nothing listens on that address and port; is the peer's metadata exporter published?")]
    Refused,
    /// No connection in time, TLS handshake included.
    #[error("no connection within {}: no route, a firewall, or a server that does not speak TLS", seconds(*.0))]
    ConnectTimeout(Duration),
    /// No whole answer in time.
    #[error("no complete answer in time; at most {} are allowed for the whole exchange", seconds(*.0))]
    Deadline(Duration),
    /// The connection ended before the answer did.
    #[error("the server closed the connection before its answer was complete")]
    Closed,
    /// Another failure of the network.
    #[error("network error: {0}")]
    Network(String),
    /// The server's certificate is not believed.
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
    /// The header of the answer is too long.
    #[error("the header of the answer is longer than {0} bytes")]
    HeaderTooLarge(usize),
    /// The document is too long.
    #[error("the document is larger than {0} bytes")]
    TooLarge(u64),
    /// The document is of another type.
    #[error("the answer is not JSON but \"{0}\": a login or error page of a proxy? Check spec.metadataEndpoint")]
    ContentType(String),
    /// The document is compressed although that was not asked for.
    #[error("the answer is encoded as \"{0}\", which was not asked for")]
    Encoded(String),
    /// The server points elsewhere.
    #[error("HTTP status {status}: redirected to {to}, which is not followed; fix spec.metadataEndpoint")]
    Redirect {
        /// Status of the answer.
        status: u16,
        /// Where to: scheme and host as the server wrote them, printable.
        to: String,
    },
    /// The server refuses us.
    #[error("HTTP status 401: {}", unauthorized(*with_token))]
    Unauthorized {
        /// Whether we sent a token.
        with_token: bool,
    },
    /// The server answers with another status than 200 (or 304 where that was asked for).
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
         our public metadata yet (otherwise: the clocks differ, or it knows another key or UUID of ours)"
    } else {
        "the public metadata must be readable without authentication; is there a proxy before it that asks for it?"
    }
}

fn hint(status: u16) -> &'static str {
    match status {
        304 => ": \"not modified\", although no version was named",
        403 => ": forbidden; is there a proxy or firewall before the peer's metadata exporter?",
        404 => ": not found; is the path in spec.metadataEndpoint right?",
        429 => ": the peer asks for fewer requests",
        502..=504 => ": the peer's metadata exporter is not ready, or not reachable for the proxy before it",
        500..=599 => ": the peer's metadata exporter failed; see its log",
        _ => "",
    }
}

/// The limits that some texts name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named {
    pub(super) connect: Duration,
    pub(super) exchange: Duration,
    pub(super) header: usize,
}

impl Fault {
    /// What ureq says, or what our own connector and resolver say through it.
    pub(super) fn new(error: ureq::Error, limits: Named) -> Self {
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
            // Which of these it is depends on who was faster.
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Self::Closed,
            // The kind alone: the system's texts differ between machines.
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
