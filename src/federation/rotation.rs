//! Rotation of a peer's admitted CA certificates: new ones enter at a bounded rate, dropped ones leave after 48 hours.
//!
//! A root that is no longer offered stays for that time, because leaves that it signed are still in use.

use jiff::{SignedDuration, Timestamp};

use super::refusal::Refusal;
use super::trust;
use crate::api::istio_federation::{AdmittedCertificate, ItemKind};

/// How long a dropped certificate stays: longer than the lifetime of workload certificates.
const GRACE: SignedDuration = SignedDuration::from_hours(48);
/// Shortest time between two admissions: each is a push to every proxy.
const ADMISSION_INTERVAL: SignedDuration = SignedDuration::from_mins(10);
/// Most certificates of each role.
const LIMIT: usize = 3;

/// The certificates after a change, and the new ones that are not admitted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rotation {
    /// The certificates that the mesh trusts now, sorted.
    pub(crate) kept: Vec<AdmittedCertificate>,
    /// When new ones were last admitted.
    pub(crate) changed: Option<Timestamp>,
    /// New ones that are not admitted.
    pub(crate) refused: Vec<Refusal>,
}

/// Rotates towards `offered`. An empty offer changes nothing.
#[must_use]
pub(crate) fn rotate(
    kept: &[AdmittedCertificate],
    changed: Option<Timestamp>,
    offered: &[AdmittedCertificate],
    now: Timestamp,
) -> Rotation {
    let mut rotation = Rotation { kept: kept.to_vec(), changed, refused: Vec::new() };
    if offered.is_empty() {
        return rotation;
    }
    for old in &mut rotation.kept {
        let here = offered.iter().any(|candidate| candidate.certificate == old.certificate);
        // A time in the future comes from a wrong clock; it would keep the certificate until then.
        let known = old.missing_since.filter(|since| *since <= now);
        old.missing_since = if here { None } else { known.or(Some(now)) };
    }
    let gone = |old: &AdmittedCertificate| old.missing_since.is_some_and(|since| now.duration_since(since) >= GRACE);
    if rotation.kept.iter().any(|old| !gone(old)) {
        rotation.kept.retain(|old| !gone(old));
    }

    let is_new = |candidate: &&AdmittedCertificate| !kept.iter().any(|old| old.certificate == candidate.certificate);
    let mut newcomers: Vec<&AdmittedCertificate> = offered.iter().filter(is_new).collect();
    newcomers.sort_by_key(|newcomer| (newcomer.role, &newcomer.certificate));
    newcomers.dedup();
    let too_soon = changed.is_some_and(|changed| changed <= now && now.duration_since(changed) < ADMISSION_INTERVAL);
    for newcomer in newcomers {
        let held = rotation.kept.iter().filter(|old| old.role == newcomer.role).count();
        let name = trust::subject_of(&newcomer.certificate);
        if too_soon {
            let reason = "a new certificate is admitted ten minutes after the previous one at the earliest";
            rotation.refused.push(Refusal::new(ItemKind::Certificate, &name, reason));
        } else if held >= LIMIT {
            let reason =
                format!("a peer has at most {LIMIT} certificates of a role; a dropped one counts for 48 hours");
            rotation.refused.push(Refusal::new(ItemKind::Certificate, &name, reason));
        } else {
            rotation.kept.push(newcomer.clone());
            rotation.changed = Some(now);
        }
    }
    rotation.kept.sort_by(|a, b| (a.role, &a.certificate).cmp(&(b.role, &b.certificate)));
    rotation
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::istio_federation::CertificateRole;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn offer(letters: &str) -> Vec<AdmittedCertificate> {
        let root = |c: char| AdmittedCertificate {
            certificate: c.to_string(),
            role: CertificateRole::Root,
            missing_since: None,
        };
        letters.chars().map(root).collect()
    }

    fn letters(rotation: &Rotation) -> String {
        rotation.kept.iter().map(|old| old.certificate.as_str()).collect()
    }

    fn step(before: &Rotation, offered: &str, second: i64) -> Rotation {
        rotate(&before.kept, before.changed, &offer(offered), at(second))
    }

    const HOUR: i64 = 3600;

    #[test]
    fn old_and_new_roots_overlap_in_a_rotation() {
        let first = step(&Rotation::default(), "a", 0);
        assert_eq!((letters(&first), first.changed), ("a".to_owned(), Some(at(0))));
        let both = step(&first, "ab", 700);
        assert_eq!(letters(&both), "ab");
        let new_only = step(&both, "b", 1400);
        assert_eq!(letters(&new_only), "ab", "leaves of a live on");
        assert_eq!(step(&new_only, "b", 1400 + 48 * HOUR - 1).kept, new_only.kept, "and nothing changes until");
        let after = step(&new_only, "b", 1400 + 48 * HOUR);
        assert_eq!((letters(&after), after.changed), ("b".to_owned(), Some(at(700))));
    }

    #[test]
    fn an_empty_offer_changes_nothing() {
        let first = step(&Rotation::default(), "a", 0);
        assert_eq!(step(&first, "", 1000 * HOUR), first);
    }

    #[test]
    fn a_certificate_that_comes_back_stays() {
        let both = step(&Rotation::default(), "ab", 0);
        let gone = step(&both, "b", 10);
        assert_eq!(gone.kept[0].missing_since, Some(at(10)));
        assert_eq!(step(&gone, "ab", 20).kept, both.kept);
    }

    #[test]
    fn one_admission_in_ten_minutes_and_three_certificates_at_most() {
        let mut rotation = step(&Rotation::default(), "a", 0);
        let early = step(&rotation, "ab", 599);
        assert_eq!((letters(&early), early.refused.len()), ("a".to_owned(), 1));
        rotation = step(&early, "b", 600);
        assert_eq!(letters(&rotation), "ab");
        rotation = step(&rotation, "c", 1200);
        rotation = step(&rotation, "d", 1800);
        assert_eq!((letters(&rotation), rotation.refused.len()), ("abc".to_owned(), 1));
    }

    #[test]
    fn a_clock_that_was_set_back_delays_nothing() {
        let ahead = step(&Rotation::default(), "a", 1000 * HOUR);
        let both = step(&ahead, "ab", 0);
        assert_eq!((letters(&both), both.changed), ("ab".to_owned(), Some(at(0))));
        let leaving = step(&both, "b", 1000 * HOUR);
        let noticed = step(&leaving, "b", HOUR);
        assert_eq!(noticed.kept[0].missing_since, Some(at(HOUR)));
        assert_eq!(letters(&step(&noticed, "b", 49 * HOUR)), "b");
    }

    #[test]
    fn the_last_certificate_stays_until_there_is_another() {
        let first = step(&Rotation::default(), "a", 0);
        let waiting = rotate(&first.kept, Some(at(100)), &offer("b"), at(200));
        let still = rotate(&waiting.kept, Some(at(200 + 48 * HOUR)), &offer("b"), at(300 + 48 * HOUR));
        assert_eq!(letters(&still), "a");
    }
}
