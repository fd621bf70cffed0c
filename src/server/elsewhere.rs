//! By which address other machines reach this one.

use std::net::{IpAddr, UdpSocket};

/// Addresses that are nobody's (RFC 5737, RFC 3849): asked for the way there, the kernel says by which of its own
/// addresses it would go. Nothing is sent.
const SOMEWHERE: [(&str, &str); 2] = [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")];

/// This machine's address on its way out, for a server that listens on all of them. `None`: it is known already, or there
/// is no way out.
pub(super) fn own_address(listening: IpAddr) -> Option<IpAddr> {
    if !listening.is_unspecified() {
        return None;
    }
    // A server on all IPv6 addresses answers on the IPv4 ones, too, and those are what people can type.
    SOMEWHERE.iter().find_map(|(any, somewhere)| {
        let socket = UdpSocket::bind(any).ok()?;
        socket.connect(somewhere).ok()?;
        let own = socket.local_addr().ok()?.ip();
        (!own.is_unspecified() && !own.is_loopback()).then_some(own)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_configured_is_not_asked_for() {
        for listening in ["127.0.0.1", "::1", "10.0.0.7"] {
            assert_eq!(own_address(listening.parse().expect("an address")), None, "{listening}");
        }
        let own = own_address(IpAddr::from([0, 0, 0, 0]));
        assert!(own.is_none_or(|own| !own.is_loopback() && !own.is_unspecified()), "{own:?}");
    }
}
