//! What reports say of each stream (RFC 3550 section 6.4).
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rtcp_types::{ReportBlock, ReportBlockBuilder, SenderReport, SenderReportBuilder};
use str0m::media::{Mid, Rid};

use super::arrivals::extend;

/// Seconds from 1900 to 1970.
const NTP_TO_UNIX: u64 = 2_208_988_800;

/// A stream that comes in.
pub(crate) struct Incoming {
    pub(crate) mid: Mid,
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
    /// Of the packet before, whose frame had it.
    timestamp: Option<u32>,
}

impl Incoming {
    pub(crate) fn new(mid: Mid, clock: u32, first: u16, now: Instant) -> Self {
        let first = u64::from(first);
        Self {
            mid,
            clock,
            first,
            highest: first,
            received: 0,
            told: (0, 0),
            jitter: 0.0,
            transit: None,
            epoch: now,
            heard: None,
            timestamp: None,
        }
    }

    /// Counts a packet; gives its extended number, and whether it is of another frame than the one before. A marker would not
    /// tell: where the server switches layers, the frame before may have been cut short.
    pub(crate) fn see(&mut self, sequence: u16, timestamp: u32, now: Instant) -> (u64, bool) {
        let begins_frame = self.timestamp.replace(timestamp) != Some(timestamp);
        let sequence = extend(sequence, self.highest);
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
        (sequence, begins_frame)
    }

    pub(crate) fn heard(&mut self, report: &SenderReport<'_>, now: Instant) {
        self.heard = Some(((report.ntp_timestamp() >> 16) as u32, now));
    }

    pub(crate) fn report(&mut self, ssrc: u32, now: Instant) -> ReportBlockBuilder {
        let expected = self.highest - self.first + 1;
        let (expected_before, received_before) = std::mem::replace(&mut self.told, (expected, self.received));
        let due = expected - expected_before;
        let lost = due.saturating_sub(self.received - received_before);
        let fraction = (lost * 256).checked_div(due).unwrap_or(0).min(255);
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

/// A stream that goes out.
#[derive(Debug, Clone)]
pub(crate) struct OutStream {
    pub(crate) mid: Mid,
    pub(crate) rid: Option<Rid>,
    pub(crate) ssrc: u32,
    clock: u32,
    packets: u32,
    octets: u32,
    last: Option<(u32, Instant)>,
}

impl OutStream {
    pub(crate) fn new(mid: Mid, rid: Option<Rid>, ssrc: u32, clock: u32) -> Self {
        Self { mid, rid, ssrc, clock, packets: 0, octets: 0, last: None }
    }

    pub(crate) fn sent(&mut self, timestamp: u32, payload: usize, now: Instant) {
        // Both wrap, as the report's fields do.
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload as u32);
        self.last = Some((timestamp, now));
    }

    /// `None` if nothing was sent yet.
    pub(crate) fn report(&self, now: Instant) -> Option<SenderReportBuilder> {
        let (timestamp, at) = self.last?;
        let since = now.saturating_duration_since(at).as_secs_f64() * f64::from(self.clock);
        let report = SenderReport::builder(self.ssrc)
            .ntp_timestamp(ntp_now())
            .rtp_timestamp(timestamp.wrapping_add(since as u32))
            .packet_count(self.packets)
            .octet_count(self.octets);
        Some(report)
    }
}

/// 32 bits of seconds since 1900, 32 of their fraction.
fn ntp_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    (since.as_secs() + NTP_TO_UNIX) << 32 | fraction
}

#[cfg(test)]
mod tests {
    use rtcp_types::prelude::*;

    use super::*;

    #[test]
    fn a_frame_begins_with_its_timestamp_though_the_one_before_has_no_end() {
        let now = Instant::now();
        let mut stream = Incoming::new("1".into(), 90_000, 10, now);
        let mut begins = |sequence, timestamp| stream.see(sequence, timestamp, now).1;
        assert_eq!(
            [begins(10, 0), begins(11, 0), begins(13, 3_000), begins(14, 3_000)],
            [true, false, true, false]
        );
    }

    #[test]
    fn losses_are_told_once_as_a_share_and_for_ever_as_a_sum() {
        let now = Instant::now();
        let mut stream = Incoming::new("1".into(), 90_000, 65_530, now);
        for n in (0..100u16).filter(|n| n % 4 != 3) {
            stream.see(65_530u16.wrapping_add(n), u32::from(n) * 3_000, now);
        }
        let read = |block: ReportBlockBuilder| {
            let written = rtcp_types::ReceiverReport::builder(1).add_report_block(block);
            let mut bytes = [0; 100];
            let size = written.write_into(&mut bytes).unwrap();
            let report = rtcp_types::ReceiverReport::parse(&bytes[..size]).unwrap();
            let block = report.report_blocks().next().unwrap();
            (block.fraction_lost(), block.cumulative_lost(), block.extended_sequence_number())
        };
        // The hundredth itself is one of the missing: 99 were due, 24 of them did not come.
        assert_eq!(read(stream.report(2, now)), (62, 24, 65_530 + 98));
        assert_eq!(read(stream.report(2, now)), (0, 24, 65_530 + 98));
    }
}
