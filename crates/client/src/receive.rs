//! Counting a received packet.
use std::time::{Duration, Instant};

use indexmap::map::Entry;
use sluice_livekit_proto as proto;
use str0m::rtp::Vp8Descriptor;

use crate::freeze::FreezeMeter;
use crate::stamp::Stamp;
use crate::stats::{ReceivedStats, Stats};
use crate::{Observer, SeenPacket};

/// How long the layer that was asked for may take to come.
const WATCHED: Duration = Duration::from_secs(10);

/// A packet, whichever plane it came by.
pub(crate) struct Packet<'a> {
    pub(crate) ssrc: u32,
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    /// Bytes of payload.
    pub(crate) size: usize,
    /// If it was opened.
    pub(crate) payload: Option<&'a [u8]>,
    pub(crate) at: Instant,
    /// Every packet of its stream is opened, so that the sender's count has no holes but those of the path.
    pub(crate) all_opened: bool,
}

/// A track that a stream carries.
#[derive(Debug)]
pub(crate) struct Track {
    sid: String,
    /// Where it is counted, since its first packet: nothing is looked up for those that follow.
    place: Option<usize>,
    /// Its picture is known: a key frame came.
    pub(crate) pictured: bool,
    /// A key frame came in this stream, of whoever sends: only a stamp tells the picture.
    pub(crate) keyed: bool,
    /// Another layer was asked for, which may come until then.
    watched_until: Option<Instant>,
}

impl Track {
    pub(crate) fn new(sid: String) -> Self {
        Self { sid, place: None, pictured: false, keyed: false, watched_until: None }
    }

    pub(crate) fn sid(&self) -> &str {
        &self.sid
    }

    /// Where it is counted, if a packet came.
    pub(crate) fn place(&self) -> Option<usize> {
        self.place
    }

    /// Whether each frame is to be looked into, though a sample would do.
    pub(crate) fn is_watched(&self, now: Instant) -> bool {
        !self.pictured || !self.keyed || self.watched_until.is_some_and(|until| now < until)
    }

    /// Another layer was asked for: the key frame that it begins with must not be missed.
    pub(crate) fn watch(&mut self, now: Instant) {
        self.watched_until = Some(now + WATCHED);
    }
}

/// What a packet brought, besides itself.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct News {
    /// The client's first packet of all.
    pub(crate) first: bool,
    /// The first of its track.
    pub(crate) track: bool,
}

impl std::ops::BitOrAssign for News {
    fn bitor_assign(&mut self, other: Self) {
        self.first |= other.first;
        self.track |= other.track;
    }
}

/// Takes a packet of a track, if the track is known, into the counters, and shows it to the observer.
pub(crate) fn take(
    stats: &mut Stats,
    observer: Option<&Observer>,
    track: Option<&mut Track>,
    packet: &Packet<'_>,
) -> News {
    match track {
        Some(track) => count(stats, observer, track, packet),
        None => {
            stats.stray_packets += 1;
            News::default()
        }
    }
}

fn count(stats: &mut Stats, observer: Option<&Observer>, track: &mut Track, packet: &Packet<'_>) -> News {
    let mut news = News::default();
    let place = match track.place {
        Some(place) => place,
        None => {
            let since_start = packet.at.saturating_duration_since(stats.began);
            news.first = stats.first_media_after.is_none();
            stats.first_media_after.get_or_insert(since_start);
            let entry = stats.received.entry(track.sid.clone());
            news.track = matches!(entry, Entry::Vacant(_));
            if !news.track {
                // It was subscribed to before, and its picture is another since.
                track.watched_until = Some(packet.at + WATCHED);
            }
            let place = *track.place.insert(entry.index());
            entry.or_insert_with(|| ReceivedStats::new(since_start, packet.at, observer.is_none()));
            place
        }
    };
    // Tracks are never taken out of the counters.
    let Some((_, counters)) = stats.received.get_index_mut(place) else { return news };
    let stamp = packet.payload.and_then(Stamp::read);
    let age_us = stamp.map_or(0, Stamp::age_us);
    if counters.is_video.is_none() {
        let announced = stats.announced.get(&track.sid);
        counters.is_video = announced.map(|info| info.r#type() == proto::TrackType::Video);
    }
    let key_frames = counters.key_frames;
    let new = counters.count(packet, stamp, age_us);
    track.pictured = counters.height != 0;
    track.keyed |= counters.key_frames > key_frames;
    if let (Some(observer), Some(payload)) = (observer, packet.payload) {
        observer(&SeenPacket {
            track_sid: &track.sid,
            place,
            ssrc: packet.ssrc,
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            marker: packet.marker,
            payload,
            stamp,
            age_us,
            new,
            at: packet.at,
        });
    }
    news
}

impl ReceivedStats {
    /// Whether the packet is no copy of one that came before.
    fn count(&mut self, packet: &Packet<'_>, stamp: Option<Stamp>, age_us: u64) -> bool {
        let now = packet.at;
        self.packets += 1;
        self.bytes += packet.size as u64;
        self.longest_pause = self.longest_pause.max(now.saturating_duration_since(self.last_packet));
        self.last_packet = now;
        let new = self.by_sequence.see(packet.sequence);
        let is_video = self.is_video.unwrap_or(false);
        if is_video && packet.marker && new {
            self.end_frame(packet.timestamp, now);
        }
        let Some(payload) = packet.payload else { return new };
        let starts_key_frame =
            is_video && Vp8Descriptor::parse(payload).is_ok_and(|vp8| vp8.starts_keyframe(payload));
        self.key_frames += u64::from(starts_key_frame && new);
        let Some(stamp) = stamp else { return new };
        if let (true, Some(latency_us)) = (new, &mut self.latency_us) {
            latency_us.saturating_record(age_us.max(1));
        }
        // In a sample the key frame may be missed that a switch began with.
        let sampled_later =
            !packet.all_opened && self.height != 0 && self.by_sequence.is_highest(packet.sequence);
        if (starts_key_frame || sampled_later) && stamp.height != self.height {
            self.switches += u64::from(self.height != 0);
            self.height = stamp.height;
        }
        // Each layer has a count of its own; a late packet of the layer before is not worth a switch back.
        if stamp.height != self.counter_layer && (starts_key_frame || !is_video) {
            self.missing_before += std::mem::take(&mut self.by_counter).missing();
            self.counter_layer = stamp.height;
        }
        if packet.all_opened && stamp.height == self.counter_layer {
            self.by_counter.see(stamp.counter.into());
        }
        new
    }
}

impl ReceivedStats {
    /// A frame counts once; one that was overtaken does not.
    fn end_frame(&mut self, timestamp: u32, now: Instant) {
        // Timestamps wrap.
        if self.newest_frame.is_some_and(|newest| timestamp.wrapping_sub(newest) as i32 <= 0) {
            return;
        }
        self.newest_frame = Some(timestamp);
        if let Some(frozen) = self.picture.frame(now) {
            self.freezes += 1;
            self.frozen += frozen;
        }
    }

    /// Forgets the sender's count and the picture so far: what was sent while the track was muted, paused or not subscribed is no
    /// loss, and nobody watched.
    pub(crate) fn pause(&mut self) {
        (self.picture, self.newest_frame) = (FreezeMeter::default(), None);
        self.missing_before += std::mem::take(&mut self.by_counter).missing();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A VP8 payload with our stamp: a first packet of a frame (RFC 7741 section 4.2), of a key frame or not.
    fn payload(key: bool, height: u16) -> Vec<u8> {
        let mut payload = vec![0x10, u8::from(!key), 0, 0, 0x9d, 0x01, 0x2a, 0, 0, 0, 0];
        let stamp = Stamp { sent_us: crate::stamp::now_us(), counter: 0, width: 16, height };
        stamp.write(&mut payload);
        payload
    }

    struct Viewer {
        stats: Stats,
        track: Track,
        all_opened: bool,
    }

    impl Viewer {
        fn new(all_opened: bool) -> Self {
            let mut stats = Stats::joined(Instant::now(), &proto::JoinResponse::default());
            let info = proto::TrackInfo { r#type: proto::TrackType::Video.into(), ..Default::default() };
            stats.announced.insert("TR_1".into(), info);
            Self { stats, track: Track::new("TR_1".into()), all_opened }
        }

        fn see(&mut self, sequence: u64, payload: Option<&[u8]>) -> News {
            let packet = Packet {
                ssrc: 1,
                sequence,
                timestamp: 0,
                marker: false,
                size: 100,
                payload,
                at: self.stats.began + Duration::from_millis(sequence),
                all_opened: self.all_opened,
            };
            take(&mut self.stats, None, Some(&mut self.track), &packet)
        }

        fn layer(&self) -> (u16, u64) {
            let counters = &self.stats.received["TR_1"];
            (counters.height, counters.switches)
        }
    }

    #[test]
    fn the_first_packet_of_all_and_that_of_a_track_are_news() {
        let mut viewer = Viewer::new(true);
        let news = viewer.see(1, None);
        assert!(news.first && news.track);
        let news = viewer.see(2, None);
        assert!(!news.first && !news.track);
        viewer.track = Track::new("TR_2".into());
        let news = viewer.see(1, None);
        assert!(!news.first && news.track);
        // A stream that takes over a track goes on counting where the other stopped.
        viewer.track = Track::new("TR_1".into());
        viewer.see(2, Some(&payload(true, 180)));
        viewer.track = Track::new("TR_1".into());
        assert!(!viewer.see(3, None).track);
        assert!(
            viewer.track.pictured && viewer.track.is_watched(viewer.stats.began),
            "its picture is another"
        );
        let packets: Vec<u64> = viewer.stats.received.values().map(|track| track.packets).collect();
        assert_eq!(packets, [4, 1]);
    }

    #[test]
    fn frames_are_watched_until_a_picture_is_known() {
        let mut viewer = Viewer::new(false);
        viewer.see(1, Some(&payload(false, 180)));
        assert!(viewer.track.is_watched(viewer.stats.began));
        assert_eq!(viewer.layer(), (0, 0), "there is no picture before a key frame");
        viewer.see(2, Some(&payload(true, 180)));
        assert!(!viewer.track.is_watched(viewer.stats.began));
        assert_eq!(viewer.layer(), (180, 0));
    }

    #[test]
    fn a_stream_that_takes_over_a_track_must_bring_a_key_frame_of_its_own() {
        let mut viewer = Viewer::new(false);
        viewer.see(1, Some(&payload(true, 180)));
        assert!(viewer.track.keyed);
        viewer.track = Track::new("TR_1".into());
        viewer.see(2, Some(&payload(false, 180)));
        let much_later = viewer.stats.began + 2 * WATCHED;
        assert!(!viewer.track.keyed && viewer.track.is_watched(much_later));
        viewer.see(3, Some(&payload(true, 180)));
        assert!(viewer.track.keyed && !viewer.track.is_watched(much_later));
    }

    #[test]
    fn frames_are_watched_after_another_layer_was_asked_for_but_not_for_ever() {
        let mut viewer = Viewer::new(false);
        let asked = viewer.stats.began;
        viewer.see(1, Some(&payload(true, 180)));
        viewer.track.watch(asked);
        // A layer on the way may come first.
        viewer.see(2, Some(&payload(true, 360)));
        assert!(viewer.track.is_watched(asked));
        assert!(!viewer.track.is_watched(asked + WATCHED));
    }

    #[test]
    fn a_frame_ends_a_freeze_once() {
        let mut viewer = Viewer::new(false);
        let mut frame = |ms: u64, timestamp: u64| {
            let at = viewer.stats.began + Duration::from_millis(ms);
            let packet = Packet {
                ssrc: 1,
                sequence: ms,
                timestamp: 90 * timestamp as u32,
                marker: true,
                size: 100,
                payload: None,
                at,
                all_opened: false,
            };
            take(&mut viewer.stats, None, Some(&mut viewer.track), &packet);
        };
        (0..10).for_each(|n| frame(33 * n, 33 * n));
        frame(1_297, 1_297);
        // Overtaken: it ends nothing, and the next gap is not counted from it.
        frame(1_600, 1_000);
        frame(3_297, 3_297);
        let counters = &viewer.stats.received["TR_1"];
        assert_eq!((counters.freezes, counters.frozen), (2, Duration::from_secs(3)));
        let later = viewer.stats.began + Duration::from_millis(11_297);
        assert_eq!(counters.stands_still(later), Some(Duration::from_secs(8)));
    }

    #[test]
    fn a_sample_shows_a_switch_after_the_fact_and_who_opens_all_sees_its_key_frame() {
        for (all_opened, then) in [(true, (180, 0)), (false, (360, 1))] {
            let mut viewer = Viewer::new(all_opened);
            viewer.see(1, Some(&payload(true, 180)));
            viewer.see(10, Some(&payload(false, 360)));
            assert_eq!(viewer.layer(), then);
            // What was overtaken is not where the picture is.
            viewer.see(9, Some(&payload(false, 180)));
            assert_eq!(viewer.layer(), then);
        }
    }
}
