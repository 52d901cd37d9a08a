//! Counting a received packet.
use std::time::Instant;

use sluice_livekit_proto as proto;
use str0m::rtp::{RtpPacket, Vp8Descriptor};

use crate::stamp::Stamp;
use crate::stats::{ReceivedStats, Stats};
use crate::{Observer, SeenPacket};

/// Takes a packet of a known track into the counters, and shows it to the observer.
pub(crate) fn count(stats: &mut Stats, observer: Option<&Observer>, track_sid: &str, packet: &RtpPacket) {
    let now = packet.timestamp;
    let stamp = Stamp::read(&packet.payload);
    if let Some(observer) = observer {
        observer(&SeenPacket {
            track_sid,
            ssrc: *packet.header.ssrc,
            sequence: *packet.seq_no,
            timestamp: packet.header.timestamp,
            marker: packet.header.marker,
            payload: &packet.payload,
            stamp,
            at: now,
        });
    }
    let since_start = now.saturating_duration_since(stats.began);
    stats.first_media_after.get_or_insert(since_start);
    if !stats.received.contains_key(track_sid)
        && let Some(new) = ReceivedStats::new(since_start, now)
    {
        stats.received.insert(track_sid.into(), new);
    }
    let is_video =
        stats.announced.get(track_sid).is_some_and(|info| info.r#type() == proto::TrackType::Video);
    if let Some(track) = stats.received.get_mut(track_sid) {
        track.count(packet, stamp, is_video, now);
    }
}

impl ReceivedStats {
    fn count(&mut self, packet: &RtpPacket, stamp: Option<Stamp>, is_video: bool, now: Instant) {
        self.packets += 1;
        self.bytes += packet.payload.len() as u64;
        self.longest_pause = self.longest_pause.max(now.saturating_duration_since(self.last_packet));
        self.last_packet = now;
        let new = self.by_sequence.see(*packet.seq_no);
        let starts_key_frame = is_video
            && Vp8Descriptor::parse(&packet.payload).is_ok_and(|vp8| vp8.starts_keyframe(&packet.payload));
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
        if stamp.height == self.counter_layer {
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
