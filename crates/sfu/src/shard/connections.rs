//! ICE over TCP as a shard sees it: a queue of frames for each peer.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustc_hash::FxHashMap;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{Sender, error::TrySendError};
use tokio_util::sync::DropGuard;

use super::report::IoCounters;

/// A peer whose queue stays full for this long is not coming back to real time: close, so that it connects anew.
const STUCK: Duration = Duration::from_secs(3);

/// What happened on a TCP connection.
#[derive(Debug)]
pub(crate) enum TcpInput {
    /// Its first frame named this shard.
    Opened(TcpPeer),
    /// A packet came.
    Frame {
        source: SocketAddr,
        /// Ours, as advertised.
        destination: SocketAddr,
        contents: Bytes,
        /// Held while the frame waits, so that no peer can fill the queue alone.
        permit: OwnedSemaphorePermit,
    },
    /// It is gone.
    Closed { connection: u64, source: SocketAddr, destination: SocketAddr },
}

/// The way to a peer.
#[derive(Debug)]
pub(crate) struct TcpPeer {
    /// Unique in the node.
    pub(crate) connection: u64,
    pub(crate) source: SocketAddr,
    /// Ours, as advertised.
    pub(crate) destination: SocketAddr,
    pub(crate) frames: Sender<Vec<u8>>,
    /// Dropped by the shard to close the connection, at once even if a write is stuck.
    pub(crate) alive: DropGuard,
}

struct Connection {
    number: u64,
    frames: Sender<Vec<u8>>,
    full_since: Option<Instant>,
    _alive: DropGuard,
}

/// The TCP connections of a shard, by peer and own address.
#[derive(Default)]
pub(super) struct Connections {
    by_peer: FxHashMap<(SocketAddr, SocketAddr), Connection>,
}

impl Connections {
    pub(super) fn open(&mut self, peer: TcpPeer) {
        let TcpPeer { connection: number, source, destination, frames, alive } = peer;
        let connection = Connection { number, frames, full_since: None, _alive: alive };
        self.by_peer.insert((source, destination), connection);
    }

    /// Whether this connection was still known; it may be gone already, and another may stand in its place.
    pub(super) fn close(&mut self, number: u64, source: SocketAddr, destination: SocketAddr) -> bool {
        let key = (source, destination);
        let known = self.by_peer.get(&key).is_some_and(|connection| connection.number == number);
        if known {
            self.by_peer.remove(&key);
        }
        known
    }

    /// Queues a frame to `peer`; drops and counts it if that cannot be. Answers whether the connection was given up.
    pub(super) fn send(
        &mut self,
        now: Instant,
        peer: SocketAddr,
        own: SocketAddr,
        contents: Vec<u8>,
        counters: &mut IoCounters,
    ) -> bool {
        let Some(connection) = self.by_peer.get_mut(&(peer, own)) else {
            counters.tcp_dropped += 1;
            return false;
        };
        match connection.frames.try_send(contents) {
            Ok(()) => {
                connection.full_since = None;
                false
            }
            Err(TrySendError::Full(_)) => {
                counters.tcp_dropped += 1;
                let since = *connection.full_since.get_or_insert(now);
                let stuck = now.saturating_duration_since(since) >= STUCK;
                if stuck {
                    counters.tcp_stuck += 1;
                    self.by_peer.remove(&(peer, own));
                }
                stuck
            }
            // Its task has ended and says so through the mailbox.
            Err(TrySendError::Closed(_)) => {
                counters.tcp_dropped += 1;
                false
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_peer.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc::channel;
    use tokio_util::sync::CancellationToken;

    const OWN: &str = "203.0.113.1:7700";
    const PEER: &str = "198.51.100.1:5000";

    fn open(connections: &mut Connections, number: u64) -> tokio::sync::mpsc::Receiver<Vec<u8>> {
        let (frames, receiver) = channel(2);
        let (source, destination) = (PEER.parse().unwrap(), OWN.parse().unwrap());
        let alive = CancellationToken::new().drop_guard();
        connections.open(TcpPeer { connection: number, source, destination, frames, alive });
        receiver
    }

    fn send(connections: &mut Connections, now: Instant, counters: &mut IoCounters) -> bool {
        connections.send(now, PEER.parse().unwrap(), OWN.parse().unwrap(), vec![1], counters)
    }

    #[test]
    fn a_slow_peer_loses_frames_and_one_that_stays_slow_its_connection() {
        let (mut connections, mut counters) = (Connections::default(), IoCounters::default());
        let mut receiver = open(&mut connections, 1);
        let start = Instant::now();
        for _ in 0..3 {
            assert!(!send(&mut connections, start, &mut counters));
        }
        assert_eq!(counters.tcp_dropped, 1);
        // It catches up in time.
        assert!(receiver.try_recv().is_ok());
        assert!(!send(&mut connections, start + STUCK, &mut counters));
        // Then it does not.
        assert!(!send(&mut connections, start + STUCK, &mut counters));
        assert!(send(&mut connections, start + 2 * STUCK, &mut counters));
        assert_eq!((counters.tcp_stuck, connections.len()), (1, 0));
        while receiver.try_recv().is_ok() {}
        assert!(receiver.is_closed());
    }

    #[test]
    fn the_end_of_an_old_connection_leaves_the_new_one_alone() {
        let mut connections = Connections::default();
        let _old = open(&mut connections, 1);
        let _new = open(&mut connections, 2);
        let (source, destination) = (PEER.parse().unwrap(), OWN.parse().unwrap());
        assert!(!connections.close(1, source, destination));
        assert_eq!(connections.len(), 1);
        assert!(connections.close(2, source, destination));
    }

    #[test]
    fn a_frame_to_nobody_is_counted() {
        let mut counters = IoCounters::default();
        assert!(!send(&mut Connections::default(), Instant::now(), &mut counters));
        assert_eq!(counters.tcp_dropped, 1);
    }
}
