//! When somebody talks, and what Opus sends of it: fifty packets a second of speech, and of silence only a sign of life
//! now and then (discontinuous transmission, RFC 7587 section 3.1.3).
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::media::AudioShape;

/// How often silence is described anew.
const COMFORT: Duration = Duration::from_millis(400);

/// Talk in spurts: speech and silence take turns, each of an exponentially distributed length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dtx {
    /// Of a talk spurt, on average.
    pub spurt: Duration,
    /// Between two, on average.
    pub silence: Duration,
    /// Lengths are drawn from it. Speakers with the same seed talk in step.
    pub seed: u64,
}

impl Default for Dtx {
    fn default() -> Self {
        Self { spurt: Duration::from_millis(1_500), silence: Duration::from_millis(2_500), seed: 0 }
    }
}

/// What a packet is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame {
    /// `first`: of its spurt; its packet has the marker (RFC 3551 section 4.1).
    Speech {
        first: bool,
    },
    Comfort,
}

/// The course of one speaker's talk.
#[derive(Debug)]
pub(crate) struct Spurts {
    dtx: Dtx,
    rng: StdRng,
    talking: bool,
    /// When this spurt or silence ends, since the start.
    ends: Duration,
    spoke: bool,
}

impl Spurts {
    pub(crate) fn new(dtx: Dtx) -> Self {
        let mut rng = StdRng::seed_from_u64(dtx.seed);
        // As somebody is met at any time: talking as often as over a long time.
        let both = (dtx.spurt + dtx.silence).as_secs_f64();
        let talking = rng.random_range(0.0..1.0) * both < dtx.spurt.as_secs_f64();
        let mut spurts = Self { dtx, rng, talking, ends: Duration::ZERO, spoke: false };
        spurts.ends = spurts.length();
        spurts
    }

    /// What is sent at this time since the start, and how long nothing is sent after it. Times must not fall.
    pub(crate) fn next(&mut self, at: Duration) -> (Frame, Duration) {
        while self.ends <= at {
            self.talking = !self.talking;
            let length = self.length();
            self.ends += length;
        }
        let spoke = std::mem::replace(&mut self.spoke, self.talking);
        if self.talking {
            return (Frame::Speech { first: !spoke }, AudioShape::INTERVAL);
        }
        // The encoder looks at whole frames, so speech begins with one.
        let frames = (self.ends - at).as_nanos().div_ceil(AudioShape::INTERVAL.as_nanos());
        let until_speech = AudioShape::INTERVAL.saturating_mul(u32::try_from(frames).unwrap_or(u32::MAX));
        (Frame::Comfort, until_speech.min(COMFORT))
    }

    fn length(&mut self) -> Duration {
        let mean = if self.talking { self.dtx.spurt } else { self.dtx.silence };
        // Of (0, 1], so that there is a logarithm.
        let drawn = -(1.0 - self.rng.random_range(0.0_f64..1.0)).ln();
        mean.mul_f64(drawn).max(AudioShape::INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of an hour, with their times.
    fn an_hour(dtx: Dtx) -> Vec<(Duration, Frame)> {
        let mut spurts = Spurts::new(dtx);
        let mut at = Duration::ZERO;
        let mut frames = Vec::new();
        while at < Duration::from_secs(3_600) {
            let (frame, wait) = spurts.next(at);
            frames.push((at, frame));
            at += wait;
        }
        frames
    }

    #[test]
    fn over_a_long_time_spurts_and_silences_have_their_means() {
        let frames = an_hour(Dtx::default());
        let speech = frames.iter().filter(|(_, frame)| *frame != Frame::Comfort).count();
        let spurts = frames.iter().filter(|(_, frame)| *frame == Frame::Speech { first: true }).count();
        // 1.5 of 4 seconds are speech; a spurt begins every 4 seconds.
        let share = speech as f64 * 0.02 / 3_600.0;
        assert!((0.34..0.41).contains(&share), "{share}");
        assert!((810..990).contains(&spurts), "{spurts}");
    }

    #[test]
    fn speech_is_a_packet_each_20_ms_and_silence_one_each_400_ms() {
        let frames = an_hour(Dtx { seed: 9, ..Dtx::default() });
        let (speech, comfort) = (AudioShape::INTERVAL, COMFORT);
        for pair in frames.windows(2) {
            let (gap, frame, next) = (pair[1].0 - pair[0].0, pair[0].1, pair[1].1);
            match (frame, next) {
                (Frame::Speech { .. }, _) => assert_eq!(gap, speech),
                (Frame::Comfort, Frame::Comfort) => assert_eq!(gap, comfort),
                (Frame::Comfort, Frame::Speech { first }) => assert!(first && gap <= comfort),
            }
            assert!(pair[0].0.as_millis().is_multiple_of(20), "frames lie on one grid");
        }
        // Not all of one silence and one spurt.
        assert!(frames.len() > 30_000 && frames.iter().any(|(_, frame)| *frame == Frame::Comfort));
    }

    #[test]
    fn the_same_seed_talks_the_same_and_another_does_not() {
        let with = |seed| an_hour(Dtx { seed, ..Dtx::default() });
        assert_eq!(with(4), with(4));
        assert_ne!(with(4), with(5));
    }

    #[test]
    fn a_speaker_who_was_held_up_goes_on_where_the_talk_is_by_then() {
        let mut spurts = Spurts::new(Dtx::default());
        spurts.next(Duration::ZERO);
        let (_, wait) = spurts.next(Duration::from_secs(600));
        assert!((AudioShape::INTERVAL..=COMFORT).contains(&wait));
        assert!(spurts.ends > Duration::from_secs(600));
    }
}
