//! Sockets that many light clients of a process share, as long as the server is on the same machine.
//!
//! Each connection has an address of its own on loopback, at the one port of its socket, so that the server tells connections
//! apart. One read takes what came for dozens of them, and media is heard where it arrives, and what is due is
//! sent when all that was read is heard: a connection's task sleeps on, and wakes for what it alone can answer. A socket for each connection costs a read, a wake and a turn of a task for every train, several times
//! what the packets in it cost.
mod outbox;

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit};
use sluice_memory::Extent;
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;

use self::outbox::Outbox;
use super::Exit;
use super::trains::TrainSocket;

/// Connections at one socket, if its buffer is large enough for them.
const MOST_SEATS: usize = 128;
/// Of the kernel's buffer, for each connection, with what the kernel counts for its own. A frame of the largest picture takes more, but a
/// camera's connections are not all sent a key frame at once, and of each client on two connections one carries no media.
const BUFFER_PER_SEAT: usize = 64 << 10;
/// How long an address rests before another connection gets it: the server may not have noticed yet that the last one is gone, and
/// go on sending to it.
const REST: Duration = Duration::from_secs(20);
/// How often listeners are asked what is due. Tasks that slept until then would each wake for nothing, as what is due mostly goes with
/// the next packet.
const LOOKS: Duration = Duration::from_millis(100);
/// Batches that a socket's reader takes in one turn.
const MOST_BATCHES: usize = 3;
/// Datagrams that may wait for a connection's task: handshakes and checks, and media only until its keys are known.
const MOST_WAITING: usize = 256;

/// Sockets for the light clients of a process; clones share them. A socket is opened when those that are open have no place left,
/// and closed when the last who had one is gone.
#[derive(Clone, Default)]
pub struct SharedSockets {
    open: Arc<tokio::sync::Mutex<Vec<Weak<Open>>>>,
}

impl SharedSockets {
    /// Whether who sends from this address can share: it takes many addresses, which only loopback has, and a system that says
    /// which of them a datagram was sent to.
    pub(crate) fn serve(ip: IpAddr) -> bool {
        cfg!(target_os = "linux") && ip.is_loopback() && ip.is_ipv4()
    }

    /// A place for a connection whose packets this listener hears.
    pub(crate) async fn seat(&self, listener: Box<dyn Listener>) -> anyhow::Result<Seat> {
        let mut open = self.open.lock().await;
        open.retain(|socket| socket.strong_count() > 0);
        let mut sound =
            open.iter().filter_map(Weak::upgrade).filter(|socket| !socket.port.dead.load(Ordering::Acquire));
        let free = sound.find_map(|socket| {
            let index = socket.port.free(Instant::now())?;
            Some((socket, index))
        });
        let (socket, index) = match free {
            Some(free) => free,
            None => {
                let socket = Arc::new(Open::new()?);
                open.push(Arc::downgrade(&socket));
                (socket, 0)
            }
        };
        let waiting = Arc::new(Waiting::default());
        let place =
            Place { listener, waiting: waiting.clone(), left_media: false, next_look: Instant::now() };
        socket.port.places()[index] = Slot::Taken(place);
        // Its end may have come between, when the place was not there to hear of it.
        if socket.port.dead.load(Ordering::Acquire) {
            waiting.fail(io::ErrorKind::Other);
        }
        Ok(Seat { socket, index, waiting })
    }
}

/// Hears the media of one connection where it arrives, and sends what is due for it.
pub(crate) trait Listener: Send {
    /// Takes what it can of a train. What it cannot, it gives to `leave`, for the connection's task. `exit` is the connection's own, and
    /// takes everything: see [`unsent`](Self::unsent).
    fn hear(&mut self, train: Train<'_>, exit: &dyn Exit, leave: &mut dyn FnMut(&[u8]));

    /// Begins to fetch what [`hear`](Self::hear) will need.
    fn warm(&self) {}

    /// So many datagrams of what was due were not taken by the kernel.
    fn unsent(&mut self, datagrams: u64);

    /// Sends what is due though nothing came. Gives when to be asked again if nothing comes until then, [`LOOKS`] later at the
    /// earliest.
    fn look(&mut self, now: Instant, exit: &dyn Exit) -> Option<Instant>;
}

/// Datagrams that came at once.
pub(crate) struct Train<'a> {
    pub(crate) from: SocketAddr,
    pub(crate) bytes: &'a mut [u8],
    /// Length of each but the last.
    pub(crate) stride: usize,
    pub(crate) at: Instant,
}

/// One connection's place at a shared socket, which it gives back when dropped.
pub(crate) struct Seat {
    socket: Arc<Open>,
    index: usize,
    waiting: Arc<Waiting>,
}

impl Seat {
    pub(super) fn local(&self) -> SocketAddr {
        SocketAddr::new(address(self.index), self.socket.port.number)
    }

    pub(super) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut waiting = self.waiting.lock();
        if let Some(error) = waiting.failed {
            return Poll::Ready(Err(error.into()));
        }
        if !waiting.datagrams.is_empty() {
            return Poll::Ready(Ok(()));
        }
        match &mut waiting.waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// As [`Socket::receive`](super::Socket::receive).
    pub(super) fn receive(
        &self,
        mut each: impl FnMut(SocketAddr, &mut [u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<u64> {
        loop {
            let mut waiting = self.waiting.lock();
            let Some((from, mut datagram)) = waiting.datagrams.pop_front() else {
                return Ok(std::mem::take(&mut waiting.dropped));
            };
            waiting.media -= usize::from(is_media(&datagram));
            drop(waiting);
            each(from, &mut datagram)?;
        }
    }

    pub(super) fn send(&self, destination: SocketAddr, contents: &[u8], segment: Option<usize>) -> bool {
        self.socket.port.send(address(self.index), destination, contents, segment)
    }

    pub(super) fn longest_train(&self) -> usize {
        self.socket.port.longest_train()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let rests = Slot::Free { from: Instant::now() + REST };
        let left = std::mem::replace(&mut self.socket.port.places()[self.index], rests);
        // After the lock of the places: a listener holds whatever its connection holds.
        drop(left);
    }
}

/// A socket that is open, and the task that reads from it.
struct Open {
    port: Arc<Port>,
    reader: AbortHandle,
}

impl Open {
    fn new() -> anyhow::Result<Self> {
        let io = TrainSocket::bind((Ipv4Addr::UNSPECIFIED, 0).into())?;
        let granted =
            io.grow_buffer(MOST_SEATS * BUFFER_PER_SEAT).context("the socket does not tell its buffer")?;
        let seats = (granted / BUFFER_PER_SEAT).clamp(1, MOST_SEATS);
        let number = io.local()?.port();
        let from = Instant::now();
        let places = std::iter::repeat_with(|| Slot::Free { from }).take(seats).collect();
        let port = Arc::new(Port { io, number, dead: AtomicBool::new(false), places: Mutex::new(places) });
        let reader = tokio::spawn(port.clone().read()).abort_handle();
        Ok(Self { port, reader })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

struct Port {
    io: TrainSocket,
    number: u16,
    /// Nobody reads from it any more.
    dead: AtomicBool,
    places: Mutex<Vec<Slot>>,
}

enum Slot {
    Free { from: Instant },
    Taken(Place),
}

impl Slot {
    fn as_place(&self) -> Option<&Place> {
        match self {
            Self::Taken(place) => Some(place),
            Self::Free { .. } => None,
        }
    }

    fn place(&mut self) -> Option<&mut Place> {
        match self {
            Self::Taken(place) => Some(place),
            Self::Free { .. } => None,
        }
    }
}

struct Place {
    listener: Box<dyn Listener>,
    waiting: Arc<Waiting>,
    /// The task may not have taken all media that was left to it.
    left_media: bool,
    /// When the listener is asked what is due, if nothing comes until then.
    next_look: Instant,
}

impl Port {
    fn places(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn free(&self, now: Instant) -> Option<usize> {
        self.places().iter().position(|slot| matches!(slot, Slot::Free { from } if *from <= now))
    }

    /// Reads until the socket fails or nobody is left.
    async fn read(self: Arc<Self>) {
        // However this ends, nobody waits for what will not come.
        let mut end = End { port: &self, why: io::ErrorKind::Other };
        let outbox = Outbox::default();
        let mut looks = tokio::time::interval(LOOKS);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let taken = tokio::select! {
                ready = self.io.readable() => ready.and_then(|()| self.take_some(&outbox)),
                _ = looks.tick() => {
                    self.look(&outbox);
                    Ok(())
                }
            };
            if let Err(error) = taken {
                end.why = error.kind();
                return;
            }
            // Whoever is due to send is not kept waiting.
            tokio::task::yield_now().await;
        }
    }

    /// Takes what is there, up to a few batches: each turn of the task asks the kernel about all sockets once.
    fn take_some(&self, outbox: &Outbox) -> io::Result<()> {
        for _ in 0..MOST_BATCHES {
            if self.take(outbox)? < BATCH_SIZE {
                break;
            }
        }
        Ok(())
    }

    /// Takes a batch; gives how many messages were in it.
    fn take(&self, outbox: &Outbox) -> io::Result<usize> {
        let (mut places, mut messages) = (self.places(), 0);
        let at = Instant::now();
        let taken = self.io.receive::<BATCH_SIZE>(|trains| {
            messages = trains.metas().len();
            // Nobody's: a straggler for somebody who has left, or a stranger.
            let whose = |meta: &RecvMeta| meta.dst_ip.and_then(index);
            let heard = || {
                let slots = trains.metas().iter().filter_map(whose).filter_map(|index| places.get(index));
                slots.filter_map(Slot::as_place)
            };
            // Each connection's memory is cold when its turn comes: fetched for all at once it is waited for once.
            heard().for_each(|place| Extent::of(&*place.listener).fetch());
            heard().for_each(|place| place.listener.warm());
            for (meta, bytes) in trains {
                if let Some(index) = whose(meta)
                    && let Some(place) = places.get_mut(index).and_then(Slot::place)
                {
                    let train = Train { from: meta.addr, bytes, stride: meta.stride, at };
                    place.take(train, &outbox.of(index, self.longest_train()));
                }
            }
            Ok(())
        })?;
        self.send_all(outbox, &mut places);
        // No train is refused.
        taken.map_err(io::Error::other)?;
        Ok(messages)
    }

    fn look(&self, outbox: &Outbox) {
        let (mut places, now) = (self.places(), Instant::now());
        for (index, slot) in places.iter_mut().enumerate() {
            // Most have heard something in between, or have nothing to say for a while.
            if let Some(place) = slot.place().filter(|place| now >= place.next_look) {
                let due = place.listener.look(now, &outbox.of(index, self.longest_train()));
                place.next_look = due.into_iter().fold(now + LOOKS, Instant::max);
            }
        }
        self.send_all(outbox, &mut places);
    }

    fn send_all(&self, outbox: &Outbox, places: &mut [Slot]) {
        outbox.empty(|letter| {
            let sent = self.send(address(letter.index), letter.destination, letter.contents, letter.segment);
            if let (false, Some(place)) = (sent, places.get_mut(letter.index).and_then(Slot::place)) {
                place.listener.unsent(letter.datagrams());
            }
        });
    }

    fn send(&self, ip: IpAddr, destination: SocketAddr, contents: &[u8], segment: Option<usize>) -> bool {
        let segment_size = segment;
        self.io.send(&Transmit { destination, ecn: None, contents, segment_size, src_ip: Some(ip) })
    }

    fn longest_train(&self) -> usize {
        self.io.longest_train()
    }
}

/// Fails everybody who has a place when reading ends, by an error or a panic.
struct End<'a> {
    port: &'a Port,
    why: io::ErrorKind,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.port.dead.store(true, Ordering::Release);
        let mut places = self.port.places();
        places.iter_mut().filter_map(Slot::place).for_each(|place| place.waiting.fail(self.why));
    }
}

impl Place {
    fn take(&mut self, train: Train<'_>, exit: &dyn Exit) {
        let Self { listener, waiting, left_media, next_look } = self;
        let from = train.from;
        *next_look = train.at + LOOKS;
        *left_media = *left_media && waiting.lock().media > 0;
        if *left_media {
            // What came before it has not been heard yet.
            for datagram in train.bytes.chunks(train.stride) {
                waiting.push(from, datagram);
            }
            return;
        }
        listener.hear(train, exit, &mut |datagram| {
            *left_media |= is_media(datagram);
            waiting.push(from, datagram);
        });
    }
}

/// What waits for a connection's task.
#[derive(Default)]
struct Waiting(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    datagrams: VecDeque<(SocketAddr, Vec<u8>)>,
    /// How many of them are media.
    media: usize,
    /// Came when the queue was full.
    dropped: u64,
    failed: Option<io::ErrorKind>,
    waker: Option<Waker>,
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, from: SocketAddr, datagram: &[u8]) {
        let mut queue = self.lock();
        if queue.datagrams.len() < MOST_WAITING {
            queue.media += usize::from(is_media(datagram));
            queue.datagrams.push_back((from, datagram.to_vec()));
        } else {
            queue.dropped += 1;
        }
        wake(queue);
    }

    fn fail(&self, error: io::ErrorKind) {
        let mut queue = self.lock();
        queue.failed = Some(error);
        wake(queue);
    }
}

fn wake(mut queue: MutexGuard<'_, Queue>) {
    let waker = queue.waker.take();
    drop(queue);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// RTP or RTCP (RFC 7983).
pub(crate) fn is_media(datagram: &[u8]) -> bool {
    matches!(datagram.first(), Some(128..=191))
}

/// Of a place: 127.0.0.1 is the first's.
fn address(index: usize) -> IpAddr {
    let last = u8::try_from(index + 1).unwrap_or(u8::MAX);
    Ipv4Addr::new(127, 0, 0, last).into()
}

/// Of an address: the place that has it.
fn index(ip: IpAddr) -> Option<usize> {
    match ip {
        IpAddr::V4(ip) => match ip.octets() {
            [127, 0, 0, last] => usize::from(last).checked_sub(1),
            _ => None,
        },
        IpAddr::V6(_) => None,
    }
}

const _: () = assert!(MOST_SEATS < 255, "a place's number is the last byte of its address");

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
