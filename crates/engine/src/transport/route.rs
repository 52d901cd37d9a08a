//! Where a peer is: the pair of addresses that ICE chose.

use std::net::SocketAddr;

use str0m::net::Protocol as Str0mProtocol;
use str0m::stats::CandidatePairStats;

use super::Transport;
use crate::io::{Datagram, Protocol, Transmit};

/// A path that media takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route {
    protocol: Protocol,
    source: SocketAddr,
    destination: SocketAddr,
}

impl Route {
    pub(super) fn of(transmit: &str0m::net::Transmit) -> Self {
        Route {
            protocol: from_str0m(transmit.proto),
            source: transmit.source,
            destination: transmit.destination,
        }
    }

    pub(super) fn of_pair(pair: &CandidatePairStats) -> Self {
        Route { protocol: from_str0m(pair.protocol), source: pair.local.addr, destination: pair.remote.addr }
    }

    pub(super) fn is_tcp(&self) -> bool {
        self.protocol == Protocol::Tcp
    }

    pub(super) fn carry(&self, contents: Vec<u8>) -> Transmit {
        Transmit { protocol: self.protocol, source: self.source, destination: self.destination, contents }
    }
}

impl Transport {
    pub(super) fn set_route(&mut self, route: Route) {
        if self.route.replace(route).is_some_and(|before| before != route) {
            tracing::debug!(?route, "another path");
            self.media.on_path_change(self.now);
        }
    }

    /// A check that came by another way than media goes may have moved the route. str0m does not tell, but by what it would send.
    pub(super) fn ask_route(&mut self, datagram: &Datagram<'_>) {
        let came = (datagram.protocol, datagram.destination, datagram.source);
        let goes = self.route.is_some_and(|route| (route.protocol, route.source, route.destination) == came);
        if !goes && self.rtc.is_connected() {
            self.ask_route_always();
        }
    }

    /// As [`Self::ask_route`], when the handshake is done.
    pub(super) fn ask_route_always(&mut self) {
        self.rtc.direct_api().send_pli_feedback(1.into(), 1.into());
    }
}

fn from_str0m(protocol: Str0mProtocol) -> Protocol {
    if protocol == Str0mProtocol::Udp { Protocol::Udp } else { Protocol::Tcp }
}

pub(super) fn protocol(protocol: Protocol) -> Str0mProtocol {
    match protocol {
        Protocol::Udp => Str0mProtocol::Udp,
        Protocol::Tcp => Str0mProtocol::Tcp,
    }
}
