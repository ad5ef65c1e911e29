//! The schedule of requests: at every tick while a peer succeeds; after 15 s, 30 s, 1 min, then every 2 min while it fails.
//!
//! No counter is kept: the ticks since the failure began decide.

use jiff::Timestamp;

use super::exchange::Pace;
use crate::api::istio_federation::IstioFederation;
use crate::federation::conditions::{PRIVATE_EXCHANGE_READY, PUBLIC_EXCHANGE_READY};

/// Seconds between two ticks of the schedule.
pub const TICK: i64 = 15;
/// How many peers are asked at once.
pub const AT_ONCE: usize = 32;

/// Whether the peer is to be asked now.
fn is_due(federation: &IstioFederation, now: Timestamp, pace: Pace) -> bool {
    let observed = federation.condition(PUBLIC_EXCHANGE_READY).and_then(|condition| condition.observed_generation);
    if pace == Pace::Eager || observed.is_none() || observed != federation.metadata.generation {
        return true;
    }
    let failing_since = [PUBLIC_EXCHANGE_READY, PRIVATE_EXCHANGE_READY]
        .into_iter()
        .filter_map(|type_| federation.condition(type_))
        .filter(|condition| condition.status == "False")
        .filter_map(|condition| condition.last_transition_time)
        .max();
    failing_since.is_none_or(|since| {
        let tick = |time: Timestamp| time.as_second().div_euclid(TICK);
        is_retry(tick(now) - tick(since))
    })
}

/// The peers to ask now: healthy ones first, so that failing ones do not delay them.
///
/// In both groups the first one changes from tick to tick: if a run has no time for all, each still gets its turn.
#[must_use]
pub fn due_peers<'a>(
    federations: impl Iterator<Item = &'a IstioFederation>,
    now: Timestamp,
    pace: Pace,
) -> Vec<&'a IstioFederation> {
    let (mut failing, mut well): (Vec<_>, Vec<_>) =
        federations.filter(|federation| is_due(federation, now, pace)).partition(|federation| {
            federation.condition(PUBLIC_EXCHANGE_READY).is_some_and(|condition| condition.status == "False")
        });
    let tick = usize::try_from(now.as_second().div_euclid(TICK)).unwrap_or_default();
    for peers in [&mut well, &mut failing] {
        if !peers.is_empty() {
            let first = tick.wrapping_mul(AT_ONCE) % peers.len();
            peers.rotate_left(first);
        }
    }
    well.extend(failing);
    well
}

/// Whether something that failed at tick 0 is tried again at `tick`: after 15 s, then 30 s, then 60 s, then every 120 s.
fn is_retry(tick: i64) -> bool {
    // A clock that was set back must not block requests.
    tick < 0 || matches!(tick, 1 | 3 | 7) || (tick >= 15 && (tick - 15) % 8 == 0)
}

#[cfg(test)]
mod tests {
    use istio_federation_testkit::{Federation, federation};

    use super::*;

    fn failing(type_: &str, since: i64) -> IstioFederation {
        let since = Timestamp::from_second(since).unwrap().to_string();
        let condition = |federation: Federation, of: &str| {
            federation.condition(of, if of == type_ { "False" } else { "True" }, "Reason", &since)
        };
        [PUBLIC_EXCHANGE_READY, PRIVATE_EXCHANGE_READY].into_iter().fold(federation("b"), condition).read()
    }

    fn asked_at(federation: &IstioFederation, from: i64, ticks: i64) -> Vec<i64> {
        let at = |tick: i64| Timestamp::from_second(from + tick * TICK).unwrap();
        (0..ticks).filter(|tick| is_due(federation, at(*tick), Pace::Patient)).collect()
    }

    #[test]
    fn a_failing_peer_is_asked_less_and_less_often() {
        for type_ in [PUBLIC_EXCHANGE_READY, PRIVATE_EXCHANGE_READY] {
            // A tick of the operator is never quite on time: neither now nor when the failure was found.
            for (since, from) in [(1500, 1500), (1514, 1500), (1500, 1507)] {
                assert_eq!(asked_at(&failing(type_, since), from, 32), [1, 3, 7, 15, 23, 31], "{type_}");
            }
        }
    }

    #[test]
    fn healthy_peers_go_first_and_each_peer_gets_its_turn() {
        let mut federations: Vec<_> = (0..40).map(|_| failing("", 0)).collect();
        federations.push(failing(PUBLIC_EXCHANGE_READY, 1500 - 8 * TICK));
        for (index, federation) in federations.iter_mut().enumerate() {
            federation.metadata.name = index.to_string();
        }
        let order = |tick: i64| {
            let now = Timestamp::from_second(1500 + tick * TICK).unwrap();
            let order = due_peers(federations.iter().rev(), now, Pace::Patient);
            order.iter().map(|federation| federation.metadata.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!((order(0).len(), order(7).len()), (40, 41));
        assert_eq!(order(7).last().map(String::as_str), Some("40"));
        let firsts: std::collections::BTreeSet<_> =
            (0..5).flat_map(|tick| order(tick).into_iter().take(AT_ONCE)).collect();
        assert_eq!(firsts.len(), 40);
    }

    #[test]
    fn a_healthy_new_or_edited_peer_is_asked_at_every_tick() {
        let healthy = failing("", 0);
        assert_eq!(asked_at(&healthy, 1500, 4), [0, 1, 2, 3]);
        let mut edited = failing(PUBLIC_EXCHANGE_READY, 1500);
        edited.metadata.generation = Some(2);
        assert_eq!(asked_at(&edited, 1500, 4), [0, 1, 2, 3]);
        let new = IstioFederation { status: None, ..edited };
        assert_eq!(asked_at(&new, 1500, 2), [0, 1]);
        assert_eq!(asked_at(&failing(PUBLIC_EXCHANGE_READY, 9000), 1500, 2), [0, 1], "the clock was set back");
        assert!(is_due(&failing(PUBLIC_EXCHANGE_READY, 0), Timestamp::from_second(30).unwrap(), Pace::Eager));
    }
}
