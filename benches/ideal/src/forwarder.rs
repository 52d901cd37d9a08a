//! The thread that is measured.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{ClockId, clock_gettime};
use sluice_net::{ReceiveBuffer, SendCounters, Sender, UdpSocket};
use sluice_srtp::{Opener, Profile, Role, Sealer, association};

use crate::load::{HEADER, STAMP, key};
use crate::{Media, Options, Rate, Shared};

const WARM_UP: Duration = Duration::from_millis(500);
/// Nanoseconds beyond which latencies count as this: more is a stall, whatever its length.
const LONGEST: u64 = 10_000_000_000;
/// Bytes that may wait while the kernel has no room: as the server.
const QUEUE: usize = 4 << 20;

/// One opened packet, header and payload.
#[derive(Default)]
struct Opened {
    bytes: Vec<u8>,
    stream: u32,
    frame: u32,
}

struct Subscriber {
    address: SocketAddr,
    sealer: Sealer,
    /// Sequence number with roll-overs.
    index: u64,
}

pub(crate) struct Forwarder {
    socket: UdpSocket,
    sender: Sender,
    poll: Poll,
    opener: Opener,
    subscribers: Vec<Subscriber>,
    /// Packets of one receive call; kept for their memory.
    opened: Vec<Opened>,
    count: usize,
    /// The packet that is being sealed.
    packet: Vec<u8>,
    equal: bool,
    latency: Option<Latency>,
}

struct Latency {
    epoch: Instant,
    from_receive: Histogram<u64>,
    from_source: Histogram<u64>,
}

/// What was done in the time that counts.
pub(crate) struct Forwarded {
    pub(crate) packets_in: u64,
    pub(crate) sends: SendCounters,
    pub(crate) before: SendCounters,
    pub(crate) refused: u64,
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    pub(crate) turns: u64,
    /// Nanoseconds, from the receive call's return and from the source's sending.
    pub(crate) latency: Option<(Histogram<u64>, Histogram<u64>)>,
}

impl Forwarder {
    pub(crate) fn new(
        mut socket: UdpSocket,
        subscribers: &[SocketAddr],
        options: &Options,
    ) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        poll.registry().register(&mut socket, Token(0), Interest::READABLE | Interest::WRITABLE)?;
        let subscribers = subscribers.iter().enumerate().map(|(number, address)| {
            let (sealer, _) = association(Profile::Aes128Gcm, &key(number + 1), Role::Server)?;
            Ok(Subscriber { address: *address, sealer, index: 1 })
        });
        let (_, opener) = association(Profile::Aes128Gcm, &key(0), Role::Server)?;
        Ok(Forwarder {
            sender: Sender::new(&socket, QUEUE),
            poll,
            opener,
            subscribers: subscribers.collect::<anyhow::Result<_>>()?,
            opened: Vec::new(),
            count: 0,
            packet: Vec::new(),
            equal: options.media == Media::AudioTrainEqual,
            latency: None,
            socket,
        })
    }

    pub(crate) fn run(mut self, options: &Options, shared: &Shared) -> anyhow::Result<Forwarded> {
        let mut events = Events::with_capacity(4);
        let mut buffer = ReceiveBuffer::default();
        let mut more = true;
        let mut began = Instant::now();
        let (mut warm, mut cpu) = (false, Duration::ZERO);
        let mut totals = (0, 0, 0);
        let mut before = SendCounters::default();
        loop {
            let now = Instant::now();
            if !warm && now.duration_since(began) >= WARM_UP {
                (warm, began, cpu, totals, before) =
                    (true, now, cpu_time(), (0, 0, 0), self.sender.counters());
                if options.rate == Rate::Paced {
                    let histogram = || Histogram::new_with_bounds(1, LONGEST, 3);
                    let (from_receive, from_source) = (histogram()?, histogram()?);
                    self.latency = Some(Latency { epoch: shared.epoch, from_receive, from_source });
                }
            }
            if warm && now.duration_since(began).as_secs_f64() >= options.seconds {
                break;
            }
            // Not longer than the end may wait to be noticed.
            let wait = if more { Duration::ZERO } else { Duration::from_millis(20) };
            if !more {
                self.poll.poll(&mut events, Some(wait))?;
                if events.iter().any(mio::event::Event::is_writable) {
                    self.sender.resume(&self.socket);
                }
            }
            let (taken, refused, again) = self.turn(&mut buffer, &shared.taken)?;
            more = again;
            totals = (totals.0 + taken, totals.1 + refused, totals.2 + u64::from(taken > 0));
            anyhow::ensure!(!shared.stopped(), "the load ended first");
        }
        Ok(Forwarded {
            packets_in: totals.0,
            refused: totals.1,
            turns: totals.2,
            sends: self.sender.counters(),
            before,
            wall: began.elapsed(),
            cpu: cpu_time() - cpu,
            latency: self.latency.map(|latency| (latency.from_receive, latency.from_source)),
        })
    }

    /// Receives once, and sends all that came to everybody: packets taken, packets refused, whether more wait.
    fn turn(&mut self, buffer: &mut ReceiveBuffer, done: &AtomicU64) -> anyhow::Result<(u64, u64, bool)> {
        let (opener, opened) = (&self.opener, &mut self.opened);
        let (mut count, mut refused) = (0, 0);
        let taken = self.socket.receive(buffer, |received| {
            if opened.len() == count {
                opened.push(Opened::default());
            }
            match opened[count].take(opener, received.contents) {
                Some(()) => count += 1,
                None => refused += 1,
            }
        });
        let more = match taken {
            Ok(taken) => taken.more,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok((0, 0, false)),
            Err(error) => return Err(error.into()),
        };
        self.count = count;
        let received = self.latency.as_ref().map(|_| Instant::now());
        let mut from = 0;
        while from < self.count {
            let first = &self.opened[from];
            let same = |other: &Opened| (other.stream, other.frame) == (first.stream, first.frame);
            let length = self.opened[from..self.count].iter().take_while(|other| same(other)).count();
            self.send(from, from + length, received);
            // After each frame: the load waits for it.
            done.fetch_add(length as u64, Ordering::Relaxed);
            from += length;
        }
        Ok((count as u64, refused, more))
    }

    /// Sends a frame to everybody.
    fn send(&mut self, from: usize, to: usize, received: Option<Instant>) {
        let frame = &self.opened[from..to];
        let longest = frame.iter().map(|packet| packet.bytes.len()).max().unwrap_or_default();
        for subscriber in &mut self.subscribers {
            for opened in frame {
                let packet = &mut self.packet;
                packet.clear();
                packet.extend_from_slice(&opened.bytes);
                packet[2..4].copy_from_slice(&(subscriber.index as u16).to_be_bytes());
                let missing = longest - opened.bytes.len();
                if self.equal && missing > 0 && missing < 256 {
                    // RFC 3550 section 5.1: the last byte of the padding counts it.
                    packet[0] |= 0x20;
                    packet.resize(longest, 0);
                    packet[longest - 1] = missing as u8;
                }
                // Fails only after 2^48 packets.
                if subscriber.sealer.rtp(packet, HEADER, subscriber.index).is_ok() {
                    subscriber.index += 1;
                    self.sender.push(&self.socket, None, subscriber.address, packet);
                }
            }
            self.sender.flush(&self.socket);
            if let (Some(latency), Some(received)) = (&mut self.latency, received) {
                latency.record(received, &frame[0]);
            }
        }
    }
}

impl Opened {
    /// Opens a packet into its own memory.
    fn take(&mut self, opener: &Opener, sealed: &[u8]) -> Option<()> {
        let number = u16::from_be_bytes([*sealed.get(2)?, *sealed.get(3)?]);
        self.bytes.clear();
        self.bytes.extend_from_slice(sealed);
        let payload = opener.rtp(&mut self.bytes, HEADER, number.into()).ok()?.len();
        self.bytes.truncate(HEADER + payload);
        self.frame = u32::from_be_bytes(self.bytes.get(4..8)?.try_into().ok()?);
        self.stream = u32::from_be_bytes(self.bytes.get(8..12)?.try_into().ok()?);
        Some(())
    }
}

impl Latency {
    fn record(&mut self, received: Instant, packet: &Opened) {
        let now = Instant::now();
        self.from_receive.saturating_record((now - received).as_nanos() as u64);
        let stamp = packet.bytes.get(STAMP).and_then(|bytes| bytes.try_into().ok());
        if let Some(sent) = stamp.map(|bytes| Duration::from_nanos(u64::from_be_bytes(bytes))) {
            let took = now.duration_since(self.epoch).saturating_sub(sent);
            self.from_source.saturating_record(took.as_nanos() as u64);
        }
    }
}

/// Processor time of this thread, the kernel's part included.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
