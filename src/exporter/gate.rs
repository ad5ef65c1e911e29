//! Authentication for the private document.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use jiff::Timestamp;
use thiserror::Error;

use super::peers::PeerKeys;
use crate::peer::{Expectations, TokenError, VerifiedCaller, verify};

/// Scheme of the `Authorization` header, in any case (RFC 9110, section 11.1).
const SCHEME: &str = "bearer";

/// Why a request is refused. For log and metrics only: the caller always gets a plain 401.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Rejection {
    #[error("no Authorization header with a bearer token, or more than one")]
    NoToken,
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl Rejection {
    /// Metric label.
    #[must_use]
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::NoToken => "no_token",
            Self::Token(TokenError::UnknownCaller(_)) => "unknown_caller",
            Self::Token(TokenError::Signature(_)) => "signature",
            Self::Token(TokenError::NotYetValid(_) | TokenError::Expired(_) | TokenError::Lifetime(_)) => "time",
            Self::Token(TokenError::Audience(_) | TokenError::Host(_)) => "not_for_us",
            Self::Token(_) => "malformed",
        }
    }
}

/// Decides who may read the private document.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    /// Our UUID, the audience that every token needs.
    pub(super) audience: String,
    /// Our hosts (with the port if it is not 443): a token for another host is refused. Empty: unknown, so not checked.
    pub(super) hosts: Vec<String>,
    pub(super) now: fn() -> Timestamp,
}

impl Gate {
    /// Checks the headers of a request.
    pub(super) fn admit(&self, headers: &HeaderMap, peers: &PeerKeys) -> Result<VerifiedCaller, Rejection> {
        let token = bearer(headers).ok_or(Rejection::NoToken)?;
        let expectations = Expectations { audience: &self.audience, hosts: &self.hosts, now: (self.now)() };
        Ok(verify(token, |uuid| peers.get(uuid), &expectations)?)
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    (values.next().is_none() && scheme.eq_ignore_ascii_case(SCHEME)).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (AUTHORIZATION, HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn a_token_comes_in_one_bearer_header() {
        assert_eq!(bearer(&headers(&["Bearer a.b.c"])), Some("a.b.c"));
        assert_eq!(bearer(&headers(&["bearer a.b.c"])), Some("a.b.c"));
        for bad in [&[][..], &["Basic a.b.c"], &["Bearer"], &["a.b.c"], &["Bearer a.b.c", "Bearer d.e.f"]] {
            assert_eq!(bearer(&headers(bad)), None, "{bad:?}");
        }
        assert_eq!(bearer(&headers(&["Bearer  a.b.c"])), Some(" a.b.c"), "the space makes the token invalid later");
    }
}
