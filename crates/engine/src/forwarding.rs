//! A packet on its way from a publication to its subscriptions.

use std::time::{Duration, Instant};

use sluice_forward::{Hole, Packet, Verdict};
use sluice_rtp::{MediaKind, Timestamp};
use smallvec::SmallVec;

use crate::demux::SessionKey;
use crate::model::PauseReason;
use crate::publication::{Arrival, Publication};
use crate::room::RoomKey;
use crate::section::{PublicationKey, Use};
use crate::session::{Session, Subscription};
use crate::shard::Shard;
use crate::transport::{MediaPacket, Mid, Rewritten};

/// The round trip that is assumed until one was measured.
const DEFAULT_RTT: Duration = Duration::from_millis(100);

impl Shard {
    /// Takes a media packet from a session to everybody who wants it.
    pub(crate) fn forward(&mut self, now: Instant, from: SessionKey, packet: MediaPacket) {
        self.counters.packets_in += 1;
        let session = &self.sessions[from];
        let room_key = session.room;
        let Some(Use::Publication(key)) = session.sections.get(packet.mid).map(|s| s.used) else {
            self.counters.packets_unbound += 1;
            return;
        };
        let room = &mut self.rooms[room_key];
        let publication = &mut room.publications[key];
        if publication.spec.muted {
            self.counters.packets_muted += 1;
            return;
        }
        let transport = &session.transport;
        let Some(arrival) = publication.receive(&packet, |pt| transport.payload(pt)) else {
            self.counters.packets_unbound += 1;
            return;
        };
        self.distribute(now, room_key, key, &packet, &arrival);
        self.carry(room_key, key, packet, arrival.layer);
    }

    /// Takes a packet that has arrived, from a session or over a link, to the subscribers of this shard.
    pub(crate) fn distribute(
        &mut self,
        now: Instant,
        room_key: RoomKey,
        key: PublicationKey,
        packet: &MediaPacket,
        arrival: &Arrival,
    ) {
        let room = &mut self.rooms[room_key];
        let publication = &mut room.publications[key];
        if let (MediaKind::Audio, Some(level)) = (publication.spec.kind, packet.extensions.audio_level()) {
            publication.voice.on_level(now, level);
        }
        room.lively = true;
        // Subscribers are given their layers first: a layer's first packet is often its key frame.
        if arrival.changed {
            self.on_publication_changed(now, room_key, key);
        }
        self.fan_out(now, room_key, key, packet, arrival);
        // A new key frame ends a wait, for those who could use it.
        if arrival.frame.is_some_and(|frame| frame.starts_key_frame()) {
            self.collect_waiters(room_key, key);
        }
        self.ask_for_key_frames(now, room_key, key);
    }

    fn fan_out(
        &mut self,
        now: Instant,
        room: usize,
        key: PublicationKey,
        packet: &MediaPacket,
        arrival: &Arrival,
    ) {
        let publication = &self.rooms[room].publications[key];
        for index in 0..publication.subscribers.len() {
            let publication = &self.rooms[room].publications[key];
            let subscriber = publication.subscribers[index];
            let session = &mut self.sessions[subscriber.session];
            let Some(sent) = offer(now, session, subscriber.subscription, publication, packet, arrival)
            else {
                continue;
            };
            self.counters.packets_out += 1;
            self.counters.numbers_left_out += u64::from(sent.hole == Some(Hole::Left));
            self.counters.numbers_filled += u64::from(sent.hole == Some(Hole::Filled));
            if sent.seam {
                self.counters.switches += 1;
                self.emit_subscription(subscriber.session, subscriber.subscription);
            }
            self.touch(subscriber.session);
        }
    }

    /// Asks the publisher for the key frames that somebody waits for. Waiting is a state, not a message: a request that
    /// is lost is repeated.
    pub(crate) fn ask_for_key_frames(&mut self, now: Instant, room: usize, key: PublicationKey) {
        let Some(publication) = self.rooms[room].publications.get_mut(key) else { return };
        let (Some(mid), MediaKind::Video) = (publication.mid, publication.spec.kind) else { return };
        if publication.spec.muted || publication.layers.iter().all(|l| !l.key_frames.is_waited_for()) {
            return;
        }
        let Some(session) = publication.session() else { return self.ask_publishers_shard(now, room, key) };
        let publisher = &mut self.sessions[session];
        let rtt = publisher.path.report.rtt.unwrap_or(DEFAULT_RTT);
        let mut asked = false;
        for layer in &mut publication.layers {
            // A layer that never came cannot be asked: its wait goes on.
            if layer.last_packet.is_some() && layer.key_frames.poll(now, rtt) {
                publisher.transport.request_key_frame(mid, layer.rid);
                layer.count_key_frame_request();
                self.counters.key_frame_requests += 1;
                asked = true;
            }
        }
        if asked {
            self.touch(session);
        }
    }

    /// As [`Self::ask_for_key_frames`], of a publication of another shard.
    fn ask_publishers_shard(&mut self, now: Instant, room: RoomKey, key: PublicationKey) {
        let layers = self.rooms[room].publications[key].layers.iter_mut().enumerate();
        let due = layers.filter_map(|(index, layer)| {
            layer.key_frames.poll(now, DEFAULT_RTT).then_some(u8::try_from(index).unwrap_or(u8::MAX))
        });
        for layer in due.collect::<SmallVec<[u8; 4]>>() {
            self.ask_over_link(room, key, layer);
        }
    }

    /// A subscriber lost the picture (PLI or FIR).
    pub(crate) fn on_key_frame_request(&mut self, now: Instant, from: SessionKey, mid: Mid) {
        self.counters.key_frame_requests_received += 1;
        let session = &mut self.sessions[from];
        let room = session.room;
        let asked = session.subscriptions.iter_mut().find_map(|(_, subscription)| {
            let egress = subscription.egress.as_mut().filter(|e| e.mid == mid)?;
            egress.totals.key_frame_requests += 1;
            if !egress.quota.take(now) {
                return None;
            }
            egress.lost_picture = true;
            subscription.publication
        });
        if let Some(publication) = asked {
            self.collect_waiters(room, publication);
            self.ask_for_key_frames(now, room, publication);
        }
    }
}

/// What was sent.
struct Sent {
    seam: bool,
    hole: Option<Hole>,
}

/// Offers a packet to one subscription; `None` if it does not want it.
fn offer(
    now: Instant,
    session: &mut Session,
    key: usize,
    publication: &Publication,
    packet: &MediaPacket,
    arrival: &Arrival,
) -> Option<Sent> {
    let subscription: &mut Subscription = session.subscriptions.get_mut(key)?;
    let egress = subscription.egress.as_mut()?;
    if egress.payload_generation != publication.payload_generation {
        let payload = publication.payload.as_ref()?;
        egress.payload_type = session.transport.payload_type(egress.mid, payload);
        egress.payload_generation = publication.payload_generation;
        egress.switcher.set_codec(payload.codec);
        if egress.payload_type.is_none() {
            subscription.paused = Some(PauseReason::Codec);
        }
    }
    let payload_type = egress.payload_type?;
    let Some(frame) = arrival.frame else {
        egress.switcher.on_padding(arrival.layer, packet.sequence);
        return None;
    };
    let verdict = egress.switcher.on_packet(&Packet {
        layer: arrival.layer,
        seq: packet.sequence,
        timestamp: Timestamp(packet.timestamp),
        playout: arrival.playout,
        arrived: packet.received,
        frame,
    });
    let Verdict::Forward(forward) = verdict else {
        egress.totals.dropped += 1;
        return None;
    };
    if frame.starts_key_frame() {
        egress.lost_picture = false;
    }
    let rewritten = Rewritten { sequence: forward.seq, timestamp: forward.timestamp.0, vp8: forward.vp8 };
    if !session.transport.write(now, egress.stream, payload_type, packet, rewritten) {
        return None;
    }
    egress.totals.packets += 1;
    egress.totals.bytes += packet.payload.len() as u64;
    egress.totals.switches += u64::from(forward.seam);
    egress.meter.on_packet(packet.received, packet.payload.len(), Timestamp(packet.timestamp));
    Some(Sent { seam: forward.seam, hole: forward.hole })
}
