//! What a connection's datagrams come and leave by: a UDP socket of its own, or a place at one that many light clients share.
//! An impaired network may stand before the former.
mod own;
mod shared;
mod trains;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use self::own::Own;
pub use self::shared::SharedSockets;
pub(crate) use self::shared::{Listener, Seat, Train, is_media};
use crate::impair::{Datagram, Lane, Network};

/// What datagrams leave by.
pub(crate) trait Exit {
    /// Sends one datagram, or `contents` cut into datagrams of `segment` bytes. Whether the kernel took it; an impaired way
    /// takes everything, see [`Socket::flush`], and so does a listener's, see [`Listener::unsent`].
    fn send(&self, destination: SocketAddr, contents: &[u8], segment: Option<usize>) -> bool;

    /// Datagrams that one send may carry.
    fn longest_train(&self) -> usize;
}

pub(crate) struct Socket {
    way: Way,
    /// Only if that way is impaired.
    up: Option<Mutex<Lane>>,
    down: Option<Mutex<Lane>>,
}

enum Way {
    Own(Own),
    Shared(Seat),
}

impl Socket {
    pub(crate) fn bind(ip: IpAddr, network: Option<&Network>) -> anyhow::Result<Self> {
        let own = Own::bind(ip)?;
        let (up, down) = (network.and_then(Network::up), network.and_then(Network::down));
        Ok(Self { way: Way::Own(own), up: up.map(Mutex::new), down: down.map(Mutex::new) })
    }

    /// At a shared socket, with nothing between.
    pub(crate) fn at(seat: Seat) -> Self {
        Self { way: Way::Shared(seat), up: None, down: None }
    }

    /// Whether a [`Listener`] hears what comes and sends what is due.
    pub(crate) fn is_listened_to(&self) -> bool {
        matches!(self.way, Way::Shared(_))
    }

    pub(crate) fn local(&self) -> SocketAddr {
        match &self.way {
            Way::Own(own) => own.local,
            Way::Shared(seat) => seat.local(),
        }
    }

    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.way {
            Way::Own(own) => own.poll_readable(context),
            Way::Shared(seat) => seat.poll_readable(context),
        }
    }

    /// Hands out what waits for the connection's task, at most a few trains. A wake comes again if more does. Returns how many
    /// datagrams were dropped since the last time, because they came faster than they were taken.
    pub(crate) fn receive(
        &self,
        each: impl FnMut(SocketAddr, &mut [u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<u64> {
        match &self.way {
            // The kernel drops them, and tells nobody.
            Way::Own(own) => own.receive(each).map(|()| 0),
            Way::Shared(seat) => seat.receive(each),
        }
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
    pub(crate) fn take_in(&self, now: Instant) -> anyhow::Result<u64> {
        let Some(down) = &self.down else { return Ok(0) };
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
        match &self.way {
            Way::Own(own) => own.send(destination, contents, segment),
            Way::Shared(seat) => seat.send(destination, contents, segment),
        }
    }
}

impl Exit for Socket {
    fn send(&self, destination: SocketAddr, contents: &[u8], segment: Option<usize>) -> bool {
        let Some(up) = &self.up else { return self.transmit(destination, contents, segment) };
        let (mut up, now) = (lock(up), Instant::now());
        for datagram in contents.chunks(segment.unwrap_or(contents.len()).max(1)) {
            up.push(now, destination, datagram);
        }
        true
    }

    fn longest_train(&self) -> usize {
        match &self.way {
            Way::Own(own) => own.longest_train(),
            Way::Shared(seat) => seat.longest_train(),
        }
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

    fn socket(up: Duration, down: Duration) -> Socket {
        let link = |delay| Link { delay, ..Link::default() };
        let impairment = Impairment { up: link(up), down: link(down), seed: 0 };
        let network = Network::new(&impairment, Instant::now());
        Socket::bind(std::net::Ipv4Addr::LOCALHOST.into(), network.as_ref()).unwrap()
    }

    async fn readable(socket: &Socket) -> io::Result<()> {
        std::future::poll_fn(|context| socket.poll_readable(context)).await
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
            tokio::time::timeout(PATIENCE, readable(socket)).await.unwrap().unwrap();
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
        let (one, other) = (socket(DELAY, Duration::ZERO), socket(Duration::ZERO, Duration::ZERO));
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
        let (one, other) = (socket(Duration::ZERO, Duration::ZERO), socket(Duration::ZERO, DELAY));
        let sent = Instant::now();
        send_train(&one, &other);
        assert!(other.receives_later() && !one.receives_later());
        let mut came = Vec::new();
        while came.len() < 3 {
            assert!(sent.elapsed() < PATIENCE, "{came:?}");
            let due = other.due().unwrap_or(Instant::now() + DELAY);
            tokio::select! {
                ready = readable(&other) => ready.unwrap(),
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
        let (one, other) = (socket(Duration::ZERO, Duration::ZERO), socket(Duration::ZERO, Duration::ZERO));
        send_train(&one, &other);
        assert_eq!((one.due(), one.flush()), (None, 0));
        assert_eq!(three(&other).await, ["first.", "second", "third."]);
    }
}
