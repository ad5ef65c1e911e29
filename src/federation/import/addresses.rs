//! Addresses for imported hosts: one for each host, kept for as long as its ServiceEntry lives.
//!
//! Without an address of its own, a TCP port becomes a listener on 0.0.0.0 and captures all traffic to that port.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use sha2::{Digest, Sha256};

/// The range, and its addresses in use.
#[derive(Debug)]
pub(super) struct Addresses {
    range: Ipv4Net,
    taken: HashSet<Ipv4Addr>,
}

impl Addresses {
    pub(super) fn new(range: Ipv4Net, hosts: usize) -> Self {
        Self { range, taken: HashSet::with_capacity(hosts) }
    }

    /// Lets a host keep its address. False if that is outside the range or taken.
    pub(super) fn keep(&mut self, address: Ipv4Addr) -> bool {
        slot_of(self.range, address).is_some() && self.taken.insert(address)
    }

    /// Excludes these addresses.
    pub(super) fn reserve(&mut self, addresses: impl IntoIterator<Item = Ipv4Addr>) {
        self.taken.extend(addresses);
    }

    /// A new address, while one is left.
    ///
    /// It depends mainly on the host's name, so that a run with an older view gives the same one.
    pub(super) fn find(&mut self, host: &str) -> Option<Ipv4Addr> {
        let size = slots(self.range);
        let start = preferred(host).checked_rem(size)?;
        let mut slots = (start..size).chain(0..start).map(|slot| nth(self.range, slot));
        let address = slots.find(|address| !self.taken.contains(address))?;
        self.taken.insert(address);
        Some(address)
    }
}

/// How many hosts a range has room for: all addresses but the first and the last.
#[must_use]
pub(super) fn slots(range: Ipv4Net) -> u32 {
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

    fn address(text: &str) -> Ipv4Addr {
        text.parse().unwrap()
    }

    #[test]
    fn a_host_keeps_its_address_unless_that_is_out_of_range_or_taken() {
        let mut addresses = Addresses::new(range("240.241.0.0/24"), 2);
        assert!(addresses.keep(address("240.241.0.9")));
        for other in ["240.241.0.9", "240.241.0.0", "240.241.0.255", "240.241.1.1", "10.0.0.1"] {
            assert!(!addresses.keep(address(other)), "{other}");
        }
    }

    #[test]
    fn a_full_range_leaves_hosts_without_an_address() {
        let mut addresses = Addresses::new(range("240.241.0.0/30"), 3);
        addresses.reserve([address("240.241.0.1")]);
        assert_eq!(addresses.find("a"), Some(address("240.241.0.2")));
        assert_eq!(addresses.find("b"), None);
        for tiny in ["240.241.0.0/32", "240.241.0.0/31"] {
            assert_eq!(Addresses::new(range(tiny), 1).find("a"), None);
        }
    }

    proptest! {
        #[test]
        fn addresses_are_unique_and_in_range(hosts in proptest::collection::btree_set("[a-z]{1,3}", 0..62)) {
            let range = range("240.241.0.0/26");
            let mut addresses = Addresses::new(range, hosts.len());
            let found: Vec<_> = hosts.iter().filter_map(|host| addresses.find(host)).collect();
            let unique: HashSet<_> = found.iter().collect();
            prop_assert_eq!(unique.len(), hosts.len());
            prop_assert!(found.iter().all(|address| slot_of(range, *address).is_some()));
        }

        #[test]
        fn a_name_alone_decides_while_there_is_room(host in "[a-z]{1,20}", other in "[a-z]{1,20}") {
            let range = range("240.241.0.0/16");
            let first = Addresses::new(range, 0).find(&host).unwrap();
            let mut later = Addresses::new(range, 0);
            let elsewhere = later.find(&other).unwrap();
            prop_assert!(host == other || elsewhere == first || later.find(&host) == Some(first));
        }
    }
}
