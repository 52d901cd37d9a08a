//! What the fates of packets make of the estimate.

use super::Estimator;
use crate::aimd::Seen;
use crate::cluster::Outcome;
use crate::groups::Step;
use crate::history::Sent;
use crate::rate::own_time;
use crate::trend::Usage;
use crate::{Micros, SECOND};

/// Sending less than this share of the estimate is the sender's choice. Higher would let frames of uneven size pass for it.
const LIMITED: f64 = 0.65;

/// What is kept of a probe's rate: a short train finds the queue empty, a stream does not.
const KEPT: f64 = 0.95;

/// How far one probe may lower an estimate that nothing else tests. One train may have met one moment's traffic.
const LOWERED: f64 = 0.85;

/// No probe so soon after overuse: the queue must drain first. Longer leaves viewers at a low layer.
const AFTER_OVERUSE: Micros = 3 * SECOND;

/// No probe at this loss: padding would add to it. Below, the loss is noise that a probe lives with.
const LOSS_FORBIDS: f32 = 0.05;

/// When to look again after loss or silence forbade a probe.
const LATER: Micros = SECOND;

/// One packet's fate.
impl Estimator {
    /// Returns whether that is news.
    pub(super) fn on_lost(&mut self, now: Micros, seq: u16) -> bool {
        let Some(sent) = self.history.lost(seq) else { return false };
        // Padding is sent to see whether it gets through; that it does not is no reason to send less media.
        if !sent.probe {
            self.loss.on_lost(now);
        }
        self.prober.on_lost(sent);
        true
    }

    /// Returns whether the trend knows more than before.
    pub(super) fn on_arrived(&mut self, now: Micros, sent: Sent, at: i64) -> bool {
        self.arrived.add(at, sent.size);
        self.last_arrival = at;
        self.prober.on_arrived(sent, at);
        // The queue that a probe makes is over with the probe.
        if sent.probe {
            return false;
        }
        self.loss.on_received(now, sent.was_lost);
        match self.groups.add(sent.at, at) {
            Step::Within => false,
            Step::Next(variation) => {
                self.trend.add(variation);
                true
            }
            Step::Restart => {
                self.trend.restart();
                false
            }
        }
    }
}

/// What becomes of the estimate.
impl Estimator {
    /// A feedback message is read. `judged`: the trend knows more than before.
    pub(super) fn judge(&mut self, now: Micros, judged: bool) {
        self.last_feedback = Some(now);
        if self.silence.on_feedback() {
            self.prober.begin_anew(now);
        }
        let rtt = self.rtt.guess();
        let limited = self.is_limited(now);
        let usage = match self.trend.usage() {
            // An old overuse that no media confirms is no reason to reduce again, nor is it calm.
            Usage::Over if !judged => Usage::Under,
            // A queue that came with a probe is the probe's, if the media is far from filling the path.
            Usage::Over if limited && self.prober.is_felt(now) => {
                self.prober.abort(now);
                Usage::Under
            }
            usage => usage,
        };
        if usage == Usage::Over {
            self.prober.abort(now);
        }
        let acked = self.acked().map(|rate| rate.as_bps() as f64);
        if self.aimd.update(now, Seen { usage, acked, limited, rtt }) {
            self.prober.begin_anew(now);
        }
        self.loss.judge(now, rtt, self.bps(), self.aimd.rate());
        self.keep_within_limits();
        self.conclude_probe(now);
    }

    /// Takes in what the probe under way found out, if it is over.
    pub(super) fn conclude_probe(&mut self, now: Micros) {
        let estimate = self.bps();
        let Some(outcome) = self.prober.outcome(now, estimate, KEPT) else { return };
        let (rate, full) = match outcome {
            Outcome::Through(rate) => (KEPT * rate, false),
            Outcome::Full(rate) => (KEPT * rate, true),
            Outcome::Nothing => return,
        };
        if rate > estimate {
            self.aimd.set(rate.max(self.aimd.rate()));
            self.loss.allow(rate);
        } else if full && self.is_limited(now) {
            let acked = self.acked().map_or(0.0, |acked| acked.as_bps() as f64);
            self.aimd.set(rate.max(acked).max(LOWERED * estimate).min(estimate));
        }
        self.keep_within_limits();
    }

    /// Until when the path is in no state to be probed.
    pub(super) fn blocked_until(&self, now: Micros) -> Option<Micros> {
        let overuse = self.aimd.last_overuse().map(|last| last + AFTER_OVERUSE).filter(|until| *until > now);
        let lossy = self.loss.share(now).is_some_and(|share| share >= LOSS_FORBIDS);
        let later = (lossy || self.silence.is_doubtful(now)).then_some(now + LATER);
        overuse.max(later)
    }

    /// Whether the sender has less to send than it may: then calm says nothing about the rest.
    fn is_limited(&mut self, now: Micros) -> bool {
        let estimate = self.bps();
        self.sent.at(own_time(now)).is_none_or(|sent| (sent.as_bps() as f64) < LIMITED * estimate)
    }

    /// The estimate in bit/s.
    pub(super) fn bps(&self) -> f64 {
        let rate = self.loss.limit().map_or(self.aimd.rate(), |limit| limit.min(self.aimd.rate()));
        rate.clamp(self.limits.min.as_bps() as f64, self.limits.max.as_bps() as f64)
    }

    pub(super) fn keep_within_limits(&mut self) {
        let (min, max) = (self.limits.min.as_bps() as f64, self.limits.max.as_bps() as f64);
        self.aimd.set(self.aimd.rate().clamp(min, max));
    }
}
