//! Deadlines: when a call must be looked at again, and what happens then.
use crate::call::{Call, CallState, EndReason, Mask};
use crate::change::Change;
use crate::id::Time;
use crate::settings::Settings;

/// The first deadline of a call. For an ended call: when it is forgotten.
pub(crate) fn due(call: &Call, settings: &Settings) -> Option<Time> {
    if call.state == CallState::Ended {
        return Some(call.ended_at.unwrap_or(call.created_at).after_ms(settings.linger_ms));
    }
    let legs = call.legs.iter().flat_map(|leg| {
        let ring = leg.ring_deadline.filter(|_| leg.looks_ringing());
        let inner = &leg.inner;
        [ring, inner.pretend_ringing_at, inner.push_at, inner.connect_by, inner.reconnect_by]
    });
    let upgrade = call.upgrade.as_ref().map(|upgrade| upgrade.at.after_ms(settings.upgrade_ms));
    let own = [call.timers.alone, call.timers.empty, call.timers.longest, upgrade];
    legs.chain(own).flatten().min()
}

impl Change<'_> {
    /// Fires all that is due.
    pub(crate) fn fire(&mut self) {
        let now = self.now;
        let due = |deadline: Option<Time>| deadline.is_some_and(|deadline| deadline <= now);
        for i in 0..self.call.legs.len() {
            let leg = &mut self.call.legs[i];
            if due(leg.ring_deadline) && leg.looks_ringing() {
                self.lapse(i);
            }
            let leg = &mut self.call.legs[i];
            if due(leg.inner.pretend_ringing_at) {
                leg.inner.pretend_ringing_at = None;
                leg.inner.shown_ringing |= leg.inner.mask == Some(Mask::Rings);
            }
            if due(leg.inner.push_at) {
                self.push_again(i);
            }
            if due(self.call.legs[i].inner.connect_by) {
                self.connect_timeout(i);
            }
            if due(self.call.legs[i].inner.reconnect_by) {
                self.reconnect_timeout(i);
            }
        }
        let upgrade = self.call.upgrade.as_ref().map(|upgrade| upgrade.at.after_ms(self.settings.upgrade_ms));
        if due(upgrade) {
            self.close_upgrade();
        }
        if due(self.call.timers.longest) {
            self.end(EndReason::EndedByServer);
        } else if due(self.call.timers.empty) {
            self.end(self.empty_reason());
        } else if due(self.call.timers.alone) {
            self.end(self.alone_reason());
        }
    }
}
