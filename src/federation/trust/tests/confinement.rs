//! Names that a confined anchor permits, and proof that each of its parts is needed.

use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::maker::{
    self, Ca, Key, OURS, San, THEIRS, Template, ca_true, extension, key_cert_sign, subject_key_identifier, tlv,
};
use super::verifier::{Verdict, verify};
use super::{Peer, anchors_of, ders, now, own, own_unrelated, testdata};

fn check(list: &[Vec<u8>], chain: &[Vec<u8>]) -> Result<(), Verdict> {
    verify(list, chain, now().as_second())
}

#[test]
fn an_anchor_lets_its_own_trust_domain_through_and_nothing_else() {
    for key in [Key::p256(), Key::p384(), Key::rsa()] {
        let root = Ca::root_with(key, "cluster.local", true);
        let made = anchors_of(&[Peer::new("b", "b.local", &[&root.der], &[])], &own_unrelated());
        assert_eq!((made.refused, made.entries.len()), (vec![], 1));
        let list = ders(&anchors_of(&[Peer::new("b", "b.local", &[&root.der], &[])], &own_unrelated()));
        let more = [(vec![San::Email("nobody@invalid")], false), (vec![], false)];
        for (names, accepted) in maker::names_and_verdicts().into_iter().chain(more) {
            let leaf = root.leaf(&names);
            let shown = String::from_utf8_lossy(&leaf).into_owned();
            assert_eq!(check(&list, std::slice::from_ref(&leaf)).is_ok(), accepted, "{shown}");
            // Sending the plain root along does not help either.
            assert_eq!(check(&list, &[leaf, root.der.clone()]).is_ok(), accepted, "{shown}");
        }
    }
}

/// An anchor as it should not be: with other name constraints.
fn variant(root: &Ca, constraints: Option<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut extensions = vec![ca_true(None), key_cert_sign(), subject_key_identifier(&root.key.identifier())];
    extensions.extend(constraints.map(|value| extension(30, true, &value)));
    vec![Template::new(&root.subject, &root.key, &root.subject, &extensions).sign(&Key::p256())]
}

#[test]
fn every_part_of_the_constraint_is_needed() {
    let root = Ca::root("cluster.local");
    let subtree = |tag: u8, base: &[u8]| tlv(0x30, &[&tlv(tag, &[base])]);
    let permitted = tlv(0xa0, &[&subtree(0x86, b"b.local"), &subtree(0x81, b"nobody@invalid")]);
    let exclusions = [subtree(0x82, b""), subtree(0x81, b""), subtree(0x87, &[0; 8]), subtree(0x87, &[0; 32])];
    let all = || exclusions.iter().map(Vec::as_slice).collect::<Vec<_>>();
    let without = |left_out: usize| {
        let mut kept = all();
        kept.remove(left_out);
        variant(&root, Some(tlv(0x30, &[&permitted, &tlv(0xa1, &kept)])))
    };
    let uri_only = variant(&root, Some(tlv(0x30, &[&tlv(0xa0, &[&subtree(0x86, b"b.local")])])));
    let full = variant(&root, Some(tlv(0x30, &[&permitted, &tlv(0xa1, &all())])));
    for (list, forged) in [
        (vec![root.der.clone()], vec![San::Uri(OURS)]),
        (variant(&root, None), vec![San::Uri(OURS)]),
        (uri_only.clone(), vec![San::Uri(THEIRS), San::Dns(OURS)]),
        (uri_only, vec![San::Email("spiffe://b.local/ns/x/sa/y@evil")]),
        (without(0), vec![San::Uri(THEIRS), San::Dns(OURS)]),
        (without(1), vec![San::Email("nobody@invalid")]),
        (without(2), vec![San::Uri(THEIRS), San::Ip(&[10, 0, 0, 1])]),
        (without(3), vec![San::Uri(THEIRS), San::Ip(&[0xfd; 16])]),
    ] {
        let leaf = root.leaf(&forged);
        assert_eq!(check(&list, std::slice::from_ref(&leaf)), Ok(()), "{}", String::from_utf8_lossy(&leaf));
        assert_eq!(check(&full, &[leaf]), Err(Verdict::NameConstraints));
    }
}

/// Every extension of an anchor, as an independent parser reads it.
fn assert_confined(der: &[u8], domains: &[&str], identifier: &[u8], path_length: Option<u32>) {
    let (rest, anchor) = X509Certificate::from_der(der).unwrap();
    assert!(rest.is_empty());
    assert_eq!(anchor.subject().as_raw(), anchor.issuer().as_raw());
    assert!(anchor.raw_serial().len() <= 20 && anchor.raw_serial()[0] < 0x80);
    assert_eq!(anchor.extensions().len(), 4);
    for extension in anchor.extensions() {
        let critical = match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(constraints) => {
                assert!(constraints.ca);
                assert_eq!(constraints.path_len_constraint, path_length);
                true
            }
            ParsedExtension::KeyUsage(usage) => {
                assert_eq!(usage.flags, 0b110_0000, "keyCertSign and cRLSign");
                true
            }
            ParsedExtension::SubjectKeyIdentifier(found) => {
                assert_eq!(found.0, identifier);
                false
            }
            ParsedExtension::NameConstraints(constraints) => {
                let bases = |subtrees: &Option<Vec<x509_parser::extensions::GeneralSubtree<'_>>>| {
                    format!("{:?}", subtrees.iter().flatten().map(|subtree| &subtree.base).collect::<Vec<_>>())
                };
                let mut permitted: Vec<_> = domains.iter().map(|domain| GeneralName::URI(domain)).collect();
                permitted.push(GeneralName::RFC822Name("nobody@invalid"));
                let below: Vec<_> = domains.iter().map(|domain| format!(".{domain}")).collect();
                let mut excluded = vec![
                    GeneralName::DNSName(""),
                    GeneralName::RFC822Name(""),
                    GeneralName::IPAddress(&[0; 8]),
                    GeneralName::IPAddress(&[0; 32]),
                ];
                excluded.extend(below.iter().map(|below| GeneralName::URI(below)));
                assert_eq!(bases(&constraints.permitted_subtrees), format!("{permitted:?}"));
                assert_eq!(bases(&constraints.excluded_subtrees), format!("{excluded:?}"));
                true
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(extension.critical, critical, "{}", extension.oid);
    }
}

#[test]
fn an_independent_parser_reads_every_part() {
    let root = Ca::root_with(Key::p384(), "cluster.local", true);
    let peers = [Peer::new("b", "b.local", &[&root.der], &[]), Peer::new("c", "c.local", &[&root.der], &[])];
    let made = anchors_of(&peers, &own_unrelated());
    let entry = &made.entries[0];
    assert_eq!((entry.trust_domains.join(","), entry.federations.join(",")), ("b.local,c.local".into(), "b,c".into()));
    assert_confined(&ders(&made)[0], &["b.local", "c.local"], &root.key.identifier(), None);
}

#[test]
fn trust_domains_below_each_other_that_share_a_key_are_both_permitted() {
    let root = Ca::root("corporate");
    let peers = [Peer::new("b", "b.local", &[&root.der], &[]), Peer::new("c", "c.b.local", &[&root.der], &[])];
    let list = ders(&anchors_of(&peers, &own_unrelated()));
    for (domain, verdict) in [
        ("b.local", Ok(())),
        ("c.b.local", Ok(())),
        ("x.b.local", Err(Verdict::NameConstraints)),
        ("x.c.b.local", Err(Verdict::NameConstraints)),
    ] {
        assert_eq!(check(&list, &[root.workload(domain)]), verdict, "{domain}");
    }
}

#[test]
fn dates_are_written_as_rfc_5280_wants_them() {
    let key = Key::p256();
    let mut template = Template::root(&maker::organization("x"), &key);
    template.validity = [maker::generalized_time("19700101000000Z"), maker::generalized_time("99991231235959Z")];
    let root = template.sign(&key);
    let der = ders(&anchors_of(&[Peer::new("b", "b.local", &[&root], &[])], &own_unrelated())).remove(0);
    let dates = [maker::utc_time("700101000000Z"), maker::generalized_time("99991231235959Z")].concat();
    assert!(der.windows(dates.len()).any(|window| window == dates));
}

#[test]
fn a_valid_serial_number_is_kept() {
    let key = Key::p256();
    let made = |serial: &[u8]| {
        let mut template = Template::root(&maker::organization("x"), &key);
        template.serial = serial.to_vec();
        let peer = Peer::new("b", "b.local", &[&template.sign(&key)], &[]);
        let der = ders(&anchors_of(&[peer], &own_unrelated())).remove(0);
        X509Certificate::from_der(&der).unwrap().1.raw_serial().to_vec()
    };
    let nineteen = [&[0, 0x80][..], &[7; 18]].concat();
    for kept in [&[1][..], &[0, 0x80], &[0x7f; 20], &nineteen] {
        assert_eq!(made(kept), kept);
    }
    let derived = made(&[0]);
    assert_eq!(derived.len(), 20);
    for odd in [&[0xff][..], &[0, 1], &[0x7f; 21], &[0x80, 0]] {
        assert_eq!(made(odd), derived, "{odd:?}");
    }
}

#[test]
fn a_path_length_does_not_grow() {
    let key = Key::p256();
    let mut template = Template::root(&maker::organization("x"), &key);
    template.extensions[0] = ca_true(Some(1));
    let root = Ca { der: template.sign(&key), key, subject: template.subject, identifiers: true };
    let first = root.intermediate("first", true, &[]);
    let second = first.intermediate("second", true, &[]);
    let peer = Peer::new("b", "b.local", &[&root.der], &[&first.der, &second.der]);
    let made = anchors_of(&[peer], &own_unrelated());
    let refused: Vec<_> = made.refused.iter().map(|(_, refusal)| refusal.reason.as_str()).collect();
    assert_eq!(refused, ["its issuer's path length allows no CA below it"]);
    let mut lengths: Vec<_> = ders(&made)
        .iter()
        .map(|der| {
            let (_, anchor) = X509Certificate::from_der(der).unwrap();
            anchor.basic_constraints().unwrap().unwrap().value.path_len_constraint
        })
        .collect();
    lengths.sort_unstable();
    assert_eq!(lengths, [Some(0), Some(1)]);
}

/// The recorded anchors of recorded roots: other bytes would be a push to every proxy at an upgrade.
#[test]
fn the_bytes_are_the_recorded_ones() {
    for (root, recorded, file) in [
        (testdata!("rsa-2048"), include_str!("../testdata/rsa-2048.anchor.pem"), "rsa-2048"),
        (testdata!("go-root"), include_str!("../testdata/go-root.anchor.pem"), "go-root"),
    ] {
        let made = anchors_of(&[Peer::new("b", "b.local", &[&root], &[])], &own_unrelated());
        // If the change is intended, put this text into the file.
        assert!(made.entries[0].pem == recorded, "{file}.anchor.pem should be\n{}", made.entries[0].pem);
    }
}

#[test]
fn the_identifier_that_the_peers_certificates_use_is_kept() {
    let root = testdata!("go-root");
    let (_, parsed) = X509Certificate::from_der(&root).unwrap();
    let identifier = parsed.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(identifier) => Some(identifier.0.to_vec()),
        _ => None,
    });
    let made = anchors_of(&[Peer::new("b", "b.local", &[&root], &[])], &own_unrelated());
    assert_confined(&ders(&made)[0], &["b.local"], &identifier.unwrap(), None);
}

#[test]
fn an_intermediate_with_a_dns_name_passes_once_it_is_anchored_itself() {
    // The DNS name in the intermediate of Istio's own recipe for a plug-in CA.
    let root = Ca::root("Istio");
    let dns = maker::subject_alternative_names(&[San::Dns("istiod.istio-system.svc")]);
    let intermediate = root.intermediate("Istio cluster", true, &[dns]);
    let chain = [intermediate.workload("b.local"), intermediate.der.clone(), root.der.clone()];
    let forged = [intermediate.workload("a.local"), intermediate.der.clone(), root.der.clone()];
    let ours = own(&[&Ca::root("ours").der]);
    let root_alone = ders(&anchors_of(&[Peer::new("b", "b.local", &[&root.der], &[])], &ours));
    assert_eq!(check(&root_alone, &chain), Err(Verdict::NameConstraints));
    let both = ders(&anchors_of(&[Peer::new("b", "b.local", &[&root.der], &[&intermediate.der])], &ours));
    assert_eq!(both.len(), 2);
    for list in [both.clone(), both.into_iter().rev().collect()] {
        assert_eq!(check(&list, &chain), Ok(()));
        assert_eq!(check(&list, &forged), Err(Verdict::NameConstraints));
    }
}
