//! How many connections there may be, in total and per address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// The places for connections.
pub(super) struct Places {
    total: usize,
    per_ip: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    total: usize,
    by_ip: HashMap<IpAddr, usize>,
}

/// A place; given back when it is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    ip: IpAddr,
}

impl Places {
    pub(super) fn new(total: usize, per_ip: usize) -> Self {
        Places { total, per_ip, taken: Mutex::default() }
    }

    /// A place for a peer at `ip`; `None` if there is none left.
    pub(super) fn take(places: &Arc<Places>, ip: IpAddr) -> Option<Place> {
        let ip = owner(ip);
        let mut taken = places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_ip = taken.by_ip.get(&ip).copied().unwrap_or(0);
        if taken.total >= places.total || of_ip >= places.per_ip {
            return None;
        }
        taken.total += 1;
        taken.by_ip.insert(ip, of_ip + 1);
        Some(Place { places: places.clone(), ip })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.total = taken.total.saturating_sub(1);
        if let Some(count) = taken.by_ip.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                taken.by_ip.remove(&self.ip);
            }
        }
    }
}

/// A host may use a whole /64 of IPv6 (RFC 6177), so that is what counts as one address.
fn owner(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(places: &Arc<Places>, ip: &str) -> Option<Place> {
        Places::take(places, ip.parse().unwrap())
    }

    #[test]
    fn one_address_cannot_take_the_places_of_others() {
        let places = Arc::new(Places::new(3, 2));
        let _first = take(&places, "192.0.2.1").unwrap();
        let second = take(&places, "192.0.2.1").unwrap();
        assert!(take(&places, "192.0.2.1").is_none());
        let _other = take(&places, "192.0.2.2").unwrap();
        assert!(take(&places, "192.0.2.3").is_none(), "all places are taken");
        drop(second);
        assert!(take(&places, "192.0.2.1").is_some());
    }

    #[test]
    fn a_host_is_a_whole_prefix_of_ipv6() {
        let places = Arc::new(Places::new(9, 1));
        let _one = take(&places, "2001:db8::1").unwrap();
        assert!(take(&places, "2001:db8::2:3").is_none());
        assert!(take(&places, "2001:db8:0:1::1").is_some());
    }

    #[test]
    fn nothing_is_remembered_of_those_who_left() {
        let places = Arc::new(Places::new(9, 1));
        drop(take(&places, "192.0.2.1"));
        assert!(places.taken.lock().unwrap().by_ip.is_empty());
    }
}
