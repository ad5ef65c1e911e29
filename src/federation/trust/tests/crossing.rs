//! Peers whose certificates conflict with others' or ours: all chains are verified against the whole list, in any order.

use super::maker::{self, Ca, Key, San, Template, organization, utc_time};
use super::verifier::{Verdict, verify};
use super::{Peer, anchors_of, ders, now, own, own_unrelated};
use crate::api::istio_federation::CertificateRole;
use crate::federation::trust::{OwnChain, SUBJECTS_LIMIT};

/// Every order of a list.
fn orders<T: Clone>(list: &[T]) -> Vec<Vec<T>> {
    if list.is_empty() {
        return vec![vec![]];
    }
    (0..list.len())
        .flat_map(|first| {
            let mut rest = list.to_vec();
            let head = rest.remove(first);
            orders(&rest).into_iter().map(move |tail| [vec![head.clone()], tail].concat())
        })
        .collect()
}

/// The verdict on a chain against our plain roots and the anchors; panics if it depends on their order.
fn verdict(plain: &[&Ca], anchors: &[Vec<u8>], chain: &[Vec<u8>]) -> Result<(), Verdict> {
    let list: Vec<_> = plain.iter().map(|root| root.der.clone()).chain(anchors.iter().cloned()).collect();
    assert!(list.len() <= 6, "too many orders");
    let mut verdicts: Vec<_> = orders(&list).iter().map(|list| verify(list, chain, now().as_second())).collect();
    verdicts.dedup();
    assert_eq!(verdicts.len(), 1, "the order matters");
    verdicts.remove(0)
}

/// Whether some order of the plain list refuses the chain: the control, without confined anchors.
fn breaks_unconfined(list: &[&Ca], chain: &[Vec<u8>]) -> bool {
    let list: Vec<_> = list.iter().map(|root| root.der.clone()).collect();
    orders(&list).iter().any(|list| verify(list, chain, now().as_second()).is_err())
}

#[test]
fn identifiers_distinguish_equal_subjects_on_all_sides() {
    // Istio's own default: everybody's root is "O=cluster.local".
    let (ours, b, c) = (Ca::root("cluster.local"), Ca::root("cluster.local"), Ca::root("cluster.local"));
    let peers = [Peer::new("b", "b.local", &[&b.der], &[]), Peer::new("c", "c.local", &[&c.der], &[])];
    let list = ders(&anchors_of(&peers, &own(&[&ours.der])));
    for (ca, domain) in [(&ours, "a.local"), (&b, "b.local"), (&c, "c.local")] {
        assert_eq!(verdict(&[&ours], &list, &[ca.workload(domain)]), Ok(()));
    }
    for (ca, domain) in [(&b, "a.local"), (&b, "c.local"), (&c, "b.local"), (&c, "a.local")] {
        assert_eq!(verdict(&[&ours], &list, &[ca.workload(domain)]), Err(Verdict::NameConstraints));
    }
}

#[test]
fn a_root_that_copies_our_names_and_identifiers_breaks_nothing() {
    let ours = Ca::root("ours");
    let below = ours.intermediate("ours below", true, &[]);
    let own_chain = own(&[&ours.der, &below.der]);
    let chain = [below.workload("a.local"), below.der.clone()];
    for copied in [&ours, &below] {
        let key = Key::p256();
        // With our identifier, and with none.
        let mut with = Template::root(&copied.subject, &key);
        with.extensions[2] = maker::subject_key_identifier(&copied.key.identifier());
        let without = Ca::root_with(Key::p256(), std::str::from_utf8(&copied.subject[13..]).unwrap(), false);
        assert_eq!(without.subject, copied.subject);
        let with = Ca { der: with.sign(&key), key, subject: copied.subject.clone(), identifiers: true };
        assert!(breaks_unconfined(&[&ours, &with], &chain), "the attack works");
        assert!(breaks_unconfined(&[&ours, &without], &chain), "the attack works");
        let made = anchors_of(&[Peer::new("b", "b.local", &[&with.der, &without.der], &[])], &own_chain);
        assert_eq!((made.entries.len(), made.refused.len()), (0, 2));
        let is_said = |part: &str| made.refused.iter().any(|(_, refusal)| refusal.reason.contains(part));
        assert!(is_said("not a hash of its key"));
        // Its anchor would have an identifier, but its leaves name none: ours could be taken for their issuer.
        assert!(is_said("shares its subject with a CA of our own"));
        let other = Ca::root_with(Key::p256(), std::str::from_utf8(&copied.subject[13..]).unwrap(), true);
        let made = anchors_of(&[Peer::new("b", "b.local", &[&other.der], &[])], &own_chain);
        assert_eq!(made.refused, [], "a name alone is nobody's");
        assert_eq!(verdict(&[&ours], &ders(&made), &chain), Ok(()));
        assert_eq!(verdict(&[&ours], &ders(&made), &[other.workload("b.local")]), Ok(()));
    }
}

#[test]
fn our_name_is_refused_where_our_chain_has_no_identifiers() {
    // Two clusters made by Istio's recipe: the same root name, an intermediate without authority key identifier.
    let ours = Ca::root("Istio");
    let below = ours.intermediate("Istio below", false, &[]);
    let theirs = Ca::root("Istio");
    let chain = [below.workload("a.local"), below.der.clone()];
    assert!(breaks_unconfined(&[&ours, &theirs], &chain));
    let made = anchors_of(&[Peer::new("b", "b.local", &[&theirs.der], &[])], &own(&[&ours.der, &below.der]));
    assert_eq!(made.entries, []);
    assert!(made.refused[0].1.reason.contains("has the subject of one of our own CAs"));
    assert_eq!(made.refused[0].0, "b");
}

#[test]
fn a_root_with_another_peers_issuer_name_or_without_identifier_does_no_harm() {
    let (ours, b) = (Ca::root("ours"), Ca::root("cluster.local"));
    let below = b.intermediate("below b", true, &[]);
    for copied in ["cluster.local", "below b"] {
        let c = Ca::root_with(Key::p256(), copied, false);
        let chain = [below.workload("b.local"), below.der.clone()];
        assert!(breaks_unconfined(&[&ours, &b, &c], &chain));
        let peers = [Peer::new("b", "b.local", &[&b.der], &[&below.der]), Peer::new("c", "c.local", &[&c.der], &[])];
        let made = anchors_of(&peers, &own(&[&ours.der]));
        let list = ders(&made);
        assert_eq!(list.len(), 2);
        assert_eq!(verdict(&[&ours], &list, &chain), Ok(()));
        // Its own certificates name no key: an anchor of it could be taken for b's, and b's for it.
        assert_eq!(made.refused.len(), 1);
        assert!(made.refused[0].0 == "c" && made.refused[0].1.reason.contains("of IstioFederation/b"));
        for foreign in ["b.local", "a.local", "c.local"] {
            assert_ne!(verdict(&[&ours], &list, &[c.workload(foreign)]), Ok(()));
        }
    }
}

#[test]
fn a_subject_that_several_share_without_identifier_goes_to_the_first_by_name() {
    let ours = Ca::root("ours");
    let [b, c] = [Ca::root_with(Key::p256(), "x", false), Ca::root_with(Key::p256(), "x", false)];
    let list = |names: [&str; 2]| {
        let [b_name, c_name] = names;
        let peers = [Peer::new(b_name, "b.local", &[&b.der], &[]), Peer::new(c_name, "c.local", &[&c.der], &[])];
        anchors_of(&peers, &own(&[&ours.der]))
    };
    assert!(breaks_unconfined(&[&ours, &b, &c], &[b.workload("b.local")]), "else the case proves nothing");
    for (names, winner, domain) in [(["b", "c"], &b, "b.local"), (["z", "c"], &c, "c.local")] {
        let made = list(names);
        assert_eq!((made.entries.len(), made.refused.len()), (1, 1));
        assert_eq!(verdict(&[&ours], &ders(&made), &[winner.workload(domain)]), Ok(()));
    }
    let alone =
        anchors_of(&[Peer::new("b", "b.local", &[&b.der, &b.renewed("400101000000Z")], &[])], &own(&[&ours.der]));
    assert_eq!(alone.refused, [], "one key is not two");
}

#[test]
fn a_key_that_several_peers_offer_speaks_for_all_of_them() {
    // One corporate root for two peers, or a peer that publishes another's root.
    let (ours, root) = (Ca::root("ours"), Ca::root("corporate"));
    let peers = [Peer::new("b", "b.local", &[&root.der], &[]), Peer::new("c", "c.local", &[&root.der], &[])];
    let made = anchors_of(&peers, &own(&[&ours.der]));
    assert_eq!(made.entries.len(), 1);
    let list = ders(&made);
    for domain in ["b.local", "c.local"] {
        assert_eq!(verdict(&[&ours], &list, &[root.workload(domain)]), Ok(()));
    }
    assert_eq!(verdict(&[&ours], &list, &[root.workload("a.local")]), Err(Verdict::NameConstraints));
}

#[test]
fn another_certificate_of_the_same_key_changes_no_dates_and_no_domains() {
    let (ours, b) = (Ca::root("ours"), Ca::root("cluster.local"));
    let expired = b.renewed("261101000000Z");
    let other_subject = {
        let mut template = Template::root(&organization("other"), &b.key);
        template.validity[1] = utc_time("270101000000Z");
        template.sign(&b.key)
    };
    let chain = [b.workload("b.local")];
    for stray in [&expired, &other_subject] {
        // As the peer's own rotation, and as an attack by another.
        for peers in [
            vec![Peer::new("b", "b.local", &[&b.der, stray], &[])],
            vec![Peer::new("b", "b.local", &[&b.der], &[]), Peer::new("c", "c.local", &[stray], &[])],
        ] {
            let made = anchors_of(&peers, &own(&[&ours.der]));
            assert_eq!(made.refused, []);
            assert_eq!(verdict(&[&ours], &ders(&made), &chain), Ok(()));
        }
    }
    // The expired certificate alone keeps its anchor, and its date: expiry does not withdraw it.
    let made = anchors_of(&[Peer::new("b", "b.local", &[&expired], &[])], &own(&[&ours.der]));
    assert_eq!(verdict(&[&ours], &ders(&made), &chain), Err(Verdict::Expired));
}

#[test]
fn a_chain_that_names_its_issuer_by_serial_number_finds_the_newest_certificate_of_a_key() {
    let (ours, b) = (Ca::root("ours"), Ca::root("cluster.local"));
    let by_serial = |serial: &[u8]| {
        let names = maker::subject_alternative_names(&[San::Uri("spiffe://b.local/ns/x/sa/y")]);
        let authority = maker::tlv(
            0x30,
            &[
                &maker::tlv(0x80, &[&b.key.identifier()]),
                &maker::tlv(0xa1, &[&maker::tlv(0xa4, &[&b.subject])]),
                &maker::tlv(0x82, &[serial]),
            ],
        );
        let extensions = [names, maker::extension(35, false, &authority)];
        Template::new(&maker::name(&[]), &Key::p256(), &b.subject, &extensions).sign(&b.key)
    };
    // The other certificate of the key has serial number 0x33 and ends before or after the first.
    for (end, found, lost) in
        [("280101000000Z", &[0x11, 0x22][..], &[0x33][..]), ("400101000000Z", &[0x33], &[0x11, 0x22])]
    {
        let peer = Peer::new("b", "b.local", &[&b.der, &b.renewed(end)], &[]);
        let list = ders(&anchors_of(&[peer], &own(&[&ours.der])));
        assert_eq!(verdict(&[&ours], &list, &[by_serial(found)]), Ok(()));
        assert_eq!(verdict(&[&ours], &list, &[by_serial(lost)]), Err(Verdict::NoIssuer));
    }
}

#[test]
fn a_rotation_carries_both_roots() {
    let (ours, old, new) = (Ca::root("ours"), Ca::root("cluster.local"), Ca::root("cluster.local"));
    let list = ders(&anchors_of(&[Peer::new("b", "b.local", &[&old.der, &new.der], &[])], &own(&[&ours.der])));
    for root in [&old, &new] {
        assert_eq!(verdict(&[&ours], &list, &[root.workload("b.local")]), Ok(()));
        assert_eq!(verdict(&[&ours], &list, &[root.workload("a.local")]), Err(Verdict::NameConstraints));
    }
}

#[test]
fn one_key_with_two_identifiers_verifies_all_its_leaves() {
    // The same root issued again by a newer Go, which derives another identifier: leaves refer to either.
    let (ours, b) = (Ca::root("ours"), Ca::root("cluster.local"));
    let hash = ring::digest::digest(&ring::digest::SHA256, b.key.bits());
    let mut template = Template::root(&b.subject, &b.key);
    template.extensions[2] = maker::subject_key_identifier(&hash.as_ref()[..20]);
    let again = template.sign(&b.key);
    let mut leaf = Template::new(
        &maker::name(&[]),
        &Key::p256(),
        &b.subject,
        &[maker::subject_alternative_names(&[San::Uri("spiffe://b.local/ns/x/sa/y")])],
    );
    let unmarked = leaf.sign(&b.key);
    leaf.extensions.push(maker::authority_key_identifier(&hash.as_ref()[..20]));
    let list = ders(&anchors_of(&[Peer::new("b", "b.local", &[&b.der, &again], &[])], &own(&[&ours.der])));
    for leaf in [b.workload("b.local"), leaf.sign(&b.key), unmarked] {
        assert_eq!(verdict(&[&ours], &list, &[leaf]), Ok(()));
    }
}

#[test]
fn any_order_of_peers_and_certificates_gives_the_same_bytes() {
    let shared = Ca::root("corporate");
    let (b, c) = (Ca::root("cluster.local"), Ca::root("cluster.local"));
    let below = b.intermediate("below", false, &[]);
    let weak = Template::root(&organization("weak"), &Key::p256()).sign(&Key::p256());
    let peers = [
        Peer::new("b", "b.local", &[&b.der, &shared.der], &[&below.der]),
        Peer::new("c", "c.local", &[&shared.der, &weak], &[]),
        Peer::new("d", "d.local", &[&c.der], &[]),
    ];
    let own_chain = own_unrelated();
    let expected = anchors_of(&peers, &own_chain);
    assert_eq!((expected.entries.len(), expected.refused.len()), (4, 1));
    assert!(expected.entries.is_sorted_by(|a, b| a.pem < b.pem));
    for mut peers in orders(&peers) {
        assert_eq!(anchors_of(&peers, &own_chain), expected);
        for peer in &mut peers {
            peer.certificates.reverse();
        }
        assert_eq!(anchors_of(&peers, &own_chain), expected);
    }
    // All blocks in one text.
    let mut peers = peers;
    let roots: String = peers[0].certificates[..2].iter().map(|root| root.certificate.as_str()).collect();
    peers[0].certificates.remove(0);
    peers[0].certificates[0].certificate = roots;
    assert_eq!(anchors_of(&peers, &own_chain), expected);
}

#[test]
fn the_subjects_stay_within_the_limit_of_a_handshake() {
    let padded = |n: usize| format!("{n:0>239}");
    let key = Key::p256();
    let crowd: Vec<_> = (0..50)
        .map(|n| {
            let ders: Vec<_> = (0..3)
                .map(|m| {
                    let subject = organization(&padded(n * 10 + m));
                    let mut template = Template::root(&subject, &key);
                    template.validity[0] = utc_time(&format!("2601{:02}000000Z", m + 1));
                    template.sign(&key)
                })
                .collect();
            let roots: Vec<_> = ders.iter().map(Vec::as_slice).collect();
            Peer::new(&format!("peer-{n:02}"), &format!("d{n}.local"), &roots, &[])
        })
        .collect();
    let made = anchors_of(&crowd, &own_unrelated());
    let taken = SUBJECTS_LIMIT / 258;
    assert_eq!((made.entries.len(), made.refused.len()), (taken, 150 - taken));
    assert!(made.refused.iter().all(|(_, refusal)| refusal.reason.contains("32768 bytes")));
    // Third certificates are left out, those of the last peers first: every peer's first and second are in.
    let last: Vec<_> = (50 - (150 - taken)..50).map(|n| format!("peer-{n:02}")).collect();
    assert_eq!(made.refused.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), last);
}

#[test]
fn a_bad_peer_does_not_affect_the_others() {
    let good = Ca::root("cluster.local");
    let peer = Peer::new("good", "b.local", &[&good.der], &[]);
    let alone = anchors_of(std::slice::from_ref(&peer), &own_unrelated());
    let mut bad = Peer::new("bad", "c.local", &[b"junk"], &[&good.der]);
    bad.certificates.push(crate::api::istio_federation::AdmittedCertificate {
        certificate: "no PEM".to_owned(),
        role: CertificateRole::Root,
        missing_since: None,
    });
    let made = anchors_of(&[bad, peer], &own_unrelated());
    assert_eq!(made.entries, alone.entries);
    let refused: Vec<_> = made.refused.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(refused, ["bad", "bad", "bad"]);
}

#[test]
fn a_cached_certificate_that_became_ours_gets_no_anchor() {
    let root = Ca::root("cluster.local");
    let peer = Peer::new("b", "b.local", &[&root.der], &[]);
    let ours = |chain: &OwnChain| anchors_of(std::slice::from_ref(&peer), chain).entries.len();
    assert_eq!(ours(&own_unrelated()), 1);
    assert_eq!(ours(&own(&[&root.der])), 0);
}
