//! Gateway addresses: which IP addresses a peer may send our traffic to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Addresses at which clouds serve their machines' credentials and that no other rule covers.
const CLOUD_METADATA: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),                  // Alibaba
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),                    // Azure
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),                      // Oracle
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)), // AWS
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),  // Google
];

/// Why traffic must not go to `address`, or `None` where it may. `own` are networks of this cluster.
#[must_use]
pub(crate) fn refuse(address: IpAddr, own: &[IpNet]) -> Option<&'static str> {
    [Some(address), embedded_v4(address).map(IpAddr::V4)].into_iter().flatten().find_map(|seen| refuse_plain(seen, own))
}

fn refuse_plain(address: IpAddr, own: &[IpNet]) -> Option<&'static str> {
    if own.iter().any(|network| network.contains(&address)) {
        return Some("the address belongs to this cluster");
    }
    if CLOUD_METADATA.contains(&address) {
        return Some("the address is a cloud's metadata service");
    }
    if address.is_loopback() {
        return Some("the address is a loopback address");
    }
    if address.is_unspecified() {
        return Some("the address is unspecified");
    }
    if address.is_multicast() {
        return Some("the address is a multicast address");
    }
    match address {
        IpAddr::V4(v4) if v4.is_link_local() => Some("the address is link-local"),
        IpAddr::V4(v4) if v4.is_broadcast() => Some("the address is the broadcast address"),
        IpAddr::V4(v4) if v4.octets()[0] == 0 => Some("the address is in 0.0.0.0/8"),
        IpAddr::V4(v4) if v4.octets()[0] >= 240 => Some("the address is reserved (240.0.0.0/4)"),
        IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfe80 => Some("the address is link-local"),
        _ => None,
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped (RFC 4291), compatible (RFC 4291), NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056).
fn embedded_v4(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = address else { return None };
    let ([0, 0, 0, 0, 0, 0 | 0xffff, high, low]
    | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
    | [0x64, 0xff9b, 1, _, _, _, high, low]
    | [0x2002, high, low, ..]) = v6.segments()
    else {
        return None;
    };
    Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let own: Vec<IpNet> = vec!["10.1.0.0/16".parse().unwrap(), "fd00::/108".parse().unwrap()];
        for (text, why) in [
            ("203.0.113.10", None),
            ("10.2.0.1", None),
            ("192.168.1.1", None),
            ("2001:db8::1", None),
            ("fd01::1", None),
            ("::ffff:203.0.113.10", None),
            ("10.1.2.3", Some("this cluster")),
            ("::ffff:10.1.2.3", Some("this cluster")),
            ("64:ff9b::10.1.2.3", Some("this cluster")),
            ("64:ff9b:1::10.1.2.3", Some("this cluster")),
            ("2002:a01:203::1", Some("this cluster")),
            ("fd00::7", Some("this cluster")),
            ("127.0.0.1", Some("loopback")),
            ("127.9.9.9", Some("loopback")),
            ("::1", Some("loopback")),
            ("::ffff:127.0.0.1", Some("loopback")),
            ("64:ff9b::127.0.0.1", Some("loopback")),
            ("::127.0.0.1", Some("loopback")),
            ("169.254.169.254", Some("link-local")),
            ("64:ff9b::169.254.169.254", Some("link-local")),
            ("fe80::1", Some("link-local")),
            ("febf::1", Some("link-local")),
            ("0.0.0.0", Some("unspecified")),
            ("::", Some("unspecified")),
            ("0.1.2.3", Some("0.0.0.0/8")),
            ("224.0.0.1", Some("multicast")),
            ("ff02::1", Some("multicast")),
            ("255.255.255.255", Some("broadcast")),
            ("240.1.2.3", Some("reserved")),
            ("100.100.100.200", Some("metadata")),
            ("fd00:ec2::254", Some("metadata")),
        ] {
            let found = refuse(text.parse().unwrap(), &own);
            match why {
                None => assert_eq!(found, None, "{text}"),
                Some(part) => assert!(found.is_some_and(|reason| reason.contains(part)), "{text}: {found:?}"),
            }
        }
    }
}
