//! Roots that resemble another CA: ours, a good peer's, another bad peer's.

use std::time::Duration;

use anyhow::Result;
use istio_federation_testkit::Authority;
use rcgen::CertificateParams;

use super::make::{end_in, made, made_with, mark_as, named, place, unmark};
use super::roots::Expected::{Anchored, Refused};
use super::roots::{Row, row};

/// The CA of a mesh.
pub(crate) struct Chain<'a> {
    pub(crate) root: &'a Authority,
    /// The CA that istiod signs with.
    pub(crate) intermediate: &'a Authority,
}

/// Roots that a proxy could mistake for the issuer of another CA's certificates. A key identifier distinguishes two CAs with one subject,
/// so a root with that subject must have an identifier of its own. B's root has the subject of an anchor's issuer: B's intermediate has
/// an anchor as well.
pub(super) fn alike(a: &Chain<'_>, b: &Chain<'_>) -> Result<Vec<Row>> {
    let wrong = Refused("not a hash of its key");
    let unmarked = made(|root| {
        root.distinguished_name = named("no identifier");
        unmark(root);
    });
    let mut rows = vec![row("no key identifier", unmarked?, Anchored)];
    for (chain, whose, shared) in [
        (a, "our", Refused("shares its subject with a CA of our own")),
        (b, "B's", Refused("shares its subject with a CA of IstioFederation/")),
    ] {
        for (authority, what) in [(chain.root, "root"), (chain.intermediate, "intermediate")] {
            for (order, serial) in [("first", 1), ("last", 0x7f)] {
                let like = |change: &dyn Fn(&mut CertificateParams)| {
                    made(|root| {
                        root.distinguished_name = named(&authority.organization);
                        place(root, serial);
                        change(root);
                    })
                };
                let title = |what_else: &str| format!("{whose} {what}'s subject{what_else}, sorted {order}");
                rows.push(row(title(" and identifier"), like(&|root| mark_as(root, authority))?, wrong));
                rows.push(row(title(", own identifier"), like(&|_| {})?, Anchored));
                rows.push(row(title(", no identifier"), like(&unmark)?, shared));
            }
        }
    }
    Ok(rows)
}

/// Roots of the good peer, or of another bad peer.
pub(super) fn published_again(b: &Chain<'_>, end: Duration) -> Result<Vec<Row>> {
    let key = b.root.issuer().key();
    let soon = |root: &mut CertificateParams| {
        root.distinguished_name = named(&b.root.organization);
        end_in(root, end);
    };
    let shared = made(|_| {})?;
    Ok(vec![
        row("B's root", b.root.pem(), Anchored),
        row("B's root's key, another subject", made_with(key, |_| {})?, Anchored),
        row("B's root's key and subject, an earlier end", made_with(key, soon)?, Anchored),
        row("B's intermediate's key", made_with(b.intermediate.issuer().key(), |_| {})?, Anchored),
        row("a root that another peer has too", shared.clone(), Anchored),
        row("a root that another peer has too (the other)", shared, Anchored),
    ])
}
