//! Renders the mesh's roots as a SPIFFE bundle (SPIFFE Trust Domain and Bundle, section 4).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::certificates::PublishedCa;
use crate::api::metadata::{Jwk, SpiffeBundle};

/// How often a reader should look again, in seconds.
pub(super) const REFRESH_HINT: u64 = 300;

/// A root that does not fit into a SPIFFE bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("root certificate {0} has a key that is neither RSA nor EC on P-256 or P-384")]
pub(super) struct UnsupportedKey(usize);

/// The bundle of all `roots`.
pub(super) fn bundle(roots: &[PublishedCa]) -> Result<SpiffeBundle, UnsupportedKey> {
    let keys = roots.iter().zip(1..).map(|(root, number)| {
        let key = root.key.clone().ok_or(UnsupportedKey(number))?;
        Ok(Jwk { usage: "x509-svid".to_owned(), x5c: vec![STANDARD.encode(&root.der)], ..key })
    });
    Ok(SpiffeBundle {
        spiffe_sequence: sequence(roots),
        spiffe_refresh_hint: REFRESH_HINT,
        keys: keys.collect::<Result<_, _>>()?,
    })
}

/// A number that grows along a rotation, the same on every replica: it is derived from the roots alone.
///
/// It is the youngest root's start of validity in seconds, times 256, plus 255 less the number of roots. So it grows
/// when a root younger than all others is added, when roots are replaced by a younger one, and when any root but the
/// youngest is removed. It does *not* grow when the youngest is withdrawn or an older one is added: no function of the
/// roots alone can, since adding and removing one root leads back to the same roots. A reader then takes the change
/// with the next rotation; readers that compare the content take it at once.
fn sequence(roots: &[PublishedCa]) -> u64 {
    let youngest = roots.iter().filter_map(|root| u64::try_from(root.not_before).ok()).max().unwrap_or_default();
    let fewer = 255 - u64::try_from(roots.len()).unwrap_or(255).min(255);
    youngest.saturating_mul(256).saturating_add(fewer)
}

#[cfg(test)]
mod tests {
    use istio_federation_testkit::{Authority, RSA_ROOT_PEM};
    use rcgen::PKCS_ED25519;

    use super::super::certificates::read_cas;
    use super::*;

    fn root(year: i32) -> PublishedCa {
        read_cas(&Authority::root_from(&year.to_string(), year).pem()).unwrap().remove(0)
    }

    #[test]
    fn every_root_is_there_with_its_certificate() {
        let ec = Authority::root_from("ec", 2020).pem();
        let roots = read_cas(&format!("{ec}{RSA_ROOT_PEM}")).unwrap();
        let bundle = bundle(&roots).unwrap();
        assert_eq!(bundle.spiffe_refresh_hint, 300);
        assert_eq!(bundle.keys.iter().map(|key| key.kty.as_str()).collect::<Vec<_>>(), ["EC", "RSA"]);
        for (key, root) in bundle.keys.iter().zip(&roots) {
            assert_eq!(key.usage, "x509-svid");
            assert_eq!(key.x5c, [STANDARD.encode(&root.der)]);
        }
        let json = serde_json::to_string(&bundle).unwrap();
        assert!(
            json.starts_with(r#"{"spiffe_sequence":"#) && json.contains(r#""keys":[{"kty":"EC","use":"x509-svid""#)
        );
    }

    #[test]
    fn the_sequence_grows_along_a_rotation() {
        let (a, b, c) = (root(2020), root(2021), root(2022));
        let steps: [&[&PublishedCa]; 7] = [&[&a], &[&a, &b], &[&b], &[&b, &c], &[&c], &[&c, &a], &[&c]];
        let sequences: Vec<_> =
            steps.iter().map(|roots| sequence(&roots.iter().map(|&root| root.clone()).collect::<Vec<_>>())).collect();
        assert!(sequences[..5].is_sorted_by(|one, next| one < next), "{sequences:?}");
        assert!(sequences[5] < sequences[6], "removing an old root is a change too: {sequences:?}");
        assert_eq!(sequence(&[a.clone(), b.clone()]), sequence(&[b, a]), "the order does not matter");
        assert!(sequences.iter().all(|&sequence| sequence < 1 << 53), "exact in every JSON reader");
    }

    #[test]
    fn an_unsupported_key_is_refused() {
        let roots = read_cas(&format!(
            "{}{}",
            Authority::root_from("a", 2020).pem(),
            Authority::root_for("b", &PKCS_ED25519).pem()
        ))
        .unwrap();
        let error = bundle(&roots).unwrap_err().to_string();
        assert!(error.starts_with("root certificate 2 "), "{error}");
    }
}
