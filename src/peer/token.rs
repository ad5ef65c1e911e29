//! Tokens between exporters: compact JWS (RFC 7515) with `EdDSA` (RFC 8037), and nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use jiff::Timestamp;
use serde::de::{Deserializer, IgnoredAny};
use serde::{Deserialize, Serialize};

use super::keys::{SigningKey, VerifyingKey};
use crate::api::metadata::{TOKEN_ISSUER, TOKEN_SCOPE, TokenClaims};
use crate::text::printable;

/// Lifetime of our tokens, in seconds; the same as in Deckhouse's federation.
pub(super) const LIFETIME: i64 = 60;
/// Longest lifetime of a peer's token, in seconds.
pub(super) const LIFETIME_LIMIT: i64 = 600;
/// Largest accepted clock skew, in seconds.
pub(super) const LEEWAY: i64 = 30;
/// Longer tokens are not even decoded, in bytes.
pub(super) const LENGTH_LIMIT: usize = 4096;

/// Why a token was refused. For the log only: every caller gets the same `401`, because the reason would reveal who our
/// peers are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than [`LENGTH_LIMIT`].
    #[error("the token is longer than {LENGTH_LIMIT} bytes")]
    TooLong,
    /// Not three base64url parts.
    #[error("the token is not a compact JWS (three base64url parts)")]
    Form,
    /// The header is not a JSON object with an `alg`.
    #[error("the token's header is not a JWS header")]
    Header,
    /// Another algorithm than `EdDSA`.
    #[error("the token is signed with \"{0}\"; only EdDSA is accepted")]
    Algorithm(String),
    /// The header demands extensions.
    #[error("the token demands extensions (\"crit\"); none is supported")]
    Critical,
    /// The payload has no subject, which selects the key.
    #[error("the token's payload is not a JSON object with a \"sub\"")]
    Payload,
    /// No key for the subject.
    #[error("no peer has the UUID \"{0}\": its public metadata was not read yet, or we do not federate with it")]
    UnknownCaller(String),
    /// Not signed with the key of its subject.
    #[error("the signature was not made with the key of \"{0}\"")]
    Signature(String),
    /// A claim is missing or of a wrong type.
    #[error("\"{0}\" sent a token with missing or malformed claims")]
    Claims(String),
    #[error("the token's issuer is \"{0}\", not \"{TOKEN_ISSUER}\"")]
    Issuer(String),
    #[error("the token is for the cluster \"{0}\", not for this one")]
    Audience(String),
    #[error("the token's scope is \"{0}\", not \"{TOKEN_SCOPE}\"")]
    Scope(String),
    /// Not valid yet; in how many seconds.
    #[error("the token becomes valid in {0} s: the clocks of the clusters differ")]
    NotYetValid(i64),
    /// Expired; how many seconds ago.
    #[error("the token expired {0} s ago: the clocks of the clusters differ, or the token is replayed")]
    Expired(i64),
    /// A lifetime, in seconds, that is negative or too long.
    #[error("the token is valid for {0} s; 0 to {LIFETIME_LIMIT} s are accepted")]
    Lifetime(i64),
    #[error("the token is for the host \"{0}\", which is not ours: somebody may be relaying it")]
    Host(String),
}

/// The values that a caller's token must have.
#[derive(Clone, Copy, Debug)]
pub struct Expectations<'a> {
    /// Our own UUID.
    pub audience: &'a str,
    /// The hosts of our exporter, as [`host_of`](super::host_of) writes them. If empty, the host claim is not checked; a
    /// token without one (Deckhouse's) passes in any case.
    pub hosts: &'a [String],
    /// The time.
    pub now: Timestamp,
}

/// A caller whose token has been verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedCaller {
    /// UUID of its cluster.
    pub uuid: String,
}

/// The claims of a token with which `own_uuid` asks `peer_uuid` for its private metadata. `host` is the peer's host, as
/// [`host_of`](super::host_of) writes it; a token for another host is refused, so a peer cannot relay it.
#[must_use]
pub fn claims_for(own_uuid: &str, peer_uuid: &str, host: Option<String>, now: Timestamp) -> TokenClaims {
    let nbf = now.as_second();
    TokenClaims {
        aud: peer_uuid.to_owned(),
        exp: nbf.saturating_add(LIFETIME),
        host,
        iss: TOKEN_ISSUER.to_owned(),
        nbf,
        scope: TOKEN_SCOPE.to_owned(),
        sub: own_uuid.to_owned(),
    }
}

/// A token with these claims, signed with `key`: a compact JWS (RFC 7515) with `EdDSA` (RFC 8037).
#[must_use]
pub fn sign(key: &SigningKey, claims: &impl Serialize) -> String {
    // Claims are strings and integers, which always serialise; every peer would refuse an empty payload.
    compact(key, &serde_json::to_vec(claims).unwrap_or_default())
}

/// `payload` as a compact JWS.
pub(super) fn compact(key: &SigningKey, payload: &[u8]) -> String {
    let mut token = BASE64URL.encode(br#"{"alg":"EdDSA"}"#);
    token.push('.');
    BASE64URL.encode_string(payload, &mut token);
    let signature = key.sign(token.as_bytes());
    token.push('.');
    BASE64URL.encode_string(signature, &mut token);
    token
}

/// Verifies `token`. `lookup` finds the key of a cluster by its UUID, which is only claimed at that moment: the signature
/// is verified next, before any other claim is read.
pub fn verify(
    token: &str,
    lookup: impl FnOnce(&str) -> Option<VerifyingKey>,
    expectations: &Expectations<'_>,
) -> Result<VerifiedCaller, TokenError> {
    if token.len() > LENGTH_LIMIT {
        return Err(TokenError::TooLong);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Form)?;
    let (header, payload) = message.split_once('.').ok_or(TokenError::Form)?;
    let decode = |part: &str| BASE64URL.decode(part).map_err(|_| TokenError::Form);
    let (header, payload) = (decode(header)?, decode(payload)?);
    let signature = decode(signature)?.try_into().map_err(|_| TokenError::Form)?;

    judge_header(&header)?;
    let Subject { sub } = serde_json::from_slice(&payload).map_err(|_| TokenError::Payload)?;
    let key = lookup(&sub).ok_or_else(|| TokenError::UnknownCaller(printable(&sub)))?;
    if !key.verifies(message.as_bytes(), &signature) {
        return Err(TokenError::Signature(printable(&sub)));
    }
    let claims: TokenClaims = serde_json::from_slice(&payload).map_err(|_| TokenError::Claims(printable(&sub)))?;
    judge_claims(&claims, expectations)?;
    Ok(VerifiedCaller { uuid: claims.sub })
}

/// The only claim that is read before the signature is checked.
#[derive(Deserialize)]
struct Subject {
    sub: String,
}

/// Other members (`typ`, `kid`, ...) are ignored: the subject alone selects the key.
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default, deserialize_with = "present")]
    crit: bool,
}

/// True for any value, `null` included.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(value).map(|_| true)
}

fn judge_header(header: &[u8]) -> Result<(), TokenError> {
    let header: Header = serde_json::from_slice(header).map_err(|_| TokenError::Header)?;
    if header.alg != "EdDSA" {
        return Err(TokenError::Algorithm(printable(&header.alg)));
    }
    if header.crit { Err(TokenError::Critical) } else { Ok(()) }
}

fn judge_claims(claims: &TokenClaims, expectations: &Expectations<'_>) -> Result<(), TokenError> {
    if claims.iss != TOKEN_ISSUER {
        return Err(TokenError::Issuer(printable(&claims.iss)));
    }
    if claims.aud != expectations.audience {
        return Err(TokenError::Audience(printable(&claims.aud)));
    }
    if claims.scope != TOKEN_SCOPE {
        return Err(TokenError::Scope(printable(&claims.scope)));
    }
    let now = expectations.now.as_second();
    let (ahead, ago) = (claims.nbf.saturating_sub(now), now.saturating_sub(claims.exp));
    if ahead > LEEWAY {
        return Err(TokenError::NotYetValid(ahead));
    }
    if ago > LEEWAY {
        return Err(TokenError::Expired(ago));
    }
    let lifetime = claims.exp.saturating_sub(claims.nbf);
    if !(0..=LIFETIME_LIMIT).contains(&lifetime) {
        return Err(TokenError::Lifetime(lifetime));
    }
    match &claims.host {
        Some(host) if !expectations.hosts.is_empty() => {
            let ours = expectations.hosts.iter().any(|own| own.eq_ignore_ascii_case(host));
            if ours { Ok(()) } else { Err(TokenError::Host(printable(host))) }
        }
        _ => Ok(()),
    }
}
