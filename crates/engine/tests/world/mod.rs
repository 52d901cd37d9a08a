//! Shards and some str0m peers in one virtual network: no socket, no sleep, time by hand.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sluice_engine::command::{Negotiated, NegotiationStep};
use sluice_engine::id::*;
use sluice_engine::model::*;
use sluice_engine::*;
use sluice_rtp::{Codec, MediaKind};
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::ChannelId;
use str0m::media::{Direction, KeyframeRequestKind, Mid, Simulcast, SimulcastLayer};
use str0m::net::Receive;
use str0m::rtp::{ExtensionValues, RtpPacket, RtpWrite};
use str0m::{Candidate, Event as PeerEvent, Input as PeerInput, Output as PeerOutput, Rtc, RtcConfig};

pub const ROOM: &str = "room";

pub struct World {
    pub now: Instant,
    pub shards: Vec<Shard>,
    pub peers: Vec<Peer>,
    pub events: Vec<EventKind>,
    replies: Vec<(Ticket, Result<Reply, CommandError>)>,
    tickets: u64,
}

pub struct Peer {
    pub name: String,
    pub rtc: Rtc,
    pub address: SocketAddr,
    /// The shard that has its session.
    pub shard: usize,
    pub packets: Vec<RtpPacket>,
    pub messages: Vec<(String, Vec<u8>)>,
    pub channels: Vec<(ChannelId, String)>,
    pub key_frame_requests: usize,
    pub connected: bool,
    pub closed: bool,
    pending: Option<SdpPendingOffer>,
    inbox: VecDeque<(SocketAddr, Vec<u8>)>,
}

fn server(shard: usize) -> SocketAddr {
    ([192, 0, 2, 1 + shard as u8], 7882).into()
}

impl World {
    /// A room on so many shards. Peers join them in turn.
    pub fn new(shards: usize) -> Self {
        let now = Instant::now();
        let shard = |number: usize| {
            let config = Config {
                shard: number as u16,
                seed: 1 + number as u64,
                addresses: vec![LocalAddress { protocol: Protocol::Udp, advertised: server(number) }],
                ..Config::default()
            };
            Shard::new(now, config).unwrap()
        };
        let mut world = World {
            now,
            shards: (0..shards).map(shard).collect(),
            peers: Vec::new(),
            events: Vec::new(),
            replies: Vec::new(),
            tickets: 0,
        };
        world.act(RoomAction::Put { app_state: None, settings: None }).unwrap();
        for number in 0..shards {
            let others = (0..shards as u16).filter(|other| usize::from(*other) != number).collect();
            world
                .act_on(number, RoomAction::Host { home: number == 0, shards: others, greet: None })
                .unwrap();
        }
        world
    }

    /// Totals of all shards.
    pub fn total(&self, count: impl Fn(&Counters) -> u64) -> u64 {
        self.shards.iter().map(|shard| count(&shard.counters())).sum()
    }

    /// Runs a command on the room: on the shard of its session if it is about one, else on all; the first success counts.
    pub fn act(&mut self, action: RoomAction) -> Result<Reply, CommandError> {
        let name = action.session().map(SessionId::as_str);
        if let Some(peer) = name.and_then(|name| self.peers.iter().find(|peer| peer.name == name)) {
            return self.act_on(peer.shard, action);
        }
        let replies: Vec<_> =
            (0..self.shards.len()).map(|shard| self.act_on(shard, action.clone())).collect();
        let first = replies.iter().position(Result::is_ok).unwrap_or(0);
        replies.into_iter().nth(first).unwrap()
    }

    /// Runs a command on the room on one shard.
    pub fn act_on(&mut self, shard: usize, action: RoomAction) -> Result<Reply, CommandError> {
        self.command(shard, Command::Room { room: RoomId::new(ROOM).unwrap(), owner_epoch: 1, action })
    }

    pub fn command(&mut self, shard: usize, command: Command) -> Result<Reply, CommandError> {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.shards[shard].handle(self.now, Input::Command(ticket, command));
        self.settle();
        let index = self.replies.iter().position(|(t, _)| *t == ticket).expect("a reply to each command");
        self.replies.remove(index).1
    }

    /// A peer with a session of its own.
    pub fn join(&mut self, name: &str, offerer: Offerer) -> usize {
        self.join_with(name, name, offerer, DataPolicy::default())
    }

    pub fn join_with(&mut self, name: &str, participant: &str, offerer: Offerer, data: DataPolicy) -> usize {
        let settings = SessionSettings { data, ..SessionSettings::new(offerer) };
        let shard = self.peers.len() % self.shards.len();
        let put = RoomAction::PutSession {
            session: session(name),
            participant: ParticipantId::new(participant).unwrap(),
            settings,
            app_state: None,
            elsewhere: 0,
        };
        self.act_on(shard, put).unwrap();
        let address: SocketAddr = ([198, 51, 100, 1 + self.peers.len() as u8], 5_000).into();
        let mut rtc = RtcConfig::new()
            .set_rtp_mode(true)
            .enable_bwe(Some(str0m::bwe::Bitrate::kbps(2_000)))
            .build(self.now);
        rtc.add_local_candidate(Candidate::host(address, "udp").unwrap());
        self.peers.push(Peer {
            name: name.to_owned(),
            rtc,
            address,
            shard,
            packets: Vec::new(),
            messages: Vec::new(),
            channels: Vec::new(),
            key_frame_requests: 0,
            connected: false,
            closed: false,
            pending: None,
            inbox: VecDeque::new(),
        });
        self.peers.len() - 1
    }

    /// The peer offers; returns what the node says of the round.
    pub fn peer_offers(
        &mut self,
        peer: usize,
        change: impl FnOnce(&mut str0m::change::SdpApi<'_>),
    ) -> Result<Negotiated, CommandError> {
        let mut api = self.peers[peer].rtc.sdp_api();
        change(&mut api);
        let (offer, pending) = api.apply().expect("something to negotiate");
        self.peers[peer].pending = Some(pending);
        let name = session(&self.peers[peer].name.clone());
        let step = NegotiationStep::RemoteOffer(offer.to_sdp_string());
        let Reply::Negotiated(result) = self.act(RoomAction::Negotiate { session: name, step })? else {
            panic!("not a negotiation")
        };
        let answer = SdpAnswer::from_sdp_string(&result.sdp).unwrap();
        let peer = &mut self.peers[peer];
        let pending = peer.pending.take().unwrap();
        peer.rtc.sdp_api().accept_answer(pending, answer).unwrap();
        self.settle();
        Ok(result)
    }

    /// The node offers; returns its offer, or nothing if there is nothing to negotiate.
    pub fn node_offers(&mut self, peer: usize) -> String {
        let name = session(&self.peers[peer].name.clone());
        let step = NegotiationStep::CreateOffer { ice_restart: false };
        let Reply::Negotiated(result) =
            self.act(RoomAction::Negotiate { session: name.clone(), step }).unwrap()
        else {
            panic!("not a negotiation")
        };
        if result.sdp.is_empty() {
            return String::new();
        }
        let offer = SdpOffer::from_sdp_string(&result.sdp).unwrap();
        let answer = self.peers[peer].rtc.sdp_api().accept_offer(offer).unwrap();
        let step = NegotiationStep::RemoteAnswer(answer.to_sdp_string());
        self.act(RoomAction::Negotiate { session: name, step }).unwrap();
        result.sdp
    }

    pub fn publish(&mut self, peer: usize, publications: Vec<PublicationSpec>) {
        let session = session(&self.peers[peer].name.clone());
        self.act(RoomAction::SetPublications { session, publications }).unwrap();
    }

    pub fn subscribe(&mut self, peer: usize, publications: &[(&str, Wish)]) {
        let session = session(&self.peers[peer].name.clone());
        let subscriptions = publications
            .iter()
            .map(|(id, wish)| SubscriptionSpec { publication: PublicationId::new(id).unwrap(), wish: *wish })
            .collect();
        self.act(RoomAction::SetSubscriptions { session, subscriptions }).unwrap();
    }

    /// Moves time on in steps of 5 ms; `each` runs before every step.
    pub fn run(&mut self, time: Duration, mut each: impl FnMut(&mut World, Duration)) {
        let start = self.now;
        while self.now < start + time {
            let elapsed = self.now - start;
            each(self, elapsed);
            self.now += Duration::from_millis(5);
            for peer in &mut self.peers {
                peer.rtc.handle_input(PeerInput::Timeout(self.now)).unwrap();
            }
            for shard in &mut self.shards {
                shard.handle(self.now, Input::Timeout);
            }
            self.settle();
        }
    }

    /// Runs until a condition holds; panics after 20 s of virtual time.
    pub fn until(&mut self, what: &str, mut holds: impl FnMut(&mut World) -> bool) {
        for _ in 0..4_000 {
            if holds(self) {
                return;
            }
            self.run(Duration::from_millis(5), |_, _| {});
        }
        panic!("never happened: {what}");
    }

    /// Delivers everything that is on its way.
    pub fn settle(&mut self) {
        loop {
            let mut moved = false;
            for shard in 0..self.shards.len() {
                moved |= self.poll_shard(shard);
            }
            for index in 0..self.peers.len() {
                moved |= self.poll_peer(index);
            }
            if !moved {
                return;
            }
        }
    }

    fn poll_shard(&mut self, shard: usize) -> bool {
        let mut moved = false;
        loop {
            match self.shards[shard].poll(self.now) {
                Output::Transmit(sent) => {
                    moved = true;
                    if let Some(peer) = self.peers.iter_mut().find(|p| p.address == sent.destination) {
                        peer.inbox.push_back((sent.source, sent.contents));
                    }
                }
                Output::Reply(ticket, reply) => self.replies.push((ticket, reply)),
                Output::Event(event) => self.events.push(event.kind),
                Output::Link(to, message) => {
                    moved = true;
                    self.shards[usize::from(to)].handle(self.now, Input::Link(shard as u16, message));
                }
                Output::Timeout(_) => return moved,
            }
        }
    }

    fn poll_peer(&mut self, index: usize) -> bool {
        let mut moved = false;
        loop {
            let peer = &mut self.peers[index];
            for datagram in peer.poll() {
                moved = true;
                self.shards[peer.shard].handle(
                    self.now,
                    Input::Datagram(Datagram {
                        protocol: Protocol::Udp,
                        source: peer.address,
                        destination: datagram.0,
                        contents: &datagram.1,
                    }),
                );
            }
            let Some((source, contents)) = peer.inbox.pop_front() else { return moved };
            moved = true;
            if let Ok(received) = Receive::new(str0m::net::Protocol::Udp, source, peer.address, &contents) {
                peer.rtc.handle_input(PeerInput::Receive(self.now, received)).unwrap();
            }
        }
    }
}

impl Peer {
    fn poll(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut sent = Vec::new();
        loop {
            match self.rtc.poll_output().unwrap() {
                PeerOutput::Timeout(_) => return sent,
                PeerOutput::Transmit(t) => sent.push((t.destination, t.contents.into())),
                PeerOutput::Event(PeerEvent::RtpPacket(packet)) => self.packets.push(packet),
                PeerOutput::Event(PeerEvent::Connected) => self.connected = true,
                PeerOutput::Event(PeerEvent::Closed) => self.closed = true,
                PeerOutput::Event(PeerEvent::ChannelOpen(id, label)) => self.channels.push((id, label)),
                PeerOutput::Event(PeerEvent::ChannelData(data)) => {
                    let label = self.channels.iter().find(|(id, _)| *id == data.id).map(|(_, l)| l.clone());
                    self.messages.push((label.unwrap_or_default(), data.data));
                }
                PeerOutput::Event(PeerEvent::KeyframeRequest(_)) => self.key_frame_requests += 1,
                PeerOutput::Event(_) => {}
            }
        }
    }

    /// Sends one packet on an outgoing stream of the peer.
    pub fn send(&mut self, now: Instant, mid: Mid, rid: Option<&str>, packet: Sent<'_>) {
        let rid = rid.map(|r| r.into());
        let pt = self
            .rtc
            .codec_config()
            .find(|p| p.spec().codec == packet.codec)
            .map(|p| p.pt())
            .expect("the codec is negotiated");
        let mut api = self.rtc.direct_api();
        let stream = api.stream_tx_by_mid(mid, rid).expect("the stream is negotiated");
        let extensions = ExtensionValues {
            audio_level: packet.level,
            voice_activity: packet.level.map(|l| l > -50),
            mid: Some(mid),
            rid,
            ..Default::default()
        };
        stream.write_rtp(
            RtpWrite::new(pt, packet.sequence.into(), packet.timestamp, now, packet.payload)
                .marker(packet.marker)
                .ext_vals(extensions)
                .nackable(true),
        );
    }

    pub fn request_key_frame(&mut self, mid: Mid) {
        let mut api = self.rtc.direct_api();
        let stream = api.stream_rx_by_mid(mid, None).expect("something came on this section");
        stream.request_keyframe(KeyframeRequestKind::Pli);
    }

    pub fn say(&mut self, label: &str, message: &[u8]) {
        let id = self.channels.iter().find(|(_, l)| l == label).expect("the channel is open").0;
        assert!(self.rtc.channel(id).unwrap().write(true, message).unwrap());
    }

    /// Packets that came on a section.
    pub fn on(&self, mid: &str) -> impl Iterator<Item = &RtpPacket> {
        let mid: Mid = mid.into();
        self.packets.iter().filter(move |p| p.header.ext_vals.mid == Some(mid))
    }
}

pub struct Sent<'a> {
    pub codec: str0m::format::Codec,
    pub sequence: u64,
    pub timestamp: u32,
    pub marker: bool,
    pub level: Option<i8>,
    pub payload: &'a [u8],
}

/// A simulcast layer of a synthetic VP8 camera, 30 frames a second, one packet a frame.
pub struct Camera {
    pub mid: Mid,
    pub rid: Option<&'static str>,
    pub size: (u16, u16),
    sequence: u64,
    timestamp: u32,
    picture: u16,
    keys: u8,
    /// The next frame is a key frame.
    pub key: bool,
    pub bytes: usize,
}

impl Camera {
    pub fn new(mid: Mid, rid: Option<&'static str>, size: (u16, u16), bytes: usize) -> Self {
        let salt = u32::from(size.0);
        Camera {
            mid,
            rid,
            size,
            sequence: u64::from(salt),
            timestamp: salt.wrapping_mul(1_000_003),
            picture: size.1,
            keys: 0,
            key: true,
            bytes,
        }
    }

    pub fn frame(&mut self, peer: &mut Peer, now: Instant) {
        self.sequence += 1;
        self.timestamp = self.timestamp.wrapping_add(3_000);
        self.picture = (self.picture + 1) & 0x7fff;
        self.keys = (self.keys + u8::from(self.key)) & 0x1f;
        let payload = vp8(self.key, self.picture, self.keys, self.size, self.bytes);
        self.key = false;
        peer.send(
            now,
            self.mid,
            self.rid,
            Sent {
                codec: str0m::format::Codec::Vp8,
                sequence: self.sequence,
                timestamp: self.timestamp,
                marker: true,
                level: None,
                payload: &payload,
            },
        );
    }
}

/// A VP8 frame in one packet (RFC 7741): descriptor with 15-bit PictureID, TL0PICIDX, TID and KEYIDX, then the header.
pub fn vp8(key: bool, picture: u16, keys: u8, size: (u16, u16), bytes: usize) -> Vec<u8> {
    let mut payload = vec![0x90, 0xf0, 0x80 | (picture >> 8) as u8, picture as u8, picture as u8, keys];
    if key {
        payload.extend([0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a]);
        payload.extend(size.0.to_le_bytes());
        payload.extend(size.1.to_le_bytes());
    } else {
        payload.extend([0x11, 0x02, 0x00]);
    }
    payload.resize(bytes.max(payload.len()), 0x55);
    payload
}

pub fn session(name: &str) -> SessionId {
    SessionId::new(name).unwrap()
}

pub fn audio(id: &str) -> PublicationSpec {
    publication(id, MediaKind::Audio, vec![Codec::Opus], &[])
}

pub fn video(id: &str, layers: &[(&str, u32, u32)]) -> PublicationSpec {
    publication(id, MediaKind::Video, vec![Codec::Vp8], layers)
}

fn publication(
    id: &str,
    kind: MediaKind,
    codecs: Vec<Codec>,
    layers: &[(&str, u32, u32)],
) -> PublicationSpec {
    PublicationSpec {
        id: PublicationId::new(id).unwrap(),
        client_track_id: id.to_owned(),
        kind,
        stream_label: format!("stream-{id}"),
        track_label: format!("track-{id}"),
        muted: false,
        codecs,
        opus_dtx: true,
        opus_stereo: false,
        layers: layers
            .iter()
            .map(|(rid, width, height)| LayerSpec {
                rid: (*rid).to_owned(),
                width: *width,
                height: *height,
                bitrate: Default::default(),
            })
            .collect(),
        screen_share: false,
        app_state: Default::default(),
    }
}

pub fn three_layers() -> Simulcast {
    let mut simulcast = Simulcast::new();
    for rid in ["q", "h", "f"] {
        simulcast.add_send_layer(SimulcastLayer::new(rid));
    }
    simulcast
}

pub const SEND: Direction = Direction::SendOnly;
pub const RECEIVE: Direction = Direction::RecvOnly;
