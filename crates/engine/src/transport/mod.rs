//! A session's WebRTC transport: ICE, DTLS, SRTP, retransmission, feedback and bandwidth estimation.
//!
//! The only module that names str0m. The rest of the engine sees datagrams, packets, feedback, an estimate and data
//! messages, so that another media plane can take this one's place.
//!
//! **After each call that feeds it, [`Transport::poll`] must run until it gives out a packet or answers [`Polled::Idle`]**: str0m
//! keeps one incoming packet at a time. Before the turn ends it must have answered [`Polled::Idle`], which tells the next deadline.

mod negotiate;
mod packet;
mod payload;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use sluice_rtp::Bitrate;
use str0m::bwe::BweKind;
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::crypto::CryptoProvider;
use str0m::crypto::dtls::{DtlsCert, DtlsVersion};
use str0m::media::KeyframeRequestKind;
use str0m::net::Receive;
use str0m::rtp::{RtpPacket, RtpWrite, Ssrc};
use str0m::{
    Candidate, Event, IceConnectionState, IceCreds, Input, Output, PacerReason, Reason, Rtc, RtcConfig,
};

pub(crate) use self::negotiate::SectionChange;
use self::packet::vp8_patch;
pub(crate) use self::packet::{Extensions, MediaPacket, Rewritten};
pub(crate) use self::payload::Payload;
use crate::config::{Config, LocalAddress};
use crate::io::{Datagram, Protocol, Transmit};
use crate::model::DataChannel;

/// Section and layer names as the transport uses them: small and `Copy`.
pub(crate) type Mid = str0m::media::Mid;
/// See [`Mid`].
pub(crate) type Rid = str0m::media::Rid;
/// A data channel of one transport.
pub(crate) type Channel = ChannelId;

/// How old a packet may be that is still sent again. A longer time would serve round trips above half a second twice, and
/// costs every subscription a kilobyte for each packet of it.
const RTX_MAX_AGE: Duration = Duration::from_secs(1);
/// Share of retransmissions among all bytes above which they stop: a broken path must not double the load.
const RTX_RATIO_CAP: f32 = 0.25;
/// A transport that has something to send by the clock, such as a probe of the path, is left alone for this long: it may ask
/// for a time that is already past. Larger would make its packets leave in bursts.
const EXACT: Duration = Duration::from_micros(200);
/// Deadlines this close are due now: str0m's pacer asks for times a microsecond apart, and a wake-up each would cost more.
pub(crate) const SOON: Duration = Duration::from_micros(50);
/// What pacer and estimator ask for besides may be late by as much: a session with media is told the time with each packet, and
/// most of these deadlines are then served on the way. Shorter than the 20 ms of audio would add a wake-up to each packet. str0m
/// names only its soonest deadline, so another one that hides behind it is late by no more than this either.
const LAZY: Duration = Duration::from_millis(25);
/// Everything else may be late by as much: retransmission, feedback, checks.
const SHORTLY: Duration = Duration::from_millis(5);
/// The estimator ticks every 25 ms, whether there is something to estimate or not; without media there is not. Longer would
/// hold back what hides behind the tick: retransmissions of data channels, and checks.
const QUIET: Duration = Duration::from_millis(100);
/// Media that is longer ago than this is not there.
const SILENCE: Duration = Duration::from_secs(1);
/// A transport that sent what nobody gave it, padding or a retransmission, is likely to go on for as long.
const EXTRA: Duration = Duration::from_millis(200);

/// How often the transport reports statistics. Shorter costs a walk over all streams each time.
const STATS_INTERVAL: Duration = Duration::from_secs(2);

/// What all transports of a shard share: made once, because a certificate costs a signature key.
pub(crate) struct Shared {
    provider: Arc<CryptoProvider>,
    certificate: DtlsCert,
}

impl Shared {
    /// The certificate is the only thing here that is not derived from the seed.
    pub(crate) fn new() -> Option<Self> {
        let provider = Arc::new(sluice_dtls::provider());
        let certificate = provider.dtls_provider.generate_certificate()?;
        Some(Shared { provider, certificate })
    }
}

/// ICE credentials (RFC 8445 section 5.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) ufrag: String,
    pub(crate) password: String,
}

impl Credentials {
    fn into_str0m(self) -> IceCreds {
        IceCreds { ufrag: self.ufrag, pass: self.password }
    }
}

/// An outgoing stream: what [`Transport::write`] needs to know of a section.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutStream {
    ssrc: Ssrc,
}

/// What the transport reports.
pub(crate) enum Polled {
    Transmit(Transmit),
    Event(TransportEvent),
    /// Nothing until `at`; but telling the time of `soon`, which is about now, may bring more.
    Idle {
        at: Instant,
        soon: Option<Instant>,
    },
}

/// What happened on a transport.
// One exists at a time: a box would cost an allocation and save nothing.
#[allow(clippy::large_enum_variant)]
pub(crate) enum TransportEvent {
    Connected,
    Disconnected,
    /// By the peer, or after [`Transport::close`].
    Closed,
    Packet(MediaPacket),
    SenderReport {
        mid: Mid,
        rid: Option<Rid>,
        wall_clock: SystemTime,
        timestamp: u32,
    },
    KeyFrameRequest {
        mid: Mid,
    },
    Estimate(Bitrate),
    ChannelOpen {
        channel: Channel,
        label: String,
        reliable: bool,
    },
    ChannelData {
        channel: Channel,
        binary: bool,
        data: Vec<u8>,
    },
    ChannelClosed(Channel),
    /// A channel's buffer drained.
    ChannelReady,
    Path(PathReport),
    Ingress {
        mid: Mid,
        rid: Option<Rid>,
        nacks: u64,
        lost: Option<f32>,
    },
    Egress {
        mid: Mid,
        nacks: u64,
    },
}

/// How the path does.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PathReport {
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) rtt: Option<Duration>,
    pub(crate) egress_loss: Option<f32>,
    pub(crate) ingress_loss: Option<f32>,
    pub(crate) tcp: bool,
}

/// Why the transport refused something; for the log and for callers.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(pub(crate) String);

/// One str0m instance.
pub(crate) struct Transport {
    rtc: Rtc,
    offer: Option<negotiate::Pending>,
    /// Data channels to open with the first offer or once the peer's offer has an application section.
    to_open: Vec<DataChannel>,
    rtx_video: usize,
    rtx_audio: usize,
    /// The time that it was told last.
    now: Instant,
    /// Packets written that have not left: with an estimator, str0m lets one go each time that it is told the time.
    owed: u32,
    /// When media was last written or received.
    media_at: Instant,
    /// Until when more leaves than was written.
    extra_until: Instant,
}

impl Transport {
    pub(crate) fn new(
        now: Instant,
        config: &Config,
        shared: &Shared,
        ice_lite: bool,
        credentials: Credentials,
        to_open: Vec<DataChannel>,
    ) -> Result<Self, Refused> {
        let limits = &config.limits;
        let mut rtc = RtcConfig::new()
            .set_crypto_provider(shared.provider.clone())
            .set_dtls_cert(shared.certificate.clone())
            .set_dtls_version(DtlsVersion::Auto)
            .set_local_ice_credentials(credentials.into_str0m())
            .set_ice_lite(ice_lite)
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_opus(true, false)
            .enable_vp8(true)
            .enable_h264(true)
            .enable_vp9(true)
            .enable_av1(true)
            .enable_bwe(Some(to_str0m(config.initial_estimate)))
            .set_stats_interval(Some(STATS_INTERVAL))
            .set_send_buffer_video(limits.rtx_video_packets)
            .set_send_buffer_audio(limits.rtx_audio_packets)
            .set_sctp_max_message_size(u32::try_from(limits.message_bytes).unwrap_or(u32::MAX))
            .set_sctp_max_buffered_amount(limits.data_queue_bytes)
            .build(now);
        for address in &config.addresses {
            rtc.add_local_candidate(local_candidate(address)?);
        }
        Ok(Transport {
            rtc,
            offer: None,
            to_open,
            rtx_video: limits.rtx_video_packets,
            rtx_audio: limits.rtx_audio_packets,
            now,
            owed: 0,
            media_at: now,
            // A new session's path is probed at once.
            extra_until: now + SILENCE,
        })
    }

    /// The local ufrag now; ICE restarts change it.
    pub(crate) fn ufrag(&mut self) -> String {
        self.rtc.direct_api().local_ice_credentials().ufrag
    }

    /// Takes a datagram. `Err` if it is malformed or the transport failed; the session goes on unless [`Self::is_alive`]
    /// says otherwise.
    pub(crate) fn receive(&mut self, now: Instant, datagram: &Datagram<'_>) -> Result<(), Refused> {
        let received = Receive::new(
            protocol(datagram.protocol),
            datagram.source,
            datagram.destination,
            datagram.contents,
        )
        .map_err(|e| Refused(e.to_string()))?;
        self.now = now;
        self.rtc.handle_input(Input::Receive(now, received)).map_err(|e| Refused(e.to_string()))
    }

    /// Whether the peer at this address has proven by an authenticated check that it owns it.
    pub(crate) fn owns(
        &self,
        now: Instant,
        protocol_: Protocol,
        source: SocketAddr,
        local: SocketAddr,
    ) -> bool {
        // The smallest thing that is taken for RTP: only the addresses matter.
        const RTP: [u8; 12] = [0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        Receive::new(protocol(protocol_), source, local, &RTP)
            .is_ok_and(|received| self.rtc.accepts(&Input::Receive(now, received)))
    }

    /// Moves time forward. Must follow a batch of [`Self::write`]s.
    pub(crate) fn advance(&mut self, now: Instant) -> Result<(), Refused> {
        self.now = now;
        self.rtc.handle_input(Input::Timeout(now)).map_err(|e| Refused(e.to_string()))
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.rtc.is_alive()
    }

    /// Says goodbye to the peer; poll until idle to get it out.
    pub(crate) fn close(&mut self) {
        if let Err(error) = self.rtc.close() {
            tracing::debug!(%error, "closing a transport");
        }
    }

    /// Whether packets were written that have not left, so that the time must be told again now.
    pub(crate) fn owes(&self) -> bool {
        self.owed > 0
    }

    /// Gives up on packets that were written and do not leave, e.g. because their stream is gone.
    pub(crate) fn forgive(&mut self) {
        self.owed = 0;
    }

    pub(crate) fn poll(&mut self) -> Result<Polled, Refused> {
        loop {
            let output = self.rtc.poll_output().map_err(|e| Refused(e.to_string()))?;
            match output {
                Output::Timeout(at) => {
                    let patience = self.patience();
                    let soon = at <= self.now + SOON && (self.owed > 0 || patience == EXACT);
                    return Ok(Polled::Idle { at: at.max(self.now + patience), soon: soon.then_some(at) });
                }
                Output::Transmit(transmit) => {
                    self.count_sent(&transmit.contents);
                    return Ok(Polled::Transmit(Transmit {
                        protocol: if transmit.proto == str0m::net::Protocol::Udp {
                            Protocol::Udp
                        } else {
                            Protocol::Tcp
                        },
                        source: transmit.source,
                        destination: transmit.destination,
                        contents: transmit.contents.into(),
                    }));
                }
                Output::Event(event) => {
                    if let Some(event) = self.translate(event) {
                        return Ok(Polled::Event(event));
                    }
                }
            }
        }
    }

    fn count_sent(&mut self, contents: &[u8]) {
        if !is_rtp(contents) {
            return;
        }
        match self.owed.checked_sub(1) {
            Some(owed) => self.owed = owed,
            None => self.extra_until = self.now + EXTRA,
        }
    }

    /// How long what the transport asked for last may wait.
    fn patience(&self) -> Duration {
        use PacerReason::{Handle, Immediate};
        match self.rtc.last_timeout_reason() {
            // After each packet str0m asks to be told the time at once, in case there is another.
            Reason::Pacer(Immediate) if self.owed == 0 && self.now >= self.extra_until => LAZY,
            Reason::Pacer(Handle) => LAZY,
            Reason::Pacer(_) => EXACT,
            Reason::BweDelayControl | Reason::BweProbeControl | Reason::BweProbeEstimator => {
                let silence = self.now.saturating_duration_since(self.media_at);
                if silence > SILENCE { QUIET } else { LAZY }
            }
            _ if self.rtc.is_connected() => SHORTLY,
            _ => EXACT,
        }
    }

    fn translate(&mut self, event: Event) -> Option<TransportEvent> {
        Some(match event {
            Event::RtpPacket(packet) => TransportEvent::Packet(self.media_packet(packet)?),
            Event::Connected => TransportEvent::Connected,
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => TransportEvent::Disconnected,
            Event::IceConnectionStateChange(
                IceConnectionState::Connected | IceConnectionState::Completed,
            ) if self.rtc.is_connected() => TransportEvent::Connected,
            Event::Closed => TransportEvent::Closed,
            Event::SenderFeedback(feedback) => TransportEvent::SenderReport {
                mid: feedback.mid,
                rid: feedback.rid,
                wall_clock: feedback.sender_info.ntp_time,
                // RTP time is a 32-bit counter on the wire (RFC 3550 section 6.4.1).
                timestamp: feedback.sender_info.rtp_time.numer() as u32,
            },
            Event::KeyframeRequest(request) => TransportEvent::KeyFrameRequest { mid: request.mid },
            Event::EgressBitrateEstimate(BweKind::Twcc { estimate, .. }) => {
                TransportEvent::Estimate(Bitrate::bps(estimate.as_u64()))
            }
            Event::ChannelOpen(channel, label) => {
                let reliable = self
                    .rtc
                    .channel(channel)
                    .and_then(|c| c.config().map(|c| c.reliability == Reliability::Reliable))
                    .unwrap_or(true);
                TransportEvent::ChannelOpen { channel, label, reliable }
            }
            Event::ChannelData(message) => TransportEvent::ChannelData {
                channel: message.id,
                binary: message.binary,
                data: message.data,
            },
            Event::ChannelClose(channel) => TransportEvent::ChannelClosed(channel),
            Event::ChannelBufferedAmountLow(_) => TransportEvent::ChannelReady,
            Event::PeerStats(stats) => TransportEvent::Path(PathReport {
                bytes_received: stats.peer_bytes_rx,
                bytes_sent: stats.peer_bytes_tx,
                rtt: stats.rtt.or_else(|| {
                    stats.selected_candidate_pair.as_ref().and_then(|p| p.current_round_trip_time)
                }),
                egress_loss: stats.egress_loss_fraction,
                ingress_loss: stats.ingress_loss_fraction,
                tcp: stats.selected_candidate_pair.is_some_and(|p| p.protocol != str0m::net::Protocol::Udp),
            }),
            Event::MediaIngressStats(stats) => TransportEvent::Ingress {
                mid: stats.mid,
                rid: stats.rid,
                nacks: stats.nacks,
                lost: stats.loss,
            },
            Event::MediaEgressStats(stats) => TransportEvent::Egress { mid: stats.mid, nacks: stats.nacks },
            _ => return None,
        })
    }

    /// The section and layer come from the stream: browsers leave the header extensions that name them (RFC 8852, RFC 9143)
    /// out of all but the first packets.
    fn media_packet(&mut self, packet: RtpPacket) -> Option<MediaPacket> {
        let mut api = self.rtc.direct_api();
        let stream = api.stream_rx(&packet.header.ssrc)?;
        self.media_at = packet.timestamp;
        Some(MediaPacket {
            mid: stream.mid(),
            rid: stream.rid(),
            payload_type: *packet.header.payload_type,
            sequence: *packet.seq_no,
            timestamp: packet.header.timestamp,
            marker: packet.header.marker,
            extensions: Extensions::of(&packet.header.ext_vals),
            payload: packet.payload,
            received: packet.timestamp,
        })
    }

    /// Queues a packet on an outgoing stream; [`Self::advance`] and [`Self::poll`] send it. False if the stream is gone.
    pub(crate) fn write(
        &mut self,
        stream: OutStream,
        payload_type: u8,
        packet: &MediaPacket,
        rewritten: Rewritten,
    ) -> bool {
        let mut api = self.rtc.direct_api();
        let Some(out) = api.stream_tx(&stream.ssrc) else { return false };
        let mut write = RtpWrite::new(
            payload_type.into(),
            rewritten.sequence.into(),
            rewritten.timestamp,
            packet.received,
            packet.payload.clone(),
        )
        .marker(packet.marker)
        .ext_vals(packet.extensions.forwarded.clone())
        .nackable(true);
        if let Some(patch) = rewritten.vp8.and_then(|vp8| vp8_patch(&packet.payload, vp8)) {
            write = write.vp8_patch(patch);
        }
        out.write_rtp(write);
        self.owed += 1;
        self.media_at = packet.received;
        true
    }

    /// The outgoing stream of a section, if it is negotiated to send.
    pub(crate) fn out_stream(&mut self, mid: Mid) -> Option<OutStream> {
        if !self.rtc.media(mid)?.direction().is_sending() {
            return None;
        }
        let video = self.rtc.media(mid)?.kind().is_video();
        let size = if video { self.rtx_video } else { self.rtx_audio };
        let mut api = self.rtc.direct_api();
        let stream = api.stream_tx_by_mid(mid, None)?;
        stream.set_rtx_cache(size, RTX_MAX_AGE, Some(RTX_RATIO_CAP));
        // The pacer would hold back what the allocation has granted whenever the estimate dips: a picture that is late
        // for a second is a picture that stands still.
        stream.set_unpaced(true);
        Some(OutStream { ssrc: stream.ssrc() })
    }

    /// Asks the peer for a key frame (PLI, RFC 4585 section 6.3.1). False if no packet of the layer came yet.
    pub(crate) fn request_key_frame(&mut self, mid: Mid, rid: Option<Rid>) -> bool {
        let mut api = self.rtc.direct_api();
        let Some(stream) = api.stream_rx_by_mid(mid, rid) else { return false };
        stream.request_keyframe(KeyframeRequestKind::Pli);
        true
    }

    /// Tells the estimator what is sent at least and what would be sent if the path allowed it.
    pub(crate) fn set_desired(&mut self, minimum: Bitrate, desired: Bitrate) {
        self.rtc.bwe().set_bitrate(to_str0m(minimum), to_str0m(desired));
    }

    /// Sends a data message. `Ok(false)` if the transport's buffer is full.
    pub(crate) fn send_data(&mut self, channel: Channel, binary: bool, data: &[u8]) -> Result<bool, Refused> {
        let Some(mut open) = self.rtc.channel(channel) else {
            return Err(Refused("the channel is not open".into()));
        };
        open.write(binary, data).map_err(|e| Refused(e.to_string()))
    }

    /// Adds a remote candidate. Names that only mDNS resolves are ignored: such peers are learnt from their checks.
    pub(crate) fn add_candidate(&mut self, text: &str) -> Result<(), Refused> {
        let candidate = Candidate::from_sdp_string(text).map_err(|e| Refused(e.to_string()))?;
        self.rtc.add_remote_candidate(candidate);
        Ok(())
    }
}

fn channel_config(channel: &DataChannel) -> ChannelConfig {
    ChannelConfig {
        label: channel.label.clone(),
        ordered: channel.ordered,
        reliability: match channel.max_retransmits {
            None => Reliability::Reliable,
            Some(retransmits) => Reliability::MaxRetransmits { retransmits },
        },
        ..Default::default()
    }
}

/// RTP and not RTCP, as one port tells them apart (RFC 5761 section 4, RFC 7983).
fn is_rtp(datagram: &[u8]) -> bool {
    matches!(datagram, [128..=191, second, ..] if !matches!(second & 0x7f, 64..=95))
}

fn to_str0m(rate: Bitrate) -> str0m::bwe::Bitrate {
    str0m::bwe::Bitrate::from(rate.as_bps())
}

fn protocol(protocol: Protocol) -> str0m::net::Protocol {
    match protocol {
        Protocol::Udp => str0m::net::Protocol::Udp,
        Protocol::Tcp => str0m::net::Protocol::Tcp,
    }
}

fn local_candidate(address: &LocalAddress) -> Result<Candidate, Refused> {
    let candidate = match address.protocol {
        Protocol::Udp => Candidate::host(address.advertised, "udp"),
        Protocol::Tcp => {
            Candidate::builder().tcp().host(address.advertised).tcptype(str0m::net::TcpType::Passive).build()
        }
    };
    candidate.map_err(|e| Refused(format!("address {}: {e}", address.advertised)))
}
