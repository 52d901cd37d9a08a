//! Packets that leave and feedback that does not come.

use crate::{Micros, SECOND};

/// Feedback comes every 50 to 250 ms; a path that is silent for so much longer while it is fed is broken or full.
const SILENT: Micros = 2 * SECOND;

/// Fewer packets without an answer may just have been lost.
const FEWEST: u32 = 5;

/// How often it is looked at. Finer wakes thousands of idle paths; coarser is late by as much.
const CHECK: Micros = SECOND;

/// Nothing sent for so long: the path is idle, and nobody is to be woken for it.
const IDLE: Micros = 3 * SECOND;

/// A gap in sending after which the answers to what was before no longer matter.
const GAP: Micros = SECOND;

/// What the silence calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    Fine,
    /// Send half as much.
    Halve,
    /// Nothing is sent any more: give memory back.
    Idle,
}

/// Watches for answers, and for the end of sending.
#[derive(Clone, Debug, Default)]
pub(crate) struct Silence {
    check_at: Option<Micros>,
    unanswered: u32,
    unanswered_from: Micros,
    last_sent: Micros,
    halved: Option<Micros>,
}

impl Silence {
    /// A packet leaves.
    pub(crate) fn on_sent(&mut self, now: Micros) {
        if self.unanswered == 0 || now.saturating_sub(self.last_sent) > GAP {
            self.unanswered = 0;
            self.unanswered_from = now;
        }
        self.unanswered = self.unanswered.saturating_add(1);
        self.last_sent = now;
        if self.check_at.is_none() {
            self.check_at = Some(now + CHECK);
        }
    }

    /// Feedback told something. Returns whether it ends a silence that had its consequence.
    pub(crate) fn on_feedback(&mut self) -> bool {
        self.unanswered = 0;
        self.halved.take().is_some()
    }

    /// Whether answers are late enough to doubt the path, though not yet to act.
    pub(crate) fn is_doubtful(&self, now: Micros) -> bool {
        self.unanswered >= FEWEST && now.saturating_sub(self.unanswered_from) > SILENT / 2
    }

    /// When to look again.
    pub(crate) fn deadline(&self) -> Option<Micros> {
        self.check_at
    }

    /// Looks, if it is time.
    pub(crate) fn poll(&mut self, now: Micros) -> Verdict {
        if self.check_at.is_none_or(|at| now < at) {
            return Verdict::Fine;
        }
        let since_sent = now.saturating_sub(self.last_sent);
        if since_sent >= IDLE {
            *self = Self::default();
            return Verdict::Idle;
        }
        self.check_at = Some(now + CHECK);
        let since = self.unanswered_from.max(self.halved.unwrap_or(0));
        let silent = self.unanswered >= FEWEST && now.saturating_sub(since) >= SILENT;
        if !silent || since_sent > GAP {
            return Verdict::Fine;
        }
        self.halved = Some(now);
        Verdict::Halve
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_halves_slowly_and_idleness_rests() {
        let mut silence = Silence::default();
        let mut halvings = Vec::new();
        for packet in 0..300 {
            let now = packet * SECOND / 50;
            silence.on_sent(now);
            if silence.poll(now) == Verdict::Halve {
                halvings.push(now / SECOND);
            }
        }
        assert_eq!(halvings, [2, 4]);
        assert!(silence.on_feedback());
        assert_eq!(silence.poll(8 * SECOND), Verdict::Fine);
        assert_eq!(silence.poll(9 * SECOND), Verdict::Idle);
        assert_eq!(silence.deadline(), None);
    }
}
