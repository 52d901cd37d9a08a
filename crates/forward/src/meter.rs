//! How much flows: bits, packets and frames per second of one stream.

use std::time::{Duration, Instant};

use sluice_rtp::{Bitrate, Timestamp};

/// Slots of the window. More would be smoother to no use; fewer would make the rate jump as a slot falls out.
const SLOTS: usize = 10;
/// Length of a slot: the window is one second, which holds even the frames of a slow screen share.
const SLOT: Duration = Duration::from_millis(100);
/// The slow cost loses this share (in percent) of its distance to the present rate with each slot: half of it in 1.4 s. Faster,
/// and each pause of a speaker or a still picture would make layers climb that do not fit a moment later.
const DECAY: u32 = 5;

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    bytes: u64,
    packets: u32,
    frames: u32,
}

/// Measures one stream over the last second, and keeps a cautious cost of it for allocation.
#[derive(Clone, Debug)]
pub struct Meter {
    slots: [Slot; SLOTS],
    /// Beginning of the newest slot.
    newest: Instant,
    at: usize,
    /// Slots since the beginning, up to `SLOTS`: a young stream is measured over its own age.
    age: u32,
    last_frame: Option<Timestamp>,
    cost: Bitrate,
}

impl Meter {
    /// A meter of a stream that begins at `now`.
    pub fn new(now: Instant) -> Self {
        Meter {
            slots: [Slot::default(); SLOTS],
            newest: now,
            at: 0,
            age: 1,
            last_frame: None,
            cost: Bitrate::ZERO,
        }
    }

    /// Counts one packet of `bytes` bytes; packets of one frame share their `timestamp`.
    pub fn on_packet(&mut self, now: Instant, bytes: usize, timestamp: Timestamp) {
        self.advance(now);
        if self.slots.iter().all(|slot| slot.packets == 0) {
            // After a second of nothing it is a new stream: what it took before tells nothing.
            self.age = 1;
            self.cost = Bitrate::ZERO;
        }
        let frame = self.last_frame.is_none_or(|last| timestamp.is_after(last));
        if frame {
            self.last_frame = Some(timestamp);
        }
        if let Some(slot) = self.slots.get_mut(self.at) {
            slot.bytes = slot.bytes.saturating_add(bytes as u64);
            slot.packets = slot.packets.saturating_add(1);
            slot.frames = slot.frames.saturating_add(u32::from(frame));
        }
    }

    /// Bits per second over the last second.
    pub fn bitrate(&mut self, now: Instant) -> Bitrate {
        self.advance(now);
        self.rate()
    }

    /// What to reckon with when layers are chosen: rises at once with the rate, falls slowly.
    ///
    /// Zero (unknown) until the stream has been measured for a second: it begins with a key frame, and the rate of the first
    /// tenths would be many times too high.
    pub fn cost(&mut self, now: Instant) -> Bitrate {
        self.advance(now);
        if self.is_young() { Bitrate::ZERO } else { self.cost.max(self.rate()) }
    }

    fn is_young(&self) -> bool {
        self.age < SLOTS as u32
    }

    /// Packets per second over the last second.
    pub fn packet_rate(&mut self, now: Instant) -> u32 {
        self.advance(now);
        self.per_second(|slot| slot.packets)
    }

    /// Frames per second over the last second.
    pub fn frame_rate(&mut self, now: Instant) -> u32 {
        self.advance(now);
        self.per_second(|slot| slot.frames)
    }

    /// Whether anything came within the last second.
    pub fn is_flowing(&mut self, now: Instant) -> bool {
        self.packet_rate(now) > 0
    }

    fn per_second(&self, count: impl Fn(&Slot) -> u32) -> u32 {
        let sum: u64 = self.slots.iter().map(|slot| u64::from(count(slot))).sum();
        let rate = (sum * SLOTS as u64).div_ceil(u64::from(self.age));
        u32::try_from(rate).unwrap_or(u32::MAX)
    }

    fn rate(&self) -> Bitrate {
        let bytes = self.slots.iter().fold(0u64, |sum, slot| sum.saturating_add(slot.bytes));
        Bitrate::of_bytes(bytes, SLOT * self.age)
    }

    /// Opens the slot of `now`, emptying those in between.
    fn advance(&mut self, now: Instant) {
        let mut steps = 0;
        while now.saturating_duration_since(self.newest) >= SLOT {
            if !self.is_young() {
                let rate = self.rate();
                let fall = self.cost - rate;
                self.cost = (self.cost - fall.percent(DECAY)).max(rate);
            }
            self.newest += SLOT;
            self.at = (self.at + 1) % SLOTS;
            self.age = (self.age + 1).min(SLOTS as u32);
            if let Some(slot) = self.slots.get_mut(self.at) {
                *slot = Slot::default();
            }
            steps += 1;
            if steps == 200 {
                // 20 s of silence: nothing of before is worth remembering, and this loop must stay short.
                *self = Meter { age: SLOTS as u32, last_frame: self.last_frame, ..Meter::new(now) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends `bytes` every 20 ms for `time`, two packets a frame, and returns the end.
    fn send(meter: &mut Meter, from: Instant, time: Duration, bytes: usize) -> Instant {
        let mut now = from;
        while now < from + time {
            let ticks = (now.duration_since(from).as_millis() / 40 * 3_600) as u32;
            meter.on_packet(now, bytes, Timestamp(1 + ticks));
            now += Duration::from_millis(20);
        }
        now
    }

    #[test]
    fn a_steady_stream_is_measured_as_it_is() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        let now = send(&mut meter, start, Duration::from_secs(3), 1_000) - Duration::from_millis(20);
        assert_eq!(meter.bitrate(now), Bitrate::kbps(400));
        assert_eq!(meter.packet_rate(now), 50);
        assert!((24..=26).contains(&meter.frame_rate(now)), "{}", meter.frame_rate(now));
        assert!(meter.is_flowing(now));
    }

    #[test]
    fn a_young_stream_is_not_taken_for_a_slow_one() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        let now = send(&mut meter, start, Duration::from_millis(200), 1_000) - Duration::from_millis(20);
        let rate = meter.bitrate(now).as_kbps();
        assert!((350..=450).contains(&rate), "{rate} kbit/s");
    }

    #[test]
    fn cost_rises_at_once_and_falls_slowly() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        let mut now = send(&mut meter, start, Duration::from_secs(2), 1_000);
        now = send(&mut meter, now, Duration::from_secs(2), 100);
        let (rate, cost) = (meter.bitrate(now).as_kbps(), meter.cost(now).as_kbps());
        assert!(rate < 60, "{rate}");
        assert!((100..390).contains(&cost), "{cost}");
        now = send(&mut meter, now, Duration::from_secs(1), 2_000);
        assert!(meter.cost(now) >= meter.bitrate(now));
        assert!(meter.cost(now).as_kbps() > 700);
    }

    #[test]
    fn the_key_frame_at_the_beginning_is_not_taken_for_the_rate() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        (0..30).for_each(|_| meter.on_packet(start, 1_000, Timestamp(1)));
        let mut now = start;
        while now < start + Duration::from_millis(2_500) {
            now = send(&mut meter, now, Duration::from_millis(100), 500);
            let cost = meter.cost(now);
            let young = now < start + Duration::from_millis(900);
            assert!(if young { cost == Bitrate::ZERO } else { cost < Bitrate::kbps(450) }, "{cost}");
        }
        assert!(meter.cost(now) >= meter.bitrate(now));
        // Switched off and on again: unknown once more.
        now += Duration::from_secs(3);
        meter.on_packet(now, 1_000, Timestamp(900_000));
        assert_eq!(meter.cost(now), Bitrate::ZERO);
    }

    #[test]
    fn silence_ends_the_flow_however_long_it_lasts() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        let now = send(&mut meter, start, Duration::from_secs(2), 1_000);
        assert!(!meter.is_flowing(now + Duration::from_millis(1_200)));
        let later = now + Duration::from_secs(86_400 * 365);
        assert_eq!(meter.bitrate(later), Bitrate::ZERO);
        assert_eq!(meter.cost(later), Bitrate::ZERO);
        meter.on_packet(later, 1_000, Timestamp(7));
        assert_eq!(meter.packet_rate(later), 10, "one packet in the first tenth of a new stream");
    }
}
