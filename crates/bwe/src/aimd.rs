//! The delay-based rate: up while the queue is calm, down to what arrives when it grows (draft-ietf-rmcat-gcc-02, section 5.5).

use std::time::Duration;

use crate::trend::Usage;
use crate::{Micros, SECOND};

/// What is kept of the arriving rate on overuse. Less empties the queue faster and leaves more of the link unused.
const BACK_OFF: f64 = 0.85;

/// Growth per second while the link's capacity is unknown. Faster finds it sooner and overshoots it further.
const GROWTH: f64 = 1.08;

/// The least growth in bit/s per second near the known capacity; also what a starved stream climbs by.
const SLOWEST_GROWTH: f64 = 4_000.0;

/// Beyond what arrives times this (plus a little), the rate is a guess that nothing has tested.
const UNTESTED: f64 = 1.5;
const UNTESTED_EXTRA: f64 = 10_000.0;

/// The untested part of an estimate goes in halves: the congestion may be somebody else's, and will show again if not.
const HALF: f64 = 0.5;

/// Beyond the round trip, how long a reduction needs to show in the delay. Shorter reduces twice for one queue.
const SETTLE: Micros = SECOND / 5;

/// How quickly the capacity follows what arrives at an overuse. Quicker forgets a link for one bad moment.
const CAPACITY_SMOOTHING: f64 = 0.05;

/// Bounds of the relative variance of the capacity, in kbit/s: how sure of it one may be at best and at worst.
const VARIANCE: (f64, f64) = (0.4, 2.5);

/// One packet in bits: what additive growth adds per response time.
const PACKET: f64 = 9_600.0;

/// What the rate is to react to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// What the delay says.
    pub usage: Usage,
    /// What arrives, in bit/s.
    pub acked: Option<f64>,
    /// Whether the sender has less to send than it may.
    pub limited: bool,
    /// The round trip.
    pub rtt: Duration,
}

/// The rate in bit/s, and where the link's capacity was last met.
#[derive(Clone, Debug)]
pub(crate) struct Aimd {
    rate: f64,
    holding: bool,
    last_update: Micros,
    last_decrease: Option<Micros>,
    last_overuse: Option<Micros>,
    capacity: Option<Capacity>,
}

impl Aimd {
    /// Starts with `rate` bit/s.
    pub(crate) fn new(now: Micros, rate: f64) -> Self {
        Aimd {
            rate,
            holding: true,
            last_update: now,
            last_decrease: None,
            last_overuse: None,
            capacity: None,
        }
    }

    /// The rate in bit/s.
    pub(crate) fn rate(&self) -> f64 {
        self.rate
    }

    /// When the queue was last seen to grow.
    pub(crate) fn last_overuse(&self) -> Option<Micros> {
        self.last_overuse
    }

    /// Somebody else knows better: a probe, the loss, a path that says nothing.
    pub(crate) fn set(&mut self, rate: f64) {
        self.rate = rate;
    }

    /// The link is another one.
    pub(crate) fn forget_link(&mut self) {
        self.capacity = None;
        self.last_overuse = None;
        self.last_decrease = None;
    }

    /// Takes in what one feedback message said. Returns whether more arrives than the link was known to carry.
    pub(crate) fn update(&mut self, now: Micros, seen: Seen) -> bool {
        let passed = now.saturating_sub(self.last_update).min(SECOND) as f64 / SECOND as f64;
        self.last_update = now;
        match seen.usage {
            Usage::Over => {
                self.last_overuse = Some(now);
                self.decrease(now, seen);
                self.holding = true;
            }
            // The queue drains: what arrives now is more than the link carries for long.
            Usage::Under => self.holding = true,
            // One calm message between hold and growth, so that a rate just reduced is not raised at once.
            Usage::Normal if self.holding => self.holding = false,
            Usage::Normal => return self.increase(passed, seen),
        }
        false
    }

    fn decrease(&mut self, now: Micros, seen: Seen) {
        let settle = SETTLE + seen.rtt.as_micros() as Micros;
        if self.last_decrease.is_some_and(|last| now.saturating_sub(last) < settle) {
            return;
        }
        self.last_decrease = Some(now);
        let Some(acked) = seen.acked else {
            self.rate *= BACK_OFF;
            return;
        };
        let target = BACK_OFF * acked;
        if seen.limited {
            self.rate = self.rate.min(target.max(self.rate * HALF));
            return;
        }
        self.rate = self.rate.min(target);
        match &mut self.capacity {
            Some(capacity) if capacity.is_near(acked) => capacity.add(acked),
            capacity => *capacity = Some(Capacity::new(acked)),
        }
    }

    fn increase(&mut self, passed: f64, seen: Seen) -> bool {
        let Some(acked) = seen.acked.filter(|_| !seen.limited) else { return false };
        let outgrown = self.capacity.as_ref().is_some_and(|capacity| capacity.is_below(acked));
        if outgrown {
            self.capacity = None;
        }
        let growth = if self.capacity.is_some() {
            let response = 2.0 * (seen.rtt.as_secs_f64() + 0.1);
            (PACKET / response).max(SLOWEST_GROWTH) * passed
        } else {
            (self.rate * (GROWTH.powf(passed) - 1.0)).max(SLOWEST_GROWTH * passed)
        };
        let tested = UNTESTED * acked + UNTESTED_EXTRA;
        self.rate = self.rate.max((self.rate + growth).min(tested));
        outgrown
    }
}

/// What arrived when the queue grew: the link's capacity, smoothed, with its variance relative to itself.
#[derive(Clone, Debug)]
struct Capacity {
    kbps: f64,
    variance: f64,
}

impl Capacity {
    fn new(acked: f64) -> Self {
        Capacity { kbps: acked / 1_000.0, variance: VARIANCE.0 }
    }

    fn add(&mut self, acked: f64) {
        let off = self.kbps - acked / 1_000.0;
        self.kbps -= CAPACITY_SMOOTHING * off;
        let variance = off * off / self.kbps.max(1.0);
        let smoothed = (1.0 - CAPACITY_SMOOTHING) * self.variance + CAPACITY_SMOOTHING * variance;
        self.variance = smoothed.clamp(VARIANCE.0, VARIANCE.1);
    }

    /// Three standard deviations.
    fn doubt(&self) -> f64 {
        3.0 * (self.variance * self.kbps).sqrt()
    }

    fn is_below(&self, acked: f64) -> bool {
        acked / 1_000.0 > self.kbps + self.doubt()
    }

    fn is_near(&self, acked: f64) -> bool {
        (acked / 1_000.0 - self.kbps).abs() <= self.doubt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEGA: f64 = 1_000_000.0;

    fn seen(usage: Usage, acked: f64, limited: bool) -> Seen {
        Seen { usage, acked: Some(acked), limited, rtt: Duration::from_millis(100) }
    }

    #[test]
    fn one_queue_reduces_once() {
        let mut aimd = Aimd::new(0, 2.0 * MEGA);
        aimd.update(0, seen(Usage::Over, MEGA, false));
        assert_eq!(aimd.rate(), 0.85 * MEGA);
        aimd.update(SECOND / 10, seen(Usage::Over, MEGA / 2.0, false));
        assert_eq!(aimd.rate(), 0.85 * MEGA);
        aimd.update(SECOND / 2, seen(Usage::Over, MEGA / 2.0, false));
        assert_eq!(aimd.rate(), 0.425 * MEGA);
    }

    #[test]
    fn it_grows_by_a_share_and_near_the_capacity_by_packets() {
        let mut aimd = Aimd::new(0, MEGA);
        aimd.update(0, seen(Usage::Normal, MEGA, false));
        aimd.update(SECOND, seen(Usage::Normal, MEGA, false));
        assert!((aimd.rate() - 1.08 * MEGA).abs() < 1.0);
        aimd.update(2 * SECOND, seen(Usage::Over, MEGA, false));
        aimd.update(3 * SECOND, seen(Usage::Normal, MEGA, false));
        assert!(!aimd.update(4 * SECOND, seen(Usage::Normal, MEGA, false)));
        assert!((aimd.rate() - 0.874 * MEGA).abs() < 1.0);
        assert!(aimd.update(5 * SECOND, seen(Usage::Normal, 1.2 * MEGA, false)), "the link has grown");
    }

    #[test]
    fn who_sends_little_keeps_the_estimate() {
        let mut aimd = Aimd::new(0, 2.0 * MEGA);
        for second in 0..100 {
            aimd.update(second * SECOND, seen(Usage::Normal, MEGA / 10.0, true));
        }
        assert_eq!(aimd.rate(), 2.0 * MEGA);
        aimd.update(100 * SECOND, seen(Usage::Over, MEGA / 10.0, true));
        assert_eq!(aimd.rate(), MEGA);
    }
}
