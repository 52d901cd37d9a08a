//! What one participant sees: called for each packet that it receives, so it does little.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustc_hash::FxHashMap;
use sluice_client::{Observer, SeenPacket};
use sluice_rtp::{Codec, Timestamp};

use super::tally::Tally;

/// The eye of one participant.
pub(crate) struct Receiver {
    tally: Arc<Tally>,
    /// Which part of the tally it writes to.
    part: usize,
    /// It sees a sample of the frames.
    sampled: bool,
    tracks: Mutex<Tracks>,
}

#[derive(Default)]
struct Tracks {
    /// By their places in the client's counters, so that nothing is looked up for a packet.
    seen: Vec<Track>,
    places: FxHashMap<String, usize>,
    /// From when on pictures were due of which no packet has come.
    due: FxHashMap<String, Instant>,
}

impl Tracks {
    fn of(&mut self, seen: &SeenPacket<'_>) -> Option<&mut Track> {
        if self.seen.len() <= seen.place {
            self.seen.resize_with(seen.place + 1, Track::default);
        }
        let track = self.seen.get_mut(seen.place)?;
        if !std::mem::replace(&mut track.came, true) {
            self.places.insert(seen.track_sid.to_owned(), seen.place);
            track.due_since = self.due.remove(seen.track_sid);
        }
        Some(track)
    }

    fn named(&mut self, sid: &str) -> Option<&mut Track> {
        self.seen.get_mut(*self.places.get(sid)?)
    }
}

#[derive(Default)]
struct Track {
    /// Its place is known.
    came: bool,
    video: Option<Video>,
    /// From when on its picture was due; known some milliseconds after the fact.
    due_since: Option<Instant>,
}

#[derive(Default)]
struct Video {
    /// Timestamp of the newest frame that was looked into.
    newest: Option<Timestamp>,
    first_key_frame: Option<Instant>,
    wait_told: bool,
    height: u16,
    /// A layer was asked for at this time, which has so many lines.
    asked: Option<(Instant, u16)>,
}

impl Receiver {
    pub(crate) fn new(tally: Arc<Tally>, part: usize, sampled: bool) -> Arc<Self> {
        Arc::new(Self { tally, part, sampled, tracks: Mutex::default() })
    }

    pub(crate) fn observer(self: &Arc<Self>) -> Observer {
        let receiver = self.clone();
        Arc::new(move |seen: &SeenPacket<'_>| receiver.see(seen))
    }

    /// A track's picture is due from this moment on: it was announced or asked for, and the transport was connected.
    pub(crate) fn due(&self, sid: &str, since: Instant) {
        let mut tracks = self.tracks();
        match tracks.named(sid) {
            Some(track) => {
                track.due_since = Some(since);
                self.tell_wait(track);
            }
            None => {
                tracks.due.insert(sid.to_owned(), since);
            }
        }
    }

    /// A layer of so many lines was asked for.
    pub(crate) fn asked(&self, sid: &str, at: Instant, height: u16) {
        let mut tracks = self.tracks();
        if let Some(video) = tracks.named(sid).and_then(|track| track.video.as_mut()) {
            video.asked = (video.height != height && video.height != 0).then_some((at, height));
        }
    }

    /// A track that is no longer there, or no longer wanted.
    pub(crate) fn forget(&self, sid: &str) {
        let mut tracks = self.tracks();
        tracks.due.remove(sid);
        if let Some(place) = tracks.places.remove(sid)
            && let Some(track) = tracks.seen.get_mut(place)
        {
            *track = Track::default();
        }
    }

    fn see(&self, seen: &SeenPacket<'_>) {
        let (true, Some(stamp)) = (seen.new, seen.stamp) else { return };
        let mut tracks = self.tracks();
        let Some(track) = tracks.of(seen) else { return };
        let (is_video, timestamp) = (stamp.height > 0, Timestamp(seen.timestamp));
        self.tally.part(self.part).latency(is_video, seen.age_us);
        if !is_video {
            return;
        }
        let video = track.video.get_or_insert_default();
        self.see_layer(video, seen, stamp.height);
        if video.newest.is_none_or(|newest| timestamp.is_after(newest)) {
            video.newest = Some(timestamp);
        }
        if !video.wait_told {
            self.tell_wait(track);
        }
    }

    fn see_layer(&self, video: &mut Video, seen: &SeenPacket<'_>, height: u16) {
        if height == video.height {
            return;
        }
        if !starts_key_frame(seen.payload) {
            let timestamp = Timestamp(seen.timestamp);
            // The key frame that the layer began with was not seen, and no other will come: better no time than a wrong one.
            let later = video.newest.is_some_and(|newest| timestamp.is_after(newest));
            if self.sampled && video.height != 0 && later {
                video.height = height;
                video.asked.take_if(|(_, wanted)| *wanted == height);
            }
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

    fn tracks(&self) -> MutexGuard<'_, Tracks> {
        // Counters stay meaningful wherever a panic left them.
        self.tracks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn starts_key_frame(payload: &[u8]) -> bool {
    sluice_rtp::read(Codec::Vp8, payload, false).is_ok_and(|frame| frame.starts_key_frame())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sluice_client::Stamp;

    use super::*;

    const WAIT: Duration = Duration::from_millis(120);

    struct Eye {
        tally: Arc<Tally>,
        receiver: Arc<Receiver>,
        began: Instant,
    }

    impl Eye {
        fn new(sampled: bool) -> Self {
            let tally = Arc::new(Tally::new(1));
            Self { receiver: Receiver::new(tally.clone(), 0, sampled), tally, began: Instant::now() }
        }

        /// A frame of one packet, so many milliseconds after the start, looked into.
        fn frame(&self, ms: u64, key: bool, height: u16) {
            let payload = [0x10, u8::from(!key), 0, 0, 0x9d, 0x01, 0x2a, 0, 0, 0, 0];
            let stamp = Stamp { sent_us: 0, counter: 0, width: 16, height };
            self.receiver.see(&SeenPacket {
                track_sid: "TR_1",
                place: 0,
                ssrc: 1,
                sequence: ms,
                timestamp: 90 * ms as u32,
                marker: true,
                payload: &payload,
                stamp: Some(stamp),
                age_us: 1_000,
                new: true,
                at: self.at(ms),
            });
        }

        fn at(&self, ms: u64) -> Instant {
            self.began + Duration::from_millis(ms)
        }
    }

    #[test]
    fn a_picture_that_was_due_before_its_first_packet_is_waited_for() {
        let eye = Eye::new(true);
        eye.receiver.due("TR_1", eye.began);
        eye.frame(100, false, 180);
        assert_eq!(eye.tally.take().key_frame_wait.count(), 0);
        eye.frame(120, true, 180);
        assert_eq!(eye.tally.take().key_frame_wait.summary().max_ms.round(), WAIT.as_millis() as f64);
        eye.frame(140, true, 180);
        assert_eq!(eye.tally.take().key_frame_wait.count(), 0, "once");
    }

    #[test]
    fn a_layer_that_was_asked_for_comes_with_its_key_frame() {
        let eye = Eye::new(false);
        eye.frame(0, true, 180);
        eye.receiver.asked("TR_1", eye.at(10), 360);
        eye.frame(33, false, 180);
        // The rest of the key frame, whose first packet is being repaired.
        eye.frame(66, false, 360);
        assert_eq!(eye.tally.take().layer_switch.count(), 0);
        eye.frame(130, true, 360);
        assert_eq!(eye.tally.take().layer_switch.summary().max_ms.round(), WAIT.as_millis() as f64);
    }

    #[test]
    fn a_sample_that_did_not_see_the_key_frame_of_a_layer_tells_no_time_for_it() {
        let eye = Eye::new(true);
        eye.frame(0, true, 180);
        // Asked for when the server had switched already.
        eye.receiver.asked("TR_1", eye.at(40), 360);
        eye.frame(66, false, 360);
        eye.frame(1_000, true, 360);
        assert_eq!(eye.tally.take().layer_switch.count(), 0);
        eye.receiver.asked("TR_1", eye.at(1_010), 180);
        eye.frame(1_130, true, 180);
        assert_eq!(eye.tally.take().layer_switch.summary().max_ms.round(), WAIT.as_millis() as f64);
    }

    #[test]
    fn a_track_that_is_forgotten_begins_anew() {
        let eye = Eye::new(true);
        eye.frame(0, true, 180);
        eye.receiver.forget("TR_1");
        eye.receiver.due("TR_1", eye.at(1_000));
        eye.frame(1_120, true, 180);
        let seen = eye.tally.take();
        assert_eq!(seen.key_frame_wait.summary().max_ms.round(), WAIT.as_millis() as f64);
    }
}
