//! A client's UDP socket: trains of datagrams in and out, where the kernel can. An impaired network may stand before it.
use std::cell::RefCell;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use anyhow::Context as _;
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::impair::{Datagram, Lane, Network};

/// Messages taken by one call; each may be a train.
const SLOTS: usize = 4;
/// Room for the longest train.
const SLOT: usize = 64 << 10;

thread_local! {
    /// Clients come and go by the hundred and each reads for a moment at a time: one buffer for all of a thread.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; SLOTS * SLOT]);
}

pub(crate) struct Socket {
    io: UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
    /// Only if that way is impaired.
    up: Option<Mutex<Lane>>,
    down: Option<Mutex<Lane>>,
}

impl Socket {
    pub(crate) async fn bind(ip: IpAddr, network: Option<&Network>) -> anyhow::Result<Self> {
        let io = UdpSocket::bind(SocketAddr::new(ip, 0)).await.context("no UDP socket")?;
        // Until the runtime has heard of the socket it takes it for full, and the first connectivity check would be lost: the next
        // one comes a quarter of a second later.
        io.writable().await.context("the socket cannot be written to")?;
        let state = UdpSocketState::new(UdpSockRef::from(&io)).context("the socket takes no options")?;
        let local = io.local_addr()?;
        let (up, down) = (network.and_then(Network::up), network.and_then(Network::down));
        Ok(Self { io, state, local, up: up.map(Mutex::new), down: down.map(Mutex::new) })
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_recv_ready(context)
    }

    /// Hands out what waits, at most a few trains. A wake comes again if more does.
    pub(crate) fn receive(
        &self,
        mut each: impl FnMut(SocketAddr, &mut [u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        BUFFER.with_borrow_mut(|buffer| {
            let mut meta = [RecvMeta::default(); SLOTS];
            let mut slots = buffer.chunks_exact_mut(SLOT);
            let mut slices: [IoSliceMut<'_>; SLOTS] =
                std::array::from_fn(|_| IoSliceMut::new(slots.next().unwrap_or_default()));
            let socket = UdpSockRef::from(&self.io);
            let taken =
                self.io.try_io(Interest::READABLE, || self.state.recv(socket, &mut slices, &mut meta));
            let messages = match taken {
                Ok(messages) => messages,
                // Nothing there after all, or a datagram of ours met a closed port: the server will be missed soon enough.
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionRefused) =>
                {
                    return Ok(());
                }
                Err(error) => return Err(error).context("the socket failed"),
            };
            for (slot, meta) in buffer.chunks_exact_mut(SLOT).zip(&meta).take(messages) {
                if meta.stride == 0 {
                    continue;
                }
                let Some(train) = slot.get_mut(..meta.len) else { continue };
                for datagram in train.chunks_mut(meta.stride) {
                    each(meta.addr, datagram)?;
                }
            }
            Ok(())
        })
    }

    /// Sends one datagram, or `contents` cut into datagrams of `segment` bytes. Whether the kernel took it; an impaired way
    /// takes everything, see [`flush`](Self::flush).
    pub(crate) fn send(&self, destination: SocketAddr, contents: &[u8], segment: Option<usize>) -> bool {
        let Some(up) = &self.up else { return self.transmit(destination, contents, segment) };
        let (mut up, now) = (lock(up), Instant::now());
        for datagram in contents.chunks(segment.unwrap_or(contents.len()).max(1)) {
            up.push(now, destination, datagram);
        }
        true
    }

    /// Hands the kernel what has come through an impaired way up. Returns how many datagrams it did not take.
    pub(crate) fn flush(&self) -> u64 {
        let Some(up) = &self.up else { return 0 };
        let (mut up, now) = (lock(up), Instant::now());
        let mut unsent = 0;
        while let Some(datagram) = up.pop(now) {
            unsent += u64::from(!self.transmit(datagram.other, &datagram.contents, None));
        }
        unsent
    }

    /// Whether what is received must go through an impaired way down: [`take_in`](Self::take_in) instead of
    /// [`receive`](Self::receive).
    pub(crate) fn receives_later(&self) -> bool {
        self.down.is_some()
    }

    /// Puts what waits on its impaired way down.
    pub(crate) fn take_in(&self, now: Instant) -> anyhow::Result<()> {
        let Some(down) = &self.down else { return Ok(()) };
        let mut down = lock(down);
        self.receive(|from, datagram| {
            down.push(now, from, datagram);
            Ok(())
        })
    }

    /// The next datagram that has come through an impaired way down.
    pub(crate) fn arrived(&self, now: Instant) -> Option<Datagram> {
        lock(self.down.as_ref()?).pop(now)
    }

    /// When the next datagram comes out of an impaired way.
    pub(crate) fn due(&self) -> Option<Instant> {
        [&self.up, &self.down].into_iter().flatten().filter_map(|lane| lock(lane).due()).min()
    }

    fn transmit(&self, destination: SocketAddr, contents: &[u8], segment: Option<usize>) -> bool {
        let transmit = Transmit { destination, ecn: None, contents, segment_size: segment, src_ip: None };
        let socket = UdpSockRef::from(&self.io);
        self.io.try_io(Interest::WRITABLE, || self.state.try_send(socket, &transmit)).is_ok()
    }

    /// Datagrams that one send may carry.
    pub(crate) fn longest_train(&self) -> usize {
        self.state.max_gso_segments().max(1)
    }
}

/// Never waits: a socket belongs to one task. It is there because that task may move between threads.
fn lock(lane: &Mutex<Lane>) -> MutexGuard<'_, Lane> {
    lane.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::impair::{Impairment, Link};

    const DELAY: Duration = Duration::from_millis(20);
    const PATIENCE: Duration = Duration::from_secs(10);

    async fn socket(up: Duration, down: Duration) -> Socket {
        let link = |delay| Link { delay, ..Link::default() };
        let impairment = Impairment { up: link(up), down: link(down), seed: 0 };
        let network = Network::new(&impairment, Instant::now());
        let socket = Socket::bind(std::net::Ipv4Addr::LOCALHOST.into(), network.as_ref()).await.unwrap();
        socket.io.writable().await.unwrap();
        socket
    }

    /// Three datagrams, as one train where the kernel can.
    fn send_train(from: &Socket, to: &Socket) {
        if from.longest_train() >= 3 {
            assert!(from.send(to.local(), b"first.secondthird.", Some(6)));
            return;
        }
        for datagram in [b"first.", b"second", b"third."] {
            assert!(from.send(to.local(), datagram, None));
        }
    }

    /// What comes, one by one, until there are three.
    async fn three(socket: &Socket) -> Vec<String> {
        let mut came = Vec::new();
        while came.len() < 3 {
            tokio::time::timeout(PATIENCE, socket.io.readable()).await.unwrap().unwrap();
            let take = |_, datagram: &mut [u8]| {
                came.push(String::from_utf8_lossy(datagram).into_owned());
                Ok(())
            };
            socket.receive(take).unwrap();
        }
        came
    }

    #[tokio::test]
    async fn a_train_enters_an_impaired_way_up_in_datagrams() {
        let (one, other) =
            (socket(DELAY, Duration::ZERO).await, socket(Duration::ZERO, Duration::ZERO).await);
        let sent = Instant::now();
        send_train(&one, &other);
        let due = one.due().unwrap();
        assert!(due >= sent + DELAY);
        tokio::time::sleep_until(due.into()).await;
        while one.due().is_some() {
            assert_eq!(one.flush(), 0);
            assert!(sent.elapsed() < PATIENCE, "nothing becomes due");
        }
        assert_eq!(three(&other).await, ["first.", "second", "third."]);
    }

    #[tokio::test]
    async fn a_train_enters_an_impaired_way_down_in_datagrams() {
        let (one, other) =
            (socket(Duration::ZERO, Duration::ZERO).await, socket(Duration::ZERO, DELAY).await);
        let sent = Instant::now();
        send_train(&one, &other);
        assert!(other.receives_later() && !one.receives_later());
        let mut came = Vec::new();
        while came.len() < 3 {
            assert!(sent.elapsed() < PATIENCE, "{came:?}");
            let due = other.due().unwrap_or(Instant::now() + DELAY);
            tokio::select! {
                ready = other.io.readable() => ready.unwrap(),
                () = tokio::time::sleep_until(due.into()) => {}
            }
            let now = Instant::now();
            other.take_in(now).unwrap();
            came.extend(std::iter::from_fn(|| other.arrived(now)).map(|datagram| datagram.contents));
        }
        assert!(sent.elapsed() >= DELAY);
        assert_eq!(came, [b"first.", b"second", b"third."]);
    }

    #[tokio::test]
    async fn without_an_impaired_way_a_train_leaves_at_once() {
        let (one, other) =
            (socket(Duration::ZERO, Duration::ZERO).await, socket(Duration::ZERO, Duration::ZERO).await);
        send_train(&one, &other);
        assert_eq!((one.due(), one.flush()), (None, 0));
        assert_eq!(three(&other).await, ["first.", "second", "third."]);
    }
}
