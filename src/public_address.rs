//! Which addresses are on the public internet: for everything that goes out on somebody else's word.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// False for loopback, private, link-local, shared (carrier-grade NAT), multicast and reserved addresses, and for
/// IPv6 addresses that carry an IPv4 address which is one of these.
///
/// The ranges for documentation count as public: they lead nowhere on the internet and to nothing of the host's.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let this_network = a == 0;
    let shared = a == 100 && (64..128).contains(&b);
    let protocol_assignments = (a, b, c) == (192, 0, 0);
    let benchmarking = a == 198 && (b == 18 || b == 19);
    let multicast_or_reserved = a >= 224;
    !(this_network
        || shared
        || protocol_assignments
        || benchmarking
        || multicast_or_reserved
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let words = address.segments();
    // Global unicast addresses all begin with the bits 001: this excludes loopback, unspecified, v4-mapped, unique
    // local, link-local and multicast addresses, and the NAT64 prefix.
    let global = words[0] & 0xe000 == 0x2000;
    // Tunnels that carry an IPv4 address within: 6to4 and Teredo.
    let tunnel = words[0] == 0x2002 || (words[0] == 0x2001 && words[1] == 0);
    global && !tunnel
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_public_from_other_addresses() {
        for public in
            ["93.184.216.34", "104.16.0.1", "100.63.255.255", "172.32.0.1", "2606:4700::6810:1", "203.0.113.80"]
        {
            assert!(is_public(public.parse().expect(public)), "{public}");
        }
        for other in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.168.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:0:1::1",
            "fc00::1",
            "fd00::2",
            "fe80::1",
            "ff02::1",
        ] {
            assert!(!is_public(other.parse().expect(other)), "{other}");
        }
    }
}
