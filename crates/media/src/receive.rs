//! A packet that comes in: opened, placed in its stream, and told of.

use std::time::Instant;

use sluice_rtp::{Mid, Rid};
use sluice_srtp::RtpWindow;

use crate::event::{Event, Refused};
use crate::header::Header;
use crate::incoming::{Incoming, Role};
use crate::packet::{Extensions, Packet};
use crate::plane::Media;

impl Media {
    pub(crate) fn receive_rtp(
        &mut self,
        now: Instant,
        datagram: &[u8],
        scratch: &mut Vec<u8>,
    ) -> Result<(), Refused> {
        let header = Header::read(datagram, &self.negotiated.ids).ok_or(Refused::Malformed)?;
        let secured = self.secured.as_mut().ok_or(Refused::NoKeys)?;
        let known = self.incoming.get_mut(header.ssrc);
        let place = match known {
            Some(_) => None,
            None => Some(Incoming::place(&header, &self.negotiated).ok_or(Refused::UnknownStream)?),
        };
        let mut fresh = RtpWindow::default();
        let window = known.map_or(&mut fresh, |stream| &mut stream.window);
        let index = window.estimate(header.sequence).ok_or(Refused::Replayed)?;
        if !window.is_fresh(index) {
            return Err(Refused::Replayed);
        }
        scratch.clear();
        scratch.extend_from_slice(datagram);
        let opened = secured.opener.rtp(scratch, header.len, index)?;
        let payload = without_padding(opened, header.padded).ok_or(Refused::Malformed)?;
        window.accept(index);
        if let Some(place) = place
            && !self.incoming.add(header.ssrc, &place, fresh, index, now)
        {
            return Err(Refused::UnknownStream);
        }
        if let Some(sequence) = header.transport_sequence {
            self.arrivals.see(sequence, now);
            self.due.expect_feedback(now, &self.settings.clock);
        }
        self.due.expect_report(now, &self.settings.clock);
        self.take_payload(now, &header, index, payload);
        Ok(())
    }

    /// A packet is authentic and new: media, or repair of media.
    fn take_payload(&mut self, now: Instant, header: &Header<'_>, index: u64, payload: &[u8]) {
        let Some(stream) = self.incoming.get_mut(header.ssrc) else { return };
        let (mid, rid) = (stream.mid, stream.rid);
        match &mut stream.role {
            Role::Probe | Role::Retired => {}
            Role::Media(media) => {
                media.reception.see(index, header.timestamp, now);
                media.missing.came(index, now);
                if media.format.payload_type != header.payload_type
                    && let Some(format) = self.negotiated.format(header.payload_type)
                {
                    media.format = *format;
                }
                let number = media.number(index);
                if media.format.nack
                    && let Some(at) = media.missing.deadline()
                {
                    self.due.expect_request(at);
                }
                self.emit_packet(now, (mid, rid), header, header.payload_type, number, payload);
            }
            Role::Repair => {
                // Padding has no number in front.
                let Some((original, payload)) = payload.split_first_chunk::<2>() else { return };
                self.take_repaired(now, (mid, rid), header, u16::from_be_bytes(*original), payload);
            }
        }
    }

    /// A packet that came on the repair stream, as if it had come in time (RFC 4588 section 4).
    fn take_repaired(
        &mut self,
        now: Instant,
        (mid, rid): (Mid, Option<Rid>),
        header: &Header<'_>,
        original: u16,
        payload: &[u8],
    ) {
        let formats = &self.negotiated.formats;
        let format = formats.iter().find(|format| format.repair == Some(header.payload_type));
        let Some(payload_type) = format.map(|format| format.payload_type) else { return };
        let Some(ssrc) = self.incoming.ssrc(mid, rid) else { return };
        let Some(stream) = self.incoming.get_mut(ssrc) else { return };
        let Role::Media(media) = &mut stream.role else { return };
        let Some(index) = stream.window.estimate(original).filter(|i| stream.window.is_fresh(*i)) else {
            return;
        };
        stream.window.accept(index);
        media.reception.see_repaired(index);
        media.missing.came(index, now);
        let number = media.number(index);
        self.emit_packet(now, (mid, rid), header, payload_type, number, payload);
    }

    fn emit_packet(
        &mut self,
        now: Instant,
        (mid, rid): (Mid, Option<Rid>),
        header: &Header<'_>,
        payload_type: u8,
        sequence: u64,
        payload: &[u8],
    ) {
        self.events.push_back(Event::Packet(Packet {
            mid,
            rid,
            payload_type,
            sequence,
            timestamp: header.timestamp,
            marker: header.marker,
            payload: payload.into(),
            received: now,
            extensions: Extensions { level: header.level, orientation: header.orientation },
        }));
    }
}

/// The last byte of padding counts it (RFC 3550 section 5.1).
fn without_padding(opened: &[u8], padded: bool) -> Option<&[u8]> {
    if !padded {
        return Some(opened);
    }
    let padding = usize::from(*opened.last()?);
    opened.get(..opened.len().checked_sub(padding)?)
}
