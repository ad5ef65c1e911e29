//! Every verifier must accept an admitted certificate: hostile ones, judged, rebuilt, and read by another parser.

use proptest::prelude::*;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::maker::{CN, Ca, DC, IA5, Key, O, PRINTABLE, Template, UTF8, name};
use super::{Peer, admit, anchors_of, ders, own_unrelated};

/// Judges a certificate; where it is admitted, its anchor must be well-formed for an independent parser, carry the same
/// key, and depend on nothing else of the certificate's bytes. Returns whether it was admitted.
fn check(der: &[u8]) -> bool {
    let own = own_unrelated();
    let admission = admit(&[der], &[], &own);
    assert_eq!(admission.certificates.len() + admission.refused.len(), 1);
    let made = anchors_of(&[Peer::new("b", "b.local", &[der], &[])], &own);
    assert!(made.entries.len() <= 1);
    if admission.certificates.is_empty() {
        return false;
    }
    let anchor = ders(&made).remove(0);
    let (rest, parsed) = X509Certificate::from_der(&anchor).unwrap();
    assert!(rest.is_empty());
    assert!(parsed.is_ca());
    assert!(parsed.extensions().iter().all(|extension| !extension.parsed_extension().unsupported()));
    assert!(parsed.subject().iter_attributes().all(|attribute| attribute.as_str().is_ok()));
    assert!(parsed.public_key().parsed().is_ok());
    let (_, original) = X509Certificate::from_der(der).unwrap();
    assert_eq!(parsed.public_key().subject_public_key.data, original.public_key().subject_public_key.data);
    assert_eq!(parsed.subject().as_raw(), original.subject().as_raw());
    assert!(original.verify_signature(None).is_ok());
    assert!(original.is_ca());
    true
}

fn value() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let tag = prop_oneof![4 => Just(UTF8), 4 => Just(PRINTABLE), 1 => Just(IA5), 1 => any::<u8>()
        .prop_map(|tag| tag & 0x1e | 2)];
    let text = prop_oneof![
        4 => "[A-Za-z0-9 '()+,./:=?-]{1,20}".prop_map(String::into_bytes),
        1 => "\\PC{0,12}".prop_map(String::into_bytes),
        1 => any::<String>().prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..12),
        1 => prop_oneof![Just('\u{fffe}'), Just('\u{ffff}'), Just('\u{fdd0}'), Just('\0'), Just('\u{feff}')]
            .prop_map(|c| format!("a{c}").into_bytes()),
    ];
    (tag, text)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_subject_is_refused_or_harmless(parts in proptest::collection::vec((0..3_usize, value()), 0..4)) {
        let oids: [&[u8]; 3] = [O, CN, DC];
        let parts: Vec<_> = parts.iter().map(|(oid, (tag, value))| (oids[*oid], *tag, value.as_slice())).collect();
        let key = Key::p256();
        let subject = name(&parts);
        prop_assume!(subject.len() < 4000);
        check(&Template::root(&subject, &key).sign(&key));
    }

    #[test]
    fn any_change_before_signing_is_refused_or_harmless(
        part in 0..7_usize, at in any::<prop::sample::Index>(), flip in 1..=255_u8, grow in proptest::option::of(any::<u8>()),
    ) {
        // Changed before signing, so that the signature does not protect it.
        let key = Key::p256();
        let mut template = Template::root(&name(&[(O, PRINTABLE, b"cluster.local")]), &key);
        let bytes = match part {
            0 => &mut template.version,
            1 => &mut template.serial,
            2 => &mut template.subject,
            3 => &mut template.validity[0],
            4 => &mut template.validity[1],
            5 => &mut template.spki,
            _ => { let n = at.index(3); &mut template.extensions[n] }
        };
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Some(byte) = grow {
            bytes.push(byte);
        }
        if part == 2 {
            template.issuer = template.subject.clone();
        }
        check(&template.sign(&key));
    }

    #[test]
    fn any_change_after_signing_is_refused(at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let mut der = Ca::root("cluster.local").der;
        let at = at.index(der.len());
        der[at] ^= flip;
        prop_assert!(!check(&der), "byte {at} is not covered by anything");
    }

    #[test]
    fn any_cut_is_refused(at in any::<prop::sample::Index>(), tail in proptest::collection::vec(any::<u8>(), 0..3)) {
        let mut der = Ca::root("cluster.local").der;
        der.truncate(at.index(der.len()));
        der.extend(tail);
        prop_assert!(!check(&der));
    }
}

#[test]
fn the_properties_also_see_admitted_certificates() {
    assert!(check(&Ca::root("cluster.local").der));
    let made = istio_federation_testkit::Authority::root("made by rcgen").der().to_vec();
    assert!(check(&made), "a root made by another library");
}
