//! Counting a received packet.
use std::time::Instant;

use sluice_livekit_proto as proto;
use str0m::rtp::Vp8Descriptor;

use crate::stamp::Stamp;
use crate::stats::{ReceivedStats, Stats};
use crate::{Observer, SeenPacket};

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

/// Takes a packet of a track, if the track is known, into the counters, and shows it to the observer. Whether it is the client's
/// first.
pub(crate) fn take(
    stats: &mut Stats,
    observer: Option<&Observer>,
    track_sid: Option<&str>,
    packet: &Packet<'_>,
) -> bool {
    let first = stats.first_media_after.is_none();
    match track_sid {
        Some(track_sid) => count(stats, observer, track_sid, packet),
        None => stats.stray_packets += 1,
    }
    first && stats.first_media_after.is_some()
}

fn count(stats: &mut Stats, observer: Option<&Observer>, track_sid: &str, packet: &Packet<'_>) {
    let now = packet.at;
    let stamp = packet.payload.and_then(Stamp::read);
    if let Some(observer) = observer {
        observer(&SeenPacket {
            track_sid,
            ssrc: packet.ssrc,
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            marker: packet.marker,
            payload: packet.payload.unwrap_or_default(),
            stamp,
            at: now,
        });
    }
    let since_start = now.saturating_duration_since(stats.began);
    stats.first_media_after.get_or_insert(since_start);
    let is_video =
        || stats.announced.get(track_sid).is_some_and(|info| info.r#type() == proto::TrackType::Video);
    if let Some(track) = stats.received.get_mut(track_sid) {
        track.count(packet, stamp, is_video);
    } else if let Some(mut track) = ReceivedStats::new(since_start, now) {
        track.count(packet, stamp, is_video);
        stats.received.insert(track_sid.into(), track);
    }
}

impl ReceivedStats {
    fn count(&mut self, packet: &Packet<'_>, stamp: Option<Stamp>, is_video: impl FnOnce() -> bool) {
        let now = packet.at;
        self.packets += 1;
        self.bytes += packet.size as u64;
        self.longest_pause = self.longest_pause.max(now.saturating_duration_since(self.last_packet));
        self.last_packet = now;
        let new = self.by_sequence.see(packet.sequence);
        let Some(payload) = packet.payload else { return };
        let is_video = is_video();
        let starts_key_frame =
            is_video && Vp8Descriptor::parse(payload).is_ok_and(|vp8| vp8.starts_keyframe(payload));
        self.key_frames += u64::from(starts_key_frame && new);
        let Some(stamp) = stamp else { return };
        if new {
            self.latency_us.saturating_record(stamp.age_us().max(1));
        }
        if starts_key_frame && stamp.height != self.height {
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
    }
}

impl ReceivedStats {
    /// Forgets the sender's count so far: what was sent while the track was muted, paused or not subscribed is no loss.
    pub(crate) fn pause(&mut self) {
        self.missing_before += std::mem::take(&mut self.by_counter).missing();
    }
}
