//! Our key pair towards other exporters: taken from its Secret, made once, never replaced.

use istio_federation::api::kubernetes::NAMESPACE;
use istio_federation::api::values::AuthnKeypair;
use istio_federation::hook::{Effects, HookConfig, Input, Logger};
use istio_federation::peer::{KeypairPem, SigningKey, StoredKeyError};
use serde_json::json;

use crate::shared::bindings::{BEFORE_HELM, KEYPAIR_SECRET};
use crate::shared::steps::{Failure, In as _};
use crate::shared::{keypair, settings};

const QUEUE: &str = "/modules/istio/federation-values";

pub(crate) fn config() -> HookConfig {
    HookConfig { before_helm: Some(BEFORE_HELM), kubernetes: vec![keypair::binding(QUEUE)], ..HookConfig::default() }
}

pub(crate) fn run(input: &Input, log: &Logger) -> Result<Effects, Failure> {
    let Some(given) = read(input).within("read")? else { return Ok(Effects::default()) };
    emit(&decide(given.stored.as_ref(), given.computed.as_ref()), log).within("emit")
}

struct Given {
    /// The pair in the Secret.
    stored: Option<AuthnKeypair>,
    /// The pair in values.
    computed: Option<AuthnKeypair>,
}

fn read(input: &Input) -> Result<Option<Given>, Failure> {
    let Some(values) = settings::module_values_if_enabled(input)? else { return Ok(None) };
    Ok(Some(Given { stored: keypair::from_secret(input)?, computed: keypair::from_values(&values) }))
}

/// What to do about the key pair.
#[derive(Debug, PartialEq)]
enum Decision<'a> {
    /// Values and Secret agree.
    Keep,
    /// The Secret's goes into values.
    Use(&'a AuthnKeypair),
    /// The Secret's is broken, the one in values is good: Helm renders that and repairs the Secret.
    Heal(StoredKeyError),
    /// The Secret's is broken, and values have none.
    Refuse(StoredKeyError),
    /// Neither has a pair yet.
    Make,
}

/// The Secret outlives the operator, so a usable one wins. Before Helm has rendered it, values have the pair.
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

fn emit(decision: &Decision<'_>, log: &Logger) -> Result<Effects, Failure> {
    let pair = match decision {
        Decision::Keep => return Ok(Effects::default()),
        Decision::Use(pair) => (*pair).clone(),
        Decision::Heal(error) => {
            let fields = [("error", json!(error.to_string()))];
            log.warn("the Secret's key pair cannot be used: the current one stays, and Helm renders it again", &fields);
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
