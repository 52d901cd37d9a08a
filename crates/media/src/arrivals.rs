//! What the sender's estimator is told: when each packet came
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1).
use std::time::{Duration, Instant};

use rtcp_types::{Twcc, TwccBuilder, TwccPacketStatus};

/// Unit of the reference time.
const REFERENCE: Duration = Duration::from_millis(64);
/// Unit of the deltas.
const TICK: Duration = Duration::from_micros(250);
/// Packets of one feedback at most, those that did not come included: what came later goes into the next.
const MOST: u64 = 1_000;
/// Bytes of a feedback at most, so that it is one datagram.
const LARGEST: usize = 1_000;

/// Collects arrivals until they are told.
#[derive(Debug)]
pub struct Arrivals {
    epoch: Instant,
    /// Extended numbers and times, in the order of arrival.
    came: Vec<(u64, Instant)>,
    highest: Option<u64>,
    /// The first number that no feedback spoke of.
    next: u64,
    count: u8,
}

impl Arrivals {
    /// Nothing came yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { epoch: now, came: Vec::new(), highest: None, next: 0, count: 0 }
    }

    /// A packet with this transport-wide number came.
    pub fn see(&mut self, sequence: u16, at: Instant) {
        let sequence = match self.highest {
            Some(highest) => extend(sequence, highest),
            None => {
                self.next = u64::from(sequence);
                u64::from(sequence)
            }
        };
        self.highest = self.highest.max(Some(sequence));
        self.came.push((sequence, at));
    }

    /// The next feedback of what came since the last. Call until there is none.
    pub fn take(&mut self) -> Option<TwccBuilder> {
        self.came.sort_unstable_by_key(|(sequence, _)| *sequence);
        // Told already as not come; a second telling would confuse more than it helps.
        let late = self.came.partition_point(|(sequence, _)| *sequence < self.next);
        self.came.drain(..late);
        let (first, at) = *self.came.first()?;
        let reference = at.saturating_duration_since(self.epoch).as_millis() / REFERENCE.as_millis();
        let mut ticks = reference as i64 * (REFERENCE.as_micros() / TICK.as_micros()) as i64;
        let base = if first - self.next < MOST { self.next } else { first };
        let mut statuses = Vec::with_capacity(self.came.len());
        for (sequence, at) in &self.came {
            if *sequence >= base + MOST {
                break;
            }
            // Twice the same number: the first counts.
            if *sequence < base + statuses.len() as u64 {
                continue;
            }
            statuses.resize((*sequence - base) as usize, TwccPacketStatus::NotReceived);
            let now = (at.saturating_duration_since(self.epoch).as_micros() / TICK.as_micros()) as i64;
            let delta = (now - ticks).clamp(i16::MIN.into(), i16::MAX.into());
            ticks += delta;
            statuses.push(TwccPacketStatus::Received { delta: delta as i16 });
        }
        // Wraps as their fields do: 16 and 24 bits.
        let reference = (reference & 0x00ff_ffff) as u32;
        let feedback = Twcc::builder(base as u16, reference, self.count, &statuses, Some(LARGEST));
        let told = base + feedback.packet_status_count() as u64;
        if told == base {
            self.came.clear();
            return None;
        }
        self.count = self.count.wrapping_add(1);
        self.next = told;
        let told = self.came.partition_point(|(sequence, _)| *sequence < told);
        self.came.drain(..told);
        Some(feedback)
    }

    /// The memory that the next arrivals are put into.
    pub fn room(&mut self) -> &[impl Sized + use<>] {
        self.came.spare_capacity_mut()
    }

    /// Whether everything that came was told.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.came.is_empty()
    }
}

/// The number nearest to `near` whose last 16 bits are `short`.
#[must_use]
pub fn extend(short: u16, near: u64) -> u64 {
    let ahead = short.wrapping_sub(near as u16) as i16;
    near.saturating_add_signed(i64::from(ahead))
}

#[cfg(test)]
mod tests {
    use rtcp_types::prelude::*;
    use rtcp_types::{Packet, TransportFeedback};

    use super::*;

    fn read(feedback: TwccBuilder, epoch: Instant) -> Vec<(u16, Option<Instant>)> {
        let written = TransportFeedback::builder_owned(feedback).sender_ssrc(1).media_ssrc(2);
        let mut bytes = [0; 1_500];
        let size = written.write_into(&mut bytes).unwrap();
        let Packet::TransportFeedback(parsed) = Packet::parse(&bytes[..size]).unwrap() else { panic!() };
        let twcc = parsed.parse_fci::<Twcc<'_>>().unwrap();
        let mut at = epoch + REFERENCE * twcc.reference_time();
        let time = |status| match status {
            TwccPacketStatus::NotReceived => None,
            TwccPacketStatus::Received { delta } if delta >= 0 => {
                at += TICK * delta as u32;
                Some(at)
            }
            TwccPacketStatus::Received { delta } => {
                at -= TICK * delta.unsigned_abs().into();
                Some(at)
            }
        };
        let mut time = time;
        twcc.packets()
            .map(|packet| packet.unwrap())
            .map(|(sequence, status)| (sequence, time(status)))
            .collect()
    }

    #[test]
    fn times_holes_and_roll_overs_come_through() {
        let epoch = Instant::now();
        let mut arrivals = Arrivals::new(epoch);
        let at = |ms: u64| epoch + Duration::from_millis(ms);
        for (sequence, ms) in [(65_534, 1_000), (65_535, 1_001), (1, 1_060), (0, 1_070)] {
            arrivals.see(sequence, at(ms));
        }
        arrivals.see(4, at(1_100));
        let told = read(arrivals.take().unwrap(), epoch);
        let came = |sequence, ms| (sequence, Some(at(ms)));
        assert_eq!(
            told,
            [
                came(65_534, 1_000),
                came(65_535, 1_001),
                came(0, 1_070),
                came(1, 1_060),
                (2, None),
                (3, None),
                came(4, 1_100)
            ]
        );
        assert!(arrivals.is_empty() && arrivals.take().is_none());
        // One that comes after it was told to be missing is left out; what follows begins where the last ended.
        arrivals.see(3, at(1_110));
        arrivals.see(6, at(1_120));
        assert_eq!(read(arrivals.take().unwrap(), epoch), [(5, None), came(6, 1_120)]);
    }

    #[test]
    fn a_long_pause_and_many_packets_are_told_in_pieces() {
        let epoch = Instant::now();
        let mut arrivals = Arrivals::new(epoch);
        for n in 0..2_500u16 {
            arrivals.see(n, epoch + Duration::from_micros(300) * n.into());
        }
        let mut told = Vec::new();
        while let Some(feedback) = arrivals.take() {
            told.extend(read(feedback, epoch));
        }
        assert_eq!(told.len(), 2_500);
        assert!(
            told.iter().enumerate().all(|(n, (sequence, at))| n == usize::from(*sequence) && at.is_some())
        );
    }
}
