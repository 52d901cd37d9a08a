//! Publications: when the next packet is due, and writing it.
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::RngExt as _;
use sluice_livekit_proto as proto;
use str0m::media::{MediaKind, Mid, Rid};

use crate::dtx::{Frame, Spurts};
use crate::light::ToSend;
use crate::media::{AudioShape, Frames, VideoShape};
use crate::peer::Peer;
use crate::stats::PublishedStats;

/// A client that was held up sends this many frames at once, and then goes on from now: no endless catching up.
const MOST_AT_ONCE: u32 = 5;

/// A level of silence (RFC 6464).
const SILENT: u8 = 127;
/// Without DTX: one spurt that nobody saw begin.
const TALKS_ON: Frame = Frame::Speech { first: false };

/// A track that we send.
pub(crate) struct Publication {
    pub(crate) sid: String,
    pub(crate) mid: Mid,
    muted: bool,
    due: Instant,
    interval: Duration,
    began: Instant,
    streams: Vec<Stream>,
    media: Media,
}

enum Media {
    /// With its pauses, if it makes some.
    Audio(AudioShape, Option<Box<Spurts>>),
    Video,
}

/// One RTP stream of it.
struct Stream {
    rid: Option<Rid>,
    sequence: u64,
    counter: u32,
    /// Each stream begins at a timestamp of its own (RFC 3550 section 5.1).
    offset: u32,
    frames: Option<Frames>,
    ssrc: Option<u32>,
}

impl Stream {
    fn new(rid: Option<Rid>, frames: Option<Frames>) -> Self {
        let mut rng = rand::rng();
        // Near the end of 16 bits now and then, so that roll-overs are part of every load.
        let sequence = rng.random_range(0..60_000);
        Self { rid, sequence, counter: 0, offset: rng.random(), frames, ssrc: None }
    }

    /// Its SSRC, once it is negotiated.
    fn ssrc(&mut self, peer: &mut Peer, mid: Mid) -> Option<u32> {
        if self.ssrc.is_none() {
            self.ssrc = peer.rtc.direct_api().stream_tx_by_mid(mid, self.rid).map(|tx| *tx.ssrc());
        }
        self.ssrc
    }
}

impl Publication {
    pub(crate) fn audio(sid: String, mid: Mid, shape: AudioShape, now: Instant) -> Self {
        let media = Media::Audio(shape, shape.dtx.map(|dtx| Box::new(Spurts::new(dtx))));
        let due = now + until_phase(shape.phase, AudioShape::INTERVAL, unix_now());
        Self::new(sid, mid, AudioShape::INTERVAL, now, due, vec![Stream::new(None, None)], media)
    }

    pub(crate) fn video(sid: String, mid: Mid, shape: &VideoShape, now: Instant) -> Self {
        let single = shape.layers.len() == 1;
        let stream = |layer: &crate::LayerShape| {
            let rid = (!single).then(|| Rid::from(layer.rid.as_str()));
            Stream::new(rid, Some(Frames::new(layer.clone(), shape.frame_rate)))
        };
        let streams = shape.layers.iter().map(stream).collect();
        let due = now + until_phase(shape.phase, shape.interval(), unix_now());
        Self::new(sid, mid, shape.interval(), now, due, streams, Media::Video)
    }

    fn new(
        sid: String,
        mid: Mid,
        interval: Duration,
        now: Instant,
        due: Instant,
        streams: Vec<Stream>,
        media: Media,
    ) -> Self {
        Self { sid, mid, muted: false, due, interval, began: now, streams, media }
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        (!self.muted).then_some(self.due)
    }

    /// What is due while it is muted is not made up for later.
    pub(crate) fn mute(&mut self, muted: bool, now: Instant) {
        self.muted = muted;
        self.due = self.due.max(now);
    }

    /// Makes the next frame of one layer, or of all, a key frame.
    pub(crate) fn want_key_frame(&mut self, rid: Option<Rid>) {
        for stream in self.streams.iter_mut().filter(|stream| rid.is_none() || stream.rid == rid) {
            if let Some(frames) = &mut stream.frames {
                frames.key_frame_wanted = true;
            }
        }
    }

    /// Writes what is due.
    pub(crate) fn send(&mut self, peer: &mut Peer, now: Instant, stats: &mut PublishedStats) {
        let Some(pt) = payload_type(peer, self.mid, matches!(self.media, Media::Audio(..))) else { return };
        for _ in 0..MOST_AT_ONCE {
            if self.due > now {
                return;
            }
            let elapsed = self.due.saturating_duration_since(self.began);
            let mut wait = self.interval;
            for stream in &mut self.streams {
                let Some(ssrc) = stream.ssrc(peer, self.mid) else { continue };
                let mut packet = ToSend {
                    mid: self.mid,
                    rid: stream.rid,
                    ssrc,
                    payload_type: pt,
                    sequence: 0,
                    timestamp: 0,
                    marker: false,
                    level: None,
                    payload: &[],
                };
                match &mut self.media {
                    Media::Audio(shape, spurts) => {
                        let frame;
                        (frame, wait) =
                            spurts.as_mut().map_or((TALKS_ON, wait), |spurts| spurts.next(elapsed));
                        let (payload, level) = match frame {
                            Frame::Speech { .. } => (shape.payload(stream.counter), shape.level),
                            Frame::Comfort => (AudioShape::comfort(stream.counter), SILENT),
                        };
                        stream.counter = stream.counter.wrapping_add(1);
                        packet.timestamp = stream.offset.wrapping_add(ticks(elapsed, 48_000));
                        packet.level = Some((level, level < SILENT));
                        packet.marker = frame == Frame::Speech { first: true };
                        write(peer, now, stream, ToSend { payload: &payload, ..packet }, stats);
                    }
                    Media::Video => {
                        let Some(frames) = &mut stream.frames else { continue };
                        let (payloads, key_frame) = frames.next();
                        stats.key_frames += u64::from(key_frame);
                        packet.timestamp = stream.offset.wrapping_add(ticks(elapsed, 90_000));
                        let last = payloads.len() - 1;
                        for (index, payload) in payloads.iter().enumerate() {
                            let marker = index == last;
                            write(peer, now, stream, ToSend { marker, payload, ..packet }, stats);
                        }
                    }
                }
            }
            self.due += wait;
        }
        stats.skipped += now.saturating_duration_since(self.due);
        self.due = self.due.max(now);
    }
}

/// How long until the first frame. Without a phase somewhere within the first interval: many clients must not tick as one.
fn until_phase(phase: Option<f64>, interval: Duration, unix: Duration) -> Duration {
    let Some(phase) = phase else { return interval.mul_f64(rand::rng().random()) };
    let passed = unix.as_nanos() % interval.as_nanos().max(1);
    let passed = passed as f64 / interval.as_nanos().max(1) as f64;
    interval.mul_f64((phase - passed).rem_euclid(1.0))
}

fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Gives the packet the stream's next number and hands it to the connection.
fn write(peer: &mut Peer, now: Instant, stream: &mut Stream, packet: ToSend<'_>, stats: &mut PublishedStats) {
    let sequence = stream.sequence;
    stream.sequence += 1;
    stats.packets += 1;
    stats.bytes += packet.payload.len() as u64;
    if !peer.write(&ToSend { sequence, ..packet }, now) {
        stats.unsent += 1;
    }
}

/// Ticks of a media clock, wrapping as RTP timestamps do.
fn ticks(elapsed: Duration, rate: u64) -> u32 {
    (elapsed.as_micros() as u64 * rate / 1_000_000) as u32
}

/// The payload type that was negotiated; none while the section is not there.
fn payload_type(peer: &Peer, mid: Mid, audio: bool) -> Option<u8> {
    let media = peer.rtc.media(mid)?;
    let codec = if audio { str0m::format::Codec::Opus } else { str0m::format::Codec::Vp8 };
    let params = peer.rtc.codec_config().iter().find(|params| params.spec().codec == codec)?;
    media.remote_pts().contains(&params.pt()).then(|| *params.pt())
}

/// What the server is told before the track is offered.
pub(crate) fn announcement(cid: &str, kind: MediaKind, shape: Option<&VideoShape>) -> proto::AddTrackRequest {
    use proto::VideoQuality::{High, Low, Medium};
    let mut request = proto::AddTrackRequest { cid: cid.into(), name: cid.into(), ..Default::default() };
    if kind == MediaKind::Audio {
        request.set_type(proto::TrackType::Audio);
        request.set_source(proto::TrackSource::Microphone);
        return request;
    }
    request.set_type(proto::TrackType::Video);
    request.set_source(proto::TrackSource::Camera);
    let layers = shape.map(|shape| shape.layers.as_slice()).unwrap_or_default();
    if let Some(largest) = layers.last() {
        (request.width, request.height) = (largest.width.into(), largest.height.into());
    }
    let qualities: &[proto::VideoQuality] = match layers.len() {
        1 => &[High],
        2 => &[Low, Medium],
        _ => &[Low, Medium, High],
    };
    request.layers = layers
        .iter()
        .zip(qualities)
        .map(|(layer, quality)| proto::VideoLayer {
            quality: (*quality).into(),
            width: layer.width.into(),
            height: layer.height.into(),
            bitrate: layer.bitrate,
            rid: layer.rid.clone(),
            ..Default::default()
        })
        .collect();
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_with_a_phase_are_due_at_their_place_in_the_interval_whenever_they_begin() {
        let interval = Duration::from_millis(40);
        for begins_at in [0, 1, 9, 10, 11, 39, 40, 123_456_789] {
            let unix = Duration::from_millis(begins_at);
            let due = unix + until_phase(Some(0.25), interval, unix);
            assert_eq!(due.as_micros() % interval.as_micros(), 10_000, "begun at {begins_at} ms");
            assert!(due - unix < interval);
        }
        assert!(until_phase(None, interval, Duration::ZERO) < interval);
    }
}
