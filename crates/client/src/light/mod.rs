//! A media plane that costs little: it parses what is readable, opens a sample, and answers with real feedback.
//!
//! The session beside it keeps ICE, DTLS and data channels, and hears no media. What a receiver owes its sender is here:
//! transport-wide feedback with the first packet after 50 ms, reports every second, key frames on request, and the wish for one with
//! each report while none has come. It does not ask for lost packets and sends none again: it measures what came the first time.
mod ears;
mod negotiated;
mod streams;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, bail};
use rtcp_types::prelude::*;
use rtcp_types::{Fir, Packet as Rtcp, PayloadFeedback, Pli, ReceiverReport, TransportFeedback};
use rustc_hash::FxHashMap;
use sluice_dtls::{Ear, Keys};
use sluice_media::{Arrivals, Clock, Header, Outgoing};
use sluice_memory::Extent;
use sluice_srtp::{Opener, Profile, Role, Sealer, association};
use str0m::crypto::dtls::SrtpProfile;
use str0m::media::{Mid, Rid};

pub(crate) use self::ears::Ears;
use self::negotiated::Negotiated;
use self::streams::{Incoming, OutStream, Streams, VIDEO};
use crate::Opened;
use crate::receive::{Packet, Track};
use crate::socket::Exit;

/// Between two feedback packets at least, as libwebrtc has it for all but slow paths.
const FEEDBACK: Duration = Duration::from_millis(50);
const REPORTS: Duration = Duration::from_secs(1);
/// What is due goes with the next packet that comes, and by the clock only if none comes for this long: a timer that is never
/// needed is a wake-up that is spared.
const PATIENCE: Duration = Duration::from_millis(200);
/// The stream that probes for bandwidth before there is media to send, by convention. It carries nothing, and
/// its numbers are no track's.
const PROBES: u32 = 0;
/// Streams of one connection at most; more are ignored.
const MOST_STREAMS: usize = 2_048;
/// Blocks of one report (RFC 3550 section 6.4.1).
const MOST_BLOCKS: usize = 31;
/// Of audio, one in this many is opened in a sample.
const AUDIO_SAMPLE: u64 = 8;
/// Bytes of reports in one datagram, before they are sealed.
const LARGEST_COMPOUND: usize = 1_100;
/// Bytes that one send may carry: what UDP over IPv4 takes.
const LARGEST_TRAIN: usize = 65_507;

/// What a datagram turned out to be.
pub(crate) enum Heard<'a> {
    /// A packet of a track, if the track is known.
    Packet(Option<&'a mut Track>, Packet<'a>),
    /// The server asks for a key frame of these streams.
    KeyFrames(Vec<(Mid, Option<Rid>)>),
    /// Feedback, repair, or nothing that we know.
    Nothing,
}

/// A packet to send, and its stream.
pub(crate) struct ToSend<'a> {
    pub(crate) mid: Mid,
    pub(crate) rid: Option<Rid>,
    pub(crate) ssrc: u32,
    pub(crate) payload_type: u8,
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) level: Option<(u8, bool)>,
    pub(crate) payload: &'a [u8],
}

pub(crate) struct Light {
    opened: Opened,
    ear: Ear,
    keys: Option<(Sealer, Opener)>,
    /// Why the keys of the handshake are of no use.
    unusable: Option<String>,
    negotiated: Negotiated,
    /// Sections that the server sends in, to track id.
    tracks: FxHashMap<Mid, String>,
    remote: Option<SocketAddr>,
    incoming: Streams,
    outgoing: Vec<OutStream>,
    arrivals: Arrivals,
    clock: Clock,
    transport_sequence: u16,
    /// Who speaks in feedback, besides streams of ours.
    own: u32,
    next_feedback: Instant,
    next_report: Instant,
    /// Sealed packets that wait for the end of the turn, and their lengths.
    train: Vec<u8>,
    lengths: Vec<usize>,
    /// Reports that leave in one datagram.
    reports: Vec<u8>,
}

impl Light {
    pub(crate) fn new(opened: Opened, ear: Ear, now: Instant) -> Self {
        Self {
            opened,
            ear,
            keys: None,
            unusable: None,
            negotiated: Negotiated::default(),
            tracks: FxHashMap::default(),
            remote: None,
            incoming: Streams::default(),
            outgoing: Vec::new(),
            arrivals: Arrivals::new(now),
            clock: Clock::new(now, SystemTime::now()),
            transport_sequence: 0,
            own: rand::random(),
            next_feedback: now,
            next_report: now + REPORTS,
            train: Vec::new(),
            lengths: Vec::new(),
            reports: Vec::new(),
        }
    }

    /// Reads the other side's description, which sends these tracks.
    pub(crate) fn learn(&mut self, sdp: &str, tracks: &HashMap<Mid, String>) {
        self.negotiated.learn(sdp);
        self.tracks = tracks.iter().map(|(mid, track)| (*mid, track.clone())).collect();
        for (_, stream) in self.incoming.iter_mut() {
            stream.carries(self.tracks.get(&stream.mid));
            if let Some(clock) = self.negotiated.clocks.get(&stream.payload_type) {
                stream.clock = *clock;
            }
        }
    }

    /// Another layer of this track was asked for.
    pub(crate) fn watch(&mut self, sid: &str, now: Instant) {
        let tracks = self.incoming.iter_mut().filter_map(|(_, stream)| stream.track.as_mut());
        tracks.filter(|track| track.sid() == sid).for_each(|track| track.watch(now));
    }

    /// The address that the handshake came from, where media goes to.
    pub(crate) fn set_remote(&mut self, remote: SocketAddr) {
        self.remote = Some(remote);
    }

    /// Takes the keys, once the handshake is done. Whether media can flow.
    ///
    /// # Errors
    /// If the two sides agreed on another protection than AES-GCM.
    pub(crate) fn ready(&mut self) -> anyhow::Result<bool> {
        if self.keys.is_none()
            && let Some(Keys { material, profile, active }) = self.ear.take()
        {
            match pair(profile, &material, active) {
                Ok(keys) => self.keys = Some(keys),
                Err(error) => self.unusable = Some(format!("{error:#}")),
            }
        }
        match &self.unusable {
            Some(why) => bail!("{why}"),
            None => Ok(self.keys.is_some() && self.remote.is_some()),
        }
    }

    /// Takes a datagram that RFC 7983 says is RTP or RTCP.
    pub(crate) fn receive<'a>(&'a mut self, datagram: &'a mut [u8], now: Instant) -> Heard<'a> {
        if is_rtcp(datagram) {
            return self.receive_rtcp(datagram, now);
        }
        self.receive_rtp(datagram, now).unwrap_or(Heard::Nothing)
    }

    fn receive_rtp<'a>(&'a mut self, datagram: &'a mut [u8], now: Instant) -> Option<Heard<'a>> {
        let (_, opener) = self.keys.as_ref()?;
        let header = Header::read(datagram, &self.negotiated.ids)?;
        if let Some(sequence) = header.transport_sequence {
            self.arrivals.see(sequence, now);
        }
        if header.ssrc == PROBES {
            return None;
        }
        let number = match self.incoming.find(header.ssrc) {
            Some(number) => number,
            None if self.incoming.len() >= MOST_STREAMS => return None,
            None => {
                let clock = *self.negotiated.clocks.get(&header.payload_type)?;
                let mid = Mid::from(std::str::from_utf8(header.mid?).ok()?);
                let format = (header.payload_type, clock);
                let mut stream = Incoming::new(mid, format, header.sequence, now);
                stream.carries(self.tracks.get(&mid));
                self.incoming.add(header.ssrc, stream)
            }
        };
        let stream = self.incoming.get_mut(number)?;
        if stream.payload_type != header.payload_type {
            stream.clock = *self.negotiated.clocks.get(&header.payload_type)?;
            stream.payload_type = header.payload_type;
        }
        let (sequence, begins_frame) = stream.see(header.sequence, header.timestamp, now);
        let video = stream.clock == VIDEO;
        let open = match self.opened {
            Opened::All => true,
            // The first packet of a frame tells whether it is a key frame.
            Opened::Sample if video => begins_frame && stream.is_sampled(now),
            Opened::Sample => sequence.is_multiple_of(AUDIO_SAMPLE),
        };
        let (ssrc, timestamp, marker, len) = (header.ssrc, header.timestamp, header.marker, header.len);
        let padded = header.padded;
        let (sealed, overhead) = (datagram.len() - len, opener.profile().rtp_overhead());
        let payload = if open {
            let mut payload: &'a [u8] = opener.rtp(datagram, len, sequence).ok()?;
            if padded {
                let padding = usize::from(*payload.last()?);
                payload = payload.get(..payload.len().checked_sub(padding)?)?;
            }
            Some(payload)
        } else {
            None
        };
        let size = payload.map_or(sealed.saturating_sub(overhead), <[u8]>::len);
        let (at, all_opened) = (now, self.opened == Opened::All);
        let packet = Packet { ssrc, sequence, timestamp, marker, size, payload, at, all_opened };
        Some(Heard::Packet(stream.track.as_mut(), packet))
    }

    fn receive_rtcp(&mut self, datagram: &mut [u8], now: Instant) -> Heard<'static> {
        let Some((_, opener)) = &self.keys else { return Heard::Nothing };
        let Ok(packet) = opener.rtcp(datagram) else { return Heard::Nothing };
        let mut wanted = Vec::new();
        let Ok(packets) = rtcp_types::Compound::parse(packet) else { return Heard::Nothing };
        for packet in packets.flatten() {
            match packet {
                Rtcp::Sr(report) => {
                    let number = self.incoming.find(report.ssrc());
                    if let Some(stream) = number.and_then(|number| self.incoming.get_mut(number)) {
                        stream.reception.heard(report.ntp_timestamp(), now);
                    }
                }
                Rtcp::PayloadFeedback(feedback) => {
                    if feedback.parse_fci::<Pli<'_>>().is_ok() {
                        wanted.push(feedback.media_ssrc());
                    } else if let Ok(fir) = feedback.parse_fci::<Fir<'_>>() {
                        wanted.extend(fir.entries().map(|entry| entry.ssrc()));
                    }
                }
                _ => {}
            }
        }
        let streams = self.outgoing.iter().filter(|stream| wanted.contains(&stream.ssrc));
        let streams: Vec<_> = streams.map(|stream| (stream.mid, stream.rid)).collect();
        if streams.is_empty() { Heard::Nothing } else { Heard::KeyFrames(streams) }
    }

    /// Seals a packet; it leaves with [`Self::flush`]. Whether it could be sealed.
    pub(crate) fn send(&mut self, packet: &ToSend<'_>, now: Instant) -> bool {
        let Some((sealer, _)) = &self.keys else { return false };
        let Some(clock) = self.negotiated.clocks.get(&packet.payload_type) else { return false };
        let known = self.outgoing.iter_mut().position(|stream| stream.ssrc == packet.ssrc);
        let index = known.unwrap_or_else(|| {
            self.outgoing.push(OutStream::new(packet.mid, packet.rid, packet.ssrc, *clock));
            self.outgoing.len() - 1
        });
        let start = self.train.len();
        self.transport_sequence = self.transport_sequence.wrapping_add(1);
        let header = Outgoing {
            payload_type: packet.payload_type,
            marker: packet.marker,
            padded: false,
            sequence: packet.sequence as u16,
            timestamp: packet.timestamp,
            ssrc: packet.ssrc,
            mid: packet.mid.as_bytes(),
            rid: packet.rid.as_deref(),
            transport_sequence: Some(self.transport_sequence),
            level: packet.level.map(|(level, speech)| u8::from(speech) << 7 | level & 0x7f),
            orientation: None,
            send_time: None,
        };
        let len = header.write(&self.negotiated.ids, &mut self.train);
        self.train.extend_from_slice(packet.payload);
        if sealer.rtp_at(&mut self.train, start, len, packet.sequence).is_err() {
            self.train.truncate(start);
            return false;
        }
        self.lengths.push(self.train.len() - start);
        self.outgoing[index].sending.sent(packet.timestamp, packet.payload.len(), now);
        true
    }

    /// What the packet after this one will likely touch beside this, and the place where it is counted.
    pub(crate) fn touched(&mut self) -> ([Extent; 5], Option<usize>) {
        let stream = self.incoming.last();
        let place = stream.and_then(|stream| stream.track.as_ref()?.place());
        let extents = [
            stream.map(Extent::of).unwrap_or_default(),
            Extent::of(self.arrivals.room()).first(256),
            // Of the buffers as much as feedback takes.
            Extent::of(self.train.spare_capacity_mut()).first(128),
            Extent::of(self.reports.spare_capacity_mut()).first(128),
            Extent::of(self.lengths.spare_capacity_mut()).first(8),
        ];
        (extents, place)
    }

    /// Whether reports on streams of ours may come, and wishes for key frames.
    pub(crate) fn publishes(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// When to be called again for reports.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.keys.as_ref()?;
        let feedback = (!self.arrivals.is_empty()).then_some(self.next_feedback);
        Some(feedback.map_or(self.next_report, |at| at.min(self.next_report)) + PATIENCE)
    }

    /// Writes the feedback and reports that are due.
    pub(crate) fn tick(&mut self, now: Instant) {
        if self.keys.is_none() {
            return;
        }
        let feedback = now >= self.next_feedback && !self.arrivals.is_empty();
        // Reports go with feedback, if some is due soon: a compound packet begins with them (RFC 3550 section 6.1).
        if now >= self.next_report && (feedback || now >= self.next_report + FEEDBACK) {
            self.next_report = now + REPORTS;
            let reports: Vec<_> = self
                .outgoing
                .iter_mut()
                .filter_map(|stream| {
                    let OutStream { ssrc, clock, sending, .. } = stream;
                    sending.report(*ssrc, *clock, &self.clock, now)
                })
                .collect();
            for report in reports {
                self.report(&report);
            }
            // Asked for before the blocks are made, which take what came for told.
            let wanted = self.incoming.iter_mut().filter(|(_, stream)| stream.wants_key_frame());
            let wanted: Vec<u32> = wanted.map(|(ssrc, _)| ssrc).collect();
            let mut blocks: Vec<_> =
                self.incoming.iter_mut().map(|(ssrc, stream)| stream.reception.report(ssrc, now)).collect();
            while !blocks.is_empty() {
                let some = blocks.drain(..blocks.len().min(MOST_BLOCKS));
                let empty = ReceiverReport::builder(self.own);
                let report = some.fold(empty, |report, block| report.add_report_block(block));
                self.report(&report);
            }
            // In a datagram of their own if there is no room: of reduced size (RFC 5506).
            for ssrc in wanted {
                let wish =
                    PayloadFeedback::builder_owned(Pli::builder()).sender_ssrc(self.own).media_ssrc(ssrc);
                self.report(&wish);
            }
        }
        if feedback {
            // It goes with the packet that comes first after its time, and the next one counts from there: as Chromium does, of
            // which 15.7 to 16.4 a second were seen for a camera.
            self.next_feedback = now + FEEDBACK;
            let media = self.incoming.any().unwrap_or_default();
            while let Some(feedback) = self.arrivals.take() {
                let feedback =
                    TransportFeedback::builder_owned(feedback).sender_ssrc(self.own).media_ssrc(media);
                self.report(&feedback);
            }
        }
        self.seal_reports();
    }

    /// Adds a report to those that leave in one datagram, if there is room.
    fn report(&mut self, report: &impl RtcpPacketWriter) {
        let Ok(size) = report.calculate_size() else { return };
        if self.reports.len() + size > LARGEST_COMPOUND {
            self.seal_reports();
        }
        let start = self.reports.len();
        self.reports.resize(start + size, 0);
        if report.write_into(&mut self.reports[start..]).is_err() {
            self.reports.truncate(start);
        }
    }

    fn seal_reports(&mut self) {
        let Some((sealer, _)) = &mut self.keys else { return };
        let reports = &mut self.reports;
        if !reports.is_empty() && sealer.rtcp(reports).is_ok() {
            self.train.extend_from_slice(reports);
            self.lengths.push(reports.len());
        }
        reports.clear();
    }

    /// Sends what was sealed, packets of one size in one call. Returns how many the socket did not take.
    pub(crate) fn flush(&mut self, exit: &dyn Exit) -> u64 {
        if self.lengths.is_empty() {
            return 0;
        }
        let most = exit.longest_train();
        let (mut unsent, mut rest, mut at) = (0, &self.train[..], 0);
        while let (Some(&size), Some(remote)) = (self.lengths.get(at), self.remote) {
            let most = most.min(LARGEST_TRAIN / size.max(1));
            let alike = self.lengths[at..].iter().take(most).take_while(|other| **other == size).count();
            let (run, after) = rest.split_at(alike * size);
            if !exit.send(remote, run, (alike > 1).then_some(size)) {
                unsent += alike as u64;
            }
            (rest, at) = (after, at + alike);
        }
        self.train.clear();
        self.lengths.clear();
        unsent
    }
}

/// Seals and opens what the handshake's keys are for.
fn pair(profile: SrtpProfile, material: &[u8], active: bool) -> anyhow::Result<(Sealer, Opener)> {
    let profile = match profile {
        SrtpProfile::AEAD_AES_128_GCM => Profile::Aes128Gcm,
        SrtpProfile::AEAD_AES_256_GCM => Profile::Aes256Gcm,
        other => bail!("a light client speaks AES-GCM, the server chose {other}"),
    };
    let role = if active { Role::Client } else { Role::Server };
    association(profile, material, role).context("keys of the handshake")
}

/// What the connection's task and the reader of a shared socket both hold, each for a moment.
pub(crate) type SharedLight = Arc<Mutex<Light>>;

/// Counters and streams stay meaningful wherever a panic left them.
pub(crate) fn lock(light: &Mutex<Light>) -> MutexGuard<'_, Light> {
    light.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Of what is RTP or RTCP: RTCP (RFC 5761 section 4: payload types 64 to 95).
fn is_rtcp(datagram: &[u8]) -> bool {
    datagram.get(1).is_some_and(|second| matches!(second & 0x7f, 64..=95))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client whose handshake is done, and the other side.
    fn connected(now: Instant) -> (Light, Opener) {
        let material: Vec<u8> = (0..Profile::Aes128Gcm.material_len()).map(|byte| byte as u8).collect();
        let pair = |active| pair(SrtpProfile::AEAD_AES_128_GCM, &material, active).unwrap();
        let ((), ear) = sluice_dtls::listening(|| ());
        let mut light = Light::new(Opened::Sample, ear, now);
        light.keys = Some(pair(true));
        (light, pair(false).1)
    }

    /// Payload types of the packets in each datagram that waits to leave (RFC 3550 section 12.1).
    fn leaving(light: &mut Light, opener: &Opener) -> Vec<Vec<u8>> {
        let (mut train, mut datagrams) = (std::mem::take(&mut light.train), Vec::new());
        let mut rest = &mut train[..];
        for size in light.lengths.drain(..) {
            assert!(size <= 1_200, "{size} bytes");
            let (datagram, after) = rest.split_at_mut(size);
            let (mut compound, mut types): (&[u8], _) = (opener.rtcp(datagram).unwrap(), Vec::new());
            while let [_, payload_type, high, low, ..] = compound {
                types.push(*payload_type);
                compound = &compound[4 * (usize::from(u16::from_be_bytes([*high, *low])) + 1)..];
            }
            datagrams.push(types);
            rest = after;
        }
        datagrams
    }

    #[test]
    fn reports_leave_with_feedback_and_before_it_or_alone_if_none_is_due() {
        let now = Instant::now();
        let (mut light, opener) = connected(now);
        light.incoming.add(7, Incoming::new("0".into(), (96, 90_000), 1, now));
        let due = now + REPORTS;
        light.arrivals.see(1, due);
        light.tick(due);
        assert_eq!(leaving(&mut light, &opener), [[201, 205]]);
        light.tick(due + REPORTS);
        assert!(light.lengths.is_empty(), "feedback may be due soon");
        light.tick(due + REPORTS + FEEDBACK);
        assert_eq!(leaving(&mut light, &opener), [[201]]);
    }

    #[test]
    fn who_missed_the_key_frame_asks_with_each_report_until_one_comes() {
        let now = Instant::now();
        let (mut light, opener) = connected(now);
        light.tracks.insert("0".into(), "TR_1".into());
        let mut video = Incoming::new("0".into(), (96, 90_000), 1, now);
        video.carries(light.tracks.get(&Mid::from("0")));
        light.incoming.add(7, video);
        let mut at = now;
        let mut told = |light: &mut Light, sequence: Option<u16>, keyed: bool| {
            at += REPORTS + FEEDBACK;
            let stream = light.incoming.get_mut(0).unwrap();
            stream.track.as_mut().unwrap().keyed = keyed;
            sequence.map(|sequence| stream.see(sequence, 0, at));
            light.tick(at);
            leaving(light, &opener)
        };
        assert_eq!(told(&mut light, Some(1), false), [[201, 206]]);
        assert_eq!(told(&mut light, Some(2), false), [[201, 206]]);
        assert_eq!(told(&mut light, None, false), [[201]], "nothing comes that could be shown");
        assert_eq!(told(&mut light, Some(3), true), [[201]]);
    }

    #[test]
    fn reports_on_many_streams_leave_in_several_datagrams() {
        let now = Instant::now();
        let (mut light, opener) = connected(now);
        for ssrc in 1..=70 {
            light.incoming.add(ssrc, Incoming::new("0".into(), (96, 90_000), 1, now));
        }
        light.arrivals.see(1, now);
        light.tick(now + REPORTS);
        assert_eq!(leaving(&mut light, &opener), [vec![201], vec![201, 201, 205]]);
    }
}
