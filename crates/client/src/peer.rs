//! One PeerConnection: `str0m` in RTP mode, and its offers and answers.
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use anyhow::Context as _;
use sluice_livekit_proto as proto;
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::media::{Direction, MediaKind, Mid, Simulcast, SimulcastLayer};
use str0m::net::{Protocol, Receive};
use str0m::rtp::Ssrc;
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};
use tokio::net::UdpSocket;

/// Channels that a client opens towards the server.
const CHANNELS: [(&str, bool); 3] = [("_reliable", true), ("_lossy", false), ("_data_track", false)];

/// Datagrams taken from the socket before the clock is looked at again.
const MOST_AT_ONCE: usize = 64;

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

pub(crate) struct Peer {
    pub(crate) target: proto::SignalTarget,
    pub(crate) rtc: Rtc,
    /// Its own: servers tell transports apart by the address that packets come from.
    pub(crate) socket: UdpSocket,
    local: SocketAddr,
    pub(crate) timeout: Instant,
    pub(crate) channels: HashMap<String, ChannelId>,
    /// Sections of our publications, by cid.
    pub(crate) sending: HashMap<String, Mid>,
    pub(crate) connected: bool,
    /// Sections that the server sends in, to track id.
    tracks: HashMap<Mid, String>,
    by_ssrc: HashMap<Ssrc, String>,
    receiving: Vec<Mid>,
    pending: Option<(u32, SdpPendingOffer)>,
    last_offer: u32,
    wanted: VecDeque<Change>,
    /// An offer is due even if nothing changed.
    asked_to_offer: bool,
}

impl Peer {
    pub(crate) async fn new(target: proto::SignalTarget, bind: IpAddr, now: Instant) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind(SocketAddr::new(bind, 0)).await.context("no UDP socket")?;
        let local = socket.local_addr()?;
        let mut rtc = RtcConfig::new()
            .clear_codecs()
            .enable_opus(true, false)
            .enable_vp8(true)
            .set_rtp_mode(true)
            .build(now);
        rtc.add_local_candidate(Candidate::host(local, "udp").context("no candidate of our address")?);
        Ok(Self {
            target,
            rtc,
            socket,
            local,
            timeout: now,
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
        let (offer, pending) = api.apply()?;
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
        self.learn_tracks(&offer.sdp, &offer.mid_to_track_id);
        Ok(description("answer", answer.to_sdp_string(), offer.id))
    }

    pub(crate) fn add_candidate(&mut self, init: &str) -> anyhow::Result<()> {
        let init: serde_json::Value = serde_json::from_str(init).context("candidateInit is no JSON")?;
        let text = init.get("candidate").and_then(|text| text.as_str()).unwrap_or_default();
        if !text.is_empty() {
            self.rtc.add_remote_candidate(Candidate::from_sdp_string(text).context("not a candidate")?);
        }
        Ok(())
    }

    fn learn_tracks(&mut self, sdp: &str, named: &HashMap<String, String>) {
        let mut tracks: HashMap<Mid, String> = sent_tracks(sdp).into_iter().collect();
        tracks.extend(named.iter().map(|(mid, track)| (Mid::from(mid.as_str()), track.clone())));
        if tracks != self.tracks {
            self.tracks = tracks;
            self.by_ssrc.clear();
        }
    }

    /// The track that a received stream carries.
    pub(crate) fn track_of(&mut self, ssrc: Ssrc) -> Option<&str> {
        if !self.by_ssrc.contains_key(&ssrc) {
            let mid = self.rtc.direct_api().stream_rx(&ssrc)?.mid();
            self.by_ssrc.insert(ssrc, self.tracks.get(&mid)?.clone());
        }
        self.by_ssrc.get(&ssrc).map(String::as_str)
    }

    /// Takes what the socket has, up to a bound, and lets the connection speak, as [`poll`](Self::poll) does.
    /// `dtls` off: ignores DTLS.
    pub(crate) fn receive(&mut self, dtls: bool, events: &mut Vec<Event>) -> anyhow::Result<u64> {
        let mut buffer = [0; 2_000];
        let mut unsent = 0;
        for _ in 0..MOST_AT_ONCE {
            let (size, from) = match self.socket.try_recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // A datagram of ours met a closed port; the server will be missed soon enough.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => continue,
                Err(error) => return Err(error).context("the socket failed"),
            };
            // RFC 7983: these first bytes are DTLS.
            if !dtls && matches!(buffer[..size].first(), Some(20..=63)) {
                continue;
            }
            let Ok(receive) = Receive::new(Protocol::Udp, from, self.local, &buffer[..size]) else {
                continue;
            };
            let input = Input::Receive(Instant::now(), receive);
            if self.rtc.accepts(&input) {
                self.rtc.handle_input(input)?;
                // After each: str0m holds one received packet, and the next would take its place.
                unsent += self.poll(events)?;
            }
        }
        Ok(unsent)
    }

    /// Everything that the connection has to say now: datagrams leave, events are added. Afterwards `timeout` holds when
    /// to come again. Returns how many datagrams the socket did not take.
    pub(crate) fn poll(&mut self, events: &mut Vec<Event>) -> anyhow::Result<u64> {
        let mut unsent = 0;
        loop {
            match self.rtc.poll_output()? {
                Output::Transmit(out) if out.proto == Protocol::Udp => {
                    unsent += u64::from(self.socket.try_send_to(&out.contents, out.destination).is_err());
                }
                Output::Transmit(_) => {}
                Output::Event(event) => events.push(event),
                Output::Timeout(at) => {
                    self.timeout = at;
                    return Ok(unsent);
                }
            }
        }
    }
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
        Peer::new(proto::SignalTarget::Publisher, std::net::Ipv4Addr::LOCALHOST.into(), Instant::now())
            .await
            .unwrap()
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
