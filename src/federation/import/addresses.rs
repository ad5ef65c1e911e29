//! An address of its own for every imported host, kept for as long as its ServiceEntry lives.
//!
//! Without one, a TCP port becomes a listener on 0.0.0.0 and captures everybody's traffic to that port.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use sha2::{Digest, Sha256};

/// Addresses by host: those that `existing` has, as far as they are in `range` and nobody else's, and new ones for the rest.
///
/// A new host's address depends on its name first, so that a run with an older view gives the same one. Hosts for
/// which no address is left are missing from the result.
#[must_use]
pub(super) fn assign<'a>(
    hosts: impl Iterator<Item = &'a str> + Clone,
    existing: &HashMap<&str, Ipv4Addr>,
    range: Ipv4Net,
) -> HashMap<&'a str, Ipv4Addr> {
    let mut taken = HashSet::new();
    let mut assigned = HashMap::new();
    for host in hosts.clone() {
        if let Some(address) = existing.get(host).filter(|address| slot_of(range, **address).is_some())
            && taken.insert(*address)
        {
            assigned.insert(host, *address);
        }
    }
    // An address of a ServiceEntry that stays for another reason is not free either.
    taken.extend(existing.values());
    let size = slots(range);
    for host in hosts {
        if assigned.contains_key(host) || size == 0 {
            continue;
        }
        let start = preferred(host) % size;
        let free = (0..size).map(|step| nth(range, (start + step) % size)).find(|address| !taken.contains(address));
        let Some(address) = free else { break };
        taken.insert(address);
        assigned.insert(host, address);
    }
    assigned
}

/// How many hosts a range has room for: all addresses but the first and the last.
#[must_use]
fn slots(range: Ipv4Net) -> u32 {
    u32::from(range.broadcast()).saturating_sub(u32::from(range.network())).saturating_sub(1)
}

fn nth(range: Ipv4Net, slot: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(range.network()) + 1 + slot)
}

fn slot_of(range: Ipv4Net, address: Ipv4Addr) -> Option<u32> {
    let slot = u32::from(address).checked_sub(u32::from(range.network()) + 1)?;
    (slot < slots(range)).then_some(slot)
}

fn preferred(host: &str) -> u32 {
    let digest = Sha256::digest(host.as_bytes());
    digest.iter().take(4).fold(0, |number, byte| (number << 8) | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    #[test]
    fn what_a_host_has_it_keeps() {
        let range = range("240.241.0.0/24");
        let own: Ipv4Addr = "240.241.0.9".parse().unwrap();
        let existing = HashMap::from([("a", own)]);
        let assigned = assign(["a", "b"].into_iter(), &existing, range);
        assert_eq!(assigned["a"], own);
        assert_ne!(assigned["b"], own);
    }

    #[test]
    fn foreign_and_double_addresses_are_replaced() {
        let range = range("240.241.0.0/24");
        let [double, foreign]: [Ipv4Addr; 2] = ["240.241.0.9", "10.0.0.1"].map(|text| text.parse().unwrap());
        for edge in ["240.241.0.0", "240.241.0.255"] {
            let existing = HashMap::from([("a", edge.parse().unwrap())]);
            assert_ne!(assign(["a"].into_iter(), &existing, range)["a"].to_string(), edge);
        }
        let existing = HashMap::from([("a", double), ("b", double), ("c", foreign)]);
        let assigned = assign(["a", "b", "c"].into_iter(), &existing, range);
        assert_eq!(assigned["a"], double);
        assert!(assigned["b"] != double && range.contains(&assigned["b"]));
        assert!(range.contains(&assigned["c"]));
    }

    #[test]
    fn a_full_range_leaves_hosts_without() {
        let assigned = assign(["a", "b", "c"].into_iter(), &HashMap::new(), range("240.241.0.0/30"));
        assert_eq!(assigned.len(), 2);
        for tiny in ["240.241.0.0/32", "240.241.0.0/31"] {
            assert!(assign(["a"].into_iter(), &HashMap::new(), range(tiny)).is_empty());
        }
    }

    proptest! {
        #[test]
        fn addresses_are_unique_in_range_and_stable(hosts in proptest::collection::btree_set("[a-z]{1,3}", 0..60)) {
            let range = range("240.241.0.0/26");
            let assigned = assign(hosts.iter().map(String::as_str), &HashMap::new(), range);
            let unique: HashSet<_> = assigned.values().collect();
            prop_assert_eq!(unique.len(), hosts.len());
            prop_assert!(assigned.values().all(|address| slot_of(range, *address).is_some()));
            prop_assert_eq!(&assign(hosts.iter().map(String::as_str), &assigned, range), &assigned);
        }
    }
}
