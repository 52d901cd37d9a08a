//! One PeerConnection: `str0m` in RTP mode, and its offers and answers. Media may be a light plane's instead.
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use sluice_livekit_proto as proto;
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::media::{Direction, MediaKind, Mid, Rid, Simulcast, SimulcastLayer};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{ExtensionValues, RtpWrite, Ssrc};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};
use tokio::sync::watch;

use crate::impair::Network;
use crate::light::{self, Ears, Heard, Light, SharedLight, ToSend};
use crate::receive::{Packet, Track};
use crate::socket::{Exit as _, SharedSockets, Socket};
use crate::stats::Stats;
use crate::{Options, Plane};

/// Channels that a client opens towards the server.
const CHANNELS: [(&str, bool); 3] = [("_reliable", true), ("_lossy", false), ("_data_track", false)];

/// Longer than any client lives.
const NEVER: Duration = Duration::from_secs(24 * 3_600);

/// What the next offer shall bring.
#[derive(Debug)]
pub(crate) enum Change {
    /// The data channels.
    Channels,
    /// A section to send in: msid's track, kind, RIDs (none for a single encoding).
    Send { cid: String, kind: MediaKind, rids: Vec<String> },
    /// Sections to receive in.
    Receive { audio: u32, video: u32 },
}

/// What a connection has to say.
// One exists at a time: a box would cost an allocation and save nothing.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Said<'a> {
    /// Of the session.
    Event(Event),
    /// A packet of a track, if the track is known.
    Packet(Option<&'a mut Track>, Packet<'a>),
    /// The server asks for a key frame.
    KeyFrame(Mid, Option<Rid>),
    /// Datagrams that the socket did not take.
    Unsent(u64),
    /// Datagrams that came faster than they were taken.
    Dropped(u64),
}

pub(crate) struct Peer {
    pub(crate) target: proto::SignalTarget,
    pub(crate) rtc: Rtc,
    /// With an address of its own: servers tell transports apart by where packets come from.
    pub(crate) socket: Socket,
    light: Option<SharedLight>,
    /// Takes no part in the server's DTLS.
    stalls: bool,
    /// When the session wants to be called.
    timeout: Instant,
    /// Something came or was written since it was polled.
    stirred: bool,
    pub(crate) channels: HashMap<String, ChannelId>,
    /// Sections of our publications, by cid.
    pub(crate) sending: HashMap<String, Mid>,
    pub(crate) connected: bool,
    /// Sections that the server sends in, to track id.
    tracks: HashMap<Mid, String>,
    by_ssrc: HashMap<Ssrc, Track>,
    receiving: Vec<Mid>,
    pending: Option<(u32, SdpPendingOffer)>,
    last_offer: u32,
    wanted: VecDeque<Change>,
    /// An offer is due even if nothing changed.
    asked_to_offer: bool,
}

impl Peer {
    pub(crate) async fn new(
        target: proto::SignalTarget,
        bind: IpAddr,
        options: &Options,
        network: Option<&Network>,
        stats: &watch::Sender<Stats>,
        now: Instant,
    ) -> anyhow::Result<Self> {
        let mut config = RtcConfig::new()
            .set_crypto_provider(Arc::new(sluice_dtls::provider()))
            .clear_codecs()
            .enable_opus(true, false)
            .enable_vp8(true)
            .set_rtp_mode(true);
        if options.plane != Plane::Full {
            // Its reports would not be sent, so it need not wake for them.
            config = config.set_rtcp_report_interval_audio(NEVER).set_rtcp_report_interval_video(NEVER);
        }
        let (mut rtc, ear) = sluice_dtls::listening(|| config.build(now));
        let light = match options.plane {
            Plane::Full => None,
            Plane::Light(opened) => Some(Arc::new(Mutex::new(Light::new(opened, ear, now)))),
        };
        let socket = match (&options.shared_sockets, &light) {
            (Some(sockets), Some(light)) if network.is_none() && SharedSockets::serve(bind) => {
                let ears = Ears::new(light.clone(), stats.clone(), options);
                Socket::at(sockets.seat(Box::new(ears)).await?)
            }
            _ => Socket::bind(bind, network)?,
        };
        let candidate = Candidate::host(socket.local(), "udp").context("no candidate of our address")?;
        rtc.add_local_candidate(candidate);
        Ok(Self {
            target,
            rtc,
            socket,
            light,
            stalls: options.stall_handshake,
            timeout: now,
            stirred: true,
            channels: HashMap::new(),
            sending: HashMap::new(),
            connected: false,
            tracks: HashMap::new(),
            by_ssrc: HashMap::new(),
            receiving: Vec::new(),
            pending: None,
            last_offer: 0,
            wanted: VecDeque::new(),
            asked_to_offer: false,
        })
    }

    pub(crate) fn want(&mut self, change: Change) {
        match change {
            Change::Receive { audio: 0, video: 0 } => self.asked_to_offer = true,
            change => self.wanted.push_back(change),
        }
    }

    /// An offer with everything wanted, unless one is outstanding or nothing is wanted.
    pub(crate) fn offer(&mut self) -> Option<proto::SessionDescription> {
        if self.pending.is_some() || (self.wanted.is_empty() && !self.asked_to_offer) {
            return None;
        }
        self.asked_to_offer = false;
        let mut api = self.rtc.sdp_api();
        for change in self.wanted.drain(..) {
            match change {
                Change::Channels => {
                    for (label, reliable) in CHANNELS {
                        let id = api.add_channel_with_config(channel(label, reliable));
                        self.channels.insert(label.into(), id);
                    }
                }
                Change::Send { cid, kind, rids } => {
                    let layers = rids.iter().map(|rid| SimulcastLayer::new(rid)).collect();
                    let simulcast =
                        (!rids.is_empty()).then_some(Simulcast { send: layers, recv: Vec::new() });
                    let stream = Some("native".to_owned());
                    let mid = api.add_media(kind, Direction::SendOnly, stream, Some(cid.clone()), simulcast);
                    self.sending.insert(cid, mid);
                }
                Change::Receive { audio, video } => {
                    for (kind, count) in [(MediaKind::Audio, audio), (MediaKind::Video, video)] {
                        let add = |_| api.add_media(kind, Direction::RecvOnly, None, None, None);
                        self.receiving.extend((0..count).map(add));
                    }
                }
            }
        }
        if !api.has_changes() {
            // str0m makes no offer without a change: turn a section off and on again.
            let mid = *self.receiving.first()?;
            api.set_direction(mid, Direction::Inactive);
            api.set_direction(mid, Direction::RecvOnly);
        }
        let made = api.apply();
        self.touch();
        let (offer, pending) = made?;
        self.last_offer += 1;
        self.pending = Some((self.last_offer, pending));
        Some(description("offer", offer.to_sdp_string(), self.last_offer))
    }

    /// Takes the server's answer. Returns whether it was the one that we waited for.
    pub(crate) fn accept_answer(&mut self, answer: &proto::SessionDescription) -> anyhow::Result<bool> {
        match self.pending.take() {
            Some((id, pending)) if answer.id == 0 || answer.id == id => {
                let parsed = SdpAnswer::from_sdp_string(&answer.sdp).context("the answer is no SDP")?;
                self.rtc.sdp_api().accept_answer(pending, parsed).context("the answer does not fit")?;
                self.touch();
                self.learn_tracks(&answer.sdp, &answer.mid_to_track_id);
                Ok(true)
            }
            pending => {
                self.pending = pending;
                Ok(false)
            }
        }
    }

    /// Answers the server's offer.
    pub(crate) fn answer(
        &mut self,
        offer: &proto::SessionDescription,
    ) -> anyhow::Result<proto::SessionDescription> {
        let parsed = SdpOffer::from_sdp_string(&offer.sdp).context("the offer is no SDP")?;
        let answer = self.rtc.sdp_api().accept_offer(parsed).context("the offer cannot be taken")?;
        self.touch();
        self.learn_tracks(&offer.sdp, &offer.mid_to_track_id);
        Ok(description("answer", answer.to_sdp_string(), offer.id))
    }

    pub(crate) fn add_candidate(&mut self, init: &str) -> anyhow::Result<()> {
        let init: serde_json::Value = serde_json::from_str(init).context("candidateInit is no JSON")?;
        let text = init.get("candidate").and_then(|text| text.as_str()).unwrap_or_default();
        if !text.is_empty() {
            self.rtc.add_remote_candidate(Candidate::from_sdp_string(text).context("not a candidate")?);
            self.touch();
        }
        Ok(())
    }

    fn learn_tracks(&mut self, sdp: &str, named: &HashMap<String, String>) {
        let mut tracks: HashMap<Mid, String> = sent_tracks(sdp).into_iter().collect();
        tracks.extend(named.iter().map(|(mid, track)| (Mid::from(mid.as_str()), track.clone())));
        if let Some(light) = &self.light {
            light::lock(light).learn(sdp, &tracks);
        }
        if tracks != self.tracks {
            self.tracks = tracks;
            self.by_ssrc.clear();
        }
    }

    /// Another layer of this track was asked for.
    pub(crate) fn watch(&mut self, sid: &str, now: Instant) {
        if let Some(light) = &self.light {
            light::lock(light).watch(sid, now);
        }
    }

    /// When to be called again.
    pub(crate) fn due(&self) -> Instant {
        let light = self.light.as_ref().filter(|_| !self.socket.is_listened_to());
        let light = light.and_then(|light| light::lock(light).due());
        light.into_iter().chain(self.socket.due()).fold(self.timeout, Instant::min)
    }

    /// Whether packets can be sent.
    pub(crate) fn can_send(&mut self) -> anyhow::Result<bool> {
        Ok(self.connected
            && match &self.light {
                Some(light) => light::lock(light).ready()?,
                None => true,
            })
    }

    /// Takes a packet to send; [`poll`](Self::poll) sends it.
    pub(crate) fn write(&mut self, packet: &ToSend<'_>, now: Instant) -> bool {
        self.stirred = true;
        if let Some(light) = &self.light {
            return light::lock(light).send(packet, now);
        }
        let mut api = self.rtc.direct_api();
        let Some(tx) = api.stream_tx(&packet.ssrc.into()) else { return false };
        let values = ExtensionValues {
            // str0m has levels as RFC 6464 means them: negative.
            audio_level: packet.level.map(|(level, _)| -(level.min(127) as i8)),
            voice_activity: packet.level.map(|(_, speech)| speech),
            ..ExtensionValues::default()
        };
        let (pt, sequence) = (packet.payload_type.into(), packet.sequence.into());
        let write = RtpWrite::new(pt, sequence, packet.timestamp, now, packet.payload.to_vec())
            .marker(packet.marker)
            .nackable(true)
            .ext_vals(values);
        tx.write_rtp(write);
        // What is written leaves once time is told.
        self.timeout = now;
        true
    }

    /// Takes a few trains of datagrams from the socket, and lets the connection speak.
    pub(crate) fn receive(&mut self, say: &mut dyn FnMut(Said<'_>)) -> anyhow::Result<()> {
        let now = Instant::now();
        self.stirred = true;
        if self.socket.receives_later() {
            let _kernel_tells_none = self.socket.take_in(now)?;
            return self.deliver(now, say);
        }
        let mut session = self.session(now);
        let dropped = session.socket.receive(|from, datagram| session.take(from, datagram, say))?;
        if dropped > 0 {
            say(Said::Dropped(dropped));
        }
        Ok(())
    }

    /// Takes what has come through an impaired network by now.
    fn deliver(&mut self, now: Instant, say: &mut dyn FnMut(Said<'_>)) -> anyhow::Result<()> {
        while let Some(mut datagram) = self.socket.arrived(now) {
            self.session(now).take(datagram.other, &mut datagram.contents, say)?;
        }
        Ok(())
    }

    fn session(&mut self, now: Instant) -> Session<'_> {
        let Self { rtc, socket, light, tracks, by_ssrc, timeout, stalls, .. } = self;
        let light = light.as_deref();
        Session { rtc, socket, light, tracks, by_ssrc, timeout, stalls: *stalls, now }
    }

    /// Whether it has nothing to say: the listener at its socket says what is due by the clock alone.
    pub(crate) fn is_quiet(&self, now: Instant) -> bool {
        self.socket.is_listened_to() && !self.stirred && self.timeout > now
    }

    /// Moves time on and lets the connection speak. To be called when it is [`due`](Self::due), or after a write.
    pub(crate) fn poll(&mut self, now: Instant, say: &mut dyn FnMut(Said<'_>)) -> anyhow::Result<()> {
        self.stirred = false;
        self.deliver(now, say)?;
        let Self { rtc, socket, light, tracks, by_ssrc, timeout, .. } = self;
        if *timeout <= now {
            rtc.handle_input(Input::Timeout(now))?;
            *timeout = drain(rtc, socket, light.is_some(), tracks, by_ssrc, say)?;
        }
        let mut unsent = 0;
        if let Some(light) = light {
            let mut light = light::lock(light);
            if light.ready()? {
                light.tick(now);
                unsent += light.flush(socket);
            }
        }
        unsent += socket.flush();
        if unsent > 0 {
            say(Said::Unsent(unsent));
        }
        Ok(())
    }

    /// Something else than time was told to the session, which may have to say something now.
    pub(crate) fn touch(&mut self) {
        self.timeout = Instant::now();
    }
}

/// What takes part when a datagram is taken.
struct Session<'a> {
    rtc: &'a mut Rtc,
    socket: &'a Socket,
    light: Option<&'a Mutex<Light>>,
    tracks: &'a HashMap<Mid, String>,
    by_ssrc: &'a mut HashMap<Ssrc, Track>,
    timeout: &'a mut Instant,
    stalls: bool,
    now: Instant,
}

impl Session<'_> {
    fn take(
        &mut self,
        from: SocketAddr,
        datagram: &mut [u8],
        say: &mut dyn FnMut(Said<'_>),
    ) -> anyhow::Result<()> {
        let now = self.now;
        // RFC 7983: the first byte tells protocols apart.
        match (datagram.first(), self.light) {
            (Some(20..=63), _) if self.stalls => return Ok(()),
            (Some(20..=63), Some(light)) => light::lock(light).set_remote(from),
            (Some(128..=191), Some(light)) => {
                let mut light = light::lock(light);
                // Media may follow the handshake in the same train.
                light.ready()?;
                match light.receive(datagram, now) {
                    Heard::Packet(track, packet) => say(Said::Packet(track, packet)),
                    Heard::KeyFrames(streams) => {
                        streams.into_iter().for_each(|(mid, rid)| say(Said::KeyFrame(mid, rid)));
                    }
                    Heard::Nothing => {}
                }
                return Ok(());
            }
            _ => {}
        }
        let local = self.socket.local();
        let Ok(receive) = Receive::new(Protocol::Udp, from, local, datagram) else { return Ok(()) };
        let input = Input::Receive(now, receive);
        if self.rtc.accepts(&input) {
            self.rtc.handle_input(input)?;
            // After each: str0m holds one received packet, and the next would take its place.
            *self.timeout =
                drain(self.rtc, self.socket, self.light.is_some(), self.tracks, self.by_ssrc, say)?;
        }
        Ok(())
    }
}

/// Everything that the session has to say now: datagrams leave. Gives when to come again.
fn drain(
    rtc: &mut Rtc,
    socket: &Socket,
    light: bool,
    tracks: &HashMap<Mid, String>,
    by_ssrc: &mut HashMap<Ssrc, Track>,
    say: &mut dyn FnMut(Said<'_>),
) -> anyhow::Result<Instant> {
    let mut unsent = 0;
    let at = loop {
        match rtc.poll_output()? {
            // Beside a light plane the session's own media and reports would come under numbers that are used already.
            Output::Transmit(out) if light && matches!(out.contents.first(), Some(128..=191)) => {}
            Output::Transmit(out) if out.proto == Protocol::Udp => {
                unsent += u64::from(!socket.send(out.destination, &out.contents, None));
            }
            Output::Transmit(_) => {}
            Output::Event(Event::RtpPacket(packet)) => {
                let ssrc = packet.header.ssrc;
                if !by_ssrc.contains_key(&ssrc)
                    && let Some(stream) = rtc.direct_api().stream_rx(&ssrc)
                    && let Some(track) = tracks.get(&stream.mid())
                {
                    by_ssrc.insert(ssrc, Track::new(track.clone()));
                }
                let track = by_ssrc.get_mut(&ssrc);
                let seen = Packet {
                    ssrc: *ssrc,
                    sequence: *packet.seq_no,
                    timestamp: packet.header.timestamp,
                    marker: packet.header.marker,
                    size: packet.payload.len(),
                    payload: Some(&packet.payload),
                    at: packet.timestamp,
                    all_opened: true,
                };
                say(Said::Packet(track, seen));
            }
            Output::Event(Event::KeyframeRequest(request)) => {
                say(Said::KeyFrame(request.mid, request.rid));
            }
            Output::Event(event) => say(Said::Event(event)),
            Output::Timeout(at) => break at,
        }
    };
    if unsent > 0 {
        say(Said::Unsent(unsent));
    }
    Ok(at)
}

fn channel(label: &str, reliable: bool) -> ChannelConfig {
    ChannelConfig {
        label: label.into(),
        ordered: reliable,
        reliability: if reliable {
            Reliability::Reliable
        } else {
            Reliability::MaxRetransmits { retransmits: 0 }
        },
        ..ChannelConfig::default()
    }
}

fn description(kind: &str, sdp: String, id: u32) -> proto::SessionDescription {
    proto::SessionDescription { r#type: kind.into(), sdp, id, ..Default::default() }
}

/// Sections that the writer of this description sends in: mid, and the track part of `a=msid` (RFC 8830).
fn sent_tracks(sdp: &str) -> BTreeMap<Mid, String> {
    let mut tracks = BTreeMap::new();
    for section in sdp.split("\nm=").skip(1) {
        let lines: HashSet<&str> = section.lines().map(str::trim_end).collect();
        let value = |name: &str| lines.iter().find_map(|line| line.strip_prefix(name));
        let sends = lines.contains("a=sendonly") || lines.contains("a=sendrecv");
        let track = value("a=msid:").and_then(|msid| msid.split_once(' ')).map(|(_, track)| track);
        if let (true, Some(mid), Some(track)) = (sends, value("a=mid:"), track) {
            tracks.insert(Mid::from(mid), track.to_owned());
        }
    }
    tracks
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn peer() -> Peer {
        let local = std::net::Ipv4Addr::LOCALHOST.into();
        let options = Options::default();
        let (stats, _) = watch::channel(Stats::joined(Instant::now(), &proto::JoinResponse::default()));
        let target = proto::SignalTarget::Publisher;
        Peer::new(target, local, &options, None, &stats, Instant::now()).await.unwrap()
    }

    #[test]
    fn tracks_are_read_from_the_sections_that_send() {
        let sdp = "v=0\r\nm=audio 9 X 111\r\na=mid:a1\r\na=sendonly\r\na=msid:PA_x|TR_y TR_y\r\n\
                   m=video 9 X 96\r\na=mid:v1\r\na=inactive\r\na=msid:- TR_z\r\n\
                   m=video 9 X 96\r\na=mid:v2\r\na=recvonly\r\n";
        let tracks: Vec<_> =
            sent_tracks(sdp).into_iter().map(|(mid, track)| (mid.to_string(), track)).collect();
        assert_eq!(tracks, [("a1".to_owned(), "TR_y".to_owned())]);
    }

    #[tokio::test]
    async fn offers_are_made_one_at_a_time_and_only_when_something_is_wanted() {
        let mut client = peer().await;
        let mut server = peer().await;
        assert!(client.offer().is_none(), "nothing is wanted");
        client.want(Change::Channels);
        let offer = client.offer().unwrap();
        client.want(Change::Receive { audio: 1, video: 1 });
        assert!(client.offer().is_none(), "one is outstanding");
        let answer = server.answer(&offer).unwrap();
        assert!(
            !client.accept_answer(&proto::SessionDescription { id: 7, ..answer.clone() }).unwrap(),
            "stale"
        );
        assert!(client.accept_answer(&answer).unwrap());
        let second = client.offer().unwrap();
        assert_eq!(second.id, 2);
        client.accept_answer(&server.answer(&second).unwrap()).unwrap();
        client.want(Change::Receive { audio: 0, video: 0 });
        assert_eq!(client.offer().unwrap().id, 3, "asked to offer though nothing changed");
    }

    #[tokio::test]
    async fn simulcast_is_offered_with_its_rids() {
        let mut client = peer().await;
        let rids = vec!["q".to_owned(), "h".to_owned(), "f".to_owned()];
        client.want(Change::Send { cid: "cam".into(), kind: MediaKind::Video, rids });
        let sdp = client.offer().unwrap().sdp;
        assert!(sdp.contains("a=simulcast:send q;h;f"), "{sdp}");
        assert!(sdp.contains("a=msid:native cam"), "{sdp}");
    }
}
