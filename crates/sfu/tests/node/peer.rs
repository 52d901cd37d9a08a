//! A WebRTC peer with a real socket: str0m in RTP mode, over UDP or over one TCP connection.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use sluice_api::sfu::v1 as api;
use sluice_net::{FrameDecoder, MAX_FRAME, encode_frame};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{Protocol, Receive, TcpType};
use str0m::rtp::{ExtensionValues, RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

use crate::harness::{Client, PATIENCE, put_session};

enum Wire {
    Udp(UdpSocket),
    Tcp { stream: TcpStream, decoder: FrameDecoder },
}

pub(crate) struct Peer {
    name: &'static str,
    rtc: Rtc,
    wire: Wire,
    own: SocketAddr,
    pub(crate) connected: bool,
    pub(crate) packets: Vec<RtpPacket>,
}

impl Peer {
    /// Sends and receives datagrams on any address of `ip`.
    pub(crate) fn over_udp(name: &'static str, ip: &str) -> Self {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let own = socket.local_addr().unwrap();
        Self::new(name, Wire::Udp(socket), own, Candidate::host(own, "udp").unwrap())
    }

    /// Connects to the node's TCP port, and uses nothing else.
    pub(crate) fn over_tcp(name: &'static str, node: SocketAddr) -> Self {
        let stream = TcpStream::connect(node).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        let own = stream.local_addr().unwrap();
        let candidate = Candidate::builder().tcp().host(own).tcptype(TcpType::Active).build().unwrap();
        let decoder = FrameDecoder::new(MAX_FRAME);
        Self::new(name, Wire::Tcp { stream, decoder }, own, candidate)
    }

    fn new(name: &'static str, wire: Wire, own: SocketAddr, candidate: Candidate) -> Self {
        let mut rtc = RtcConfig::new().set_rtp_mode(true).build(Instant::now());
        rtc.add_local_candidate(candidate);
        Peer { name, rtc, wire, own, connected: false, packets: Vec::new() }
    }

    /// Creates the session, then offers one audio section; answers its mid.
    pub(crate) async fn join(&mut self, client: &mut Client, room: &str, direction: Direction) -> Mid {
        client.put_session(put_session(room, self.name)).await.unwrap();
        if direction == Direction::SendOnly {
            let publication = api::Publication {
                publication_id: format!("{}-mic", self.name),
                client_track_id: "mic".to_owned(),
                kind: api::Kind::Audio.into(),
                ..Default::default()
            };
            let request = api::SetPublicationsRequest {
                room_id: room.to_owned(),
                session_id: self.name.to_owned(),
                publications: vec![publication],
                ..Default::default()
            };
            client.set_publications(request).await.unwrap();
        }
        let mut api = self.rtc.sdp_api();
        let track = (direction == Direction::SendOnly).then(|| "mic".to_owned());
        let mid = api.add_media(MediaKind::Audio, direction, None, track, None);
        let (offer, pending) = api.apply().unwrap();
        self.negotiate(client, room, offer.to_sdp_string(), pending).await;
        mid
    }

    async fn negotiate(&mut self, client: &mut Client, room: &str, offer: String, pending: SdpPendingOffer) {
        let request = api::NegotiateRequest {
            room_id: room.to_owned(),
            session_id: self.name.to_owned(),
            step: Some(api::negotiate_request::Step::RemoteOffer(offer)),
            ..Default::default()
        };
        let answer = client.negotiate(request).await.unwrap().into_inner();
        // A browser whose UDP is blocked never gets through on those candidates; here they are left out.
        let usable = match self.wire {
            Wire::Udp(_) => " udp ",
            Wire::Tcp { .. } => " tcp ",
        };
        let keep =
            |line: &&str| !line.starts_with("a=candidate:") || line.to_ascii_lowercase().contains(usable);
        let sdp: String = answer.sdp.lines().filter(keep).map(|line| format!("{line}\r\n")).collect();
        assert!(sdp.contains("a=candidate:"), "no candidate for {}: {}", self.name, answer.sdp);
        self.rtc.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(&sdp).unwrap()).unwrap();
    }

    /// One packet of audio.
    pub(crate) fn speak(&mut self, mid: Mid, number: u16, payload: &[u8]) {
        let opus = |payload: &&str0m::format::PayloadParams| payload.spec().codec == Codec::Opus;
        let pt = self.rtc.codec_config().params().iter().find(opus).unwrap().pt();
        let mut api = self.rtc.direct_api();
        let stream = api.stream_tx_by_mid(mid, None).unwrap();
        let extensions = ExtensionValues {
            audio_level: Some(-20),
            voice_activity: Some(true),
            mid: Some(mid),
            ..Default::default()
        };
        let timestamp = u32::from(number) * 960;
        let packet = RtpWrite::new(pt, u64::from(number).into(), timestamp, Instant::now(), payload.to_vec());
        stream.write_rtp(packet.ext_vals(extensions));
    }

    /// Sends and receives what there is, without waiting.
    pub(crate) fn turn(&mut self) {
        self.receive();
        self.rtc.handle_input(Input::Timeout(Instant::now())).unwrap();
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(_) => return,
                Output::Transmit(transmit) => self.send(transmit.destination, &transmit.contents),
                Output::Event(Event::Connected) => self.connected = true,
                Output::Event(Event::RtpPacket(packet)) => self.packets.push(packet),
                Output::Event(_) => {}
            }
        }
    }

    fn send(&mut self, destination: SocketAddr, contents: &[u8]) {
        match &mut self.wire {
            Wire::Udp(socket) => {
                socket.send_to(contents, destination).unwrap();
            }
            Wire::Tcp { stream, .. } => {
                let mut frame = Vec::new();
                encode_frame(contents, &mut frame).unwrap();
                // So little that it always fits into the kernel's buffer.
                stream.write_all(&frame).unwrap();
            }
        }
    }

    fn receive(&mut self) {
        let mut buffer = [0; 4_096];
        loop {
            let (source, contents) = match &mut self.wire {
                Wire::Udp(socket) => match socket.recv_from(&mut buffer) {
                    Ok((length, source)) => (source, buffer[..length].to_vec()),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                    Err(error) => panic!("{error}"),
                },
                Wire::Tcp { stream, decoder } => match decoder.next_frame().unwrap() {
                    Some(frame) => (stream.peer_addr().unwrap(), frame.to_vec()),
                    None => match stream.read(&mut buffer) {
                        Ok(0) => panic!("the node closed the connection of {}", self.name),
                        Ok(length) => {
                            decoder.buffer().extend_from_slice(&buffer[..length]);
                            continue;
                        }
                        Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                        Err(error) => panic!("{error}"),
                    },
                },
            };
            let protocol = match self.wire {
                Wire::Udp(_) => Protocol::Udp,
                Wire::Tcp { .. } => Protocol::Tcp,
            };
            if let Ok(received) = Receive::new(protocol, source, self.own, &contents) {
                self.rtc.handle_input(Input::Receive(Instant::now(), received)).unwrap();
                // str0m keeps one packet at a time: the next one would replace it.
                self.drain();
            }
        }
    }
}

/// Lets peers send and receive until `holds`.
pub(crate) async fn until<const N: usize>(
    what: &str,
    mut peers: [&mut Peer; N],
    mut holds: impl FnMut(&mut [&mut Peer; N]) -> bool,
) {
    let deadline = Instant::now() + PATIENCE;
    while !holds(&mut peers) {
        assert!(Instant::now() < deadline, "never happened: {what}");
        for peer in &mut peers {
            peer.turn();
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
