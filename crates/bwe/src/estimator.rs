//! The estimator: what leaves and what comes back, handed to the parts that judge it.

mod judgement;

use std::time::{Duration, Instant};

use sluice_rtp::Bitrate;

use crate::aimd::Aimd;
use crate::feedback::{self, Feedback, Malformed, ReceiverClock};
use crate::groups::Groups;
use crate::history::History;
use crate::loss::Loss;
use crate::probe::{Path, Prober};
use crate::rate::{RateWindow, own_time};
use crate::round_trip::RoundTrip;
use crate::silence::{Silence, Verdict};
use crate::trend::Trend;
use crate::{Micros, SECOND};

/// How long what arrived stays a fact without new feedback.
const FRESH: Micros = 2 * SECOND;

/// An idle estimator; thousands of them lie beside each other.
const _: () = assert!(size_of::<Estimator>() <= 1_024);

/// Between what the estimate stays, whatever the path does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The least, by default 30 kbit/s: audio alone still fits.
    pub min: Bitrate,
    /// The most, by default 50 Mbit/s: more than any receiver of a call takes.
    pub max: Bitrate,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { min: Bitrate::kbps(30), max: Bitrate::kbps(50_000) }
    }
}

/// What [`Estimator::poll`] asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send padding now, each packet through [`Estimator::on_sent`] with `probe` set.
    Pad {
        /// About so many bytes in all, on the wire without UDP and IP: a few hundred to a few thousand.
        bytes: usize,
    },
}

/// What one feedback message told that was news.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Packets that arrived.
    pub received: u32,
    /// Packets that did not, so far: a later message may say that they did after all.
    pub lost: u32,
}

/// Estimates what one path carries.
///
/// Every method takes the present time from the caller; time that goes back counts as standing still. The caller sends
/// each packet's number in the header extension `transport-wide-cc`, and calls [`Estimator::poll`] at
/// [`Estimator::deadline`] until it returns `None`.
#[derive(Clone, Debug)]
pub struct Estimator {
    epoch: Instant,
    clock: Micros,
    limits: Limits,
    history: History,
    receiver: ReceiverClock,
    groups: Groups,
    trend: Trend,
    aimd: Aimd,
    loss: Loss,
    rtt: RoundTrip,
    sent: RateWindow,
    arrived: RateWindow,
    last_arrival: i64,
    last_feedback: Option<Micros>,
    silence: Silence,
    prober: Prober,
}

impl Estimator {
    /// An estimator that believes in `initial` until the path says otherwise.
    pub fn new(now: Instant, initial: Bitrate) -> Self {
        let mut new = Estimator {
            epoch: now,
            clock: 0,
            limits: Limits::default(),
            history: History::default(),
            receiver: ReceiverClock::default(),
            groups: Groups::default(),
            trend: Trend::default(),
            aimd: Aimd::new(0, initial.as_bps() as f64),
            loss: Loss::new(0),
            rtt: RoundTrip::default(),
            sent: RateWindow::default(),
            arrived: RateWindow::default(),
            last_arrival: 0,
            last_feedback: None,
            silence: Silence::default(),
            prober: Prober::new(),
        };
        new.keep_within_limits();
        new
    }

    /// A packet of `size` bytes leaves (on the wire, without UDP and IP): returns the transport-wide sequence number that it
    /// must carry. `probe`: it is padding that [`Estimator::poll`] asked for.
    pub fn on_sent(&mut self, now: Instant, size: usize, probe: bool) -> u16 {
        let now = self.tick(now);
        let size = u16::try_from(size).unwrap_or(u16::MAX);
        let cluster = self.prober.on_sent(now, size, &self.rtt);
        self.silence.on_sent(now);
        self.sent.add(own_time(now), size);
        self.history.push(now, size, probe, cluster)
    }

    /// Takes in transport-wide feedback: the FCI, which is what follows the SSRCs of sender and media
    /// (draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1). Returns what it told.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if it is not such a message; nothing has changed then.
    pub fn on_feedback(&mut self, now: Instant, fci: &[u8]) -> Result<Told, Malformed> {
        let feedback = Feedback::parse(fci)?;
        let now = self.tick(now);
        self.history.forget_old(now);
        let reference = self.receiver.at(feedback.reference());
        let (mut told, mut newest, mut judged) = (Told::default(), None, false);
        feedback.each(|packet| match packet {
            feedback::Told::Missing { first, count } => {
                for seq in self.history.known(first, count) {
                    told.lost += u32::from(self.on_lost(now, seq));
                }
            }
            feedback::Told::Arrived { seq, offset } => {
                let Some(sent) = self.history.received(seq) else { return };
                told.received += 1;
                newest = newest.max(Some(sent.at));
                judged |= self.on_arrived(now, sent, reference.wrapping_add(offset));
            }
        });
        self.history.forget_received();
        if told != Told::default() {
            if let Some(sent) = newest {
                self.rtt.on_feedback(now.saturating_sub(sent));
            }
            self.judge(now, judged);
        }
        Ok(told)
    }

    /// The round trip as a receiver report shows it (RFC 3550, section 6.4.1). Without any, the delay of feedback serves.
    pub fn on_rtt(&mut self, rtt: Duration) {
        self.rtt.on_report(rtt);
    }

    /// What is sent now, and what would be if the path carried it. Probes go only as far as `desired` asks; with no more
    /// desired than allocated there are none.
    pub fn set_wish(&mut self, now: Instant, allocated: Bitrate, desired: Bitrate) {
        let now = self.tick(now);
        self.prober.set_wish(now, allocated, desired);
    }

    /// The path is another one (a new pair of addresses): what was learnt of the link is forgotten, the estimate stays.
    pub fn on_path_change(&mut self, now: Instant) {
        let now = self.tick(now);
        self.groups.reset();
        self.trend = Trend::default();
        self.aimd.set(self.bps());
        self.aimd.forget_link();
        self.loss.forget_link(now);
        self.rtt = RoundTrip::default();
        self.prober.abort(now);
        self.prober.begin_anew(now);
    }

    /// Time moves on. Call it at [`Estimator::deadline`], again and again until it returns `None`.
    pub fn poll(&mut self, now: Instant) -> Option<Action> {
        let now = self.tick(now);
        match self.silence.poll(now) {
            Verdict::Fine => {}
            Verdict::Halve => {
                self.aimd.set(self.bps() / 2.0);
                self.keep_within_limits();
            }
            Verdict::Idle => self.history.free(),
        }
        self.conclude_probe(now);
        let path = Path {
            estimate: self.bps(),
            most: self.limits.max.as_bps() as f64,
            blocked_until: self.blocked_until(now),
        };
        self.prober.poll(now, path).map(|bytes| Action::Pad { bytes })
    }

    /// When to call [`Estimator::poll`]; `None`: not before something else happens. A path on which nothing is sent and
    /// nothing more is desired wants nothing.
    pub fn deadline(&self) -> Option<Instant> {
        let wanted = [self.silence.deadline(), self.prober.deadline(self.bps())];
        let next = wanted.into_iter().flatten().min()?;
        self.epoch.checked_add(Duration::from_micros(next))
    }

    /// What the path carries, in all: media, repairs and padding.
    pub fn estimate(&self) -> Bitrate {
        Bitrate::bps(self.bps() as u64)
    }

    /// The share of packets lost over about the last 2 s of feedback, 0 to 1; `None` if nothing was told lately.
    pub fn loss(&self) -> Option<f32> {
        self.loss.share(self.clock)
    }

    /// The round trip, smoothed; `None` until something was measured.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt.known()
    }

    /// What arrived over about the last half second; `None` if nothing was told lately.
    pub fn acked(&self) -> Option<Bitrate> {
        let fresh = self.last_feedback.is_some_and(|last| self.clock.saturating_sub(last) < FRESH);
        self.arrived.clone().at(self.last_arrival).filter(|_| fresh)
    }

    fn tick(&mut self, now: Instant) -> Micros {
        let passed = now.saturating_duration_since(self.epoch);
        let micros =
            passed.as_secs().saturating_mul(SECOND).saturating_add(Micros::from(passed.subsec_micros()));
        // Bounded so that adding a timeout never overflows; that is 292,000 years.
        self.clock = self.clock.max(micros.min(Micros::MAX / 2));
        self.clock
    }
}
