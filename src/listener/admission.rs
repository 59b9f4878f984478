//! How many connections may be open, in all and from one place.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use super::ClientAddr;
use super::refusal::FailureReason;
use super::settings::Limits;
use super::stats::Stats;

/// Counts the open connections of all listeners.
#[derive(Debug)]
pub(super) struct Admission {
    open: Mutex<Open>,
    stats: Arc<Stats>,
    ceiling: usize,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_origin: HashMap<Origin, usize>,
}

/// Who shares one cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Origin {
    V4(Ipv4Addr),
    /// The upper half of an IPv6 address: one machine usually has the whole lower half.
    V6(u64),
    Uid(u32),
}

impl Admission {
    /// Never admits more than `ceiling`, whatever a listener's limits say.
    pub(super) fn new(stats: Arc<Stats>, ceiling: usize) -> Arc<Self> {
        Arc::new(Self { open: Mutex::default(), stats, ceiling })
    }

    /// Takes a place for `peer`, or says which cap is reached.
    pub(super) fn admit(
        self: &Arc<Self>,
        peer: &ClientAddr,
        limits: &Limits,
    ) -> Result<Place, FailureReason> {
        let origin = Origin::of(peer);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.total >= limits.connections.min(self.ceiling) {
            return Err(FailureReason::TooManyConnections);
        }
        let here = open.by_origin.entry(origin).or_insert(0);
        if *here >= limits.connections_per_address {
            return Err(FailureReason::TooManyFromAddress);
        }
        *here += 1;
        open.total += 1;
        self.stats.count_opened();
        Ok(Place { admission: Arc::clone(self), origin })
    }
}

impl Origin {
    fn of(peer: &ClientAddr) -> Self {
        match peer {
            ClientAddr::Unix { uid, .. } => Self::Uid(*uid),
            ClientAddr::Tcp(address) => match address.ip().to_canonical() {
                IpAddr::V4(ip) => Self::V4(ip),
                IpAddr::V6(ip) => Self::V6(upper_half(ip)),
            },
        }
    }
}

/// One admitted connection; dropping it gives the place back.
#[derive(Debug)]
pub(super) struct Place {
    admission: Arc<Admission>,
    origin: Origin,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.admission.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total = open.total.saturating_sub(1);
        if let Some(here) = open.by_origin.get_mut(&self.origin) {
            *here -= 1;
            if *here == 0 {
                open.by_origin.remove(&self.origin);
            }
        }
        self.admission.stats.count_closed();
    }
}

/// How many connections this process has file descriptors for, when each may need one towards a client and one
/// towards a host, and some are kept for the admin listener, the audit trail and the libraries.
pub(super) fn descriptor_ceiling() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    ceiling_of(&limits).unwrap_or(usize::MAX)
}

fn ceiling_of(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let soft: usize = line.split_whitespace().next()?.parse().ok()?;
    Some((soft.saturating_sub(RESERVED_DESCRIPTORS) / 2).max(1))
}

const RESERVED_DESCRIPTORS: usize = 64;

fn upper_half(ip: Ipv6Addr) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = ip.octets();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> ClientAddr {
        ClientAddr::Tcp(address.parse().unwrap())
    }

    #[test]
    fn neighbours_in_one_ipv6_network_share_a_cap_and_places_come_back() {
        let admission = Admission::new(Arc::default(), usize::MAX);
        let limits = Limits { connections: 3, connections_per_address: 1, ..Limits::default() };
        let first = admission.admit(&peer("[2001:db8::1]:1"), &limits).unwrap();
        let same_network = admission.admit(&peer("[2001:db8::ffff:2]:1"), &limits);
        assert_eq!(same_network.unwrap_err(), FailureReason::TooManyFromAddress);
        let _v4 = admission.admit(&peer("192.0.2.1:1"), &limits).unwrap();
        let mapped = admission.admit(&peer("[::ffff:192.0.2.1]:1"), &limits);
        assert_eq!(mapped.unwrap_err(), FailureReason::TooManyFromAddress);
        let _other = admission.admit(&peer("[2001:db8:0:1::1]:1"), &limits).unwrap();
        let surplus = admission.admit(&peer("192.0.2.9:1"), &limits);
        assert_eq!(surplus.unwrap_err(), FailureReason::TooManyConnections);
        assert_eq!(admission.stats.open(), 3);
        drop(first);
        assert!(admission.admit(&peer("[2001:db8::1]:2"), &limits).is_ok());
        assert_eq!(admission.stats.open(), 2);
        assert_eq!(admission.open.lock().unwrap().by_origin.len(), 2);
    }

    #[test]
    fn threat_51_descriptors_stay_free_for_the_gateway_itself() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
            Max processes             unlimited            unlimited            processes \n\
            Max open files            1024                 524288               files     \n";
        assert_eq!(ceiling_of(limits), Some(480));
        assert_eq!(ceiling_of("Max open files  10  10  files"), Some(1));
        assert_eq!(ceiling_of("Max open files  unlimited  unlimited  files"), None);
        assert!(descriptor_ceiling() > 0, "the kernel's own words are understood");
        let admission = Admission::new(Arc::default(), 1);
        let _only = admission.admit(&peer("192.0.2.1:1"), &Limits::default()).unwrap();
        assert!(admission.admit(&peer("192.0.2.2:1"), &Limits::default()).is_err());
    }
}
