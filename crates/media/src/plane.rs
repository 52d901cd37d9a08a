//! One session's media: what comes in, what goes out. Start reading here.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sluice_bwe::Estimator;
use sluice_rtp::{Bitrate, Mid, Rid};
use sluice_srtp::{Opener, Sealer, RtpWindow};

use crate::arrivals::Arrivals;
use crate::clock::Clock;
use crate::event::{Egress, Event, Ingress, PathStats, Refused};
use crate::feedback::Told;
use crate::header::Header;
use crate::incoming::{Incoming, Media as InMedia, Role};
use crate::kept::Kept;
use crate::negotiated::Negotiated;
use crate::outgoing::{DEFAULT_RTT, Sender, Spec, Stream};
use crate::packet::{Extensions, Packet, Rewritten};

/// How often senders are told when their packets came. Shorter notices a full path sooner and costs more feedback.
pub(crate) const FEEDBACK: Duration = Duration::from_millis(100);
/// How often streams are reported (RFC 3550 section 6.2 allows less than five seconds to sessions this small).
pub(crate) const REPORTS: Duration = Duration::from_secs(1);
/// Deadlines of feedback and reports wait for each other for as long.
const TOGETHER: Duration = Duration::from_millis(10);

/// Bursts of a probe that leave together at most.
const MOST_BURSTS: usize = 16;

/// What a media plane is made with.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Who speaks in feedback of ours: random, and no stream's.
    pub ssrc: u32,
    /// What the path is taken to carry until more is known.
    pub initial_estimate: Bitrate,
    /// The wall clock.
    pub clock: Clock,
}

/// An outgoing stream, as [`Media::open`] named it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutStream(usize);

/// The keys, and what was heard with them.
pub(crate) struct Secured {
    pub(crate) sealer: Sealer,
    pub(crate) opener: Opener,
    pub(crate) told: Told,
}

/// A session's media plane.
pub struct Media {
    pub(crate) settings: Settings,
    pub(crate) secured: Option<Box<Secured>>,
    pub(crate) negotiated: Negotiated,
    pub(crate) incoming: Incoming,
    pub(crate) outgoing: Vec<Stream>,
    pub(crate) arrivals: Arrivals,
    pub(crate) estimator: Estimator,
    pub(crate) queue: VecDeque<Vec<u8>>,
    pub(crate) events: VecDeque<Event>,
    pub(crate) next_feedback: Option<Instant>,
    pub(crate) next_report: Option<Instant>,
    pub(crate) next_nack: Option<Instant>,
    /// What [`Self::deadline`] said last.
    due: Option<Instant>,
    /// The stream that fills probes: the one that was written to last and can be repaired.
    filler: Option<usize>,
    estimate: Bitrate,
    bytes_received: u64,
    bytes_sent: u64,
}

impl Media {
    /// A plane without keys: what comes is refused, what is written goes nowhere.
    #[must_use]
    pub fn new(now: Instant, settings: Settings) -> Self {
        Media {
            settings,
            secured: None,
            negotiated: Negotiated::default(),
            incoming: Incoming::default(),
            outgoing: Vec::new(),
            arrivals: Arrivals::new(now),
            estimator: Estimator::new(now, settings.initial_estimate),
            queue: VecDeque::new(),
            events: VecDeque::new(),
            next_feedback: None,
            next_report: None,
            next_nack: None,
            due: None,
            filler: None,
            estimate: settings.initial_estimate,
            bytes_received: 0,
            bytes_sent: 0,
        }
    }

    /// Both directions' keys, as the handshake exported them.
    pub fn secure(&mut self, sealer: Sealer, opener: Opener) {
        self.secured = Some(Box::new(Secured { sealer, opener, told: Told::default() }));
    }

    /// Sets what was agreed on.
    pub fn negotiate(&mut self, negotiated: Negotiated) {
        self.negotiated = negotiated;
    }

    /// The stream of a section that is sent, opened if it was not. What was agreed on for it since is taken over.
    pub fn open(&mut self, spec: Spec) -> OutStream {
        let known = self.outgoing.iter().position(|stream| stream.spec.ssrc == spec.ssrc);
        OutStream(match known {
            Some(at) => {
                self.outgoing[at].spec = spec;
                at
            }
            None => {
                self.outgoing.push(Stream::new(spec));
                self.outgoing.len() - 1
            }
        })
    }

    /// Takes a datagram that RFC 7983 says is RTP or RTCP. `scratch` is room to open it in.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn receive(&mut self, now: Instant, datagram: &[u8], scratch: &mut Vec<u8>) -> Result<(), Refused> {
        self.bytes_received += datagram.len() as u64;
        match datagram.get(1) {
            // RFC 5761 section 4: payload types 64 to 95 are RTCP.
            Some(second) if matches!(second & 0x7f, 64..=95) => self.receive_rtcp(now, datagram, scratch),
            _ => self.receive_rtp(now, datagram, scratch),
        }
    }

    fn receive_rtp(
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
            let clock = &self.settings.clock;
            self.next_feedback.get_or_insert_with(|| clock.together(now + FEEDBACK, TOGETHER));
        }
        self.expect_report(now);
        self.take_payload(now, &header, index, payload);
        Ok(())
    }

    /// A packet is authentic and new: media, or repair of media.
    fn take_payload(&mut self, now: Instant, header: &Header<'_>, index: u64, payload: &[u8]) {
        let Some(stream) = self.incoming.get_mut(header.ssrc) else { return };
        let (mid, rid) = (stream.mid, stream.rid);
        match &mut stream.role {
            Role::Probe => {}
            Role::Media(media) => {
                media.reception.see(index, header.timestamp, now);
                media.missing.came(index, now);
                if media.format.payload_type != header.payload_type
                    && let Some(format) = self.negotiated.format(header.payload_type)
                {
                    media.format = *format;
                }
                let number = media.number(index);
                self.note_missing(header.ssrc);
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

    fn note_missing(&mut self, ssrc: u32) {
        let Some(Role::Media(media)) = self.incoming.get_mut(ssrc).map(|stream| &mut stream.role) else {
            return;
        };
        if media.format.nack
            && let Some(at) = media.missing.deadline()
        {
            self.next_nack = Some(self.next_nack.map_or(at, |next| next.min(at)));
        }
    }

    /// Sends a packet on a stream. False if the plane has no keys, or the stream is none.
    pub fn write(
        &mut self,
        now: Instant,
        stream: OutStream,
        payload_type: u8,
        packet: &Packet,
        rewritten: Rewritten,
    ) -> bool {
        let Some((stream, negotiated, mut sender)) = self.sender(now, stream.0) else { return false };
        let kept = Kept::new(rewritten, payload_type, packet, now);
        if !sender.send(stream, &kept) {
            return false;
        }
        stream.sending.sent(rewritten.timestamp, packet.payload.len(), packet.received);
        let repairs = stream.spec.repair.is_some()
            && negotiated.format(payload_type).is_some_and(|format| format.repair.is_some());
        if repairs {
            stream.history.push(kept);
        }
        self.expect_report(now);
        true
    }

    /// Something is to be reported.
    pub(crate) fn expect_report(&mut self, now: Instant) {
        let clock = &self.settings.clock;
        self.next_report.get_or_insert_with(|| clock.together(now + REPORTS, TOGETHER));
    }

    /// A stream with everything that sending on it needs.
    pub(crate) fn sender(
        &mut self,
        now: Instant,
        at: usize,
    ) -> Option<(&mut Stream, &Negotiated, Sender<'_>)> {
        let secured = self.secured.as_ref()?;
        let stream = self.outgoing.get_mut(at)?;
        if stream.spec.repair.is_some() {
            self.filler = Some(at);
        }
        let sender = Sender {
            now,
            clock: &self.settings.clock,
            sealer: &secured.sealer,
            estimator: &mut self.estimator,
            queue: &mut self.queue,
        };
        Some((stream, &self.negotiated, sender))
    }

    /// Tells the estimator what is sent at least, and what would be sent if the path allowed it.
    pub fn set_desired(&mut self, now: Instant, allocated: Bitrate, desired: Bitrate) {
        self.estimator.set_wish(now, allocated, desired);
    }

    /// The peer is reached by another way: what was learnt of the old one is forgotten.
    pub fn on_path_change(&mut self, now: Instant) {
        self.estimator.on_path_change(now);
    }

    /// Does what is due: feedback, reports, requests for lost packets, probes.
    pub fn advance(&mut self, now: Instant) {
        // Most calls come with a packet, when nothing is due.
        if self.secured.is_none() || self.due.is_some_and(|due| due > now) {
            return;
        }
        if self.next_nack.is_some_and(|at| at <= now) {
            self.ask_again(now);
        }
        if self.next_feedback.is_some_and(|at| at <= now) {
            self.tell_arrivals();
        }
        if self.next_report.is_some_and(|at| at <= now) {
            self.report(now);
        }
        // As many bursts at once as a late call can have missed; never for ever.
        for _ in 0..MOST_BURSTS {
            let Some(sluice_bwe::Action::Pad { bytes }) = self.estimator.poll(now) else { break };
            let filled = self.filler.is_some_and(|at| {
                self.sender(now, at)
                    .is_some_and(|(stream, negotiated, mut sender)| sender.fill(stream, negotiated, bytes))
            });
            if !filled {
                break;
            }
        }
        self.note_estimate();
    }

    pub(crate) fn note_estimate(&mut self) {
        let estimate = self.estimator.estimate();
        if std::mem::replace(&mut self.estimate, estimate) != estimate {
            self.events.push_back(Event::Estimate(estimate));
        }
    }

    /// When [`Self::advance`] must be called. May be in the past.
    #[must_use]
    pub fn deadline(&mut self) -> Option<Instant> {
        self.secured.as_ref()?;
        let own = [self.next_nack, self.next_feedback, self.next_report, self.estimator.deadline()];
        self.due = own.into_iter().flatten().min();
        self.due
    }

    /// The next sealed datagram to send.
    pub fn pop_datagram(&mut self) -> Option<Vec<u8>> {
        let datagram = self.queue.pop_front()?;
        self.bytes_sent += datagram.len() as u64;
        Some(datagram)
    }

    /// The next thing that happened.
    pub fn pop_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(crate) fn rtt(&self) -> Duration {
        self.estimator.rtt().unwrap_or(DEFAULT_RTT)
    }

    /// How the path does.
    #[must_use]
    pub fn path(&mut self) -> PathStats {
        let reported = self.outgoing.iter().map(|stream| stream.lost).reduce(f32::max);
        let ingress_loss =
            self.incoming.media_mut().map(|(.., media)| media.reception.lost()).reduce(f32::max);
        PathStats {
            bytes_received: self.bytes_received,
            bytes_sent: self.bytes_sent,
            rtt: self.estimator.rtt(),
            egress_loss: self.estimator.loss().or(reported),
            ingress_loss,
        }
    }

    /// How each layer does that comes in.
    pub fn ingress(&mut self) -> impl Iterator<Item = Ingress> {
        let of = |(_, mid, rid, media): (u32, Mid, Option<Rid>, &mut InMedia)| Ingress {
            mid,
            rid,
            nacks: media.nacks,
            lost: media.lost(),
        };
        self.incoming.media_mut().map(of)
    }

    /// How each stream does that goes out.
    pub fn egress(&self) -> impl Iterator<Item = Egress> {
        self.outgoing.iter().map(|stream| Egress { mid: stream.spec.mid, nacks: stream.nacks })
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
