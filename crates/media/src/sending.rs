//! What a sender reports of a stream (RFC 3550 section 6.4.1).

use std::time::Instant;

use rtcp_types::{SenderReport, SenderReportBuilder};

use crate::clock::Clock;

/// How far a timestamp may be behind that of a packet before: 93 s of video. What is further behind is another source.
const MOST_LATE: i32 = 1 << 23;

/// Counts what was sent of a stream.
#[derive(Debug, Clone, Default)]
pub struct Sending {
    packets: u32,
    octets: u32,
    told: u32,
    /// The newest timestamp, and when its packet was there.
    last: Option<(u32, Instant)>,
}

impl Sending {
    /// A packet left whose media was there `at`.
    pub fn sent(&mut self, timestamp: u32, payload: usize, at: Instant) {
        // Both wrap, as the report's fields do.
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload as u32);
        // A repaired packet is late: the report must not take its timestamp for the present.
        let ahead = self.last.map_or(0, |(last, _)| timestamp.wrapping_sub(last).cast_signed());
        if !(-MOST_LATE..0).contains(&ahead) {
            self.last = Some((timestamp, at));
        }
    }

    /// Whether something was sent since the last report.
    #[must_use]
    pub fn is_untold(&self) -> bool {
        self.packets != self.told
    }

    /// The next report of a stream whose timestamps count `rate` a second; `None` if nothing was sent yet.
    pub fn report(
        &mut self,
        ssrc: u32,
        rate: u32,
        clock: &Clock,
        now: Instant,
    ) -> Option<SenderReportBuilder> {
        let (timestamp, at) = self.last?;
        self.told = self.packets;
        let since = now.saturating_duration_since(at).as_secs_f64() * f64::from(rate);
        Some(
            SenderReport::builder(ssrc)
                .ntp_timestamp(clock.ntp(now))
                .rtp_timestamp(timestamp.wrapping_add(since as u32))
                .packet_count(self.packets)
                .octet_count(self.octets),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use rtcp_types::prelude::*;

    use super::*;

    #[test]
    fn a_report_carries_the_timestamp_on_to_its_own_time() {
        let now = Instant::now();
        let clock = Clock::new(now, SystemTime::now());
        let mut stream = Sending::default();
        assert!(stream.report(7, 90_000, &clock, now).is_none());
        stream.sent(u32::MAX, 100, now);
        assert!(stream.is_untold());
        let report = stream.report(7, 90_000, &clock, now + Duration::from_secs(1)).unwrap();
        assert!(!stream.is_untold());
        let mut bytes = [0; 100];
        let size = report.write_into(&mut bytes).unwrap();
        let report = SenderReport::parse(&bytes[..size]).unwrap();
        assert_eq!((report.rtp_timestamp(), report.packet_count(), report.octet_count()), (89_999, 1, 100));
    }
}
