//! The HTTPS client that fetches a peer's documents: one GET, one answer, within limits.

use std::time::{Duration, Instant};

use ureq::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ureq::unversioned::transport::{Connector as _, TcpConnector};
use ureq::{Agent, Body, http::Response};

use super::connector::{BoundedResolver, TlsConnector};
use super::fetch_fault::{FetchError, FetchFault, NamedLimits};
use super::resolve;
use super::server_trust::{self, ServerTrust, ServerTrustError};
use super::url::Target;
use crate::federation::reasons::FETCH_FAILED;
use crate::text::printable;

/// Longest header of an answer, in bytes.
const HEADER_LIMIT: usize = 16 * 1024;
/// Longer entity tags are not kept, in bytes.
const ETAG_LIMIT: usize = 256;

/// Limits of a fetch. The deadline given to [`Client::get`] applies as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Time for DNS, and again for TCP and TLS together.
    pub connect: Duration,
    /// Time for the whole exchange.
    pub exchange: Duration,
    /// Largest document, in bytes.
    pub body: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(2), exchange: Duration::from_secs(5), body: 4 * 1024 * 1024 }
    }
}

/// Why the client for a peer cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct ClientError(#[from] pub ServerTrustError);

impl ClientError {
    /// The condition reason of Deckhouse's federation: always `FetchFailed`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        FETCH_FAILED
    }
}

/// An answer of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The document still has the entity tag that was sent.
    NotModified,
    /// A document, unread: it may not even be JSON.
    Document {
        /// Its bytes, within [`Limits::body`].
        body: Vec<u8>,
        /// Its entity tag, if well-formed (RFC 9110, 8.8.3) and at most 256 bytes long.
        etag: Option<String>,
    },
}

/// A client for one peer.
///
/// It follows no redirects, ignores proxies of the environment, and keeps neither cookies nor connections.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    limits: Limits,
}

impl Client {
    /// A client that accepts the certificates that `trust` allows.
    pub fn new(trust: &ServerTrust, limits: Limits) -> Result<Self, ClientError> {
        let tls = TlsConnector(server_trust::client_config(trust)?);
        Ok(Self::with_parts(tls, resolve::system, limits))
    }

    pub(super) fn with_parts(tls: TlsConnector, resolver: resolve::Resolver, limits: Limits) -> Self {
        let config = Agent::config_builder()
            .https_only(true)
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent(concat!("istio-federation/", env!("CARGO_PKG_VERSION")))
            .accept("application/json, text/plain")
            .max_response_header_size(HEADER_LIMIT)
            .input_buffer_size(2 * HEADER_LIMIT)
            .output_buffer_size(HEADER_LIMIT)
            // A reused connection may have been closed by the peer: then the fetch would fail.
            .max_idle_connections(0)
            .timeout_resolve(Some(limits.connect))
            .timeout_connect(Some(limits.connect))
            .build();
        let connector = ().chain(TcpConnector::default()).chain(tls);
        Self { agent: Agent::with_parts(config, connector, BoundedResolver(resolver)), limits }
    }

    /// Fetches `url` (`https://` only), with `bearer` as the token. `etag` is the entity tag of the cached document.
    ///
    /// Ends at `deadline` or after [`Limits::exchange`], whichever is earlier; that covers DNS, TCP, TLS and the whole
    /// body. Does not retry.
    pub fn get(
        &self,
        url: &str,
        bearer: Option<&str>,
        etag: Option<&str>,
        deadline: Instant,
    ) -> Result<Answer, FetchError> {
        self.exchange(url, bearer, etag, deadline).map_err(|fault| {
            // A refused URL may contain anything; an accepted one is plain ASCII.
            let url = if matches!(fault, FetchFault::Url(_)) { redacted(url) } else { url.to_owned() };
            FetchError { url, fault }
        })
    }

    fn exchange(
        &self,
        url: &str,
        bearer: Option<&str>,
        etag: Option<&str>,
        deadline: Instant,
    ) -> Result<Answer, FetchFault> {
        let target = Target::parse(url)?;
        let etag = etag.and_then(vetted_etag);
        let time = deadline.saturating_duration_since(Instant::now()).min(self.limits.exchange);
        if time.is_zero() {
            return Err(FetchFault::Deadline(self.limits.exchange));
        }
        let mut request = self.agent.get(target.uri).config().timeout_global(Some(time)).build();
        if let Some(bearer) = bearer {
            let mut value = HeaderValue::try_from(format!("Bearer {bearer}")).map_err(|_| FetchFault::Token)?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        if let Some(etag) = &etag {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        let answer = request.call().map_err(|error| self.fault(error))?;
        self.judge(answer, bearer.is_some(), etag.is_some())
    }

    fn judge(&self, mut answer: Response<Body>, with_token: bool, conditional: bool) -> Result<Answer, FetchFault> {
        match answer.status().as_u16() {
            200 => {}
            304 if conditional => return Ok(Answer::NotModified),
            401 => return Err(FetchFault::Unauthorized { with_token }),
            status @ (300..=303 | 305..=399) => {
                return Err(FetchFault::Redirect { status, to: redirect_target(answer.headers()) });
            }
            status => return Err(FetchFault::Status { status }),
        }
        judge_type(answer.headers())?;
        if answer.body().content_length().is_some_and(|length| length > self.limits.body) {
            return Err(FetchFault::TooLarge(self.limits.body));
        }
        let etag = text(answer.headers(), header::ETAG).as_deref().and_then(vetted_etag);
        let body = answer.body_mut().with_config().limit(self.limits.body).read_to_vec();
        Ok(Answer::Document { body: body.map_err(|error| self.fault(error))?, etag })
    }

    fn fault(&self, error: ureq::Error) -> FetchFault {
        let Limits { connect, exchange, .. } = self.limits;
        FetchFault::new(error, NamedLimits { connect, exchange, header: HEADER_LIMIT })
    }
}

/// A refused URL for messages, without the part that may be a password.
fn redacted(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, host)) => printable(&format!("https://...@{host}")),
        None => printable(url),
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Deckhouse's exporter sends its JSON as text/plain. Other types are refused.
fn judge_type(headers: &HeaderMap) -> Result<(), FetchFault> {
    if let Some(encoding) = text(headers, header::CONTENT_ENCODING)
        && !encoding.eq_ignore_ascii_case("identity")
    {
        return Err(FetchFault::Encoded(printable(&encoding)));
    }
    let Some(full) = text(headers, header::CONTENT_TYPE) else { return Ok(()) };
    let essence = full.split(';').next().unwrap_or_default().trim();
    let known = ["", "application/json", "text/plain"].iter().any(|known| essence.eq_ignore_ascii_case(known));
    if known { Ok(()) } else { Err(FetchFault::ContentType(printable(essence))) }
}

/// The target of a redirect: scheme and host only, because the rest may hold a session or a secret.
fn redirect_target(headers: &HeaderMap) -> String {
    let Some(location) = text(headers, header::LOCATION) else { return "an unnamed location".to_owned() };
    match location.split_once("://") {
        Some((scheme, rest)) => {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let host = authority.rsplit('@').next().unwrap_or_default();
            printable(&format!("{scheme}://{host}"))
        }
        None => "another path".to_owned(),
    }
}

/// `etag` if it is an entity tag (RFC 9110, 8.8.3) that can be cached and sent back unchanged.
fn vetted_etag(etag: &str) -> Option<String> {
    let opaque = etag.strip_prefix("W/").unwrap_or(etag).strip_prefix('"')?.strip_suffix('"')?;
    let plain = opaque.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
    (plain && etag.len() <= ETAG_LIMIT).then(|| etag.to_owned())
}
