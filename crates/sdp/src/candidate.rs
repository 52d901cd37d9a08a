//! ICE candidate lines, as they come in descriptions and one by one (RFC 8839, 5.1).

use std::net::IpAddr;
use std::str::FromStr;

use crate::SdpError;
use crate::error::excerpt;

/// How its owner learnt of a candidate's address (RFC 8445, 5.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CandidateKind {
    /// An interface of its own.
    Host,
    /// As seen by a STUN server.
    ServerReflexive,
    /// As seen by the peer.
    PeerReflexive,
    /// On a TURN server.
    Relayed,
}

/// What carries the packets (RFC 6544 for TCP).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// UDP
    Udp,
    /// TCP, active, passive or simultaneous open.
    Tcp,
}

/// The parts of a candidate that an ICE-lite agent may want; the agent itself gets the whole line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Where its owner got it from.
    pub kind: CandidateKind,
    /// What carries the packets.
    pub transport: Transport,
    /// Component 1 is RTP, and with rtcp-mux the only one.
    pub component: u16,
    /// The address, or `None` for a name such as `.local` of mDNS, which nobody outside the owner's network can
    /// resolve: an ICE-lite agent loses nothing, because it learns the true address from the checks it gets.
    pub address: Option<IpAddr>,
    /// The port; 9 for active TCP.
    pub port: u16,
}

impl FromStr for Candidate {
    type Err = SdpError;

    /// Reads `candidate:...`, with or without `a=` in front and with or without `candidate:`.
    ///
    /// # Errors
    /// [`SdpError::BadCandidate`] for anything else. The empty string, by which a client ends its list, is one.
    fn from_str(line: &str) -> Result<Self, SdpError> {
        parse(line).ok_or_else(|| SdpError::BadCandidate(excerpt(line)))
    }
}

fn parse(line: &str) -> Option<Candidate> {
    if line.len() > 1024 || line.chars().any(char::is_control) {
        return None;
    }
    let line = line.strip_prefix("a=").unwrap_or(line);
    let line = line.strip_prefix("candidate:").unwrap_or(line);
    let mut words = line.split_ascii_whitespace();
    let _foundation = words.next()?;
    let component = words.next()?.parse().ok()?;
    let transport = match words.next()?.to_ascii_lowercase().as_str() {
        "udp" => Transport::Udp,
        "tcp" => Transport::Tcp,
        _ => return None,
    };
    let _priority: u32 = words.next()?.parse().ok()?;
    let address = words.next()?.parse().ok();
    let port = words.next()?.parse().ok()?;
    if words.next()? != "typ" {
        return None;
    }
    let kind = match words.next()? {
        "host" => CandidateKind::Host,
        "srflx" => CandidateKind::ServerReflexive,
        "prflx" => CandidateKind::PeerReflexive,
        "relay" => CandidateKind::Relayed,
        _ => return None,
    };
    Some(Candidate { kind, transport, component, address, port })
}
