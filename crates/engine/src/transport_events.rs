//! What a session's transport reports.

use std::time::{Duration, Instant};

use sluice_media as media;
use sluice_rtp::Bitrate;
use smallvec::SmallVec;

use crate::demux::SessionKey;
use crate::event::Quality;
use crate::model::{CloseReason, SessionState};
use crate::section::Use;
use crate::session::Path;
use crate::shard::Shard;
use crate::transport::{PathReport, TransportEvent};

/// Share of lost packets from which a path counts as good, and as poor. What users notice: from 2 % of lost packets audio
/// repair becomes audible, from 8 % video freezes.
const LOSS_GOOD: f32 = 0.02;
const LOSS_POOR: f32 = 0.08;

/// From this share of lost packets on the estimate is believed, and for so long: what is paused loses nothing, and must not come
/// back at once for that.
const PROVEN_LOSS: f32 = 0.02;
const PROOF: Duration = Duration::from_secs(20);

/// The estimate is recomputed many times a second; only a change of this share (1/n) is worth an allocation.
const ESTIMATE_STEP: u64 = 20;

impl Shard {
    pub(crate) fn on_transport_event(&mut self, now: Instant, key: SessionKey, event: TransportEvent) {
        let session = &mut self.sessions[key];
        match event {
            TransportEvent::Connected => self.on_state(now, key, SessionState::Connected),
            TransportEvent::Disconnected => self.on_state(now, key, SessionState::Disconnected),
            TransportEvent::Closed => self.close_session(key, CloseReason::Peer),
            TransportEvent::Media(event) => self.on_media_event(now, key, event),
            TransportEvent::ChannelOpen { channel, label, reliable } => {
                if !session.data.opened(channel, label, reliable, &self.config.limits) {
                    tracing::info!(session = %session.id, "too many data channels; one is ignored");
                }
                session.data.drain(now, &mut session.transport);
                self.touch(key);
            }
            TransportEvent::ChannelData { channel, binary, data } => {
                self.on_message(now, key, channel, binary, data);
            }
            TransportEvent::ChannelReady => session.data.drain(now, &mut session.transport),
            TransportEvent::ChannelClosed(channel) => session.data.closed(channel),
            TransportEvent::Path(report) => {
                self.on_path(now, key, report);
                self.count_streams(key);
            }
        }
    }

    pub(crate) fn on_media_event(&mut self, now: Instant, key: SessionKey, event: media::Event) {
        match event {
            media::Event::Packet(packet) => self.forward(now, key, packet),
            media::Event::SenderReport { mid, rid, wall_clock, timestamp } => {
                let session = &self.sessions[key];
                let room = session.room;
                if let Some(Use::Publication(publication)) = session.sections.get(mid).map(|s| s.used)
                    && let Some(held) = self.rooms[room].publications.get_mut(publication)
                {
                    held.on_sender_report(rid, wall_clock, timestamp);
                    self.carry_report(room, publication, rid, wall_clock, timestamp);
                }
            }
            media::Event::KeyFrameRequest { mid } => self.on_key_frame_request(now, key, mid),
            media::Event::Estimate(estimate) => self.on_estimate(now, key, estimate),
        }
    }

    /// Takes over what the media plane counted of each stream.
    fn count_streams(&mut self, key: SessionKey) {
        let session = &mut *self.sessions[key];
        let publications = &mut self.rooms[session.room].publications;
        for ingress in session.transport.ingress() {
            if let Some(Use::Publication(publication)) = session.sections.get(ingress.mid).map(|s| s.used)
                && let Some(publication) = publications.get_mut(publication)
                && let Some(layer) = publication.layers.iter_mut().find(|l| l.rid == ingress.rid)
            {
                layer.count_losses(ingress.nacks, ingress.lost);
            }
        }
        let egress: SmallVec<[media::Egress; 8]> = session.transport.egress().collect();
        for told in egress {
            if let Some(egress) = session.egress_mut(told.mid) {
                egress.totals.nacks = told.nacks;
            }
        }
    }

    fn on_state(&mut self, now: Instant, key: SessionKey, state: SessionState) {
        let session = &mut self.sessions[key];
        if session.state == state {
            return;
        }
        let first = session.state == SessionState::New;
        session.state = state;
        session.down_since = now;
        if state == SessionState::Connected && first {
            self.counters.sessions_connected += 1;
        }
        tracing::debug!(session = %session.id, ?state, "transport");
        self.emit_session(key, None);
        self.allocate(now, key);
    }

    fn on_estimate(&mut self, now: Instant, key: SessionKey, estimate: Bitrate) {
        let path = &mut self.sessions[key].path;
        path.window.on_estimate(now, estimate);
        let before = path.estimate.replace(estimate).unwrap_or_default().as_bps();
        if before.abs_diff(estimate.as_bps()) > before / ESTIMATE_STEP {
            self.allocate(now, key);
        }
    }

    fn on_path(&mut self, now: Instant, key: SessionKey, report: PathReport) {
        let session = &mut self.sessions[key];
        if report.egress_loss.is_some_and(|loss| loss >= PROVEN_LOSS) {
            session.path.lost_at = Some(now);
        }
        let rtt = report.rtt.or(session.path.report.rtt);
        session.path.report = PathReport { rtt, ..report };
        self.check_quality(key);
    }

    /// Tells how the path does, if that changed.
    pub(crate) fn check_quality(&mut self, key: SessionKey) {
        let session = &mut self.sessions[key];
        let loss = session.path.loss();
        let quality = match session.state {
            SessionState::New => return,
            SessionState::Disconnected | SessionState::Closed => Quality::Lost,
            SessionState::Connected if loss >= LOSS_POOR => Quality::Poor,
            SessionState::Connected if loss >= LOSS_GOOD => Quality::Good,
            SessionState::Connected => Quality::Excellent,
        };
        if session.path.quality.replace(quality) != Some(quality) {
            self.emit_quality(key);
        }
    }
}

impl Path {
    /// Nothing known yet.
    pub(crate) fn new(now: Instant) -> Self {
        Path {
            report: PathReport::default(),
            estimate: None,
            window: sluice_forward::EstimateWindow::new(),
            allocated: Bitrate::ZERO,
            allocated_at: now,
            quality: None,
            lost_at: None,
        }
    }

    /// Whether losses lately prove that the path carries no more than its estimate says.
    pub(crate) fn is_proven(&self, now: Instant) -> bool {
        self.lost_at.is_some_and(|at| now.saturating_duration_since(at) < PROOF)
    }

    /// The worse loss of both directions, 0 to 1.
    pub(crate) fn loss(&self) -> f32 {
        let share = |loss: Option<f32>| loss.unwrap_or(0.0).clamp(0.0, 1.0);
        share(self.report.egress_loss).max(share(self.report.ingress_loss))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_proves_an_estimate_for_a_while() {
        let now = Instant::now();
        let mut path = Path::new(now);
        assert!(!path.is_proven(now));
        path.lost_at = Some(now);
        assert!(path.is_proven(now + PROOF / 2));
        assert!(!path.is_proven(now + PROOF));
    }
}
