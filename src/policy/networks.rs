//! Which resolved addresses may be dialled.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses that a destination may resolve to; checked at connect, on the address that is dialled.
///
/// Why a default that refuses: a name is under the control of whoever answers DNS, and loopback or link-local addresses lead to the
/// gateway itself and to cloud metadata services.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) enum Networks {
    /// Anything but loopback, link-local, multicast, broadcast, unspecified and reserved addresses.
    #[default]
    Usual,
    /// Only addresses in one of these.
    Only(Vec<IpNet>),
}

impl Networks {
    /// Whether `address` may be dialled. An IPv4-mapped IPv6 address counts as the IPv4 address.
    pub(crate) fn permits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        match self {
            Self::Only(networks) => networks.iter().any(|network| network.contains(&address)),
            Self::Usual => match address {
                IpAddr::V4(address) => is_usual_v4(address),
                IpAddr::V6(address) => is_usual_v6(address),
            },
        }
    }
}

fn is_usual_v4(address: Ipv4Addr) -> bool {
    let first = address.octets().first().copied().unwrap_or_default();
    // 0/8 is "this network", 240/4 is reserved and holds the broadcast address.
    !(address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || first == 0
        || first >= 240)
}

fn is_usual_v6(address: Ipv6Addr) -> bool {
    let embedded = embedded_v4(address);
    !(address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_unicast_link_local()
        || embedded.is_some_and(|address| !is_usual_v4(address)))
}

/// The IPv4 address that a translator or tunnel would make of `address`: NAT64 (RFC 6052), 6to4 (RFC 3056), IPv4-compatible (RFC 4291).
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let (high, low) = match (a, b, c, d, e, f) {
        (0x64, 0xff9b, 0, 0, 0, 0) | (0, 0, 0, 0, 0, 0) => (g, h),
        (0x2002, high, low, ..) => (high, low),
        _ => return None,
    };
    Some(Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(networks: &Networks, address: &str) -> bool {
        networks.permits(address.parse().unwrap())
    }

    #[test]
    fn threat_11_by_default_no_name_leads_to_the_gateway_itself_or_its_link() {
        for address in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
        ] {
            assert!(!permits(&Networks::Usual, address), "{address}");
        }
        for address in [
            "10.0.0.1",
            "192.168.1.1",
            "8.8.8.8",
            "2001:db8::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
        ] {
            assert!(permits(&Networks::Usual, address), "{address}");
        }
    }

    #[test]
    fn an_explicit_list_permits_its_members_and_nothing_else() {
        let networks = Networks::Only(vec!["10.20.0.0/16".parse().unwrap(), "127.0.0.0/8".parse().unwrap()]);
        for address in ["10.20.255.1", "::ffff:10.20.0.1", "127.0.0.1"] {
            assert!(permits(&networks, address), "{address}");
        }
        for address in ["10.21.0.1", "::1", "8.8.8.8"] {
            assert!(!permits(&networks, address), "{address}");
        }
    }
}
