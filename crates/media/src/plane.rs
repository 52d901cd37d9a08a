//! One session's media: what comes in, what goes out. Start reading here.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sluice_bwe::Estimator;
use sluice_rtp::{Bitrate, Mid, Rid};
use sluice_srtp::{Opener, Sealer};

use crate::arrivals::Arrivals;
use crate::clock::Clock;
use crate::due::Due;
use crate::event::{Egress, Event, Ingress, PathStats, Refused};
use crate::feedback::Told;
use crate::incoming::{Incoming, Media as InMedia};
use crate::kept::Kept;
use crate::negotiated::Negotiated;
use crate::outgoing::{DEFAULT_RTT, Sender, Spec, Stream};
use crate::packet::{Packet, Rewritten};

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
    pub(crate) due: Due,
    /// The stream that fills probes: the one that was written to last and can be repaired.
    filler: Option<usize>,
    /// What is sent, and what would be.
    wish: (Bitrate, Bitrate),
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
            due: Due::default(),
            filler: None,
            wish: (Bitrate::ZERO, Bitrate::ZERO),
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
        self.incoming.keep(&negotiated.mids);
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

    /// Sends a packet on a stream. False if the plane has no keys, or the stream is none.
    pub fn write(
        &mut self,
        now: Instant,
        stream: OutStream,
        payload_type: u8,
        packet: &Packet,
        rewritten: Rewritten,
    ) -> bool {
        let at = stream.0;
        let Some((stream, negotiated, mut sender)) = self.sender(now, at) else { return false };
        let kept = Kept::new(rewritten, payload_type, packet, now);
        if !sender.send(stream, &kept) {
            return false;
        }
        stream.sending.sent(rewritten.timestamp, packet.payload.len(), packet.received);
        let repairs = stream.spec.repair.is_some()
            && negotiated.format(payload_type).is_some_and(|format| format.repair.is_some());
        if repairs {
            stream.history.push(kept);
            let numbered = stream.spec.ids.transport != 0;
            // Probes are measured by transport-wide numbers.
            if numbered && self.filler.replace(at).is_none() {
                let (allocated, desired) = self.wish;
                self.estimator.set_wish(now, allocated, desired);
            }
        }
        self.due.expect_report(now, &self.settings.clock);
        true
    }

    /// A stream with everything that sending on it needs.
    pub(crate) fn sender(
        &mut self,
        now: Instant,
        at: usize,
    ) -> Option<(&mut Stream, &Negotiated, Sender<'_>)> {
        let secured = self.secured.as_ref()?;
        let stream = self.outgoing.get_mut(at)?;
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
        self.wish = (allocated, desired);
        // What could not be filled must not be probed for.
        let desired = if self.filler.is_some() { desired } else { allocated };
        self.estimator.set_wish(now, allocated, desired);
    }

    /// The peer is reached by another way: what was learnt of the old one is forgotten.
    pub fn on_path_change(&mut self, now: Instant) {
        self.estimator.on_path_change(now);
    }

    /// Does what is due: feedback, reports, requests for lost packets, probes.
    pub fn advance(&mut self, now: Instant) {
        // Most calls come with a packet, when nothing is due.
        if self.secured.is_none() || self.due.soonest.is_some_and(|due| due > now) {
            return;
        }
        if self.due.request.is_some_and(|at| at <= now) {
            self.ask_again(now);
        }
        if self.due.feedback.is_some_and(|at| at <= now) {
            self.tell_arrivals();
        }
        if self.due.report.is_some_and(|at| at <= now) {
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
        self.due.settle(self.estimator.deadline())
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
