//! One direction of a path as arithmetic: when a datagram arrives, or that it never does.
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::{Fates, Link};

/// Bytes of IPv4 and UDP headers: they take their share of a rate, too.
const HEADERS: usize = 28;

#[derive(Debug)]
pub(crate) struct Line {
    link: Link,
    rng: StdRng,
    /// When the last datagram that was let in has left the queue for the wire.
    free: Instant,
    /// When it arrives: nothing overtakes it.
    last: Instant,
    fates: Fates,
}

impl Line {
    pub(crate) fn new(link: Link, seed: u64, now: Instant) -> Self {
        Self { link, rng: StdRng::seed_from_u64(seed), free: now, last: now, fates: Fates::default() }
    }

    /// A datagram of so many bytes enters. When it arrives; `None` if it never does.
    ///
    /// Loss comes first, so that what is lost takes no part of the rate; then the queue and the wire; then the way.
    pub(crate) fn admit(&mut self, now: Instant, bytes: usize) -> Option<Instant> {
        if self.link.loss > 0.0 && self.rng.random_bool(self.link.loss.min(1.0)) {
            self.fates.lost += 1;
            return None;
        }
        let sent = match self.link.rate {
            Some(rate) => {
                let begins = self.free.max(now);
                if begins.saturating_duration_since(now) > self.link.queue {
                    self.fates.dropped += 1;
                    return None;
                }
                begins + on_the_wire(bytes, rate)
            }
            None => now,
        };
        self.free = self.free.max(sent);
        let jitter = self.link.jitter.mul_f64(self.rng.random_range(0.0..=1.0));
        let arrives = (sent + self.link.delay + jitter).max(self.last);
        self.last = arrives;
        self.fates.passed += 1;
        Some(arrives)
    }

    /// What was let in found no room after all.
    pub(crate) fn overflowed(&mut self) {
        self.fates.passed = self.fates.passed.saturating_sub(1);
        self.fates.dropped += 1;
    }
}

pub(crate) fn fates(line: &Arc<Mutex<Line>>) -> Fates {
    // Counters stay meaningful wherever a panic left them.
    line.lock().unwrap_or_else(PoisonError::into_inner).fates
}

fn on_the_wire(bytes: usize, rate: u32) -> Duration {
    let bits = (bytes + HEADERS) as u64 * 8;
    // A datagram has 64 KiB at most, so this stays far from the end of 64 bits.
    Duration::from_nanos(bits * 1_000_000_000 / u64::from(rate.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// One datagram of `bytes` every `gap`: when each was sent and arrived.
    fn through(
        link: Link,
        count: u32,
        gap: Duration,
        bytes: usize,
    ) -> (Vec<(Instant, Option<Instant>)>, Line) {
        let start = Instant::now();
        let mut line = Line::new(link, 7, start);
        let times = (0..count).map(|n| start + gap * n);
        let times = times.map(|sent| (sent, line.admit(sent, bytes))).collect();
        (times, line)
    }

    #[test]
    fn about_the_share_asked_for_is_lost_and_the_same_seed_loses_the_same() {
        let link = Link { loss: 0.05, ..Link::default() };
        let (times, line) = through(link, 20_000, MS, 1_000);
        let lost = times.iter().filter(|(_, arrived)| arrived.is_none()).count();
        assert!((900..=1_100).contains(&lost), "{lost} of 20,000");
        assert_eq!(line.fates, Fates { passed: 20_000 - lost as u64, lost: lost as u64, dropped: 0 });
        let fate = |times: Vec<(Instant, Option<Instant>)>| -> Vec<bool> {
            times.into_iter().map(|(_, arrived)| arrived.is_some()).collect()
        };
        assert_eq!(fate(times), fate(through(link, 20_000, MS, 1_000).0));
        assert!(
            through(Link { loss: 1.0, ..Link::default() }, 50, MS, 9).0.iter().all(|(_, at)| at.is_none())
        );
    }

    #[test]
    fn delay_and_jitter_are_bounded_and_order_is_kept() {
        let link = Link { delay: 40 * MS, jitter: 10 * MS, ..Link::default() };
        let (times, _) = through(link, 2_000, MS, 1_000);
        let took: Vec<Duration> = times.iter().map(|(sent, arrived)| arrived.unwrap() - *sent).collect();
        assert!(took.iter().all(|took| (40 * MS..=50 * MS).contains(took)));
        assert!(
            took.iter().max().unwrap().abs_diff(*took.iter().min().unwrap()) > 5 * MS,
            "no jitter at all"
        );
        assert!(times.windows(2).all(|pair| pair[0].1 <= pair[1].1), "one overtook another");
    }

    #[test]
    fn the_rate_holds_over_time_and_the_queue_is_bounded() {
        // 1 Mbit/s, offered twice as much for ten seconds.
        let link = Link { rate: Some(1_000_000), queue: 100 * MS, delay: 20 * MS, ..Link::default() };
        let (times, line) = through(link, 2_500, 4 * MS, 972);
        let arrived: Vec<Instant> = times.iter().filter_map(|(_, arrived)| *arrived).collect();
        let (first, last) = (arrived[0], arrived[arrived.len() - 1]);
        let bits = (arrived.len() - 1) as f64 * 8_000.0;
        let rate = bits / (last - first).as_secs_f64();
        assert!((990_000.0..=1_001_000.0).contains(&rate), "{rate}");
        // In the queue, on the wire for 8 ms, under way.
        let most = (100 + 8 + 20) * MS;
        assert!(times.iter().all(|(sent, at)| at.is_none_or(|at| at - *sent <= most)));
        assert_eq!((line.fates.lost, line.fates.passed + line.fates.dropped), (0, 2_500));
        assert!(line.fates.dropped > 1_200, "{:?}", line.fates);
    }

    #[test]
    fn below_its_rate_a_line_drops_nothing_and_only_takes_its_time() {
        let link = Link { rate: Some(1_000_000), ..Link::default() };
        let (times, line) = through(link, 500, 10 * MS, 972);
        assert_eq!(line.fates, Fates { passed: 500, lost: 0, dropped: 0 });
        assert!(times.iter().all(|(sent, at)| at.unwrap() - *sent == 8 * MS));
    }
}
