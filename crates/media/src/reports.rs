//! What we tell peers of what came, and ask them for.

use std::time::Instant;

use rtcp_types::prelude::*;
use rtcp_types::{
    Compound, Nack, PayloadFeedback, Pli, ReceiverReport, ReportBlockBuilder, Sdes, SdesChunk, SdesItem,
    TransportFeedback,
};
use sluice_rtp::{Mid, Rid};

use crate::plane::Media;

/// Blocks of one report (RFC 3550 section 6.4.1).
const MOST_BLOCKS: usize = 31;
/// Numbers of one request for lost packets at most: each may take four bytes.
const MOST_NUMBERS: usize = 250;
/// Bytes of a datagram of reports at most, before it is sealed.
const LARGEST: usize = 1_200;

impl Media {
    /// Asks for a key frame of a layer (PLI, RFC 4585 section 6.3.1). False if nothing of it came yet.
    pub fn request_key_frame(&mut self, mid: Mid, rid: Option<Rid>) -> bool {
        let Some(ssrc) = self.incoming.ssrc(mid, rid) else { return false };
        let request = PayloadFeedback::builder_owned(Pli::builder());
        let request = request.sender_ssrc(self.settings.ssrc).media_ssrc(ssrc);
        self.send_report(&request)
    }

    /// Asks for packets that are missing.
    pub(crate) fn ask_again(&mut self, now: Instant) {
        let (rtt, own) = (self.rtt(), self.settings.ssrc);
        let mut wanted = Vec::new();
        let mut next: Option<Instant> = None;
        for (ssrc, _, _, media) in self.incoming.media_mut().filter(|(.., media)| media.format.nack) {
            let mut numbers = Vec::new();
            media.missing.due(now, rtt, &mut numbers);
            media.nacks += numbers.len() as u64;
            if !numbers.is_empty() {
                wanted.push((ssrc, numbers));
            }
            next = [next, media.missing.deadline()].into_iter().flatten().min();
        }
        self.due.request = next;
        let wanted = wanted.iter().flat_map(|(ssrc, all)| all.chunks(MOST_NUMBERS).map(|some| (*ssrc, some)));
        for (ssrc, numbers) in wanted {
            let nack = numbers.iter().fold(Nack::builder(), |nack, n| nack.add_rtp_sequence(*n));
            let request = TransportFeedback::builder_owned(nack).sender_ssrc(own).media_ssrc(ssrc);
            self.send_report(&request);
        }
    }

    /// Tells when packets came.
    pub(crate) fn tell_arrivals(&mut self) {
        self.due.feedback = None;
        let media = self.incoming.media_mut().next().map(|(ssrc, ..)| ssrc).unwrap_or_default();
        while let Some(feedback) = self.arrivals.take() {
            let feedback = TransportFeedback::builder_owned(feedback);
            let feedback = feedback.sender_ssrc(self.settings.ssrc).media_ssrc(media);
            self.send_report(&feedback);
        }
    }

    /// Reports every stream that did something since the last time.
    pub(crate) fn report(&mut self, now: Instant) {
        self.due.report = None;
        let mut reports = Vec::new();
        for stream in &mut self.outgoing {
            if !stream.sending.is_untold() {
                stream.rest();
                continue;
            }
            let rate = stream.clock();
            let report = stream.sending.report(stream.spec.ssrc, rate, &self.settings.clock, now);
            reports.extend(report.map(|report| (report, stream.spec.ssrc, stream.spec.cname.clone())));
        }
        let sent = !reports.is_empty();
        for (report, ssrc, cname) in reports {
            let name = SdesItem::builder(SdesItem::CNAME, &cname);
            let names = Sdes::builder().add_chunk(SdesChunk::builder(ssrc).add_item(name));
            self.send_report(&Compound::builder().add_packet(report).add_packet(names));
        }
        let blocks: Vec<ReportBlockBuilder> = self
            .incoming
            .media_mut()
            .filter_map(|(ssrc, .., media)| {
                if media.reception.is_untold() {
                    return Some(media.reception.report(ssrc, now));
                }
                media.reception.rest();
                None
            })
            .collect();
        let silent = blocks.is_empty() && !sent;
        let mut blocks = blocks.into_iter().peekable();
        while blocks.peek().is_some() {
            let report = ReceiverReport::builder(self.settings.ssrc);
            let report = blocks
                .by_ref()
                .take(MOST_BLOCKS)
                .fold(report, |report, block| report.add_report_block(block));
            self.send_report(&report);
        }
        if !silent {
            self.due.expect_report(now, &self.settings.clock);
        }
    }

    /// Seals a compound of reports. Alone, feedback is of reduced size (RFC 5506), which every WebRTC peer takes.
    fn send_report(&mut self, report: &impl RtcpPacketWriter) -> bool {
        let Some(secured) = &mut self.secured else { return false };
        let mut packet = vec![0; LARGEST];
        match report.write_into(&mut packet) {
            Ok(len) => packet.truncate(len),
            Err(error) => {
                tracing::warn!(%error, "a report cannot be written");
                return false;
            }
        }
        if secured.sealer.rtcp(&mut packet).is_err() {
            return false;
        }
        self.queue.push_back(packet);
        true
    }
}
