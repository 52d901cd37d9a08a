//! One WebRTC transport of a participant, with what is declared of it.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use slab::Slab;
use sluice_rtp::{Bitrate, MediaKind};

use crate::data::DataPlane;
use crate::egress::Egress;
use crate::event::Quality;
use crate::id::{ParticipantId, SessionId};
use crate::io::Protocol;
use crate::model::*;
use crate::room::RoomKey;
use crate::section::{PublicationKey, Sections, SubscriptionKey};
use crate::stats::{SessionStats, SubscriptionStats};
use crate::transport::{Mid, PathReport, Transport};

/// A session.
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) participant: ParticipantId,
    pub(crate) room: RoomKey,
    pub(crate) settings: SessionSettings,
    pub(crate) app_state: Bytes,
    pub(crate) state: SessionState,
    /// Since when it is not connected.
    pub(crate) down_since: Instant,
    /// Waits in the shard's list of sessions to flush.
    pub(crate) dirty: bool,
    pub(crate) transport: Transport,
    /// How the network reaches it, for the demultiplexer.
    pub(crate) addresses: Vec<(Protocol, SocketAddr)>,
    pub(crate) ufrags: Vec<String>,
    pub(crate) sections: Sections,
    /// Sections of the node's offer that waits for its answer.
    pub(crate) sections_offered: Vec<(Mid, MediaKind, SubscriptionKey)>,
    pub(crate) negotiation_announced: bool,
    /// What each payload type means to the peer; it must not change (RFC 8829 section 5.2.2).
    pub(crate) payload_types: sluice_sdp::PayloadTypes,
    /// Of a session whose peer offers: the sections that the transport knows.
    pub(crate) places: sluice_sdp::Places,
    pub(crate) publications: Vec<PublicationKey>,
    pub(crate) subscriptions: Slab<Subscription>,
    pub(crate) path: Path,
    pub(crate) data: DataPlane,
}

/// What is known of the path to the peer.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    pub(crate) report: PathReport,
    pub(crate) estimate: Option<Bitrate>,
    /// Today's estimate pays for what flows, the lowest of the last seconds for anything new.
    pub(crate) window: sluice_forward::EstimateWindow,
    pub(crate) allocated: Bitrate,
    pub(crate) allocated_at: Instant,
    pub(crate) quality: Option<Quality>,
    /// When more was lost than happens by chance.
    pub(crate) lost_at: Option<Instant>,
}

/// One publication on its way to a session.
pub(crate) struct Subscription {
    pub(crate) spec: SubscriptionSpec,
    /// `None` while there is no such publication.
    pub(crate) publication: Option<PublicationKey>,
    /// `None` while no section carries it.
    pub(crate) egress: Option<Egress>,
    pub(crate) paused: Option<PauseReason>,
    /// The layer that would suit the wish: what the publisher should send up to.
    pub(crate) wanted: Option<u8>,
    /// The layer that was last reported as forwarded.
    pub(crate) reported: Option<(Option<u8>, Option<PauseReason>)>,
    pub(crate) started: bool,
}

impl Subscription {
    pub(crate) fn new(spec: SubscriptionSpec, publication: Option<PublicationKey>) -> Self {
        Subscription {
            spec,
            publication,
            egress: None,
            paused: Some(PauseReason::NotNegotiated),
            wanted: None,
            reported: None,
            started: false,
        }
    }

    /// The layer that is forwarded.
    pub(crate) fn layer(&self) -> Option<u8> {
        self.egress.as_ref().and_then(|egress| egress.switcher.current())
    }

    pub(crate) fn status(&self) -> SubscriptionStatus {
        SubscriptionStatus {
            spec: self.spec.clone(),
            mid: self.egress.as_ref().map(|egress| egress.mid.to_string()),
            layer: self.layer(),
            paused: self.paused,
        }
    }

    fn stats(&self, now: Instant) -> SubscriptionStats {
        let totals = self.egress.as_ref().map(|e| e.totals).unwrap_or_default();
        SubscriptionStats {
            publication: self.spec.publication.clone(),
            layer: self.layer(),
            paused: self.paused,
            packets: totals.packets,
            bytes: totals.bytes,
            dropped: totals.dropped,
            nacks_received: totals.nacks,
            key_frame_requests_received: totals.key_frame_requests,
            switches: totals.switches,
            bitrate: self.egress.as_ref().map_or(Bitrate::ZERO, |e| e.meter.clone().bitrate(now)),
        }
    }
}

impl Session {
    /// The outgoing stream of a section.
    pub(crate) fn egress_mut(&mut self, mid: Mid) -> Option<&mut Egress> {
        self.subscriptions
            .iter_mut()
            .filter_map(|(_, subscription)| subscription.egress.as_mut())
            .find(|egress| egress.mid == mid)
    }

    pub(crate) fn snapshot(&self, publications: &Slab<crate::publication::Publication>) -> SessionSnapshot {
        SessionSnapshot {
            session: self.id.clone(),
            participant: self.participant.clone(),
            settings: self.settings.clone(),
            app_state: self.app_state.clone(),
            state: self.state,
            publications: self.publications.iter().map(|key| publications[*key].status()).collect(),
            subscriptions: self.subscriptions.iter().map(|(_, s)| s.status()).collect(),
        }
    }

    pub(crate) fn stats(
        &self,
        publications: &Slab<crate::publication::Publication>,
        now: Instant,
    ) -> SessionStats {
        SessionStats {
            session: self.id.clone(),
            participant: self.participant.clone(),
            state: self.state,
            transport: match (self.state, self.path.report.tcp) {
                (SessionState::Connected, true) => "tcp",
                (SessionState::Connected, false) => "udp",
                _ => "",
            },
            bytes_received: self.path.report.bytes_received,
            bytes_sent: self.path.report.bytes_sent,
            rtt: self.path.report.rtt,
            estimate: self.path.estimate,
            allocated: self.path.allocated,
            publications: self.publications.iter().map(|key| publications[*key].stats(now)).collect(),
            subscriptions: self.subscriptions.iter().map(|(_, s)| s.stats(now)).collect(),
            data: self.data.stats,
        }
    }
}
