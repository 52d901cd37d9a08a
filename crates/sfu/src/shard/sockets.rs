//! The UDP sockets of a shard, and the translation between their addresses and those that peers know.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use mio::event::Event;
use mio::{Interest, Registry, Token};
use sluice_net::{ReceiveBuffer, Received, SendCounters, Sender, UdpSocket};

use super::report::IoCounters;
use crate::addresses::AddressMap;

/// Datagrams that one socket hands in before their consequences are sent, and timers and commands get their turn. More
/// makes longer trains of datagrams per subscriber, and every one of them later.
const DATAGRAMS: usize = 256;

/// Failed receive calls in a turn, after which a socket waits for its next datagram.
const ERRORS: usize = 4;

struct MediaSocket {
    udp: UdpSocket,
    sender: Sender,
    addresses: AddressMap,
    /// The kernel may hold more to read.
    readable: bool,
    /// The kernel was asked to tell when there is room to send.
    awaits_room: bool,
}

/// All UDP sockets of a shard.
pub(crate) struct Sockets {
    sockets: Vec<MediaSocket>,
    buffer: ReceiveBuffer,
    registry: Option<Registry>,
    /// The socket and source address of the last datagram sent: datagrams of a session come in a row.
    route: Option<(SocketAddr, usize, Option<IpAddr>)>,
}

impl Sockets {
    /// Bound sockets with what is advertised for each; `queue_bytes` may wait in each while the kernel has no room.
    pub(crate) fn new(sockets: Vec<(UdpSocket, AddressMap)>, queue_bytes: usize) -> Self {
        let socket = |(udp, addresses)| {
            let sender = Sender::new(&udp, queue_bytes);
            MediaSocket { udp, sender, addresses, readable: true, awaits_room: false }
        };
        let sockets = sockets.into_iter().map(socket).collect();
        Sockets { sockets, buffer: ReceiveBuffer::default(), registry: None, route: None }
    }

    pub(super) fn register(&mut self, registry: &Registry) -> io::Result<()> {
        for (index, socket) in self.sockets.iter_mut().enumerate() {
            registry.register(&mut socket.udp, Token(index), Interest::READABLE)?;
        }
        self.registry = Some(registry.try_clone()?);
        Ok(())
    }

    /// Takes note of what the kernel said; sends what waited if there is room again.
    pub(super) fn ready(&mut self, event: &Event) {
        let Some(socket) = self.sockets.get_mut(event.token().0) else { return };
        socket.readable |= event.is_readable() || event.is_error();
        if event.is_writable() {
            socket.sender.resume(&socket.udp);
        }
    }

    /// There is more to read now.
    pub(super) fn has_more(&self) -> bool {
        self.sockets.iter().any(|socket| socket.readable)
    }

    /// Hands in what came, with the time of its batch and the address that the peer used.
    pub(super) fn receive(
        &mut self,
        counters: &mut IoCounters,
        mut each: impl FnMut(Instant, Received<'_>, SocketAddr),
    ) {
        for socket in &mut self.sockets {
            let (mut handed_in, mut errors) = (0, 0);
            while socket.readable && handed_in < DATAGRAMS {
                let (now, addresses) = (Instant::now(), &socket.addresses);
                let result = socket.udp.receive(&mut self.buffer, |datagram| {
                    if let Some(destination) = addresses.translate(datagram.destination_ip) {
                        each(now, datagram, destination);
                    }
                });
                // A batch of which nothing was fit to hand in counts too, so that none goes on forever.
                handed_in += 1;
                match result {
                    Ok(taken) => {
                        handed_in += taken.datagrams;
                        socket.readable = taken.more;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.readable = false,
                    Err(error) => {
                        // A pending error is reported once; one that stays must not keep the thread busy.
                        errors += 1;
                        socket.readable = errors < ERRORS;
                        counters.receive_errors += 1;
                        tracing::debug!(%error, address = %socket.udp.local_address(), "receive failed");
                    }
                }
            }
        }
    }

    /// Sends a datagram from an advertised address; it may wait for [`Sockets::flush`].
    pub(super) fn send(
        &mut self,
        source: SocketAddr,
        destination: SocketAddr,
        contents: &[u8],
        counters: &mut IoCounters,
    ) {
        let route = self.route.filter(|route| route.0 == source).or_else(|| self.find_route(source));
        let Some((_, index, source_ip)) = route else {
            counters.unroutable += 1;
            return;
        };
        self.route = route;
        let socket = &mut self.sockets[index];
        socket.sender.push(&socket.udp, source_ip, destination, contents);
    }

    /// Sends what was pushed, and sees to it that what has to wait goes on.
    ///
    /// Writability is watched only while something waits: for UDP the kernel would report it after every datagram.
    pub(super) fn flush(&mut self) {
        for (index, socket) in self.sockets.iter_mut().enumerate() {
            socket.sender.flush(&socket.udp);
            let waits = socket.sender.queued_bytes() > 0;
            if waits == socket.awaits_room {
                continue;
            }
            let Some(registry) = &self.registry else { continue };
            let interest = if waits { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
            match registry.reregister(&mut socket.udp, Token(index), interest) {
                Ok(()) => socket.awaits_room = waits,
                Err(error) => {
                    tracing::error!(%error, "cannot watch a socket; trying again with the next batch")
                }
            }
        }
    }

    /// Of all sockets.
    pub(super) fn counters(&self) -> SendCounters {
        let mut sum = SendCounters::default();
        for socket in &self.sockets {
            sum += socket.sender.counters();
        }
        sum
    }

    /// Bytes that wait for the kernel.
    pub(super) fn queued_bytes(&self) -> usize {
        self.sockets.iter().map(|socket| socket.sender.queued_bytes()).sum()
    }

    fn find_route(&self, source: SocketAddr) -> Option<(SocketAddr, usize, Option<IpAddr>)> {
        let found = |(index, socket): (usize, &MediaSocket)| {
            Some((source, index, socket.addresses.source_of(source)?))
        };
        self.sockets.iter().enumerate().find_map(found)
    }
}
