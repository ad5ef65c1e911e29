//! Tests of tokens: test vectors, every rule at its limit, and garbage.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;

use super::super::keys::{SigningKey, VerifyingKey};
use super::super::token::{Expectations, LENGTH_LIMIT, TokenError, VerifiedCaller, claims_for, compact, sign, verify};
use super::keys::rfc_key;
use crate::api::metadata::TokenClaims;

const NOW: i64 = 1_700_000_000;

/// Made by Go's `crypto/ed25519` and `encoding/json` with the key of RFC 8037.
const BY_GO: &str = "eyJhbGciOiJFZERTQSJ9.eyJhdWQiOiJ1dWlkLW9mLWEiLCJleHAiOjE3MDAwMDAwNjAsImlzcyI6ImQ4LWlzdGlvIiwibmJmIjo\
    xNzAwMDAwMDAwLCJzY29wZSI6InByaXZhdGUtZmVkZXJhdGlvbiIsInN1YiI6InV1aWQtb2YtYiJ9.yrSUOkbcd80RAxw4JLG-LCZg5R976PB3plwY\
    nJqCL_nWxyWOsXJxrKUGiFV9L6EfXHNiQmOjCRkYIYFynQ5zDA";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn claims() -> TokenClaims {
    claims_for("uuid-of-b", "uuid-of-a", None, at(NOW))
}

fn key_of_b(sub: &str) -> Option<VerifyingKey> {
    (sub == "uuid-of-b").then(|| rfc_key().verifying_key())
}

fn judge(token: &str) -> Result<VerifiedCaller, TokenError> {
    judge_at(token, NOW)
}

fn judge_at(token: &str, now: i64) -> Result<VerifiedCaller, TokenError> {
    verify(token, key_of_b, &Expectations { audience: "uuid-of-a", hosts: &[], now: at(now) })
}

fn caller() -> VerifiedCaller {
    VerifiedCaller { uuid: "uuid-of-b".into() }
}

/// A token of b with these parts, rightly signed.
fn signed(header: &str, payload: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = URL_SAFE_NO_PAD.encode(rfc_key().sign(message.as_bytes()));
    format!("{message}.{signature}")
}

#[test]
fn signatures_are_those_of_rfc_8037() {
    assert_eq!(
        compact(&rfc_key(), b"Example of Ed25519 signing"),
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR\
         4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    );
}

#[test]
fn our_token_is_byte_for_byte_the_one_go_makes() {
    assert_eq!(sign(&rfc_key(), &claims()), BY_GO);
    assert_eq!(judge(BY_GO), Ok(caller()));
}

#[test]
fn the_host_claim_stands_in_alphabetical_order() {
    let token = sign(&rfc_key(), &claims_for("uuid-of-b", "uuid-of-a", Some("b.example:8443".into()), at(NOW)));
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    assert_eq!(
        String::from_utf8(payload).unwrap(),
        r#"{"aud":"uuid-of-a","exp":1700000060,"host":"b.example:8443","iss":"d8-istio","nbf":1700000000,"scope":"private-federation","sub":"uuid-of-b"}"#
    );
}

#[test]
fn clocks_may_differ_by_half_a_minute() {
    // The token is valid from 0 to 60.
    for (now, verdict) in [
        (-600, Err(TokenError::NotYetValid(600))),
        (-31, Err(TokenError::NotYetValid(31))),
        (-30, Ok(caller())),
        (-29, Ok(caller())),
        (0, Ok(caller())),
        (60, Ok(caller())),
        (89, Ok(caller())),
        (90, Ok(caller())),
        (91, Err(TokenError::Expired(31))),
        (660, Err(TokenError::Expired(600))),
    ] {
        assert_eq!(judge_at(BY_GO, NOW + now), verdict, "{now}");
    }
}

#[test]
fn a_token_is_valid_for_ten_minutes_at_most() {
    for (nbf, exp, verdict) in [
        (NOW, NOW + 600, Ok(caller())),
        (NOW, NOW + 601, Err(TokenError::Lifetime(601))),
        (NOW - 5, NOW - 5, Ok(caller())),
        (NOW, NOW - 1, Err(TokenError::Lifetime(-1))),
        (NOW, NOW + 366 * 86_400, Err(TokenError::Lifetime(366 * 86_400))),
        (i64::MIN, i64::MAX, Err(TokenError::Lifetime(i64::MAX))),
        (i64::MAX, i64::MAX, Err(TokenError::NotYetValid(i64::MAX - NOW))),
        (i64::MIN, i64::MIN, Err(TokenError::Expired(i64::MAX))),
    ] {
        assert_eq!(judge(&sign(&rfc_key(), &TokenClaims { exp, nbf, ..claims() })), verdict, "{nbf} {exp}");
    }
}

#[test]
fn every_claim_is_checked() {
    let good = claims();
    let with = |change: &dyn Fn(&mut TokenClaims)| {
        let mut claims = good.clone();
        change(&mut claims);
        judge(&sign(&rfc_key(), &claims))
    };
    assert_eq!(with(&|_| ()), Ok(caller()));
    assert_eq!(with(&|c| c.iss = "istio".into()), Err(TokenError::Issuer("istio".into())));
    assert_eq!(with(&|c| c.iss.clear()), Err(TokenError::Issuer(String::new())));
    assert_eq!(with(&|c| c.aud = "uuid-of-c".into()), Err(TokenError::Audience("uuid-of-c".into())));
    assert_eq!(with(&|c| c.aud = "UUID-OF-A".into()), Err(TokenError::Audience("UUID-OF-A".into())));
    assert_eq!(with(&|c| c.scope = "api".into()), Err(TokenError::Scope("api".into())));
    assert_eq!(
        with(&|c| c.scope = "private-federation api".into()),
        Err(TokenError::Scope("private-federation api".into()))
    );
    assert_eq!(with(&|c| c.sub = "uuid-of-c".into()), Err(TokenError::UnknownCaller("uuid-of-c".into())));
    assert_eq!(with(&|c| c.sub = "\n\u{1b}".into()), Err(TokenError::UnknownCaller("??".into())));
}

#[test]
fn a_token_for_another_host_is_not_ours() {
    let token = |host: Option<&str>| sign(&rfc_key(), &TokenClaims { host: host.map(str::to_owned), ..claims() });
    let judge = |host: Option<&str>, hosts: &[&str]| {
        let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        verify(&token(host), key_of_b, &Expectations { audience: "uuid-of-a", hosts: &hosts, now: at(NOW) })
    };
    let ours = ["a.example", "10.0.0.1:8443"];
    assert_eq!(judge(None, &ours), Ok(caller()), "a Deckhouse peer names no host");
    assert_eq!(judge(Some("a.example"), &ours), Ok(caller()));
    assert_eq!(judge(Some("A.Example"), &ours), Ok(caller()));
    assert_eq!(judge(Some("10.0.0.1:8443"), &ours), Ok(caller()));
    for other in ["c.example", "a.example:8443", "10.0.0.1", "", "xa.example"] {
        assert_eq!(judge(Some(other), &ours), Err(TokenError::Host(other.into())), "{other}");
        assert_eq!(judge(Some(other), &[]), Ok(caller()), "not checked if our own hosts are unknown");
    }
}

#[test]
fn only_eddsa_headers_without_extensions_pass() {
    let payload = serde_json::to_string(&claims()).unwrap();
    let judge = |header: &str| judge(&signed(header, &payload));
    for header in
        [r#"{"alg":"EdDSA"}"#, r#"{"typ":"JWT","alg":"EdDSA"}"#, r#"{"alg":"EdDSA","kid":"x","jwk":{"kty":"OKP"}}"#]
    {
        assert_eq!(judge(header), Ok(caller()), "{header}");
    }
    for alg in ["none", "HS256", "eddsa", "Ed25519", "RS256", ""] {
        let header = json!({"alg": alg}).to_string();
        assert_eq!(judge(&header), Err(TokenError::Algorithm(alg.into())), "{header}");
    }
    for header in [r#"{"alg":"EdDSA","crit":["exp"]}"#, r#"{"alg":"EdDSA","crit":null}"#] {
        assert_eq!(judge(header), Err(TokenError::Critical), "{header}");
    }
    for header in ["", "{}", "[]", r#"{"alg":["EdDSA"]}"#, r#"{"alg":"EdDSA","alg":"EdDSA"}"#, r#"{"alg":"EdDSA"} x"#] {
        assert_eq!(judge(header), Err(TokenError::Header), "{header}");
    }
}

#[test]
fn malformed_claims_are_refused_after_the_signature() {
    let claims = serde_json::to_value(claims()).unwrap();
    for (name, value) in [
        ("aud", json!(["uuid-of-a"])),
        ("exp", json!("1700000060")),
        ("exp", json!(1_700_000_060.5)),
        ("nbf", json!(null)),
        ("iss", json!(1)),
        ("host", json!(["a.example"])),
    ] {
        let mut changed = claims.clone();
        changed[name] = value;
        assert_eq!(judge(&sign(&rfc_key(), &changed)), Err(TokenError::Claims("uuid-of-b".into())), "{changed}");
    }
    for name in ["aud", "exp", "iss", "nbf", "scope"] {
        let mut changed = claims.clone();
        changed.as_object_mut().unwrap().remove(name);
        assert_eq!(judge(&sign(&rfc_key(), &changed)), Err(TokenError::Claims("uuid-of-b".into())), "{name}");
    }
    let twice = r#"{"aud":"x","aud":"uuid-of-a","exp":1700000060,"iss":"d8-istio","nbf":1700000000,"scope":"private-federation","sub":"uuid-of-b"}"#;
    assert_eq!(judge(&compact(&rfc_key(), twice.as_bytes())), Err(TokenError::Claims("uuid-of-b".into())));
    for payload in ["", "{}", "null", r#"{"sub":1}"#, r#"{"sub":"uuid-of-b","sub":"uuid-of-b"}"#] {
        assert_eq!(judge(&compact(&rfc_key(), payload.as_bytes())), Err(TokenError::Payload), "{payload}");
    }
}

#[test]
fn no_claim_is_checked_before_the_signature() {
    let stranger = SigningKey::generate().unwrap();
    // Everything in it is wrong; only the signature is reported.
    let wrong = TokenClaims {
        iss: "x".into(),
        aud: "x".into(),
        scope: "x".into(),
        exp: 0,
        nbf: i64::MAX,
        host: Some("x".into()),
        ..claims()
    };
    assert_eq!(judge(&sign(&stranger, &wrong)), Err(TokenError::Signature("uuid-of-b".into())));
    let only_subject = json!({"sub": "uuid-of-b"});
    assert_eq!(judge(&sign(&stranger, &only_subject)), Err(TokenError::Signature("uuid-of-b".into())));
}

#[test]
fn tokens_are_bounded_and_of_one_form() {
    let padded = |more: usize| sign(&rfc_key(), &json!({"sub": "uuid-of-b", "x": "x".repeat(more)}));
    assert_eq!(judge(&padded(LENGTH_LIMIT)), Err(TokenError::TooLong));
    let longest = (0..LENGTH_LIMIT).rev().map(padded).find(|token| token.len() <= LENGTH_LIMIT).unwrap();
    assert_eq!(judge(&longest), Err(TokenError::Claims("uuid-of-b".into())));
    let (message, signature) = BY_GO.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    for form in [
        String::new(),
        "..".into(),
        message.into(),
        format!("{BY_GO}."),
        format!(".{BY_GO}"),
        format!("{BY_GO}="),
        format!(" {BY_GO}"),
        format!("{message}."),
        format!("{message}.{}", &signature[..84]),
        format!("{message}.{signature}AAAA"),
        format!("{header}.{payload}=.{signature}"),
        BY_GO.replace('_', "/"),
    ] {
        assert!(matches!(judge(&form), Err(TokenError::Form | TokenError::Header)), "{form} {:?}", judge(&form));
    }
    // The last character of a signature has four spare bits; only one spelling passes.
    let respelled = format!("{}B", &BY_GO[..BY_GO.len() - 1]);
    assert_eq!(judge(&respelled), Err(TokenError::Form));
}

proptest! {
    #[test]
    fn garbage_never_passes(token in "\\PC*") {
        prop_assert!(judge(&token).is_err());
    }

    #[test]
    fn garbage_that_looks_like_a_token_never_passes(
        header in prop_oneof![Just(r#"{"alg":"EdDSA"}"#.to_owned()), "\\PC{0,40}"],
        payload in prop_oneof![Just(serde_json::to_string(&claims()).unwrap()), "\\PC{0,200}"],
        signature in proptest::collection::vec(any::<u8>(), 64),
    ) {
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let token = format!("{}.{}.{}", part(header.as_bytes()), part(payload.as_bytes()), part(&signature));
        prop_assert!(judge(&token).is_err());
    }

    #[test]
    fn a_token_changed_anywhere_never_passes(position in 0..BY_GO.len(), byte in b' '..=b'~') {
        prop_assume!(BY_GO.as_bytes()[position] != byte);
        let mut changed = BY_GO.as_bytes().to_vec();
        changed[position] = byte;
        prop_assert!(judge(std::str::from_utf8(&changed).unwrap()).is_err());
    }

    #[test]
    fn rightly_signed_garbage_never_panics(payload in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(judge(&compact(&rfc_key(), &payload)).is_err());
    }

    #[test]
    fn a_signed_token_verifies(own in "[a-z0-9-]{1,64}", peer in "\\PC{1,64}", now in 0..4_000_000_000_i64) {
        let key = rfc_key();
        let token = sign(&key, &claims_for(&own, &peer, None, at(now)));
        let lookup = |sub: &str| (sub == own).then(|| key.verifying_key());
        let verdict = verify(&token, lookup, &Expectations { audience: &peer, hosts: &[], now: at(now) });
        prop_assert_eq!(verdict, Ok(VerifiedCaller { uuid: own.clone() }));
    }
}
