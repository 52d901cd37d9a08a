//! Who speaks: voice histories from audio levels, the dominant speaker, and the list for indicators.
//!
//! In the manner of Volfin and Cohen's "Dominant speaker identification for multipoint videoconferencing": activity is counted
//! over a short, a middle and a long time, and whoever wants to take over must win all of them. Integers only.

use std::time::{Duration, Instant};

use sluice_rtp::AudioLevel;

/// Length of one entry of a voice's history; 64 entries are 3.2 s.
const SLOT: Duration = Duration::from_millis(50);
/// Below this loudness (50 dB under overload) nobody speaks, however quiet the room is.
const QUIET: u16 = 77;
/// Speech stands out of the noise by so many dB. Less would take fans for voices, more would lose soft ones.
const ABOVE_NOISE: u16 = 9;
/// So much louder it must be where the sender itself hears no voice.
const UNVOICED: u16 = 6;
/// The noise floor never rises above this (45 dB under overload): long speech must not count as noise.
const HIGHEST_NOISE: u16 = 82;
/// Without packets for so long a voice is silent (discontinuous transmission, mute).
const SILENT_AFTER: Duration = Duration::from_millis(400);

/// One publication's voice, fed with the level of each of its audio packets.
#[derive(Clone, Debug)]
pub struct Voice {
    /// One bit per slot, the newest lowest: somebody spoke.
    history: u64,
    /// Beginning of the newest slot.
    slot: Instant,
    heard: Instant,
    /// In 1/256 dB: smoothed loudness, quick to rise and slow to fall.
    level: u16,
    /// In 1/256 dB: what the quiet moments sound like.
    noise: u16,
}

/// How a voice appears beside its picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Indicator {
    /// 0.0 to 1.0 of full amplitude, in steps of an eighth so that it does not change all the time.
    pub level: f32,
    /// Whether it counts as speaking.
    pub active: bool,
}

/// Spoken slots within the last 0.4 s, 1.2 s and 3.2 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Activity {
    short: u32,
    middle: u32,
    long: u32,
}

impl Voice {
    /// A voice not heard yet.
    pub fn new(now: Instant) -> Self {
        Voice { history: 0, slot: now, heard: now, level: 0, noise: 0 }
    }

    /// Takes in the level of one packet.
    pub fn on_level(&mut self, now: Instant, level: AudioLevel) {
        let slots = self.slots_since(now);
        if slots > 0 {
            self.history = shifted(self.history, slots);
            self.slot += SLOT * slots;
        }
        self.heard = now;
        let loudness = u16::from(level.loudness.min(127));
        let fine = loudness * 256;
        self.level = if fine > self.level {
            self.level + (fine - self.level).div_ceil(2)
        } else {
            self.level - (self.level - fine) / 8
        };
        // Down within a few packets, up by about 1 dB a second.
        self.noise = if fine < self.noise {
            self.noise - (self.noise - fine).div_ceil(4)
        } else {
            (self.noise + 5).min(HIGHEST_NOISE * 256).min(fine)
        };
        let unvoiced = if level.voice == Some(false) { UNVOICED } else { 0 };
        if loudness >= QUIET.max(self.noise / 256 + ABOVE_NOISE) + unvoiced {
            self.history |= 1;
        }
    }

    /// Whether it spoke just now (at least 150 ms of the last 600).
    pub fn is_speaking(&self, now: Instant) -> bool {
        (self.history_at(now) & 0xfff).count_ones() >= 3
    }

    /// What to show beside the picture.
    pub fn indicator(&self, now: Instant) -> Indicator {
        let silent = now.saturating_duration_since(self.heard) > SILENT_AFTER;
        let active = self.is_speaking(now);
        if silent || !active {
            return Indicator { level: 0.0, active };
        }
        let loudness = u8::try_from(self.level / 256).unwrap_or(u8::MAX);
        let amplitude = AudioLevel { loudness, voice: None }.amplitude();
        Indicator { level: ((amplitude * 8.0).ceil() / 8.0).clamp(0.125, 1.0), active }
    }

    fn slots_since(&self, now: Instant) -> u32 {
        let slots = now.saturating_duration_since(self.slot).as_millis() / SLOT.as_millis();
        u32::try_from(slots).unwrap_or(u32::MAX)
    }

    fn history_at(&self, now: Instant) -> u64 {
        shifted(self.history, self.slots_since(now))
    }

    fn activity(&self, now: Instant) -> Activity {
        let history = self.history_at(now);
        Activity {
            short: (history & 0xff).count_ones(),
            middle: (history & 0xff_ffff).count_ones(),
            long: history.count_ones(),
        }
    }
}

fn shifted(history: u64, slots: u32) -> u64 {
    history.checked_shl(slots).unwrap_or(0)
}

/// Who has the floor. `K` names a publication or participant.
#[derive(Clone, Debug, Default)]
pub struct DominantSpeaker<K> {
    current: Option<K>,
}

impl<K: Copy + PartialEq> DominantSpeaker<K> {
    /// To take over one must have spoken for most of the last 0.4 s: a cough does not.
    const SHORT: u32 = 5;
    /// And for 0.2 s more of the last 1.2 s than the present speaker: no flapping between two who talk at once.
    const LEAD: u32 = 4;
    /// And for 0.4 s altogether of the last 3.2 s.
    const LONG: u32 = 8;

    /// Nobody yet.
    pub fn new() -> Self {
        DominantSpeaker { current: None }
    }

    /// Who has the floor. It stays with whoever spoke last until another takes it.
    pub fn current(&self) -> Option<K> {
        self.current
    }

    /// Compares all voices of a room, a few times a second. True when the floor changed hands.
    ///
    /// A current speaker who is no longer among `voices` has left.
    pub fn elect<'a>(&mut self, now: Instant, voices: impl IntoIterator<Item = (K, &'a Voice)>) -> bool {
        let before = self.current;
        let mut present = None;
        let mut best: Option<(K, Activity, u16)> = None;
        for (key, voice) in voices {
            let activity = voice.activity(now);
            if before == Some(key) {
                present = Some(activity);
                continue;
            }
            if activity.short < Self::SHORT || activity.long < Self::LONG {
                continue;
            }
            let score = (activity.middle, activity.long, voice.level);
            if best.is_none_or(|(_, other, level)| score > (other.middle, other.long, level)) {
                best = Some((key, activity, voice.level));
            }
        }
        if present.is_none() {
            self.current = None;
        }
        if let Some((key, activity, _)) = best
            && present
                .is_none_or(|now| activity.short > now.short && activity.middle >= now.middle + Self::LEAD)
        {
            self.current = Some(key);
        }
        self.current != before
    }
}

/// The list of those who speak, for indicators.
#[derive(Clone, Debug)]
pub struct ActiveSpeakers<K> {
    list: Vec<(K, Indicator)>,
    next: Vec<(K, Indicator)>,
}

impl<K: Copy + PartialEq> Default for ActiveSpeakers<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Copy + PartialEq> ActiveSpeakers<K> {
    /// Nobody speaks.
    pub fn new() -> Self {
        ActiveSpeakers { list: Vec::new(), next: Vec::new() }
    }

    /// Looks at all voices, about twice a second. The new list, loudest first, when it differs from the last one.
    pub fn poll<'a>(
        &mut self,
        now: Instant,
        voices: impl IntoIterator<Item = (K, &'a Voice)>,
    ) -> Option<&[(K, Indicator)]> {
        self.next.clear();
        let speaking = voices.into_iter().map(|(key, voice)| (key, voice.indicator(now)));
        self.next.extend(speaking.filter(|(_, indicator)| indicator.active));
        self.next.sort_by(|(_, a), (_, b)| b.level.total_cmp(&a.level));
        if self.next == self.list {
            return None;
        }
        std::mem::swap(&mut self.next, &mut self.list);
        Some(&self.list)
    }

    /// The list as it was last polled.
    pub fn current(&self) -> &[(K, Indicator)] {
        &self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: Duration = Duration::from_millis(20);

    /// A room whose people say what a script tells: each sends a packet every 20 ms.
    struct Room {
        now: Instant,
        voices: Vec<(char, Voice)>,
        floor: DominantSpeaker<char>,
        changes: Vec<Option<char>>,
    }

    impl Room {
        fn new(people: &str) -> Self {
            let now = Instant::now();
            let voices = people.chars().map(|name| (name, Voice::new(now))).collect();
            Room { now, voices, floor: DominantSpeaker::new(), changes: Vec::new() }
        }

        /// For `millis`, `speakers` talk at 30 dB below overload and all others hum at `noise` below.
        fn talk(&mut self, millis: u64, speakers: &str, noise: i8) {
            let end = self.now + Duration::from_millis(millis);
            while self.now < end {
                self.now += PACKET;
                for (name, voice) in &mut self.voices {
                    let level = if speakers.contains(*name) { -30 } else { noise };
                    voice.on_level(self.now, AudioLevel::from_dbov(level, None));
                }
                let voices = self.voices.iter().map(|(name, voice)| (*name, voice));
                if self.floor.elect(self.now, voices) {
                    self.changes.push(self.floor.current());
                }
            }
        }
    }

    #[test]
    fn the_floor_passes_from_one_speaker_to_the_next() {
        let mut room = Room::new("abc");
        room.talk(1_000, "", -80);
        assert_eq!(room.floor.current(), None);
        room.talk(2_000, "a", -80);
        room.talk(1_000, "", -80);
        assert_eq!(room.floor.current(), Some('a'), "silence takes the floor from nobody");
        room.talk(2_000, "b", -80);
        assert_eq!(room.changes, [Some('a'), Some('b')]);
    }

    #[test]
    fn a_cough_does_not_take_the_floor() {
        let mut room = Room::new("ab");
        room.talk(2_000, "a", -80);
        room.talk(200, "b", -80);
        room.talk(2_000, "a", -80);
        room.talk(200, "ab", -80);
        room.talk(1_000, "a", -80);
        assert_eq!(room.changes, [Some('a')]);
    }

    #[test]
    fn two_who_talk_at_once_do_not_make_it_flap() {
        let mut room = Room::new("ab");
        room.talk(1_000, "a", -80);
        room.talk(20_000, "ab", -80);
        assert_eq!(room.changes, [Some('a')]);
    }

    #[test]
    fn a_loud_fan_is_not_a_speaker() {
        let mut room = Room::new("ab");
        // 40 dB below overload is loud enough for a voice, but it never stops.
        room.talk(60_000, "", -40);
        let before = room.changes.len();
        room.talk(5_000, "", -40);
        assert_eq!(room.changes.len(), before);
        room.talk(2_000, "b", -40);
        assert!(room.voices[1].1.is_speaking(room.now));
    }

    #[test]
    fn who_leaves_loses_the_floor() {
        let mut room = Room::new("ab");
        room.talk(1_000, "a", -80);
        room.voices.remove(0);
        room.talk(100, "", -80);
        assert_eq!(room.changes, [Some('a'), None]);
    }

    #[test]
    fn indicators_come_once_per_change_and_end_with_the_packets() {
        let mut room = Room::new("ab");
        let mut list = ActiveSpeakers::new();
        room.talk(1_000, "b", -80);
        let voices = || room.voices.iter().map(|(name, voice)| (*name, voice));
        let shown = list.poll(room.now, voices()).unwrap();
        assert_eq!(shown, [('b', Indicator { level: 0.125, active: true })]);
        assert_eq!(list.poll(room.now, voices()), None, "nothing new");
        let later = room.now + Duration::from_secs(1);
        assert_eq!(list.poll(later, voices()), Some(&[][..]), "no packets, no voice");
    }

    #[test]
    fn a_sender_that_hears_no_voice_must_be_louder() {
        let start = Instant::now();
        let spoke = |level: i8, voice: Option<bool>| {
            let mut who = Voice::new(start);
            (1..30).for_each(|tick| who.on_level(start + PACKET * tick, AudioLevel::from_dbov(level, voice)));
            who.is_speaking(start + PACKET * 30)
        };
        assert!(spoke(-48, Some(true)) && spoke(-48, None));
        assert!(!spoke(-48, Some(false)) && spoke(-40, Some(false)));
        assert!(!spoke(-60, Some(true)));
    }
}
