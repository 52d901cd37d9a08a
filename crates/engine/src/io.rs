//! What goes into a shard and what comes out.

use std::net::SocketAddr;
use std::time::Instant;

use crate::command::{Command, CommandError, Reply, Ticket};
use crate::event::Event;
use crate::link::{LinkMessage, ShardNumber};

/// How a datagram travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// One datagram is one packet.
    Udp,
    /// ICE-TCP (RFC 6544): one datagram is one frame (RFC 4571); the length prefix is the driver's business.
    Tcp,
}

/// Something that came from the network.
#[derive(Debug, Clone, Copy)]
pub struct Datagram<'a> {
    /// How it came.
    pub protocol: Protocol,
    /// The peer.
    pub source: SocketAddr,
    /// Ours, as advertised in candidates ([`crate::LocalAddress::advertised`]).
    pub destination: SocketAddr,
    /// Hostile until proven otherwise.
    pub contents: &'a [u8],
}

/// What happens to a shard.
// One exists at a time: a box would cost an allocation and save nothing.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
pub enum Input<'a> {
    /// From the network.
    Datagram(Datagram<'a>),
    /// From a caller; answered by [`Output::Reply`] with the same ticket.
    Command(Ticket, Command),
    /// The TCP connection from `source` to `destination` is gone.
    ConnectionClosed {
        /// The peer.
        source: SocketAddr,
        /// Ours.
        destination: SocketAddr,
    },
    /// From another shard of the node.
    Link(ShardNumber, LinkMessage),
    /// The time that [`Output::Timeout`] named has come.
    Timeout,
}

/// A datagram to send. Those of one session follow each other, so that a driver can send them in one call.
pub struct Transmit {
    /// How.
    pub protocol: Protocol,
    /// Ours, as advertised.
    pub source: SocketAddr,
    /// The peer.
    pub destination: SocketAddr,
    /// The packet.
    pub contents: Vec<u8>,
}

/// What a shard wants done.
pub enum Output {
    /// Send this.
    Transmit(Transmit),
    /// Answer a caller.
    Reply(Ticket, Result<Reply, CommandError>),
    /// Tell everybody who watches.
    Event(Event),
    /// Take this to another shard of the node, in order.
    Link(ShardNumber, LinkMessage),
    /// Nothing more to do; call [`crate::Shard::handle`] with [`Input::Timeout`] at this time at the latest.
    Timeout(Instant),
}
