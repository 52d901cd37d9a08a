//! What one participant sees: called for each packet that it receives, so it does little.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustc_hash::FxHashMap;
use sluice_client::{Observer, SeenPacket};
use sluice_rtp::Codec;

use super::freeze::FreezeMeter;
use super::tally::Tally;

/// Packets that may overtake each other and still be told from copies.
const WINDOW: u64 = 128;

/// The eye of one participant.
pub(crate) struct Receiver {
    tally: Arc<Tally>,
    /// Which part of the tally it writes to.
    part: usize,
    tracks: Mutex<FxHashMap<String, Track>>,
}

#[derive(Default)]
struct Track {
    recent: Recent,
    video: Option<Video>,
    /// From when on its picture was due; known some milliseconds after the fact.
    due_since: Option<Instant>,
}

#[derive(Default)]
struct Video {
    newest: Option<u32>,
    freezes: FreezeMeter,
    first_key_frame: Option<Instant>,
    wait_told: bool,
    height: u16,
    /// A layer was asked for at this time, which has so many lines.
    asked: Option<(Instant, u16)>,
}

impl Receiver {
    pub(crate) fn new(tally: Arc<Tally>, part: usize) -> Arc<Self> {
        Arc::new(Self { tally, part, tracks: Mutex::default() })
    }

    pub(crate) fn observer(self: &Arc<Self>) -> Observer {
        let receiver = self.clone();
        Arc::new(move |seen: &SeenPacket<'_>| receiver.see(seen))
    }

    /// A track's picture is due from this moment on: it was announced or asked for, and the transport was connected.
    pub(crate) fn due(&self, sid: &str, since: Instant) {
        let mut tracks = self.tracks();
        let track = tracks.entry(sid.to_owned()).or_default();
        track.due_since = Some(since);
        self.tell_wait(track);
    }

    /// A layer of so many lines was asked for.
    pub(crate) fn asked(&self, sid: &str, at: Instant, height: u16) {
        let mut tracks = self.tracks();
        if let Some(video) = tracks.get_mut(sid).and_then(|track| track.video.as_mut()) {
            video.asked = (video.height != height && video.height != 0).then_some((at, height));
        }
    }

    /// A track that is no longer there, or no longer wanted, freezes nobody's picture.
    pub(crate) fn forget(&self, sid: &str) {
        self.tracks().remove(sid);
    }

    /// Counts pictures that stand still at the end and never came back.
    pub(crate) fn finish(&self, now: Instant) {
        for track in self.tracks().values() {
            if let Some(frozen) = track.video.as_ref().and_then(|video| video.freezes.frozen(now)) {
                self.tally.part(self.part).froze(frozen);
            }
        }
    }

    fn see(&self, seen: &SeenPacket<'_>) {
        // A light client does not open every packet, so most have no stamp; and most end no frame.
        if seen.stamp.is_none() && !seen.marker {
            return;
        }
        let mut tracks = self.tracks();
        // No string is made but for the first packet.
        let track = match tracks.get_mut(seen.track_sid) {
            Some(track) => track,
            None => tracks.entry(seen.track_sid.to_owned()).or_default(),
        };
        if !track.recent.is_new(seen.sequence) {
            return;
        }
        if let Some(stamp) = seen.stamp {
            let is_video = stamp.height > 0;
            self.tally.part(self.part).latency(is_video, stamp.age_us());
            if is_video {
                self.see_layer(track.video.get_or_insert_default(), seen, stamp.height);
            }
        }
        let Some(video) = &mut track.video else { return };
        // Each frame counts once, when its last packet comes; older ones come back as retransmissions.
        let newer = video.newest.is_none_or(|newest| (seen.timestamp.wrapping_sub(newest) as i32) > 0);
        if seen.marker && newer {
            video.newest = Some(seen.timestamp);
            if let Some(frozen) = video.freezes.frame(seen.at) {
                self.tally.part(self.part).froze(frozen);
            }
        }
        if !video.wait_told {
            self.tell_wait(track);
        }
    }

    fn see_layer(&self, video: &mut Video, seen: &SeenPacket<'_>, height: u16) {
        if height == video.height || !starts_key_frame(seen.payload) {
            return;
        }
        video.height = height;
        video.first_key_frame.get_or_insert(seen.at);
        if let Some((at, _)) = video.asked.take_if(|(_, wanted)| *wanted == height) {
            self.tally.part(self.part).layer_switch(seen.at.saturating_duration_since(at));
        }
    }

    fn tell_wait(&self, track: &mut Track) {
        let (Some(since), Some(video)) = (track.due_since, track.video.as_mut()) else { return };
        let Some(came) = video.first_key_frame.filter(|_| !video.wait_told) else { return };
        video.wait_told = true;
        self.tally.part(self.part).key_frame_wait(came.saturating_duration_since(since));
    }

    fn tracks(&self) -> MutexGuard<'_, FxHashMap<String, Track>> {
        // Counters stay meaningful wherever a panic left them.
        self.tracks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn starts_key_frame(payload: &[u8]) -> bool {
    sluice_rtp::read(Codec::Vp8, payload, false).is_ok_and(|frame| frame.starts_key_frame())
}

/// Tells packets from their copies.
#[derive(Debug, Default)]
struct Recent {
    highest: Option<u64>,
    /// Bit n: the packet n below the highest came.
    came: u128,
}

impl Recent {
    fn is_new(&mut self, sequence: u64) -> bool {
        let Some(highest) = self.highest else {
            (self.highest, self.came) = (Some(sequence), 1);
            return true;
        };
        if sequence > highest {
            let ahead = sequence - highest;
            self.came = if ahead < WINDOW { self.came << ahead | 1 } else { 1 };
            self.highest = Some(sequence);
            return true;
        }
        let behind = highest - sequence;
        if behind >= WINDOW {
            return false;
        }
        let bit = 1_u128 << behind;
        let new = self.came & bit == 0;
        self.came |= bit;
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_told_from_a_packet_that_was_overtaken() {
        let mut recent = Recent::default();
        let new: Vec<bool> = [10, 12, 11, 11, 12, 200, 12, 199, 72, 73, 73]
            .iter()
            .map(|number| recent.is_new(*number))
            .collect();
        assert_eq!(new, [true, true, true, false, false, true, false, true, false, true, false]);
    }
}
