//! Chooses the few loudest audio streams of a room before they are multiplied by the number of listeners.

use std::time::{Duration, Instant};

use sluice_rtp::AudioLevel;

/// A chosen stream that spoke within this time is only displaced by one that is clearly louder.
const HOLD: Duration = Duration::from_millis(600);
/// So many dB louder one must be to displace a stream that still speaks. Less chops sentences; more lets nobody cut in.
const MARGIN_SPEAKING: u8 = 10;
/// So many dB louder than a stream that has stopped.
const MARGIN_SILENT: u8 = 3;
/// A packet louder than this (60 dB under overload) counts as sound.
const SOUND: u8 = 67;
/// Without packets for so long a stream gives up its place.
const GONE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
struct Place<K> {
    key: K,
    /// In 1/16 dB, falling slowly: a pause between two words does not cost the place.
    level: u16,
    sounded: Instant,
    heard: Instant,
}

impl<K> Place<K> {
    fn loudness(&self) -> u8 {
        u8::try_from(self.level / 16).unwrap_or(u8::MAX)
    }
}

/// The `N` loudest streams of a room. Decides packet by packet, in time that does not grow with the room.
#[derive(Clone, Debug)]
pub struct Loudest<K> {
    places: Vec<Place<K>>,
    limit: usize,
}

impl<K: Copy + PartialEq> Loudest<K> {
    /// Room for `limit` streams.
    pub fn new(limit: usize) -> Self {
        Loudest { places: Vec::with_capacity(limit), limit }
    }

    /// Whether the packet of stream `key` is among the loudest and shall go on. The first loud packet of a new voice already
    /// does: no syllable is lost while others are silent.
    pub fn admit(&mut self, now: Instant, key: K, level: AudioLevel) -> bool {
        let loudness = level.loudness.min(127);
        if let Some(place) = self.places.iter_mut().find(|place| place.key == key) {
            let fine = u16::from(loudness) * 16;
            place.level =
                if fine > place.level { fine } else { place.level - (place.level - fine).div_ceil(64) };
            place.heard = now;
            if loudness >= SOUND {
                place.sounded = now;
            }
            return true;
        }
        let fresh = Place { key, level: u16::from(loudness) * 16, sounded: now, heard: now };
        if self.places.len() < self.limit {
            self.places.push(fresh);
            return true;
        }
        let weakest = self.places.iter_mut().min_by_key(|place| {
            let here = now.saturating_duration_since(place.heard) < GONE;
            let speaks = now.saturating_duration_since(place.sounded) < HOLD;
            (here, speaks, place.level)
        });
        let Some(weakest) = weakest else {
            return false;
        };
        let gone = now.saturating_duration_since(weakest.heard) >= GONE;
        let speaks = now.saturating_duration_since(weakest.sounded) < HOLD;
        let margin = if speaks { MARGIN_SPEAKING } else { MARGIN_SILENT };
        let louder = loudness >= SOUND && loudness >= weakest.loudness().saturating_add(margin);
        if gone || louder {
            *weakest = fresh;
        }
        gone || louder
    }

    /// The stream ended: its place is free.
    pub fn remove(&mut self, key: K) {
        self.places.retain(|place| place.key != key);
    }

    /// Whether `key` is chosen at present.
    pub fn is_chosen(&self, key: K) -> bool {
        self.places.iter().any(|place| place.key == key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: Duration = Duration::from_millis(20);

    /// For `packets` packets, each of `levels` (dB below overload) sends; returns who got through at the end.
    fn talk(loudest: &mut Loudest<usize>, now: &mut Instant, packets: u32, levels: &[i8]) -> Vec<usize> {
        let mut through = Vec::new();
        for _ in 0..packets {
            *now += PACKET;
            through.clear();
            for (who, level) in levels.iter().enumerate() {
                if loudest.admit(*now, who, AudioLevel::from_dbov(*level, None)) {
                    through.push(who);
                }
            }
        }
        through
    }

    #[test]
    fn everybody_is_heard_in_a_small_room() {
        let mut now = Instant::now();
        assert_eq!(talk(&mut Loudest::new(3), &mut now, 1, &[-90, -90, -20]), [0, 1, 2]);
    }

    #[test]
    fn a_new_voice_is_heard_from_its_first_packet_when_others_are_silent() {
        let mut now = Instant::now();
        let mut loudest = Loudest::new(2);
        talk(&mut loudest, &mut now, 100, &[-90, -90, -90, -90]);
        assert_eq!(talk(&mut loudest, &mut now, 1, &[-90, -90, -90, -30]), [0, 1, 3]);
        assert_eq!(talk(&mut loudest, &mut now, 1, &[-90, -90, -90, -30]), [1, 3]);
    }

    #[test]
    fn voices_that_are_nearly_alike_do_not_displace_each_other() {
        let mut now = Instant::now();
        let mut loudest = Loudest::new(2);
        talk(&mut loudest, &mut now, 100, &[-30, -30, -90]);
        assert_eq!(talk(&mut loudest, &mut now, 200, &[-30, -30, -25]), [0, 1]);
        assert_eq!(talk(&mut loudest, &mut now, 200, &[-30, -35, -15]), [0, 2], "but a much louder one does");
    }

    #[test]
    fn a_pause_between_words_does_not_cost_the_place() {
        let mut now = Instant::now();
        let mut loudest = Loudest::new(1);
        talk(&mut loudest, &mut now, 50, &[-30, -90]);
        assert_eq!(talk(&mut loudest, &mut now, 15, &[-90, -38]), [0]);
        assert_eq!(talk(&mut loudest, &mut now, 60, &[-90, -38]), [1]);
    }

    #[test]
    fn a_stream_that_ends_frees_its_place() {
        let mut now = Instant::now();
        let mut loudest = Loudest::new(1);
        talk(&mut loudest, &mut now, 5, &[-10]);
        now += Duration::from_secs(2);
        assert!(loudest.admit(now, 7, AudioLevel::from_dbov(-90, None)));
        loudest.remove(7);
        assert!(!loudest.is_chosen(7));
    }
}
