//! The streams of a connection: whose they are, and what was counted of them.
use std::time::Instant;

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use sluice_media::{Reception, Sending, extend};
use str0m::media::{Mid, Rid};

use crate::receive::Track;

/// Of video frames, one in this many is looked into in a sample.
const FRAME_SAMPLE: u64 = 8;

/// The clock rate of all video (RFC 7741 section 6.1, for VP8).
pub(crate) const VIDEO: u32 = 90_000;

/// The streams that come in, by SSRC. None is ever taken out.
#[derive(Default)]
pub(crate) struct Streams {
    all: IndexMap<u32, Incoming, FxBuildHasher>,
    /// Whose the packet before was: most come in trains of one stream, and need no lookup.
    last: usize,
}

impl Streams {
    /// Whose the packet before was.
    pub(crate) fn last(&self) -> Option<&Incoming> {
        Some(self.all.get_index(self.last)?.1)
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// The number of a stream.
    pub(crate) fn find(&mut self, ssrc: u32) -> Option<usize> {
        if self.all.get_index(self.last).is_none_or(|(last, _)| *last != ssrc) {
            self.last = self.all.get_index_of(&ssrc)?;
        }
        Some(self.last)
    }

    /// Adds a stream that is not there; its number.
    pub(crate) fn add(&mut self, ssrc: u32, stream: Incoming) -> usize {
        self.all.insert_full(ssrc, stream).0
    }

    pub(crate) fn get_mut(&mut self, number: usize) -> Option<&mut Incoming> {
        Some(self.all.get_index_mut(number)?.1)
    }

    /// The SSRC of one of them, if there are any.
    pub(crate) fn any(&self) -> Option<u32> {
        self.all.keys().next().copied()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut Incoming)> {
        self.all.iter_mut().map(|(ssrc, stream)| (*ssrc, stream))
    }
}

/// A stream that comes in.
pub(crate) struct Incoming {
    pub(crate) mid: Mid,
    /// What the section carries, if that is known.
    pub(crate) track: Option<Track>,
    /// Of the packet before, and its clock rate.
    pub(crate) payload_type: u8,
    pub(crate) clock: u32,
    pub(crate) reception: Reception,
    /// Of the packet before, whose frame had it.
    timestamp: Option<u32>,
    /// Begun so far, from anywhere: receivers of one stream do not all look into the same frames.
    frames: u64,
}

impl Incoming {
    pub(crate) fn new(mid: Mid, (payload_type, clock): (u8, u32), first: u16, now: Instant) -> Self {
        let reception = Reception::new(clock, first.into(), now);
        Self {
            mid,
            track: None,
            payload_type,
            clock,
            reception,
            timestamp: None,
            frames: rand::random_range(0..FRAME_SAMPLE),
        }
    }

    /// Its section carries this track now.
    pub(crate) fn carries(&mut self, sid: Option<&String>) {
        if self.track.as_ref().map(Track::sid) != sid.map(String::as_str) {
            self.track = sid.cloned().map(Track::new);
        }
    }

    /// Counts a packet; gives its extended number, and whether it is of another frame than the one before. A marker would not
    /// tell: where the server switches layers, the frame before may have been cut short.
    pub(crate) fn see(&mut self, sequence: u16, timestamp: u32, now: Instant) -> (u64, bool) {
        let begins_frame = self.timestamp.replace(timestamp) != Some(timestamp);
        self.frames += u64::from(begins_frame);
        let sequence = extend(sequence, self.reception.highest());
        self.reception.see(sequence, timestamp, now);
        (sequence, begins_frame)
    }

    /// Whether pictures come that cannot be shown: the key frame that they began with was missed.
    pub(crate) fn wants_key_frame(&self) -> bool {
        let keyed = self.track.as_ref().is_none_or(|track| track.keyed);
        self.clock == VIDEO && !keyed && self.reception.is_untold()
    }

    /// Whether the frame that has just begun is one to look into.
    pub(crate) fn is_sampled(&self, now: Instant) -> bool {
        self.track.as_ref().is_some_and(|track| track.is_watched(now))
            || self.frames.is_multiple_of(FRAME_SAMPLE)
    }
}

/// A stream that goes out.
#[derive(Debug, Clone)]
pub(crate) struct OutStream {
    pub(crate) mid: Mid,
    pub(crate) rid: Option<Rid>,
    pub(crate) ssrc: u32,
    pub(crate) clock: u32,
    pub(crate) sending: Sending,
}

impl OutStream {
    pub(crate) fn new(mid: Mid, rid: Option<Rid>, ssrc: u32, clock: u32) -> Self {
        Self { mid, rid, ssrc, clock, sending: Sending::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_found_whichever_came_before() {
        let now = Instant::now();
        let mut streams = Streams::default();
        assert_eq!(streams.find(7), None);
        let numbers = [7, 9].map(|ssrc| streams.add(ssrc, Incoming::new("1".into(), (96, 90_000), 10, now)));
        assert_eq!(numbers, [0, 1]);
        let found = [7, 9, 9, 8, 9, 7].map(|ssrc| streams.find(ssrc));
        assert_eq!(found, [Some(0), Some(1), Some(1), None, Some(1), Some(0)]);
    }

    #[test]
    fn a_sample_is_an_eighth_of_the_frames_once_the_picture_is_known() {
        let now = Instant::now();
        let mut stream = Incoming::new("1".into(), (96, 90_000), 10, now);
        stream.carries(Some(&"TR_1".to_owned()));
        let mut frames = 0..;
        let mut sampled = |stream: &mut Incoming| {
            let looked_into = frames.by_ref().take(8).filter(|frame| {
                let (_, begins) = stream.see(10 + *frame, u32::from(*frame) * 3_000, now);
                begins && stream.is_sampled(now)
            });
            looked_into.count()
        };
        assert_eq!(sampled(&mut stream), 8, "its first key frame has not come");
        let track = stream.track.as_mut().unwrap();
        (track.pictured, track.keyed) = (true, true);
        assert_eq!(sampled(&mut stream), 1);
    }

    #[test]
    fn a_frame_begins_with_its_timestamp_though_the_one_before_has_no_end() {
        let now = Instant::now();
        let mut stream = Incoming::new("1".into(), (96, 90_000), 10, now);
        let mut begins = |sequence, timestamp| stream.see(sequence, timestamp, now).1;
        assert_eq!(
            [begins(10, 0), begins(11, 0), begins(13, 3_000), begins(14, 3_000)],
            [true, false, true, false]
        );
    }
}
