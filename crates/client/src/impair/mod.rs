//! A worse network than there is, for one client: loss, delay, jitter and a rate, each way, in user space.
//!
//! It stands between a client's connections and their sockets. All connections of a client share one way up and one way
//! down, as they would share its access link. Signalling (TCP) does not pass through it.
mod lane;
mod line;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(crate) use lane::{Datagram, Lane};
use line::Line;

/// What lies between a client and the server. By default nothing does.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Impairment {
    /// What the client sends.
    pub up: Link,
    /// What it receives.
    pub down: Link,
    /// Losses and jitter are drawn from it: the same seed and the same datagrams give the same losses.
    pub seed: u64,
}

/// One direction of a path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// Share of datagrams that are lost at random, 0 to 1.
    pub loss: f64,
    /// How long each is under way at least.
    pub delay: Duration,
    /// Up to this much longer, drawn for each. Order is kept: who is held up holds up those behind.
    pub jitter: Duration,
    /// Bits per second, IP and UDP headers included; `None`: as fast as they come.
    pub rate: Option<u32>,
    /// A datagram that would wait longer than this for the rate is dropped.
    pub queue: Duration,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            loss: 0.0,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            rate: None,
            queue: Duration::from_millis(200),
        }
    }
}

impl Link {
    fn is_clear(&self) -> bool {
        self.loss <= 0.0 && self.delay.is_zero() && self.jitter.is_zero() && self.rate.is_none()
    }
}

/// Datagrams of a client's impaired network. A direction that nothing lies in counts nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Impaired {
    /// What the client sent.
    pub up: Fates,
    /// What was on its way to it.
    pub down: Fates,
}

/// What became of the datagrams of one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fates {
    /// Let through, those that are still under way included.
    pub passed: u64,
    /// Lost at random.
    pub lost: u64,
    /// Dropped, as the queue before the rate was full.
    pub dropped: u64,
}

/// The network of one client; its connections share it.
pub(crate) struct Network {
    up: Option<Arc<Mutex<Line>>>,
    down: Option<Arc<Mutex<Line>>>,
}

impl Network {
    /// `None` if nothing is impaired: then nothing stands before the sockets.
    pub(crate) fn new(impairment: &Impairment, now: Instant) -> Option<Self> {
        let line = |link: Link, salt: u64| {
            (!link.is_clear()).then(|| Arc::new(Mutex::new(Line::new(link, impairment.seed ^ salt, now))))
        };
        // The two ways must not lose in step.
        let (up, down) = (line(impairment.up, 0), line(impairment.down, u64::MAX));
        (up.is_some() || down.is_some()).then_some(Self { up, down })
    }

    /// What one socket needs for what it sends.
    pub(crate) fn up(&self) -> Option<Lane> {
        self.up.clone().map(Lane::new)
    }

    /// What one socket needs for what it receives.
    pub(crate) fn down(&self) -> Option<Lane> {
        self.down.clone().map(Lane::new)
    }

    pub(crate) fn counted(&self) -> Impaired {
        let fates = |line: &Option<Arc<Mutex<Line>>>| line.as_ref().map(line::fates).unwrap_or_default();
        Impaired { up: fates(&self.up), down: fates(&self.down) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clear_network_is_none_at_all_and_a_clear_way_has_no_lane() {
        let now = Instant::now();
        assert!(Network::new(&Impairment::default(), now).is_none());
        let down = Link { loss: 0.5, ..Link::default() };
        let network = Network::new(&Impairment { down, ..Impairment::default() }, now).unwrap();
        assert!(network.up().is_none() && network.down().is_some());
    }

    #[test]
    fn connections_share_the_rate_and_are_counted_together() {
        let now = Instant::now();
        // Ten datagrams of 972 bytes and 28 of headers a second, five of which may wait.
        let up = Link { rate: Some(80_000), queue: Duration::from_millis(500), ..Link::default() };
        let network = Network::new(&Impairment { up, ..Impairment::default() }, now).unwrap();
        let (mut first, mut second) = (network.up().unwrap(), network.up().unwrap());
        let server = ([127, 0, 0, 1], 9).into();
        for _ in 0..10 {
            first.push(now, server, &[0; 972]);
            second.push(now, server, &[0; 972]);
        }
        let Fates { passed, lost, dropped } = network.counted().up;
        assert_eq!((passed, lost, dropped), (6, 0, 14));
        let all = |lane: &mut Lane, at| std::iter::from_fn(|| lane.pop(at)).count();
        let later = now + Duration::from_millis(350);
        assert_eq!((all(&mut first, later), all(&mut second, later)), (2, 1), "three were sent by then");
    }
}
