//! Bytes per time over the last half second.

use sluice_rtp::Bitrate;

use crate::Micros;

/// The width of a bin. Narrower bins add memory; wider ones let the window jump.
const BIN: i64 = 50_000;

/// Full bins that count. Half a second evens out frames and small key frames; longer would answer late to a change.
const BINS: usize = 10;

/// Full bins before there is an answer: with fewer, one frame more or less is the whole difference.
const FEWEST: u8 = 4;

/// Sums of bytes in bins of 50 ms. Works on any clock that counts microseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct RateWindow {
    /// The last one to be filled is at `head`.
    bins: [u32; BINS + 1],
    head: u8,
    full: u8,
    head_began: Option<i64>,
    /// Sum of the full bins.
    sum: u64,
}

impl RateWindow {
    /// So many bytes at `time`.
    pub(crate) fn add(&mut self, time: i64, bytes: u16) {
        self.turn(time);
        if let Some(bin) = self.bins.get_mut(usize::from(self.head)) {
            *bin = bin.saturating_add(u32::from(bytes));
        }
    }

    /// The rate up to `time`; `None` when it has watched for too short a time.
    pub(crate) fn at(&mut self, time: i64) -> Option<Bitrate> {
        self.head_began?;
        self.turn(time);
        (self.full >= FEWEST).then(|| {
            let micros = u64::from(self.full) * BIN as u64;
            Bitrate::bps(self.sum * 8 * 1_000_000 / micros)
        })
    }

    /// Starts anew.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    fn turn(&mut self, time: i64) {
        let began = *self.head_began.get_or_insert(time);
        let passed = time.saturating_sub(began);
        // A clock that went back by more than the window is another clock.
        if passed < -(BIN * BINS as i64) {
            self.reset();
            self.head_began = Some(time);
            return;
        }
        if passed < BIN {
            return;
        }
        let steps = passed / BIN;
        if steps > BINS as i64 {
            self.bins = [0; BINS + 1];
            self.sum = 0;
        } else {
            for _ in 0..steps {
                self.step();
            }
        }
        self.full = self.full.saturating_add(u8::try_from(steps).unwrap_or(u8::MAX)).min(BINS as u8);
        self.head_began = Some(began.saturating_add(steps.saturating_mul(BIN)));
    }

    /// Closes the bin at the head and opens the oldest one as the new head.
    fn step(&mut self) {
        let closed = self.bins.get(usize::from(self.head)).copied().unwrap_or(0);
        self.head = (self.head + 1) % (BINS as u8 + 1);
        if let Some(oldest) = self.bins.get_mut(usize::from(self.head)) {
            self.sum = (self.sum + u64::from(closed)).saturating_sub(u64::from(*oldest));
            *oldest = 0;
        }
    }
}

/// The sender's time on the scale of a [`RateWindow`].
pub(crate) fn own_time(now: Micros) -> i64 {
    i64::try_from(now).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_rate_and_forgets() {
        let mut window = RateWindow::default();
        let mut rates = Vec::new();
        for milli in 0..2_000 {
            let time = milli * 1_000;
            if milli % 10 == 0 && milli < 1_000 {
                window.add(time, 1_250);
            }
            if [100, 250, 900, 1_250, 1_900].contains(&milli) {
                rates.push(window.at(time).map(Bitrate::as_kbps));
            }
        }
        assert_eq!(rates, [None, Some(1_000), Some(1_000), Some(500), Some(0)]);
    }

    #[test]
    fn jumps_of_the_clock_do_no_harm() {
        let mut window = RateWindow::default();
        for time in [0, i64::MAX, i64::MIN, 5, -5, 1 << 40, 0] {
            window.add(time, u16::MAX);
            assert!(window.at(time).is_none_or(|rate| rate < Bitrate::kbps(100_000)), "{time}");
        }
    }
}
