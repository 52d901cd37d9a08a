//! What a receiver reports of a stream (RFC 3550 section 6.4 and appendix A).

use std::time::{Duration, Instant};

use rtcp_types::{ReportBlock, ReportBlockBuilder};

/// Counts what came of a stream.
#[derive(Debug)]
pub struct Reception {
    clock: u32,
    first: u64,
    highest: u64,
    received: u64,
    /// At the report before: expected and received.
    told: (u64, u64),
    jitter: f64,
    transit: Option<f64>,
    epoch: Instant,
    /// Of the last sender report: the middle of its NTP time, and when it came.
    heard: Option<(u32, Instant)>,
    lost: f32,
}

impl Reception {
    /// A stream whose timestamps count `clock` a second begins with the number `first`, extended as all that follow.
    #[must_use]
    pub fn new(clock: u32, first: u64, now: Instant) -> Self {
        Self {
            clock,
            first,
            highest: first,
            received: 0,
            told: (0, 0),
            jitter: 0.0,
            transit: None,
            epoch: now,
            heard: None,
            lost: 0.0,
        }
    }

    /// Counts a packet.
    pub fn see(&mut self, sequence: u64, timestamp: u32, now: Instant) {
        self.highest = self.highest.max(sequence);
        self.first = self.first.min(sequence);
        self.received += 1;
        let arrival = now.saturating_duration_since(self.epoch).as_secs_f64() * f64::from(self.clock);
        let transit = arrival - f64::from(timestamp);
        if let Some(before) = self.transit.replace(transit) {
            // A roll-over of the timestamp is no jitter.
            let moved = (transit - before).abs();
            if moved < f64::from(u32::MAX / 2) {
                self.jitter += (moved - self.jitter) / 16.0;
            }
        }
    }

    /// Counts a packet that came by another way, as a repair: it tells nothing of jitter.
    pub fn see_repaired(&mut self, sequence: u64) {
        self.highest = self.highest.max(sequence);
        self.received += 1;
    }

    /// The highest number.
    #[must_use]
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// The sender told its time.
    pub fn heard(&mut self, ntp: u64, now: Instant) {
        self.heard = Some(((ntp >> 16) as u32, now));
    }

    /// Whether something came since the last report.
    #[must_use]
    pub fn is_untold(&self) -> bool {
        self.received != self.told.1
    }

    /// How many were missing at the last report and did not come since.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.told.0.saturating_sub(self.received)
    }

    /// Nothing came since the last report: what was lost before it is no news.
    pub(crate) fn rest(&mut self) {
        self.lost = 0.0;
    }

    /// The share that was missing at the last report, 0 to 1.
    #[must_use]
    pub fn lost(&self) -> f32 {
        self.lost
    }

    /// The next report.
    pub fn report(&mut self, ssrc: u32, now: Instant) -> ReportBlockBuilder {
        let expected = self.highest - self.first + 1;
        let (expected_before, received_before) = std::mem::replace(&mut self.told, (expected, self.received));
        let due = expected.saturating_sub(expected_before);
        let lost = due.saturating_sub(self.received - received_before);
        let fraction = (lost * 256).checked_div(due).unwrap_or(0).min(255);
        self.lost = fraction as f32 / 256.0;
        // 24 bits, signed; repeats never make it negative here.
        let cumulative = expected.saturating_sub(self.received).min(0x7f_ffff);
        let (last, delay) = self.heard.map_or((0, 0), |(last, at)| {
            let delay = now.saturating_duration_since(at).min(Duration::from_secs(60));
            (last, (delay.as_secs_f64() * 65_536.0) as u32)
        });
        ReportBlock::builder(ssrc)
            .fraction_lost(fraction as u8)
            .cumulative_lost(cumulative as u32)
            .extended_sequence_number(self.highest as u32)
            .interarrival_jitter(self.jitter as u32)
            .last_sender_report_timestamp(last)
            .delay_since_last_sender_report_timestamp(delay)
    }
}

#[cfg(test)]
mod tests {
    use rtcp_types::prelude::*;

    use super::*;

    fn read(block: ReportBlockBuilder) -> (u8, u32, u32) {
        let written = rtcp_types::ReceiverReport::builder(1).add_report_block(block);
        let mut bytes = [0; 100];
        let size = written.write_into(&mut bytes).unwrap();
        let report = rtcp_types::ReceiverReport::parse(&bytes[..size]).unwrap();
        let block = report.report_blocks().next().unwrap();
        (block.fraction_lost(), block.cumulative_lost(), block.extended_sequence_number())
    }

    #[test]
    fn losses_are_told_once_as_a_share_and_for_ever_as_a_sum() {
        let now = Instant::now();
        let mut stream = Reception::new(90_000, 65_530, now);
        for n in (0..100u64).filter(|n| n % 4 != 3) {
            stream.see(65_530 + n, n as u32 * 3_000, now);
        }
        // The hundredth itself is one of the missing: 99 were due, 24 of them did not come.
        assert!(stream.is_untold());
        assert_eq!(read(stream.report(2, now)), (62, 24, 65_530 + 98));
        assert!(!stream.is_untold());
        assert_eq!(read(stream.report(2, now)), (0, 24, 65_530 + 98));
    }

    #[test]
    fn what_was_repaired_is_not_lost() {
        let now = Instant::now();
        let mut stream = Reception::new(90_000, 1, now);
        stream.see(1, 0, now);
        stream.see(3, 0, now);
        stream.see_repaired(2);
        assert_eq!(read(stream.report(2, now)), (0, 0, 3));
    }
}
