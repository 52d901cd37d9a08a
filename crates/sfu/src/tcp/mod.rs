//! ICE over TCP (RFC 6544), passive candidates: one port for all shards.
//!
//! Whoever connects is a stranger until a session accepts its checks. So the first frame must come soon, be small and
//! be a STUN binding request; the ufrag in it names the shard. From then on frames go to that shard and come back from
//! it. Connections are limited in total and per address, and end when either side is silent.

mod connection;
mod first_frame;
mod places;

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::addresses::AddressMap;
use crate::settings::TcpSettings;
use crate::shard::Mailbox;
use crate::telemetry;
use places::Places;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1_024;

/// Rest after a failed accept: out of descriptors, most likely, which others must give back first.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// What all listeners and connections share.
pub(crate) struct Tcp {
    settings: TcpSettings,
    /// One per shard.
    mailboxes: Vec<Mailbox>,
    places: Arc<Places>,
    connections: AtomicU64,
    shutdown: CancellationToken,
}

impl Tcp {
    pub(crate) fn new(settings: TcpSettings, mailboxes: Vec<Mailbox>, shutdown: CancellationToken) -> Self {
        let places = Arc::new(Places::new(settings.max_connections, settings.max_connections_per_ip));
        Tcp { settings, mailboxes, places, connections: AtomicU64::new(0), shutdown }
    }

    /// Takes connections until the shutdown.
    pub(crate) async fn listen(self: Arc<Self>, listener: TcpListener, addresses: AddressMap) {
        let tasks = TaskTracker::new();
        let addresses = Arc::new(addresses);
        while let Some(accepted) = self.shutdown.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, peer)) => {
                    let Some(place) = Places::take(&self.places, peer.ip()) else {
                        telemetry::tcp_refused("too_many");
                        continue;
                    };
                    let (tcp, addresses) = (self.clone(), addresses.clone());
                    tasks.spawn(async move {
                        tcp.serve(stream, peer, &addresses).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a TCP connection");
                    tokio::time::sleep(AFTER_ERROR).await;
                }
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    async fn serve(&self, stream: TcpStream, peer: SocketAddr, addresses: &AddressMap) {
        let own = stream.local_addr().ok().map(|address| address.ip());
        let Some(destination) = addresses.translate(own) else { return };
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        let connection = connection::Connection { number, peer, destination, tcp: self };
        let served = self.shutdown.run_until_cancelled(connection.serve(stream)).await;
        if let Some(end) = served {
            tracing::debug!(%peer, %end, "TCP connection ended");
            if let Some(reason) = end.refusal() {
                telemetry::tcp_refused(reason);
            }
        }
    }
}

/// Opens a listener; port 0 lets the kernel choose. IPv6 listeners take IPv6 alone.
pub(crate) fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for connections of the process before (TIME_WAIT).
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
