//! Finds the session that a datagram belongs to: by the peer's address, else by the ICE ufrag in a binding request.
//!
//! An address belongs to the session whose transport has authenticated it by a connectivity check, never to whoever
//! merely names it: a forged request cannot take over another peer's address.

use std::net::SocketAddr;

use rustc_hash::FxHashMap;

use crate::io::Protocol;

/// A session's dense key.
pub(crate) type SessionKey = usize;

/// Addresses of one session at most; more than a peer with several networks needs.
const MAX_ADDRESSES: usize = 16;

/// Maps addresses and ufrags to sessions.
#[derive(Default)]
pub(crate) struct Demux {
    addresses: FxHashMap<(Protocol, SocketAddr), SessionKey>,
    ufrags: FxHashMap<String, SessionKey>,
}

impl Demux {
    /// The session that owns an address.
    pub(crate) fn owner(&self, protocol: Protocol, source: SocketAddr) -> Option<SessionKey> {
        self.addresses.get(&(protocol, source)).copied()
    }

    /// The session with a ufrag.
    pub(crate) fn by_ufrag(&self, ufrag: &str) -> Option<SessionKey> {
        self.ufrags.get(ufrag).copied()
    }

    /// Names a session.
    pub(crate) fn add_ufrag(&mut self, ufrag: String, session: SessionKey) {
        self.ufrags.insert(ufrag, session);
    }

    /// Gives an address to a session. `owned` is the session's own list, for [`Self::remove`].
    pub(crate) fn claim(
        &mut self,
        protocol: Protocol,
        source: SocketAddr,
        session: SessionKey,
        owned: &mut Vec<(Protocol, SocketAddr)>,
    ) {
        if self.addresses.insert((protocol, source), session) == Some(session) {
            return;
        }
        if owned.len() >= MAX_ADDRESSES {
            let oldest = owned.remove(0);
            self.release(oldest, session);
        }
        owned.push((protocol, source));
    }

    /// Takes an address away, e.g. that of a TCP connection that ended.
    pub(crate) fn release(&mut self, address: (Protocol, SocketAddr), session: SessionKey) {
        if self.addresses.get(&address) == Some(&session) {
            self.addresses.remove(&address);
        }
    }

    /// Forgets a session.
    pub(crate) fn remove(
        &mut self,
        session: SessionKey,
        owned: &[(Protocol, SocketAddr)],
        ufrags: &[String],
    ) {
        for address in owned {
            self.release(*address, session);
        }
        for ufrag in ufrags {
            if self.ufrags.get(ufrag) == Some(&session) {
                self.ufrags.remove(ufrag);
            }
        }
    }
}

/// The local part of USERNAME in a STUN binding request (RFC 8489 section 14.3, RFC 8445 section 7.2.2); `None` for
/// everything else.
pub(crate) fn stun_ufrag(datagram: &[u8]) -> Option<&str> {
    const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
    const USERNAME: u16 = 0x0006;
    const HEADER: usize = 20;
    if datagram.len() < HEADER || datagram[..2] != BINDING_REQUEST {
        return None;
    }
    let mut rest = &datagram[HEADER..];
    while let [t0, t1, l0, l1, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        if u16::from_be_bytes([*t0, *t1]) == USERNAME {
            let name = std::str::from_utf8(tail.get(..length)?).ok()?;
            return name.split(':').next();
        }
        rest = tail.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(username: &[u8]) -> Vec<u8> {
        let mut datagram = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
        datagram.extend([7; 12]);
        // PRIORITY first, then USERNAME with padding.
        datagram.extend([0, 0x24, 0, 4, 1, 2, 3, 4]);
        datagram.extend([0, 6, 0, username.len() as u8]);
        datagram.extend(username);
        datagram.resize(datagram.len().next_multiple_of(4), 0);
        datagram
    }

    #[test]
    fn the_local_ufrag_is_the_first_part_of_the_username() {
        assert_eq!(stun_ufrag(&request(b"00abcd:peer")), Some("00abcd"));
        assert_eq!(stun_ufrag(&request(b"lonely")), Some("lonely"));
    }

    #[test]
    fn truncated_requests_and_other_packets_have_no_ufrag() {
        let whole = request(b"00abcd:peer");
        for end in 0..whole.len() - 1 {
            assert_eq!(stun_ufrag(&whole[..end]), None, "cut at {end}");
        }
        assert_eq!(stun_ufrag(&[0x80; 40]), None);
        let mut lying = request(b"00abcd:peer");
        lying[23] = 200;
        assert_eq!(stun_ufrag(&lying), None);
    }

    #[test]
    fn an_address_has_one_owner_and_a_session_few_addresses() {
        let mut demux = Demux::default();
        let mut owned = Vec::new();
        for port in 1..=40 {
            demux.claim(Protocol::Udp, ([127, 0, 0, 1], port).into(), 7, &mut owned);
        }
        assert_eq!(owned.len(), MAX_ADDRESSES);
        assert_eq!(demux.owner(Protocol::Udp, ([127, 0, 0, 1], 1).into()), None);
        assert_eq!(demux.owner(Protocol::Udp, ([127, 0, 0, 1], 40).into()), Some(7));
        assert_eq!(demux.owner(Protocol::Tcp, ([127, 0, 0, 1], 40).into()), None);

        let mut others = Vec::new();
        demux.claim(Protocol::Udp, ([127, 0, 0, 1], 40).into(), 8, &mut others);
        demux.remove(7, &owned, &[]);
        assert_eq!(demux.owner(Protocol::Udp, ([127, 0, 0, 1], 40).into()), Some(8));
    }
}
