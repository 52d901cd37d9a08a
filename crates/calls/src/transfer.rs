//! Coming in by oneself, coming back, and moving to another device.
use crate::call::{CallKind, CallState, DeviceState, EndReason, LegState, SeatTaken, StopReason};
use crate::change::Change;
use crate::outcome::{Effect, EventKind, Reason, Refusal};
use crate::request::Party;
use crate::ringing::device_leg;

impl Change<'_> {
    /// A member comes in, comes back, or (`transfer`) takes over from another device.
    pub(crate) fn join(&mut self, party: &Party, transfer: bool) -> Result<(), Refusal> {
        let i = self.live_part(&party.user)?;
        let leg = &self.call.legs[i];
        if leg.state.is_in_call() {
            if !transfer && !leg.sits(&party.device) {
                let text = format!("{} is in the call with another device: ask for a transfer", party.user);
                return Err(Refusal::new(Reason::InAnotherCall, text));
            }
            self.take_over(i, party);
            return Ok(());
        }
        self.must_be_free_to_come(i)?;
        self.enter(i, party)
    }

    /// Moves the user's part to this device.
    pub(crate) fn transfer(&mut self, party: &Party) -> Result<(), Refusal> {
        let i = self.in_call_part(&party.user)?;
        self.take_over(i, party);
        Ok(())
    }

    /// Whether somebody who is not in the call may enter it now without being rung again.
    fn must_be_free_to_come(&self, i: usize) -> Result<(), Refusal> {
        let leg = &self.call.legs[i];
        let goes_on = matches!(self.call.state, CallState::Active | CallState::Open);
        match leg.state {
            LegState::Lobby => Err(Refusal::new(Reason::NotAllowed, "wait until a host lets you in")),
            _ if leg.end_reason == Some(EndReason::Removed) => {
                Err(Refusal::new(Reason::NotAllowed, "removed from this call: a host may invite again"))
            }
            LegState::Cancelled => Err(Refusal::new(Reason::RingOver, "the invitation was taken back")),
            LegState::Invited if !leg.rings() => Ok(()),
            LegState::Invited | LegState::Alerting | LegState::Ringing if !goes_on => self.must_ring(i),
            _ if goes_on => Ok(()),
            _ => self.must_ring(i),
        }
    }

    /// The conversation's call goes on without this user: in.
    pub(crate) fn come_in(&mut self, party: &Party) -> Result<(), Refusal> {
        let known = self.call.legs.iter().position(|leg| leg.user == party.user);
        let Some(i) = known else {
            let i = self.add_newcomer(party)?;
            if self.call.kind == CallKind::Direct {
                self.migrate();
            }
            return self.enter(i, party);
        };
        let leg = &self.call.legs[i];
        if leg.state.is_in_call() {
            self.take_over(i, party);
            return Ok(());
        }
        // A ringing group call is a call to come to, for members of its conversation.
        if self.call.state != CallState::Ringing || leg.rings() {
            self.must_be_free_to_come(i)?;
        }
        self.enter(i, party)
    }

    /// The device that has the seat gets it again. Another one gets a new seat, which replaces the old one once its media
    /// is up.
    pub(crate) fn take_over(&mut self, i: usize, party: &Party) {
        let leg = &self.call.legs[i];
        if leg.seat.as_ref().is_some_and(|seat| seat.device == party.device) {
            return;
        }
        if leg.current_seat().is_some_and(|seat| seat.device == party.device) {
            return self.back_to_old_seat(i, None);
        }
        let seat = self.new_seat(party);
        let had_media = self.call.legs[i].state != LegState::Accepted;
        let runs = had_media || self.call.state != CallState::Ringing;
        let connect_by = runs.then(|| self.now.after_ms(self.settings.connect_ms));
        let leg = &mut self.call.legs[i];
        leg.inner.connect_by = connect_by;
        let old = leg.seat.replace(seat);
        let (dropped, kept) = match old {
            Some(mut old) if had_media => match old.replaces.take() {
                Some(first) => (Some(old), Some(first)),
                None => (None, Some(Box::new(old))),
            },
            old => (old, None),
        };
        if let Some(seat) = &mut leg.seat {
            seat.replaces = kept;
        }
        device_leg(leg, &party.device, self.settings.max_devices, self.now).state = DeviceState::Won;
        let user = leg.user.clone();
        self.event(EventKind::LegChanged(user));
        if let Some(seat) = dropped {
            self.drop_seat(i, seat);
        }
    }

    /// The new device's media is up.
    pub(crate) fn moved(&mut self, i: usize) {
        let leg = &mut self.call.legs[i];
        leg.inner.connect_by = None;
        leg.inner.reconnect_by = None;
        let old = leg.seat.as_mut().and_then(|seat| seat.replaces.take());
        let was = std::mem::replace(&mut leg.state, LegState::Joined);
        leg.joined_at.get_or_insert(self.now);
        let user = leg.user.clone();
        if let Some(old) = old {
            self.drop_seat(i, *old);
        }
        self.event(if was == LegState::Joined {
            EventKind::LegChanged(user)
        } else {
            EventKind::LegJoined(user)
        });
    }

    /// A seat that another one of the same user has replaced.
    fn drop_seat(&mut self, i: usize, seat: SeatTaken) {
        let leg = &mut self.call.legs[i];
        let known = leg.devices.iter_mut().find(|known| known.device == seat.device);
        if let Some(known) = known {
            known.state = DeviceState::Stopped(StopReason::MovedToDevice);
        }
        let user = leg.user.clone();
        self.effect(Effect::Remove { identity: seat.identity, moved: true });
        self.tell_stopped(&user, &seat.device, StopReason::MovedToDevice, true);
    }

    /// The new device did not come up, or left, or the old one wants to stay. `gone`: has left the room already.
    pub(crate) fn back_to_old_seat(&mut self, i: usize, gone: Option<&str>) {
        let leg = &mut self.call.legs[i];
        leg.inner.connect_by = None;
        let Some(mut failed) = leg.seat.take() else { return };
        leg.seat = failed.replaces.take().map(|old| *old);
        if let Some(known) = leg.devices.iter_mut().find(|known| known.device == failed.device) {
            known.state = DeviceState::Dead;
        }
        let user = leg.user.clone();
        if gone != Some(&failed.identity) {
            self.effect(Effect::Remove { identity: failed.identity, moved: false });
        }
        self.event(EventKind::LegChanged(user));
    }

    /// The old device is gone before the new one is up: the user is on the way back.
    pub(crate) fn old_seat_gone(&mut self, i: usize) {
        let until = self.call.legs[i].inner.connect_by.unwrap_or(self.now.after_ms(self.settings.connect_ms));
        let leg = &mut self.call.legs[i];
        leg.inner.connect_by = None;
        leg.inner.reconnect_by = Some(until);
        let old = leg.seat.as_mut().and_then(|seat| seat.replaces.take());
        let was = std::mem::replace(&mut leg.state, LegState::Reconnecting);
        let user = leg.user.clone();
        if let Some(old) = old {
            self.drop_seat(i, *old);
        }
        if was != LegState::Reconnecting {
            self.event(EventKind::LegReconnecting(user));
        }
    }
}
