//! Sending: datagrams that belong together leave in one call.
//!
//! A send costs about 2 us whether it carries one datagram or eight, so the figure that counts is datagrams per send.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::AddAssign;

use crate::socket::UdpSocket;

/// The largest UDP payload over IPv4; also the most that one send may carry with segmentation offload.
const MAX_SEND_BYTES: usize = 65_507;

/// Refusals of segmentation in a row, each proven by datagrams that went out singly, after which it is not tried again.
/// A single refusal may be one route's fault (IPsec, a tunnel), and must not slow down everybody else.
const REFUSALS: u32 = 8;

/// Emptied batches kept for reuse.
const SPARE: usize = 8;

/// Totals since the sender was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SendCounters {
    /// Datagrams that the kernel took.
    pub datagrams: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Calls that sent them: `datagrams / calls` is what segmentation offload brings.
    pub calls: u64,
    /// Times that the kernel had no room; the rest waits in the queue.
    pub blocked: u64,
    /// Datagrams dropped because the queue was full, oldest first.
    pub dropped: u64,
    /// Datagrams refused as larger than the path takes (EMSGSIZE).
    pub too_large: u64,
    /// Datagrams refused for want of a route or by a firewall (ENETUNREACH, EHOSTUNREACH, EPERM and the like).
    pub unreachable: u64,
    /// Datagrams refused for other reasons.
    pub failed: u64,
    /// Datagrams to nowhere: port 0, multicast, unspecified or broadcast addresses. Never given to the kernel.
    pub nowhere: u64,
    /// Sends that the kernel refused to segment, and that were repeated datagram by datagram.
    pub segmentation_refused: u64,
}

impl AddAssign for SendCounters {
    fn add_assign(&mut self, other: Self) {
        self.datagrams += other.datagrams;
        self.bytes += other.bytes;
        self.calls += other.calls;
        self.blocked += other.blocked;
        self.dropped += other.dropped;
        self.too_large += other.too_large;
        self.unreachable += other.unreachable;
        self.failed += other.failed;
        self.nowhere += other.nowhere;
        self.segmentation_refused += other.segmentation_refused;
    }
}

/// Datagrams of one destination and one size (the last may be shorter), back to back.
#[derive(Debug)]
struct Batch {
    source_ip: Option<IpAddr>,
    destination: SocketAddr,
    /// Bytes of each datagram but the last; 0 while the batch is empty.
    segment: usize,
    datagrams: usize,
    bytes: Vec<u8>,
}

impl Batch {
    /// Whether a datagram can follow those that are there.
    fn takes(
        &self,
        source_ip: Option<IpAddr>,
        destination: SocketAddr,
        contents: &[u8],
        segments: usize,
    ) -> bool {
        self.datagrams < segments
            && self.destination == destination
            && self.source_ip == source_ip
            && contents.len() <= self.segment
            // A shorter one was the last.
            && self.bytes.len() == self.datagrams * self.segment
            && self.bytes.len() + contents.len() <= MAX_SEND_BYTES
    }

    /// Drops the first `datagrams`, which were sent.
    fn advance(&mut self, datagrams: usize) {
        let bytes = (datagrams * self.segment).min(self.bytes.len());
        self.bytes.drain(..bytes);
        self.datagrams -= datagrams.min(self.datagrams);
    }
}

/// What became of a batch.
enum Outcome {
    /// Sent, or refused and counted.
    Done,
    /// The kernel has no room for what remains.
    Blocked,
}

/// Groups datagrams into sends, and keeps a bounded queue for the times when the kernel has no room.
///
/// **Push all datagrams of a turn, those of one destination in a row, then [`Sender::flush`]. When the socket becomes
/// writable again, call [`Sender::resume`].** Errors never stop a sender: UDP promises nothing, so they are counted.
pub struct Sender {
    batch: Option<Batch>,
    queue: VecDeque<Batch>,
    queued_bytes: usize,
    queue_limit: usize,
    spare: Vec<Vec<u8>>,
    /// Datagrams in a send at most; 1 once segmentation is given up.
    segments: usize,
    refusals: u32,
    counters: SendCounters,
}

impl Sender {
    /// For a socket; at most `queue_limit` bytes wait while the kernel has no room. A larger limit survives longer
    /// bursts, but what waits long is too late to be of use.
    pub fn new(socket: &UdpSocket, queue_limit: usize) -> Self {
        Sender {
            batch: None,
            queue: VecDeque::new(),
            queued_bytes: 0,
            queue_limit,
            spare: Vec::new(),
            segments: socket.max_segments(),
            refusals: 0,
            counters: SendCounters::default(),
        }
    }

    /// Adds a datagram; `source_ip` asks for one of the machine's addresses where the socket has several.
    pub fn push(
        &mut self,
        socket: &UdpSocket,
        source_ip: Option<IpAddr>,
        destination: SocketAddr,
        contents: &[u8],
    ) {
        if leads_nowhere(destination) {
            self.counters.nowhere += 1;
            return;
        }
        if contents.is_empty() || contents.len() > MAX_SEND_BYTES {
            self.counters.too_large += u64::from(!contents.is_empty());
            return;
        }
        if let Some(batch) = &mut self.batch {
            if batch.takes(source_ip, destination, contents, self.segments) {
                batch.bytes.extend_from_slice(contents);
                batch.datagrams += 1;
                return;
            }
            self.flush(socket);
        }
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.extend_from_slice(contents);
        self.batch = Some(Batch { source_ip, destination, segment: contents.len(), datagrams: 1, bytes });
    }

    /// Sends what was pushed, or queues it behind what waits already.
    pub fn flush(&mut self, socket: &UdpSocket) {
        let Some(mut batch) = self.batch.take() else { return };
        if self.queue.is_empty() && matches!(self.send(socket, &mut batch), Outcome::Done) {
            self.recycle(batch);
        } else {
            self.enqueue(batch);
        }
    }

    /// Sends what waits, as far as the kernel has room. To be called when the socket is writable.
    pub fn resume(&mut self, socket: &UdpSocket) {
        while let Some(mut batch) = self.queue.pop_front() {
            self.queued_bytes -= batch.bytes.len();
            if let Outcome::Blocked = self.send(socket, &mut batch) {
                self.queued_bytes += batch.bytes.len();
                self.queue.push_front(batch);
                return;
            }
            self.recycle(batch);
        }
    }

    /// Bytes that wait for the kernel.
    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Totals.
    pub fn counters(&self) -> SendCounters {
        self.counters
    }

    fn enqueue(&mut self, batch: Batch) {
        self.queued_bytes += batch.bytes.len();
        self.queue.push_back(batch);
        while self.queued_bytes > self.queue_limit {
            let Some(oldest) = self.queue.pop_front() else { return };
            self.queued_bytes -= oldest.bytes.len();
            self.counters.dropped += oldest.datagrams as u64;
            self.recycle(oldest);
        }
    }

    fn recycle(&mut self, batch: Batch) {
        if self.spare.len() < SPARE {
            let mut bytes = batch.bytes;
            bytes.clear();
            self.spare.push(bytes);
        }
    }

    fn send(&mut self, socket: &UdpSocket, batch: &mut Batch) -> Outcome {
        if batch.datagrams == 1 || self.segments == 1 {
            return self.send_singly(socket, batch);
        }
        match socket.send(batch.source_ip, batch.destination, &batch.bytes, Some(batch.segment)) {
            Ok(()) => {
                self.refusals = 0;
                self.count_sent(batch.datagrams, batch.bytes.len());
                Outcome::Done
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.counters.blocked += 1;
                Outcome::Blocked
            }
            Err(error) if refuses_segmentation(&error) => {
                self.counters.segmentation_refused += 1;
                let before = self.counters.datagrams;
                let outcome = self.send_singly(socket, batch);
                // If nothing went out singly either, the destination is at fault and not segmentation.
                if self.counters.datagrams > before {
                    self.refusals += 1;
                    if self.refusals == REFUSALS {
                        tracing::warn!(%error, "the kernel refuses segmentation offload; going on without it");
                        self.segments = 1;
                    }
                }
                outcome
            }
            Err(error) => {
                self.count_refused(&error, batch.datagrams);
                Outcome::Done
            }
        }
    }

    fn send_singly(&mut self, socket: &UdpSocket, batch: &mut Batch) -> Outcome {
        for (sent, contents) in batch.bytes.chunks(batch.segment).enumerate() {
            match socket.send(batch.source_ip, batch.destination, contents, None) {
                Ok(()) => self.count_sent(1, contents.len()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.counters.blocked += 1;
                    batch.advance(sent);
                    return Outcome::Blocked;
                }
                Err(error) => self.count_refused(&error, 1),
            }
        }
        Outcome::Done
    }

    fn count_sent(&mut self, datagrams: usize, bytes: usize) {
        self.counters.datagrams += datagrams as u64;
        self.counters.bytes += bytes as u64;
        self.counters.calls += 1;
    }

    fn count_refused(&mut self, error: &io::Error, datagrams: usize) {
        let counter = if quinn_udp::is_msg_size_err(error) {
            &mut self.counters.too_large
        } else if matches!(
            error.kind(),
            io::ErrorKind::NetworkUnreachable
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkDown
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::AddrNotAvailable
        ) {
            &mut self.counters.unreachable
        } else {
            &mut self.counters.failed
        };
        *counter += datagrams as u64;
    }
}

/// Destinations that no peer has. The kernel answers some of them with the same error as a refusal of segmentation.
fn leads_nowhere(destination: SocketAddr) -> bool {
    let ip = destination.ip();
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    destination.port() == 0 || ip.is_unspecified() || ip.is_multicast() || broadcast
}

/// EINVAL and EIO are how Linux says that a device or route cannot segment (EMSGSIZE speaks of size alone).
fn refuses_segmentation(error: &io::Error) -> bool {
    const EIO: i32 = 5;
    const EINVAL: i32 = 22;
    matches!(error.raw_os_error(), Some(EIO | EINVAL))
}

#[cfg(test)]
#[path = "send_tests.rs"]
mod tests;
