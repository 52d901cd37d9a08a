//! What peers tell of what they got, and ask for.

use std::time::{Duration, Instant};

use rtcp_types::prelude::*;
use rtcp_types::{Fir, Nack, PayloadFeedback, ReceiverReport, ReportBlock, SenderReport, TransportFeedback};
use rustc_hash::FxHashMap;
use sluice_srtp::RtcpWindow;

use crate::clock::wall_clock;
use crate::event::{Event, Refused};
use crate::incoming::Role;
use crate::plane::Media;

/// Senders of RTCP of one peer at most.
const MOST_SENDERS: usize = 512;
/// A round trip above this is a clock that jumped.
const LONGEST_RTT: Duration = Duration::from_secs(10);

/// Indices of RTCP that came, by sender: each counts for itself (RFC 3711 section 3.2.1).
pub(crate) type Told = FxHashMap<u32, RtcpWindow>;

// RTCP packet types (RFC 3550 section 12.1, RFC 4585 section 6.1) and formats of feedback.
const SR: u8 = 200;
const RR: u8 = 201;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;
const NACK: u8 = 1;
const TRANSPORT_WIDE: u8 = 15;
const PLI: u8 = 1;
const FIR: u8 = 4;

impl Media {
    pub(crate) fn receive_rtcp(
        &mut self,
        now: Instant,
        datagram: &[u8],
        scratch: &mut Vec<u8>,
    ) -> Result<(), Refused> {
        let secured = self.secured.as_mut().ok_or(Refused::NoKeys)?;
        let sender = datagram.get(4..8).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
        let sender = sender.ok_or(Refused::Malformed)?;
        let index = secured.opener.rtcp_index(datagram)?;
        if secured.told.get(&sender).is_some_and(|window| !window.is_fresh(index)) {
            return Err(Refused::Replayed);
        }
        scratch.clear();
        scratch.extend_from_slice(datagram);
        let opened = secured.opener.rtcp(scratch)?;
        if secured.told.len() >= MOST_SENDERS && !secured.told.contains_key(&sender) {
            // Most senders of a long session are of tracks that ended.
            secured.told.retain(|sender, _| self.incoming.get_mut(*sender).is_some());
            if secured.told.len() >= MOST_SENDERS {
                return Err(Refused::UnknownStream);
            }
        }
        secured.told.entry(sender).or_default().accept(index);
        self.read_compound(now, opened);
        self.note_estimate();
        Ok(())
    }

    /// Reads one report after the other; what cannot be read ends it.
    fn read_compound(&mut self, now: Instant, mut rest: &[u8]) {
        while let [first, kind, high, low, ..] = *rest {
            let len = 4 * (usize::from(u16::from_be_bytes([high, low])) + 1);
            let Some((packet, after)) = rest.split_at_checked(len) else { return };
            self.read_packet(now, kind, first & 0x1f, packet);
            rest = after;
        }
    }

    fn read_packet(&mut self, now: Instant, kind: u8, format: u8, packet: &[u8]) {
        match (kind, format) {
            (SR, _) => {
                if let Ok(report) = SenderReport::parse(packet) {
                    self.on_sender_report(now, &report);
                    report.report_blocks().for_each(|block| self.on_block(now, &block));
                }
            }
            (RR, _) => {
                if let Ok(report) = ReceiverReport::parse(packet) {
                    report.report_blocks().for_each(|block| self.on_block(now, &block));
                }
            }
            (TRANSPORT_FEEDBACK, TRANSPORT_WIDE) => {
                // Header and two SSRCs come first.
                if let Some(control) = packet.get(12..)
                    && let Err(error) = self.estimator.on_feedback(now, control)
                {
                    tracing::debug!(%error, "transport-wide feedback");
                }
            }
            (TRANSPORT_FEEDBACK, NACK) => {
                if let Ok(feedback) = TransportFeedback::parse(packet)
                    && let Ok(nack) = feedback.parse_fci::<Nack<'_>>()
                {
                    self.on_nack(now, feedback.media_ssrc(), nack.entries());
                }
            }
            (PAYLOAD_FEEDBACK, PLI) => {
                if let Ok(feedback) = PayloadFeedback::parse(packet) {
                    self.on_key_frame_request(feedback.media_ssrc());
                }
            }
            (PAYLOAD_FEEDBACK, FIR) => {
                if let Ok(feedback) = PayloadFeedback::parse(packet)
                    && let Ok(fir) = feedback.parse_fci::<Fir<'_>>()
                {
                    fir.entries().for_each(|entry| self.on_key_frame_request(entry.ssrc()));
                }
            }
            _ => {}
        }
    }

    fn on_sender_report(&mut self, now: Instant, report: &SenderReport<'_>) {
        let Some(stream) = self.incoming.get_mut(report.ssrc()) else { return };
        let Role::Media(media) = &mut stream.role else { return };
        media.reception.heard(report.ntp_timestamp(), now);
        self.events.push_back(Event::SenderReport {
            mid: stream.mid,
            rid: stream.rid,
            wall_clock: wall_clock(report.ntp_timestamp()),
            timestamp: report.rtp_timestamp(),
        });
    }

    /// RFC 3550 section 6.4.1: the round trip is what passed since our report, less what it lay at the peer's.
    fn on_block(&mut self, now: Instant, block: &ReportBlock<'_>) {
        let Some(stream) = self.outgoing.iter_mut().find(|s| s.spec.ssrc == block.ssrc()) else { return };
        stream.lost = f32::from(block.fraction_lost()) / 256.0;
        let last = block.last_sender_report_timestamp();
        if last == 0 {
            return;
        }
        let since = self.settings.clock.compact(now).wrapping_sub(last);
        let units = since.wrapping_sub(block.delay_since_last_sender_report_timestamp());
        let rtt = Duration::from_secs_f64(f64::from(units) / 65_536.0);
        if rtt <= LONGEST_RTT {
            self.estimator.on_rtt(rtt);
        }
    }

    fn on_nack(&mut self, now: Instant, ssrc: u32, numbers: impl Iterator<Item = u16>) {
        let rtt = self.rtt();
        let Some(at) = self.outgoing.iter().position(|stream| stream.spec.ssrc == ssrc) else { return };
        let Some((stream, negotiated, mut sender)) = self.sender(now, at) else { return };
        for number in numbers {
            stream.nacks += 1;
            if let Some(kept) = stream.history.again(number, now, rtt).cloned() {
                sender.repair(stream, &kept, negotiated, false);
            }
        }
    }

    fn on_key_frame_request(&mut self, ssrc: u32) {
        if let Some(stream) = self.outgoing.iter().find(|stream| stream.spec.ssrc == ssrc) {
            self.events.push_back(Event::KeyFrameRequest { mid: stream.spec.mid });
        }
    }
}
