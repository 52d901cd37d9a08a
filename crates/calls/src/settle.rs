//! What follows from how the legs stand: when a call becomes active, how long nobody or one may wait, when it is over.
use crate::call::{CallKind, CallState, EndReason, Leg, LegState};
use crate::change::Change;
use crate::outcome::EventKind;

impl Change<'_> {
    /// After each change.
    pub(crate) fn settle(&mut self) {
        match self.call.state {
            CallState::Ended => return,
            CallState::Ringing => self.settle_ringing(),
            CallState::Open if self.call.in_call() >= 2 => self.activate(),
            CallState::Open | CallState::Active => {}
        }
        match (self.call.state, self.call.kind) {
            (CallState::Active, CallKind::Direct) => self.settle_direct(),
            (CallState::Active | CallState::Open, _) => self.settle_group(),
            _ => {}
        }
        if self.call.state != CallState::Ended {
            self.settle_upgrade();
        }
    }

    fn settle_ringing(&mut self) {
        let creator = &self.call.creator;
        let mut others = self.call.legs.iter().filter(|leg| leg.user != *creator);
        if others.any(|leg| leg.state.is_in_call()) {
            return self.activate();
        }
        if self.call.in_call() == 0 {
            let reason = self.call.leg(creator).and_then(|leg| leg.end_reason);
            return self.end(reason.unwrap_or(EndReason::Cancelled));
        }
        let waits = |leg: &Leg| leg.looks_ringing() || leg.state == LegState::Lobby;
        if !self.call.legs.iter().any(waits) {
            self.end(self.unanswered_reason());
        }
    }

    /// The first answer: the clock of the call starts, and those of media that is not up.
    fn activate(&mut self) {
        let now = self.now;
        self.call.state = CallState::Active;
        self.call.answered_at = Some(now);
        self.call.timers.alone = None;
        self.call.timers.longest = Some(now.after_ms(self.longest_ms()));
        for leg in &mut self.call.legs {
            match leg.state {
                LegState::Accepted => {
                    leg.inner.connect_by.get_or_insert(now.after_ms(self.settings.connect_ms));
                }
                LegState::Reconnecting => {
                    leg.inner.reconnect_by.get_or_insert(now.after_ms(self.settings.reconnect_ms));
                }
                _ => {}
            }
        }
        self.event(EventKind::CallAnswered);
    }

    pub(crate) fn longest_ms(&self) -> u64 {
        let longest = self.settings.longest_ms;
        self.call.limits.max_duration_ms.map_or(longest, |own| own.min(longest))
    }

    fn settle_direct(&mut self) {
        let now = self.now;
        // Somebody who only seems to ring, or to have been rung, counts as rung.
        let plain = |leg: &&Leg| leg.inner.mask.is_none();
        for leg in self.call.legs.iter().filter(plain) {
            match (leg.state, leg.end_reason) {
                (LegState::Left, Some(reason)) if reason != EndReason::ConnectionLost => {
                    return self.end(reason);
                }
                (LegState::Failed, _) if leg.inner.reconnect_by.is_none() => {
                    return self.end(EndReason::ConnectFailed);
                }
                _ => {}
            }
        }
        let retries = self.call.legs.iter().filter(plain).any(|leg| leg.state == LegState::Failed);
        let rings = self.call.legs.iter().any(Leg::looks_ringing);
        match self.call.in_call() {
            0 if !retries => self.end(EndReason::ConnectionLost),
            1 if !retries && !rings => {
                let until = now.after_ms(self.settings.alone_direct_ms);
                self.call.timers.alone.get_or_insert(until);
            }
            _ => self.call.timers.alone = None,
        }
    }

    fn settle_group(&mut self) {
        let waits_outside = self.call.legs.iter().any(|leg| leg.state == LegState::Lobby);
        let rings = self.call.legs.iter().any(Leg::looks_ringing);
        let patience = |ms: u64| if waits_outside { ms.max(self.settings.lobby_ms) } else { ms };
        let alone = self.now.after_ms(patience(self.settings.alone_group_ms));
        let empty = self.now.after_ms(patience(self.settings.empty_ms));
        let timers = &mut self.call.timers;
        match self.call.legs.iter().filter(|leg| leg.state.is_in_call()).count() {
            0 => {
                timers.empty.get_or_insert(empty);
                timers.alone = None;
            }
            1 if !rings => {
                timers.alone.get_or_insert(alone);
                timers.empty = None;
            }
            _ => (timers.alone, timers.empty) = (None, None),
        }
    }

    /// Nobody was in the room for too long.
    pub(crate) fn empty_reason(&self) -> EndReason {
        let failed = self.call.legs.iter().any(|leg| leg.state == LegState::Failed);
        match self.call.answered_at {
            Some(_) => EndReason::Completed,
            None if failed => EndReason::ConnectFailed,
            None => EndReason::Cancelled,
        }
    }

    /// One person was alone for too long.
    pub(crate) fn alone_reason(&self) -> EndReason {
        match (self.call.kind, self.call.answered_at) {
            (CallKind::Direct, _) => EndReason::ConnectionLost,
            (CallKind::Group, Some(_)) => EndReason::Completed,
            (CallKind::Group, None) => EndReason::NoAnswer,
        }
    }

    /// The one reason of all who did not come; else that nobody answered.
    fn unanswered_reason(&self) -> EndReason {
        let callees = self.call.legs.iter().filter(|leg| leg.user != self.call.creator);
        let mut reasons = callees.filter_map(|leg| leg.end_reason);
        match reasons.next() {
            Some(first) if reasons.all(|other| other == first) => first,
            _ => EndReason::NoAnswer,
        }
    }
}
