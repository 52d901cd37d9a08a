//! What lost packets say: nothing below 2 %, wait up to 10 %, less beyond (draft-ietf-rmcat-gcc-02, section 6).

use std::time::Duration;

use crate::{Micros, SECOND};

/// Loss up to here is radio noise. Lower would limit every wireless path.
const NOISE: f32 = 0.02;

/// Loss from here on is taken for congestion. Lower lets random loss ruin the rate; higher is late on short queues.
const CONGESTION: f32 = 0.10;

/// How much of the lost share is taken off. The draft's half: all of it would starve beside flows that ignore loss.
const REDUCTION: f64 = 0.5;

/// Growth of the limit per second once the loss is gone; the same as the delay-based growth, so neither races ahead.
const GROWTH: f64 = 1.08;

/// Packets for a quick judgement. With fewer, 5 % of random loss looks like 10 % too often.
const ENOUGH: u32 = 50;

/// Packets for a judgement once a second: what a stream of audio makes in half of it.
const FEW: u32 = 20;

/// Beyond the round trip, how long a reduction needs to show in the loss.
const SETTLE: Micros = SECOND / 5;

/// The width of a bin of the share that is shown, and how many there are: 2 s together.
const BIN: Micros = SECOND / 5;
const BINS: usize = 10;

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    received: u16,
    lost: u16,
}

/// Counts, and the limit in bit/s that they make.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loss {
    bins: [Count; BINS],
    head: u8,
    head_began: Micros,
    received: u32,
    lost: u32,
    judged: Micros,
    limit: Option<f64>,
}

impl Loss {
    /// No limit yet.
    pub(crate) fn new(now: Micros) -> Self {
        Loss { head_began: now, judged: now, ..Self::default() }
    }

    /// The limit in bit/s; `None`: the loss says nothing.
    pub(crate) fn limit(&self) -> Option<f64> {
        self.limit
    }

    /// Raises the limit to what a probe got through.
    pub(crate) fn allow(&mut self, rate: f64) {
        self.limit = self.limit.map(|limit| limit.max(rate));
    }

    /// Lifts the limit and forgets the counts: the path is another one.
    pub(crate) fn forget_link(&mut self, now: Micros) {
        *self = Self::new(now);
    }

    /// The share lost over the last two seconds; `None` if nothing was told in that time.
    pub(crate) fn share(&self, now: Micros) -> Option<f32> {
        let stale = now.saturating_sub(self.head_began) / BIN;
        let fresh = BINS.saturating_sub(usize::try_from(stale).unwrap_or(BINS));
        let (mut received, mut lost) = (0u32, 0u32);
        for back in 0..fresh {
            let index = (usize::from(self.head) + BINS - back) % BINS;
            let count = self.bins.get(index).copied().unwrap_or_default();
            received += u32::from(count.received);
            lost += u32::from(count.lost);
        }
        share(received, lost)
    }

    /// A packet was told to have arrived; `was_lost`: and earlier to be lost.
    pub(crate) fn on_received(&mut self, now: Micros, was_lost: bool) {
        self.received = self.received.saturating_add(1);
        self.lost = self.lost.saturating_sub(u32::from(was_lost));
        let bin = self.bin(now);
        bin.received = bin.received.saturating_add(1);
        bin.lost = bin.lost.saturating_sub(u16::from(was_lost));
    }

    /// A packet was told to be lost.
    pub(crate) fn on_lost(&mut self, now: Micros) {
        self.lost = self.lost.saturating_add(1);
        let bin = self.bin(now);
        bin.lost = bin.lost.saturating_add(1);
    }

    /// Judges what came together since the last judgement, if it is enough. `estimate` is what holds now, in bit/s,
    /// `delay_based` what would hold without loss.
    pub(crate) fn judge(&mut self, now: Micros, rtt: Duration, estimate: f64, delay_based: f64) {
        let passed = now.saturating_sub(self.judged);
        let packets = self.received.saturating_add(self.lost);
        let quick = packets >= ENOUGH && passed >= SETTLE + rtt.as_micros() as Micros;
        let slow = packets >= FEW && passed >= SECOND;
        if !(quick || slow) {
            return;
        }
        let share = share(self.received, self.lost).unwrap_or(0.0);
        (self.received, self.lost, self.judged) = (0, 0, now);
        if share > CONGESTION {
            self.limit = Some(estimate * (1.0 - REDUCTION * f64::from(share)));
        } else if share >= NOISE {
            self.limit = Some(self.limit.map_or(estimate, |limit| limit.min(estimate)));
        } else if let Some(limit) = self.limit {
            let grown = limit * GROWTH.powf(passed.min(SECOND) as f64 / SECOND as f64);
            self.limit = (grown < delay_based).then_some(grown);
        }
    }

    fn bin(&mut self, now: Micros) -> &mut Count {
        let steps = now.saturating_sub(self.head_began) / BIN;
        for _ in 0..steps.min(BINS as Micros) {
            self.head = (self.head + 1) % BINS as u8;
            if let Some(bin) = self.bins.get_mut(usize::from(self.head)) {
                *bin = Count::default();
            }
        }
        self.head_began += steps * BIN;
        let head = usize::from(self.head) % BINS;
        &mut self.bins[head]
    }
}

fn share(received: u32, lost: u32) -> Option<f32> {
    let all = received.saturating_add(lost);
    (all > 0).then(|| lost as f32 / all as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(50);

    /// The limit after a second of 100 packets of which each so-many-th is lost.
    fn after(loss: &mut Loss, from: Micros, every: u64) -> Option<f64> {
        for packet in 0..100 {
            let now = from + packet * SECOND / 100;
            if every > 0 && packet % every == 0 { loss.on_lost(now) } else { loss.on_received(now, false) }
        }
        let estimate = loss.limit().unwrap_or(1_000.0);
        loss.judge(from + SECOND, RTT, estimate, 1_100.0);
        loss.limit()
    }

    #[test]
    fn little_loss_says_nothing_some_holds_much_reduces() {
        let mut loss = Loss::new(0);
        assert_eq!(after(&mut loss, 0, 100), None);
        assert_eq!(after(&mut loss, SECOND, 20), Some(1_000.0));
        let reduced = after(&mut loss, 2 * SECOND, 5).unwrap();
        assert!((reduced - 900.0).abs() < 0.001);
        let recovering = after(&mut loss, 3 * SECOND, 0).unwrap();
        assert!((recovering - 972.0).abs() < 0.001);
        after(&mut loss, 4 * SECOND, 0);
        assert_eq!(after(&mut loss, 5 * SECOND, 0), None, "it passed what the delay allows");
    }

    #[test]
    fn the_share_is_of_the_last_two_seconds() {
        let mut loss = Loss::new(0);
        assert_eq!(loss.share(0), None);
        after(&mut loss, 0, 4);
        assert_eq!(loss.share(SECOND), Some(0.25));
        after(&mut loss, SECOND, 0);
        assert_eq!(loss.share(2 * SECOND - 1), Some(0.125));
        assert_eq!(loss.share(5 * SECOND), None);
    }
}
