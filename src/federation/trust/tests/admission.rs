//! Admitted certificates, and the reason for every refusal.

use proptest::prelude::*;

use super::maker::{
    CN, Ca, DC, IA5, Key, O, PRINTABLE, San, Template, UTF8, ca_true, extension, generalized_time, key_cert_sign, name,
    organization, subject_alternative_names, subject_key_identifier, tlv, utc_time,
};
use super::{admit, now, own, own_unrelated, pem_of, testdata};
use crate::api::istio_federation::CertificateRole::{Intermediate, Root};
use crate::api::istio_federation::{AdmittedCertificate, CertificateRole, ItemKind};
use crate::federation::pem::{PemError, encode_certificate as to_pem};
use crate::federation::trust::{CERTIFICATE_LIMIT, Judge, OwnChain, OwnChainError, admit_document};

/// Offers one root; `None` when it is admitted, else the reason.
fn judge(root: &[u8]) -> Option<String> {
    let admission = admit(&[root], &[], &own_unrelated());
    assert_eq!(admission.certificates.len() + admission.refused.len(), 1, "{admission:?}");
    if let [certificate] = &admission.certificates[..] {
        assert_eq!((certificate.role, certificate.certificate.as_str()), (CertificateRole::Root, &*to_pem(root)));
    }
    admission.refused.into_iter().next().map(|refusal| {
        assert_eq!(refusal.kind, ItemKind::Certificate);
        refusal.reason
    })
}

fn admitted(der: &[u8], role: CertificateRole) -> AdmittedCertificate {
    AdmittedCertificate { certificate: to_pem(der), role, missing_since: None }
}

fn assert_refused(root: &[u8], part: &str) {
    let reason = judge(root).unwrap_or_else(|| panic!("admitted; should be refused: {part}"));
    assert!(reason.contains(part), "{reason:?} does not contain {part:?}");
}

#[test]
fn keys_and_signatures() {
    for root in [
        testdata!("rsa-2048"),
        testdata!("rsa-sha512"),
        testdata!("rsa-4096"),
        testdata!("go-root"),
        Ca::root("P-256").der,
        Ca::root_with(Key::p384(), "P-384", true).der,
    ] {
        assert_eq!(judge(&root), None);
    }
    for (root, part) in [
        (testdata!("rsa-1024"), "RSA of fewer than 2048"),
        (testdata!("rsa-2047"), "RSA of fewer than 2048"),
        (testdata!("rsa-4104"), "more than 4096"),
        (testdata!("rsa-e3"), "another exponent"),
        (testdata!("rsa-sha1"), "signature algorithm 1.2.840.113549.1.1.5"),
        (testdata!("rsa-md5"), "signature algorithm 1.2.840.113549.1.1.4"),
        (testdata!("rsa-pss"), "signature algorithm 1.2.840.113549.1.1.10"),
        (testdata!("p521"), "of another elliptic curve"),
        (testdata!("secp256k1"), "of another elliptic curve"),
        (testdata!("p256-explicit"), "of another elliptic curve"),
        (testdata!("p256-compressed"), "compressed"),
        (testdata!("ed25519"), "of another type"),
    ] {
        assert_refused(&root, part);
    }
}

#[test]
fn a_point_off_its_curve_is_refused_even_if_its_key_signed_nothing() {
    let root = Ca::root("root");
    let key = Key::p256();
    let mut template = Template::root(&organization("below"), &key);
    template.issuer.clone_from(&root.subject);
    template.extensions.pop();
    let last = template.spki.len() - 1;
    template.spki[last] ^= 1;
    let admission = admit(&[&root.der], &[&template.sign(&root.key)], &own_unrelated());
    assert_eq!(admission.certificates.len(), 1);
    assert!(admission.refused[0].reason.contains("not a point of its curve"), "{admission:?}");
}

#[test]
fn subjects() {
    let judge_subject = |subject: &[u8]| {
        let key = Key::p256();
        judge(&Template::root(subject, &key).sign(&key))
    };
    let multi = {
        let attribute = |text: &str| tlv(0x30, &[&tlv(6, &[O]), &tlv(PRINTABLE, &[text.as_bytes()])]);
        tlv(0x30, &[&tlv(0x31, &[&attribute("a"), &attribute("b")])])
    };
    let long = |length: usize| name(&[(O, UTF8, "x".repeat(length).as_bytes())]);
    for good in [
        organization("cluster.local"),
        name(&[(O, PRINTABLE, b"Istio"), (CN, UTF8, "Wurzel-Zertifikat für Ä".as_bytes())]),
        name(&[(DC, IA5, b"corp"), (DC, IA5, b"example"), (CN, PRINTABLE, b"Root (1), '+./:=?")]),
        name(&[(&[0x55, 4, 6], PRINTABLE, b"DE"), (&[0x55, 4, 8], UTF8, b"B"), (&[0x55, 4, 7], UTF8, b"C")]),
        name(&[(&[0x55, 4, 11], UTF8, b"mesh"), (&[0x55, 4, 5], PRINTABLE, b"42")]),
        long(239),
    ] {
        assert_eq!(judge_subject(&good), None);
    }
    for (bad, part) in [
        (name(&[]), "empty"),
        (name(&[(O, UTF8, b"")]), "an empty attribute"),
        (long(240), "more than 256 bytes"),
        (multi, "several attributes in one part"),
        (name(&[(O, UTF8, "a\u{fffe}".as_bytes())]), "does not allow"),
        (name(&[(O, UTF8, "a\u{ffff}".as_bytes())]), "does not allow"),
        (name(&[(O, UTF8, "a\u{1fffe}".as_bytes())]), "does not allow"),
        (name(&[(O, UTF8, "a\u{fdd0}".as_bytes())]), "does not allow"),
        (name(&[(O, UTF8, "a\u{feff}".as_bytes())]), "does not allow"),
        (name(&[(O, UTF8, b"a\0b")]), "does not allow"),
        (name(&[(O, UTF8, b"a\nb")]), "does not allow"),
        (name(&[(O, UTF8, "a\u{85}".as_bytes())]), "does not allow"),
        (name(&[(O, UTF8, b"\xff")]), "not UTF-8"),
        (name(&[(O, UTF8, b"\xed\xa0\x80")]), "not UTF-8"),
        (name(&[(O, PRINTABLE, b"a_b")]), "does not allow"),
        (name(&[(O, PRINTABLE, b"a*b")]), "does not allow"),
        (name(&[(O, PRINTABLE, b"a@b")]), "does not allow"),
        (name(&[(O, PRINTABLE, "ä".as_bytes())]), "does not allow"),
        (name(&[(O, 2, b"\x01")]), "neither PrintableString nor UTF8String"),
        (name(&[(O, IA5, b"x")]), "neither PrintableString nor UTF8String"),
        (name(&[(O, 0x14, b"x")]), "neither PrintableString nor UTF8String"),
        (name(&[(O, 0x12, b"1")]), "neither PrintableString nor UTF8String"),
        (name(&[(O, 0x1a, b"x")]), "neither PrintableString nor UTF8String"),
        (name(&[(O, 0x1e, b"\0x")]), "neither PrintableString nor UTF8String"),
        (name(&[(O, 0x1c, b"\0\0\0x")]), "not an X.509 certificate"),
        (name(&[(DC, UTF8, b"corp")]), "domainComponent that is not"),
        (name(&[(DC, IA5, b"a.b")]), "does not allow"),
        (name(&[(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 9, 1], IA5, b"a@b")]), "an attribute other than"),
        (name(&[(&[0x55, 4, 99], UTF8, b"x")]), "an attribute other than"),
    ] {
        let reason = judge_subject(&bad).unwrap_or_else(|| panic!("admitted; should be refused: {part} {bad:x?}"));
        assert!(reason.contains(part), "{reason:?} does not contain {part:?}");
    }
}

#[test]
fn extensions() {
    let key = Key::p256();
    let identifier = || subject_key_identifier(&key.identifier());
    let judge_extensions = |extensions: &[Vec<u8>]| {
        let subject = organization("x");
        judge(&Template::new(&subject, &key, &subject, extensions).sign(&key))
    };
    let usages = |ids: &[u8]| {
        let usages: Vec<_> = ids.iter().map(|id| tlv(6, &[&[0x2b, 6, 1, 5, 5, 7, 3, *id]])).collect();
        extension(37, false, &tlv(0x30, &[&usages.concat()]))
    };
    let constraints = extension(30, false, &tlv(0x30, &[&tlv(0xa0, &[&tlv(0x30, &[&tlv(0x82, &[b"corp"])])])]));
    for good in [
        vec![ca_true(None)],
        vec![ca_true(Some(0)), key_cert_sign(), identifier()],
        vec![extension(19, false, &tlv(0x30, &[&[1, 1, 0xff]])), extension(99, false, b"anything")],
        vec![ca_true(None), usages(&[1, 2])],
        vec![ca_true(None), extension(37, true, &tlv(0x30, &[&[6, 4, 0x55, 0x1d, 37, 0]]))],
        vec![ca_true(None), subject_alternative_names(&[San::Dns("x")])],
    ] {
        assert_eq!(judge_extensions(&good), None);
    }
    for (bad, part) in [
        (vec![key_cert_sign()], "not a CA"),
        (vec![extension(19, true, &[0x30, 0])], "not a CA"),
        (vec![ca_true(None), ca_true(None)], "occurs more than once"),
        (vec![ca_true(None), extension(15, true, &[3, 2, 7, 0x80])], "key usage"),
        (vec![ca_true(None), extension(15, true, b"junk")], "not an X.509 certificate"),
        (vec![ca_true(None), usages(&[1])], "extended key usage"),
        (vec![ca_true(None), usages(&[8])], "extended key usage"),
        (vec![ca_true(None), constraints], "name constraints of its own"),
        (vec![ca_true(None), extension(36, true, b"")], "extension 2.5.29.36 is critical"),
        (vec![ca_true(None), extension(99, true, b"")], "extension 2.5.29.99 is critical"),
        (vec![ca_true(None), subject_key_identifier(b"mine")], "not a hash of its key"),
        (vec![ca_true(None), subject_key_identifier(&Key::p256().identifier())], "not a hash of its key"),
        (vec![ca_true(None), subject_key_identifier(b"")], "not a hash of its key"),
        (vec![extension(19, true, &tlv(0x30, &[&[1, 1, 0xff, 2, 2, 1, 0]]))], "not an X.509 certificate"),
    ] {
        let reason = judge_extensions(&bad).unwrap_or_else(|| panic!("admitted; should be refused: {part}"));
        assert!(reason.contains(part), "{reason:?} does not contain {part:?}");
    }
}

#[test]
fn the_rest_of_a_root() {
    let key = Key::p256();
    let changed = |change: &dyn Fn(&mut Template)| {
        let mut template = Template::root(&organization("x"), &key);
        change(&mut template);
        template.sign(&key)
    };
    assert_eq!(judge(&changed(&|_| ())), None);
    assert_refused(&changed(&|root| root.version = vec![]), "version");
    assert_refused(&changed(&|root| root.version = vec![0xa0, 3, 2, 1, 1]), "version");
    assert_refused(&changed(&|root| root.issuer = organization("y")), "not self-signed");
    assert_refused(&Template::root(&organization("x"), &key).sign(&Key::p256()), "signature does not verify");
    let [before, after] = [utc_time("200101000000Z"), utc_time("300101000000Z")];
    for (begin, end, part) in [
        (&before, &utc_time("251231235959Z"), "expired on 2025-12-31T23:59:59Z"),
        (&utc_time("261202000000Z"), &after, "not valid before 2026-12-02T00:00:00Z"),
        (&after, &before, "its validity"),
        (&generalized_time("19691231235959Z"), &after, "its validity"),
        (&before, &generalized_time("300101000000+0100"), "its validity"),
        (&utc_time("2001010000Z"), &after, "its validity"),
    ] {
        assert_refused(&changed(&|root| root.validity = [begin.clone(), end.clone()]), part);
    }
    // A root that names itself in another spelling is still self-signed.
    let respelled = changed(&|root| root.issuer = name(&[(O, UTF8, b" X ")]));
    assert_eq!(judge(&respelled), None);
}

#[test]
fn a_broken_block_does_not_affect_the_others() {
    let (first, second) = (Ca::root("first"), Ca::root("second"));
    let text = format!(
        "# rotation\n{}-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n{}{}",
        to_pem(&first.der),
        to_pem(b"\x30\x03\x02\x01\x01"),
        to_pem(&second.der)
    );
    let admission = admit_document(&text, Some("  \n"), &Judge::new(&own_unrelated()), &[], now());
    assert_eq!(admission.certificates.len(), 2);
    let names: Vec<_> = admission.refused.iter().map(|refusal| refusal.name.as_str()).collect();
    assert_eq!(names, ["a certificate without readable subject", "rootCA, PEM block 2"]);
    let empty = admit_document("", None, &Judge::new(&own_unrelated()), &[], now());
    assert_eq!((empty.certificates.len(), empty.refused[0].name.as_str()), (0, "rootCA"));
}

#[test]
fn a_refusal_shows_the_subject_and_is_safe_to_print() {
    let key = Key::p256();
    let root = Template::root(&name(&[(O, UTF8, "evil\n\u{202e}\u{1b}[31m".as_bytes())]), &key).sign(&key);
    let admission = admit(&[&root], &[], &own_unrelated());
    assert!(admission.refused[0].name.starts_with("O=evil"), "{admission:?}");
    assert!(admission.refused[0].name.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
}

#[test]
fn intermediates() {
    let root = Ca::root("root");
    let first = root.intermediate("first", false, &[]);
    let second = first.intermediate("second", true, &[]);
    let stranger = Ca::root("stranger");
    let strange = stranger.intermediate("strange", true, &[]);
    let posing = {
        let mut template = Template::root(&organization("posing"), &strange.key);
        template.issuer.clone_from(&root.subject);
        template.sign(&stranger.key)
    };
    let offered: [&[u8]; 6] = [&second.der, &first.der, &strange.der, &posing, &stranger.der, &root.der];
    let admission = admit(&[&root.der], &offered, &own_unrelated());
    let roles: Vec<_> = admission.certificates.iter().map(|certificate| certificate.role).collect();
    assert_eq!(roles, [CertificateRole::Root, CertificateRole::Intermediate, CertificateRole::Intermediate]);
    let refused: Vec<_> =
        admission.refused.iter().map(|refusal| (refusal.name.as_str(), refusal.reason.as_str())).collect();
    let unsigned = "no admitted CA certificate of this peer has signed it";
    assert_eq!(
        refused,
        [
            ("O=posing", unsigned),
            ("O=strange", unsigned),
            ("O=stranger", "self-signed: roots belong in rootCA, not in intermediateCAs"),
        ]
    );
    // An intermediate among the roots does not count as an intermediate.
    let admission = admit(&[&root.der, &first.der], &[], &own_unrelated());
    assert!(admission.refused[0].reason.contains("not self-signed"), "{admission:?}");
}

#[test]
fn a_peer_has_three_roots_and_three_intermediates_at_most() {
    let roots: Vec<_> = (0..5)
        .map(|year| {
            let key = Key::p256();
            let subject = organization(&format!("root {year}"));
            let mut template = Template::root(&subject, &key);
            template.validity[0] = utc_time(&format!("2{year}0101000000Z"));
            Ca { der: template.sign(&key), key, subject, identifiers: true }
        })
        .collect();
    let below: Vec<_> = (0..5).map(|n| roots[0].intermediate(&format!("below {n}"), true, &[])).collect();
    let ders = |all: &'_ [Ca]| all.iter().map(|ca| ca.der.clone()).collect::<Vec<_>>();
    let (roots, below) = (ders(&roots), ders(&below));
    let offered = |all: &[Vec<u8>]| all.iter().map(|der| to_pem(der)).collect::<String>();
    let admission = admit_document(&offered(&roots), Some(&offered(&below)), &Judge::new(&own_unrelated()), &[], now());
    assert_eq!(admission.certificates.len(), 2 * CERTIFICATE_LIMIT);
    assert_eq!(admission.refused.len(), 4);
    assert!(admission.refused.iter().all(|refusal| refusal.reason.contains("more than 3 ")));
    // The established ones stay, whatever else is offered and in which order.
    for (certificate, root) in admission.certificates.iter().zip(&roots[..CERTIFICATE_LIMIT]) {
        assert_eq!(certificate.certificate, to_pem(root));
    }
    let reversed: Vec<_> = roots.iter().rev().cloned().collect();
    assert_eq!(
        admit_document(&offered(&reversed), Some(&offered(&below)), &Judge::new(&own_unrelated()), &[], now()),
        admission
    );
    // An established certificate has priority, even if another begins earlier.
    let late = roots[2..]
        .iter()
        .map(|der| admitted(der, Root))
        .chain(below[2..].iter().map(|der| admitted(der, Intermediate)));
    let established: Vec<_> = late.collect();
    let chain = |years: std::ops::Range<usize>| offered(&roots[years]);
    let with_more = admit_document(
        &format!("{}{}", chain(2..5), chain(0..1)),
        Some(&offered(&below[1..])),
        &Judge::new(&own_unrelated()),
        &established,
        now(),
    );
    let names: Vec<_> = with_more.refused.iter().map(|refusal| refusal.name.as_str()).collect();
    assert!(established[..3].iter().all(|certificate| with_more.certificates.contains(certificate)), "{names:?}");
    assert!(names.contains(&"O=root 0"), "{names:?}");
}

#[test]
fn our_own_keys_are_recognised_in_any_wrapping() {
    let root = Ca::root("ours");
    let intermediate = root.intermediate("ours below", true, &[]);
    let ours = own(&[&root.der, &intermediate.der]);
    for key in [&root.key, &intermediate.key] {
        let copied = Template::root(&organization("theirs"), key).sign(key);
        let admission = admit(&[&copied], &[], &ours);
        assert!(admission.refused[0].reason.contains("the key of one of our own CA certificates"), "{admission:?}");
    }
    // The same RSA key under the OID for PSS alone, as one of ours may have it.
    let rsa = Key::rsa();
    let mut template = Template::root(&organization("ours"), &rsa);
    template.spki[4 + 2 + 2 + 8] = 10;
    let ours = own(&[&template.sign(&rsa)]);
    let admission = admit(&[&testdata!("rsa-2048")], &[], &ours);
    assert!(admission.refused[0].reason.contains("the key of one of our own CA certificates"), "{admission:?}");
}

#[test]
fn our_subject_is_refused_only_if_our_chain_is_found_by_name() {
    let marked = Ca::root("Istio  Root");
    let below = marked.intermediate("below", true, &[]);
    let unmarked_below = marked.intermediate("below", false, &[]);
    let unmarked = Ca::root_with(Key::p256(), "Istio Root", false);
    let spellings = [
        organization("Istio Root"),
        name(&[(O, UTF8, b"iSTIO   root ")]),
        organization("below"),
        name(&[(O, UTF8, b"BELOW")]),
    ];
    let refused = |chain: &[&[u8]], subject: &[u8]| {
        let key = Key::p256();
        let admission = admit(&[&Template::root(subject, &key).sign(&key)], &[], &own(chain));
        admission
            .refused
            .first()
            .is_some_and(|refusal| refusal.reason.contains("has the subject of one of our own CAs"))
    };
    for subject in &spellings {
        assert!(!refused(&[&marked.der, &below.der], subject));
        assert!(refused(&[&marked.der, &unmarked_below.der], subject));
    }
    assert!(refused(&[&unmarked.der], &spellings[1]));
    assert!(!refused(&[&unmarked.der], &organization("other")));
    // An authority key identifier that names issuer and serial number only finds by name as well.
    let mut template = Template::root(&organization("below"), &Key::p256());
    template.issuer.clone_from(&marked.subject);
    template.extensions.push(extension(
        35,
        false,
        &tlv(0x30, &[&tlv(0xa1, &[&tlv(0xa4, &[&marked.subject])]), &tlv(0x82, &[&[1]])]),
    ));
    assert!(refused(&[&marked.der, &template.sign(&marked.key)], &spellings[0]));
}

#[test]
fn our_own_chain_must_be_readable() {
    let error = |text: &str| OwnChain::read(text).unwrap_err();
    assert_eq!(error(""), OwnChainError::Pem { block: 1, source: PemError::NoBlock });
    let root = pem_of(&[&Ca::root("ours").der]);
    let broken = format!("{root}-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n");
    assert_eq!(error(&broken), OwnChainError::Pem { block: 2, source: PemError::Base64 });
    let junk = format!("{root}{}", to_pem(b"junk"));
    assert!(matches!(error(&junk), OwnChainError::Malformed { block: 2, .. }));
    let key = "-----BEGIN PRIVATE KEY-----\naGVsbG8=\n-----END PRIVATE KEY-----\n";
    assert!(OwnChain::read(&format!("{key}{root}")).is_ok());
    assert_eq!(error(key), OwnChainError::Pem { block: 1, source: PemError::NoBlock });
    // Ours may be of a kind that no peer's may be.
    for odd in [testdata!("rsa-1024"), testdata!("ed25519"), testdata!("secp256k1"), testdata!("rsa-pss")] {
        assert!(OwnChain::read(&to_pem(&odd)).is_ok());
    }
}

proptest! {
    #[test]
    fn no_text_causes_a_panic(text in "(-----(BEGIN|END) [A-Z]{0,12}-----|[A-Za-z0-9+/=\n -]{0,40}){0,30}") {
        let admission = admit_document(&text, Some(&text), &Judge::new(&own_unrelated()), &[], now());
        prop_assert!(admission.certificates.is_empty());
        prop_assert!(!admission.refused.is_empty());
    }
}

#[test]
fn expiry_does_not_withdraw_an_admitted_certificate() {
    let key = Key::p256();
    let mut template = Template::root(&organization("x"), &key);
    template.validity = [utc_time("200101000000Z"), utc_time("251231235959Z")];
    let root = template.sign(&key);
    assert_refused(&root, "expired");
    let issuer = Ca { der: root.clone(), key, subject: organization("x"), identifiers: true };
    let below = issuer.intermediate("below", true, &[]).der;
    let before = vec![admitted(&root, Root), admitted(&below, Intermediate)];
    let offer = |before| {
        admit_document(&pem_of(&[&root]), Some(&pem_of(&[&below])), &Judge::new(&own_unrelated()), before, now())
    };
    let kept = offer(&before);
    assert_eq!((kept.certificates, kept.refused), (before.clone(), vec![]));
    let newcomer = offer(&[]);
    let reasons: Vec<_> = newcomer.refused.iter().map(|refusal| refusal.reason.as_str()).collect();
    assert!(newcomer.certificates.is_empty() && reasons.len() == 2, "nothing below an expired root: {reasons:?}");
}
