//! From "it rings" to an answer, or to none: acknowledgement, accept, decline, deadline, pushes.
use crate::call::{CallState, DeviceLeg, DeviceState, EndReason, Leg, LegState, Mask, SeatTaken, StopReason};
use crate::change::Change;
use crate::id::{DeviceId, Time, UserId};
use crate::outcome::{EventKind, Notice, NoticeKind, Push, Reason, Refusal};
use crate::request::Party;

impl Change<'_> {
    /// A device says that it rings.
    pub(crate) fn ack(&mut self, user: &UserId, device: &DeviceId) -> Result<(), Refusal> {
        let i = self.ring_part(user)?;
        if self.call.legs[i].state.is_in_call() {
            return Err(already_answered(user));
        }
        self.must_ring(i)?;
        let now = self.now;
        let leg = device_leg(&mut self.call.legs[i], device, self.settings.max_devices, now);
        if matches!(leg.state, DeviceState::Stopped(_)) {
            return Err(Refusal::new(Reason::NotRinging, format!("device {device} must not ring")));
        }
        leg.state = DeviceState::Ringing;
        let leg = &mut self.call.legs[i];
        if leg.state == LegState::Ringing {
            return Ok(());
        }
        leg.state = LegState::Ringing;
        leg.inner.shown_ringing = true;
        leg.inner.push_at = None;
        let (connected, delay) = (leg.inner.connected, now.ms_since(leg.invited_at));
        self.disguise.learn(connected, Some(delay));
        let first =
            !self.call.legs.iter().any(|other| other.user != *user && other.state == LegState::Ringing);
        self.event(EventKind::LegRinging(user.clone()));
        if first && self.call.state == CallState::Ringing {
            self.event(EventKind::CallRinging);
        }
        Ok(())
    }

    /// A device answers. One wins.
    pub(crate) fn accept(&mut self, party: &Party, audio_only: bool) -> Result<(), Refusal> {
        let i = self.ring_part(&party.user)?;
        let leg = &self.call.legs[i];
        if leg.state.is_in_call() {
            return if leg.sits(&party.device) { Ok(()) } else { Err(already_answered(&party.user)) };
        }
        if !leg.may_retry(self.now) {
            self.must_ring(i)?;
        }
        self.enter(i, party)?;
        if audio_only {
            self.call.legs[i].video_allowed = false;
        }
        Ok(())
    }

    /// One device declines for its user.
    pub(crate) fn decline(&mut self, party: &Party) -> Result<(), Refusal> {
        let i = self.ring_part(&party.user)?;
        if self.call.legs[i].state.is_in_call() {
            return Err(already_answered(&party.user));
        }
        self.must_ring(i)?;
        let leg = &mut self.call.legs[i];
        leg.state = LegState::Declined;
        leg.end_reason = Some(EndReason::Declined);
        if leg.hide_busy {
            leg.inner.mask = Some(Mask::Rings);
            // Whoever declines has a device that rang: it would have acknowledged by now.
            leg.inner.shown_ringing = true;
        }
        self.event(EventKind::LegDeclined(party.user.clone()));
        self.stop_ringing(i, StopReason::DeclinedElsewhere, Some(&party.device));
        Ok(())
    }

    /// The caller gives up before anybody has answered.
    pub(crate) fn cancel(&mut self, user: &UserId) -> Result<(), Refusal> {
        self.live_part(user)?;
        if *user != self.call.creator {
            return Err(Refusal::new(
                Reason::NotAllowed,
                format!("{user} did not begin this call: decline it"),
            ));
        }
        if self.call.state != CallState::Ringing {
            return Err(Refusal::new(Reason::NotRinging, "the call rings no more: leave it, or end it"));
        }
        self.end(EndReason::Cancelled);
        Ok(())
    }

    /// The leg of somebody who wants to answer; a ring that ended with its call is over.
    fn ring_part(&self, user: &UserId) -> Result<usize, Refusal> {
        let i = self.part(user)?;
        match self.must_live() {
            Err(_) if self.call.legs[i].accepted_at.is_none() => Err(ring_over()),
            Err(ended) => Err(ended),
            Ok(()) => Ok(i),
        }
    }

    /// The deadline itself is too late, whether or not the timer has fired.
    pub(crate) fn must_ring(&self, i: usize) -> Result<(), Refusal> {
        let leg = &self.call.legs[i];
        let in_time = leg.ring_deadline.is_some_and(|deadline| self.now < deadline);
        if in_time && leg.rings() { Ok(()) } else { Err(ring_over()) }
    }

    /// The device takes a seat in the call; all others of the user stop ringing.
    pub(crate) fn enter(&mut self, i: usize, party: &Party) -> Result<(), Refusal> {
        self.must_have_room()?;
        let seat = self.new_seat(party);
        let connect_by =
            (self.call.state != CallState::Ringing).then(|| self.now.after_ms(self.settings.connect_ms));
        let video = self.may_send_video(i);
        let leg = &mut self.call.legs[i];
        leg.state = LegState::Accepted;
        leg.accepted_at = Some(self.now);
        leg.end_reason = None;
        leg.seat = Some(seat);
        leg.on_hold = false;
        leg.video_allowed = video;
        leg.inner.mask = None;
        leg.inner.pretend_ringing_at = None;
        leg.inner.push_at = None;
        leg.inner.reconnect_by = None;
        leg.inner.connect_by = connect_by;
        if !party.handle.is_empty() {
            leg.handle.clone_from(&party.handle);
        }
        self.event(EventKind::LegAccepted(party.user.clone()));
        self.stop_ringing(i, StopReason::AcceptedElsewhere, Some(&party.device));
        self.mark_won(i, &party.device);
        Ok(())
    }

    pub(crate) fn must_have_room(&self) -> Result<(), Refusal> {
        let most = self.settings.max_participants;
        let most = self.call.limits.max_participants.map_or(most, |own| own.min(most));
        if self.call.in_call() >= most as usize {
            return Err(Refusal::new(Reason::CallFull, format!("the call is full: at most {most} people")));
        }
        Ok(())
    }

    pub(crate) fn new_seat(&mut self, party: &Party) -> SeatTaken {
        self.call.seats += 1;
        let identity = format!("{}#{}", party.user, self.call.seats);
        SeatTaken { device: party.device.clone(), identity, replaces: None }
    }

    /// One device has the seat; those that had it before rang in an earlier time.
    pub(crate) fn mark_won(&mut self, i: usize, device: &DeviceId) {
        let leg = &mut self.call.legs[i];
        for known in leg.devices.iter_mut().filter(|known| known.state == DeviceState::Won) {
            known.state = DeviceState::Dead;
        }
        device_leg(leg, device, self.settings.max_devices, self.now).state = DeviceState::Won;
    }

    /// The deadline of a leg has come.
    pub(crate) fn lapse(&mut self, i: usize) {
        let leg = &mut self.call.legs[i];
        if leg.inner.mask == Some(Mask::Rings) {
            leg.inner.mask = Some(Mask::NoAnswer);
            leg.inner.pretend_ringing_at = None;
            return;
        }
        let heard = leg.state == LegState::Ringing;
        (leg.state, leg.end_reason) = if heard {
            (LegState::Missed, Some(EndReason::NoAnswer))
        } else {
            (LegState::Unreachable, Some(EndReason::Unreachable))
        };
        let (user, connected) = (leg.user.clone(), leg.inner.connected);
        if !heard {
            self.disguise.learn(connected, None);
        }
        self.event(EventKind::LegMissed(user));
        self.stop_ringing(i, StopReason::Missed, None);
    }

    /// Takes an invitation back, if it is open.
    pub(crate) fn withdraw(&mut self, i: usize) {
        let leg = &mut self.call.legs[i];
        if leg.inner.mask == Some(Mask::Rings) {
            leg.inner.mask = Some(Mask::Cancelled);
            leg.inner.pretend_ringing_at = None;
        } else if leg.rings() {
            leg.state = LegState::Cancelled;
            leg.end_reason = Some(EndReason::Cancelled);
            let user = leg.user.clone();
            self.event(EventKind::LegCancelled(user));
            self.stop_ringing(i, StopReason::Cancelled, None);
        }
    }

    /// Silences the user's devices. `acted`: the one that answered or declined.
    pub(crate) fn stop_ringing(&mut self, i: usize, reason: StopReason, acted: Option<&DeviceId>) {
        let leg = &mut self.call.legs[i];
        leg.inner.push_at = None;
        let user = leg.user.clone();
        let pushed = std::mem::take(&mut leg.inner.pushes) > 0;
        for at in 0..self.call.legs[i].devices.len() {
            let known = &mut self.call.legs[i].devices[at];
            if !known.state.must_ring() {
                continue;
            }
            let here = acted == Some(&known.device);
            let reason = if here { StopReason::AnsweredHere } else { reason };
            known.state = DeviceState::Stopped(reason);
            let device = known.device.clone();
            self.tell_stopped(&user, &device, reason, !here);
        }
        if pushed {
            let push = self.push(i, Vec::new(), 0, Some(reason));
            self.event(EventKind::Push(push));
        }
    }

    /// To the device, and unless it is the one that acted to the backend.
    pub(crate) fn tell_stopped(&mut self, user: &UserId, device: &DeviceId, reason: StopReason, event: bool) {
        let (user, device) = (user.clone(), device.clone());
        if event {
            self.event(EventKind::RingStopped { user: user.clone(), device: device.clone(), reason });
        }
        self.notice(Notice { user, device: Some(device), kind: NoticeKind::RingStopped(reason) });
    }

    /// Wakes devices that have no socket. Empty `devices`: all of them.
    pub(crate) fn send_push(&mut self, i: usize, devices: Vec<DeviceId>) {
        let [second, third] = self.settings.push_again_ms;
        let now = self.now;
        let inner = &mut self.call.legs[i].inner;
        inner.pushes += 1;
        let attempt = inner.pushes;
        inner.push_at = match attempt {
            1 => Some(now.after_ms(second)),
            2 => Some(now.after_ms(third.saturating_sub(second))),
            _ => None,
        };
        let push = self.push(i, devices, attempt, None);
        self.event(EventKind::Push(push));
    }

    /// Nobody has acknowledged since the last push.
    pub(crate) fn push_again(&mut self, i: usize) {
        let leg = &mut self.call.legs[i];
        leg.inner.push_at = None;
        if leg.rings() && leg.state != LegState::Ringing {
            let asleep = if leg.push { Vec::new() } else { offered(leg) };
            self.send_push(i, asleep);
        }
    }

    fn push(&self, i: usize, devices: Vec<DeviceId>, attempt: u32, stop: Option<StopReason>) -> Push {
        let leg = &self.call.legs[i];
        let caller = leg.invited_by.as_ref().unwrap_or(&self.call.creator);
        Push {
            user: leg.user.clone(),
            devices,
            caller: caller.clone(),
            caller_handle: self.call.leg(caller).map(|leg| leg.handle.clone()).unwrap_or_default(),
            kind: self.call.kind,
            media: self.call.media,
            deadline: leg.ring_deadline.unwrap_or(self.now),
            attempt,
            stop,
        }
    }
}

fn offered(leg: &Leg) -> Vec<DeviceId> {
    let offered = leg.devices.iter().filter(|device| device.state == DeviceState::Offered);
    offered.map(|device| device.device.clone()).collect()
}

/// The device's leg, added if it is new. Devices that no longer matter give way.
pub(crate) fn device_leg<'l>(
    leg: &'l mut Leg,
    device: &DeviceId,
    most: usize,
    now: Time,
) -> &'l mut DeviceLeg {
    let at = match leg.devices.iter().position(|known| known.device == *device) {
        Some(at) => at,
        None => {
            if leg.devices.len() >= most
                && let Some(idle) = leg.devices.iter().position(|known| !known.state.must_ring())
            {
                leg.devices.remove(idle);
            }
            let state = DeviceState::Offered;
            let device = device.clone();
            leg.devices.push(DeviceLeg {
                device,
                state,
                waiting: false,
                call_waiting: false,
                offered_at: now,
            });
            leg.devices.len() - 1
        }
    };
    &mut leg.devices[at]
}

fn ring_over() -> Refusal {
    Refusal::new(Reason::RingOver, "it rings no more: call back, or join if the call goes on")
}

fn already_answered(user: &UserId) -> Refusal {
    Refusal::new(
        Reason::AlreadyAnswered,
        format!("another device of {user} has answered: transfer the call to take it over"),
    )
}
