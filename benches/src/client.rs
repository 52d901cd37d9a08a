//! A client of the shard: str0m with its real feedback (reports, transport feedback, retransmission requests).
#![allow(clippy::expect_used, reason = "a panic is a benchmark's report")]

use std::net::SocketAddr;
use std::time::Instant;

use sluice_engine::id::SessionId;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{ExtensionValues, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

/// One peer with one section.
pub(crate) struct Client {
    pub(crate) session: SessionId,
    pub(crate) address: SocketAddr,
    /// When it wants to be called again.
    pub(crate) deadline: Instant,
    pub(crate) connected: bool,
    /// Media packets that came.
    pub(crate) received: u64,
    pub(crate) key_frame_wanted: bool,
    rtc: Rtc,
    mid: Option<Mid>,
}

/// A packet to send.
pub(crate) struct Sent {
    pub(crate) codec: Codec,
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) level: Option<i8>,
    pub(crate) payload: Vec<u8>,
}

impl Client {
    pub(crate) fn new(session: SessionId, address: SocketAddr, now: Instant) -> Self {
        let mut rtc = RtcConfig::new().set_rtp_mode(true).build(now);
        let candidate = Candidate::host(address, "udp").expect("a host candidate");
        rtc.add_local_candidate(candidate).expect("the address is new");
        Client {
            session,
            address,
            deadline: now,
            connected: false,
            received: 0,
            key_frame_wanted: false,
            rtc,
            mid: None,
        }
    }

    /// Offers a section for one track.
    pub(crate) fn offer(&mut self, kind: MediaKind, direction: Direction) -> (String, SdpPendingOffer) {
        let mut api = self.rtc.sdp_api();
        self.mid = Some(api.add_media(kind, direction, Some("stream".into()), Some("track".into()), None));
        let (offer, pending) = api.apply().expect("there is a section to offer");
        (offer.to_sdp_string(), pending)
    }

    pub(crate) fn accept(&mut self, pending: SdpPendingOffer, answer: &str) {
        let answer = SdpAnswer::from_sdp_string(answer).expect("the shard writes SDP");
        self.rtc.sdp_api().accept_answer(pending, answer).expect("the answer fits the offer");
    }

    pub(crate) fn receive(&mut self, now: Instant, from: SocketAddr, contents: &[u8]) {
        let received =
            Receive::new(Protocol::Udp, from, self.address, contents).expect("the shard's datagram");
        self.rtc.handle_input(Input::Receive(now, received)).expect("the client takes it");
    }

    pub(crate) fn advance(&mut self, now: Instant) {
        self.rtc.handle_input(Input::Timeout(now)).expect("time goes on");
    }

    /// Gives out what it has to send.
    pub(crate) fn poll(&mut self, mut send: impl FnMut(SocketAddr, Vec<u8>)) {
        loop {
            match self.rtc.poll_output().expect("the client works") {
                Output::Timeout(at) => {
                    self.deadline = at;
                    return;
                }
                Output::Transmit(transmit) => send(transmit.destination, transmit.contents.into()),
                Output::Event(Event::RtpPacket(_)) => self.received += 1,
                Output::Event(Event::Connected) => self.connected = true,
                Output::Event(Event::KeyframeRequest(_)) => self.key_frame_wanted = true,
                Output::Event(_) => {}
            }
        }
    }

    /// Queues a packet on the section.
    pub(crate) fn send(&mut self, now: Instant, packet: Sent) {
        let payload_type = self
            .rtc
            .codec_config()
            .find(|params| params.spec().codec == packet.codec)
            .map(|params| params.pt())
            .expect("the codec is negotiated");
        let mid = self.mid.expect("a section was offered");
        let extensions = ExtensionValues {
            audio_level: packet.level,
            voice_activity: packet.level.map(|_| true),
            mid: Some(mid),
            ..Default::default()
        };
        let mut api = self.rtc.direct_api();
        let stream = api.stream_tx_by_mid(mid, None).expect("the section is negotiated");
        stream.write_rtp(
            RtpWrite::new(payload_type, packet.sequence.into(), packet.timestamp, now, packet.payload)
                .marker(packet.marker)
                .ext_vals(extensions)
                .nackable(true),
        );
    }
}
