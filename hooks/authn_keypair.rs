//! Our key pair towards other exporters: taken from its Secret, made where there is none yet, never replaced.

use std::error::Error;

use istio_federation::api::kubernetes::NAMESPACE;
use istio_federation::api::values::AuthnKeypair;
use istio_federation::hook::{Effects, HookConfig, Input, Logger};
use istio_federation::peer::{KeypairPem, SigningKey, StoredKeyError};
use serde_json::json;

use crate::shared::bindings::{BEFORE_HELM, KEYPAIR_SECRET};
use crate::shared::{facts, keypair};

const QUEUE: &str = "/modules/istio/federation-values";

pub(crate) fn config() -> HookConfig {
    HookConfig { before_helm: Some(BEFORE_HELM), kubernetes: vec![keypair::binding(QUEUE)], ..HookConfig::default() }
}

pub(crate) fn run(input: &Input, log: &Logger) -> Result<Effects, Box<dyn Error + Send + Sync>> {
    let Some(values) = facts::values_if_enabled(input)?.filter(|_| input.has_values()) else {
        return Ok(Effects::default());
    };
    let stored = keypair::from_secret(input)?;
    let computed = keypair::from_values(&values);
    let pair = match decide(stored.as_ref(), computed.as_ref()) {
        Decision::Keep => return Ok(Effects::default()),
        Decision::Use(pair) => pair.clone(),
        Decision::Heal(error) => {
            let told = [("error", json!(error.to_string()))];
            log.warn("the Secret's key pair is not usable: the one in use stays, and Helm renders it again", &told);
            return Ok(Effects::default());
        }
        Decision::Refuse(error) => {
            return Err(format!("Secret {NAMESPACE}/{KEYPAIR_SECRET}: {error}").into());
        }
        Decision::Make => {
            log.info("there is no key pair yet: making one", &[]);
            let KeypairPem { public, private } = SigningKey::generate()?.to_pem();
            AuthnKeypair { public, private }
        }
    };
    let mut effects = Effects::default();
    effects.values.set(&["istio", "internal", "remoteAuthnKeypair"], pair)?;
    Ok(effects)
}

/// What to do about the key pair.
#[derive(Debug, PartialEq)]
enum Decision<'a> {
    /// It is as it should be.
    Keep,
    /// The Secret's goes into values.
    Use(&'a AuthnKeypair),
    /// The Secret's is broken, but the one in values is good: rendering it mends the Secret.
    Heal(StoredKeyError),
    /// The Secret's is broken, and there is no other.
    Refuse(StoredKeyError),
    /// There is none anywhere.
    Make,
}

/// The Secret outlives the operator, so it is right where it can be used; one that Helm has not rendered yet is not missing.
fn decide<'a>(stored: Option<&'a AuthnKeypair>, computed: Option<&AuthnKeypair>) -> Decision<'a> {
    let check = |pair: &AuthnKeypair| SigningKey::from_pem_pair(&pair.private, &pair.public).map(|_| ());
    let computed = computed.filter(|pair| check(pair).is_ok());
    match (stored.map(|pair| (pair, check(pair))), computed) {
        (Some((stored, Ok(()))), Some(computed)) if stored == computed => Decision::Keep,
        (Some((stored, Ok(()))), _) => Decision::Use(stored),
        (Some((_, Err(error))), Some(_)) => Decision::Heal(error),
        (Some((_, Err(error))), None) => Decision::Refuse(error),
        (None, Some(_)) => Decision::Keep,
        (None, None) => Decision::Make,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> AuthnKeypair {
        let KeypairPem { public, private } = SigningKey::generate().unwrap().to_pem();
        AuthnKeypair { public, private }
    }

    #[test]
    fn the_secret_decides_and_nothing_good_is_replaced() {
        let (one, other) = (pair(), pair());
        let mixed = AuthnKeypair { public: one.public.clone(), private: other.private.clone() };
        let garbage = AuthnKeypair { public: "aaa".to_owned(), private: "bbb".to_owned() };
        assert_eq!(decide(None, None), Decision::Make);
        assert_eq!(decide(None, Some(&one)), Decision::Keep);
        assert_eq!(decide(Some(&one), Some(&one)), Decision::Keep);
        assert_eq!(decide(Some(&one), None), Decision::Use(&one));
        assert_eq!(decide(Some(&one), Some(&other)), Decision::Use(&one));
        assert_eq!(decide(Some(&one), Some(&garbage)), Decision::Use(&one));
        assert_eq!(decide(None, Some(&garbage)), Decision::Make);
        for broken in [&mixed, &garbage] {
            assert!(matches!(decide(Some(broken), Some(&one)), Decision::Heal(_)));
            assert!(matches!(decide(Some(broken), None), Decision::Refuse(_)));
        }
    }
}
