//! A session's WebRTC transport: ICE, DTLS and data channels by str0m, media by `sluice-media`.
//!
//! The only module that names str0m. The rest of the engine sees datagrams, packets, feedback, an estimate and data
//! messages.
//!
//! str0m hands over the keys of its handshake (`sluice-dtls`) and hears no media; what little it would say of media itself is
//! not sent, so that each SSRC is sealed by one side only. Why not str0m's own RTP: it looks at its whole state for each packet,
//! which costs more than sealing it does (docs/performance.md).
//!
//! **After whatever changes it, [`Transport::poll`] must run until it answers [`Polled::Idle`]**, which tells the next deadline.

mod media;
mod negotiate;
mod payload;
mod route;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use sluice_dtls::Ear;
use sluice_media::{Clock, Media};
pub(crate) use sluice_rtp::{Mid, Rid};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::crypto::CryptoProvider;
use str0m::crypto::dtls::{DtlsCert, DtlsVersion};
use str0m::net::Receive;
use str0m::{Candidate, Event, IceConnectionState, IceCreds, Input, Output, Rtc, RtcConfig};

pub(crate) use self::negotiate::SectionChange;
pub(crate) use self::payload::Payload;
use self::route::Route;
use crate::config::{Config, LocalAddress};
use crate::io::{Datagram, Protocol, Transmit};
use crate::model::DataChannel;

pub(crate) use sluice_media::{OutStream, Packet as MediaPacket, Rewritten};
/// A data channel of one transport.
pub(crate) type Channel = ChannelId;

/// Who was served is left alone for this long, though it may ask for a time that is already past: more than [`SOON`], or it
/// would be served for ever.
pub(crate) const EXACT: Duration = Duration::from_micros(200);
/// Once connected, str0m's deadlines may be late by as much: checks and retransmissions of data channels.
const SHORTLY: Duration = Duration::from_millis(5);
/// Deadlines this close are due now: a wake-up each would cost more.
pub(crate) const SOON: Duration = Duration::from_micros(50);
const _: () = assert!(SOON.as_nanos() < EXACT.as_nanos());
/// How often the transport reports statistics. Shorter costs a walk over all streams each time.
const STATS_INTERVAL: Duration = Duration::from_secs(2);
/// str0m's reports are not sent: so seldom that they cost nothing.
const NEVER: Duration = Duration::from_secs(24 * 3_600);

/// What all transports of a shard share: made once, because a certificate costs a signature key.
pub(crate) struct Shared {
    provider: Arc<CryptoProvider>,
    certificate: DtlsCert,
    clock: Clock,
    /// Room to open a packet in.
    scratch: Vec<u8>,
}

impl Shared {
    /// The certificate and the wall clock are the only things here that are not derived from the seed.
    pub(crate) fn new(now: Instant) -> Option<Self> {
        let provider = Arc::new(sluice_dtls::provider());
        let certificate = provider.dtls_provider.generate_certificate()?;
        let clock = Clock::new(now, SystemTime::now());
        Some(Shared { provider, certificate, clock, scratch: Vec::new() })
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

/// What the transport reports.
pub(crate) enum Polled {
    Transmit(Transmit),
    Event(TransportEvent),
    /// Nothing until then.
    Idle(Instant),
}

/// What happened on a transport.
// One exists at a time: a box would cost an allocation and save nothing.
#[allow(clippy::large_enum_variant)]
pub(crate) enum TransportEvent {
    Connected,
    Disconnected,
    /// By the peer, or after [`Transport::close`].
    Closed,
    Media(sluice_media::Event),
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
    /// Regularly, when [`Transport::ingress`] and [`Transport::egress`] are worth a look too.
    Path(PathReport),
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

/// What a transport is made with, besides the configuration.
pub(crate) struct Start {
    pub(crate) ice_lite: bool,
    pub(crate) credentials: Credentials,
    /// Data channels to open with the first offer or once the peer's offer has an application section.
    pub(crate) to_open: Vec<DataChannel>,
    /// Who speaks in our feedback: random.
    pub(crate) ssrc: u32,
}

/// One str0m instance, and the media plane beside it.
pub(crate) struct Transport {
    rtc: Rtc,
    /// Until the handshake is done.
    ear: Option<Ear>,
    media: Media,
    /// Where the peer is, once that is known.
    route: Option<Route>,
    offer: Option<negotiate::Pending>,
    to_open: Vec<DataChannel>,
    rtx_video: usize,
    rtx_audio: usize,
    /// The time of the last call.
    now: Instant,
    /// The time that str0m was told last.
    told: Instant,
    /// str0m may have something to say.
    fed: bool,
    /// When str0m wants to be told the time.
    due: Instant,
}

impl Transport {
    pub(crate) fn new(now: Instant, config: &Config, shared: &Shared, start: Start) -> Result<Self, Refused> {
        let limits = &config.limits;
        let settings = RtcConfig::new()
            .set_crypto_provider(shared.provider.clone())
            .set_dtls_cert(shared.certificate.clone())
            .set_dtls_version(DtlsVersion::Auto)
            .set_local_ice_credentials(start.credentials.into_str0m())
            .set_ice_lite(start.ice_lite)
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_opus(true, false)
            .enable_vp8(true)
            .enable_h264(true)
            .enable_vp9(true)
            .enable_av1(true)
            .set_stats_interval(Some(STATS_INTERVAL))
            .set_rtcp_report_interval_audio(NEVER)
            .set_rtcp_report_interval_video(NEVER)
            .set_sctp_max_message_size(u32::try_from(limits.message_bytes).unwrap_or(u32::MAX))
            .set_sctp_max_buffered_amount(limits.data_queue_bytes);
        let (mut rtc, ear) = sluice_dtls::listening(|| settings.build(now));
        for address in &config.addresses {
            rtc.add_local_candidate(local_candidate(address)?);
        }
        let media = Media::new(
            now,
            sluice_media::Settings {
                ssrc: start.ssrc,
                initial_estimate: config.initial_estimate,
                clock: shared.clock,
            },
        );
        Ok(Transport {
            rtc,
            ear: Some(ear),
            media,
            route: None,
            offer: None,
            to_open: start.to_open,
            rtx_video: limits.rtx_video_packets,
            rtx_audio: limits.rtx_audio_packets,
            now,
            told: now,
            fed: true,
            due: now,
        })
    }

    /// The local ufrag now; ICE restarts change it.
    pub(crate) fn ufrag(&mut self) -> String {
        self.rtc.direct_api().local_ice_credentials().ufrag
    }

    /// Takes a datagram. `Err` if it is malformed or the transport failed; the session goes on unless [`Self::is_alive`]
    /// says otherwise.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        datagram: &Datagram<'_>,
        shared: &mut Shared,
    ) -> Result<(), Refused> {
        self.now = now;
        if is_media(datagram.contents) {
            let received = self.media.receive(now, datagram.contents, &mut shared.scratch);
            return received.map_err(|e| Refused(e.to_string()));
        }
        let received = Receive::new(
            route::protocol(datagram.protocol),
            datagram.source,
            datagram.destination,
            datagram.contents,
        )
        .map_err(|e| Refused(e.to_string()))?;
        (self.fed, self.told) = (true, now);
        self.rtc.handle_input(Input::Receive(now, received)).map_err(|e| Refused(e.to_string()))?;
        self.ask_route(datagram);
        Ok(())
    }

    /// Whether the peer at this address has proven by an authenticated check that it owns it.
    pub(crate) fn owns(&self, now: Instant, datagram: &Datagram<'_>) -> bool {
        // The smallest thing that is taken for RTP: only the addresses matter.
        const RTP: [u8; 12] = [0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let protocol = route::protocol(datagram.protocol);
        Receive::new(protocol, datagram.source, datagram.destination, &RTP)
            .is_ok_and(|received| self.rtc.accepts(&Input::Receive(now, received)))
    }

    /// Moves time forward.
    pub(crate) fn advance(&mut self, now: Instant) -> Result<(), Refused> {
        self.now = now;
        self.media.advance(now);
        if self.due <= now {
            (self.fed, self.told) = (true, now);
            self.rtc.handle_input(Input::Timeout(now)).map_err(|e| Refused(e.to_string()))?;
        }
        Ok(())
    }

    /// Whether str0m may have something to say.
    pub(crate) fn is_fed(&self) -> bool {
        self.fed
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.rtc.is_alive()
    }

    /// Says goodbye to the peer; poll until idle to get it out.
    pub(crate) fn close(&mut self) {
        self.fed = true;
        if let Err(error) = self.rtc.close() {
            tracing::debug!(%error, "closing a transport");
        }
    }

    /// What happened, then what is to be sent, then when to come again.
    pub(crate) fn poll(&mut self) -> Result<Polled, Refused> {
        while self.fed {
            match self.rtc.poll_output().map_err(|e| Refused(e.to_string()))? {
                Output::Timeout(at) => {
                    self.fed = false;
                    let patience = if self.rtc.is_connected() { SHORTLY } else { EXACT };
                    self.due = at.max(self.told + patience);
                }
                // str0m's own word on media is for finding out where it would go.
                Output::Transmit(transmit) if is_media(&transmit.contents) => {
                    self.set_route(Route::of(&transmit));
                }
                Output::Transmit(transmit) => {
                    let route = Route::of(&transmit);
                    return Ok(Polled::Transmit(route.carry(transmit.contents.into())));
                }
                Output::Event(event) => {
                    if let Some(event) = self.translate(event)? {
                        return Ok(Polled::Event(event));
                    }
                }
            }
        }
        if let Some(event) = self.media.pop_event() {
            return Ok(Polled::Event(TransportEvent::Media(event)));
        }
        while let Some(datagram) = self.media.pop_datagram() {
            if let Some(route) = self.route {
                return Ok(Polled::Transmit(route.carry(datagram)));
            }
        }
        Ok(Polled::Idle(self.media.deadline().map_or(self.due, |at| at.min(self.due))))
    }

    fn translate(&mut self, event: Event) -> Result<Option<TransportEvent>, Refused> {
        Ok(Some(match event {
            Event::Connected => {
                self.secure()?;
                TransportEvent::Connected
            }
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => TransportEvent::Disconnected,
            Event::IceConnectionStateChange(
                IceConnectionState::Connected | IceConnectionState::Completed,
            ) if self.rtc.is_connected() => TransportEvent::Connected,
            Event::Closed => TransportEvent::Closed,
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
            Event::PeerStats(stats) => TransportEvent::Path(self.on_stats(&stats)),
            _ => return Ok(None),
        }))
    }

    /// Sends a data message. `Ok(false)` if the transport's buffer is full.
    pub(crate) fn send_data(&mut self, channel: Channel, binary: bool, data: &[u8]) -> Result<bool, Refused> {
        self.fed = true;
        // What it sends, it dates by the time that it was told.
        self.due = self.told;
        let Some(mut open) = self.rtc.channel(channel) else {
            return Err(Refused("the channel is not open".into()));
        };
        open.write(binary, data).map_err(|e| Refused(e.to_string()))
    }

    /// Adds a remote candidate. Names that only mDNS resolves are ignored: such peers are learnt from their checks.
    pub(crate) fn add_candidate(&mut self, text: &str) -> Result<(), Refused> {
        self.fed = true;
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

/// RTP or RTCP, as one port tells them apart (RFC 7983).
fn is_media(datagram: &[u8]) -> bool {
    matches!(datagram, [128..=191, ..])
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
