//! Invitations: who rings, who only seems to, who is busy; devices that come and go meanwhile.
use crate::call::{DeviceLeg, DeviceState, EndReason, Leg, LegInner, LegState, Mask, StopReason, Verdict};
use crate::change::Change;
use crate::id::{DeviceId, Time, UserId};
use crate::outcome::{EventKind, Notice, NoticeKind, Reason, Refusal};
use crate::request::{DeviceOffer, Invitee};

impl Change<'_> {
    /// Somebody in the call rings more people.
    pub(crate) fn invite(
        &mut self,
        by: &UserId,
        invitees: &[Invitee],
        ring_ms: Option<u64>,
    ) -> Result<(), Refusal> {
        self.in_call_part(by)?;
        must_reach_somebody(invitees)?;
        let fresh = |invitee: &&Invitee| self.call.leg(&invitee.user).is_none();
        let third = invitees.iter().find(fresh).is_some();
        if self.call.legs.len() + invitees.iter().filter(fresh).count() > self.settings.max_legs {
            let most = self.settings.max_legs;
            return Err(Refusal::new(
                Reason::CallFull,
                format!("at most {most} people may be invited to a call"),
            ));
        }
        if third {
            self.migrate();
        }
        let deadline = self.now.after_ms(ring_ms.unwrap_or(self.settings.ring_ms));
        for invitee in invitees {
            self.ring_up(by, invitee, deadline);
        }
        Ok(())
    }

    /// Takes an invitation back: who made it, or a host.
    pub(crate) fn cancel_invite(&mut self, by: &UserId, callee: &UserId) -> Result<(), Refusal> {
        self.live_part(by)?;
        let (i, leg) = self.visible_leg(callee)?;
        if leg.invited_by.as_ref() != Some(by) {
            self.must_host(Some(by))?;
        }
        if !leg.looks_ringing() {
            return Err(Refusal::new(Reason::NotRinging, format!("{callee} does not ring")));
        }
        self.withdraw(i);
        Ok(())
    }

    /// A leg as the other members know it.
    pub(crate) fn visible_leg(&self, user: &UserId) -> Result<(usize, &Leg), Refusal> {
        let mut legs = self.call.legs.iter().enumerate();
        let found = legs.find(|(_, leg)| leg.user == *user && self.call.shown(leg).is_some());
        found.ok_or_else(|| Refusal::new(Reason::UnknownUser, format!("{user} has no part in this call")))
    }

    /// Invites one user, anew or again. Whoever is in the call or seems to ring already stays as they are.
    pub(crate) fn ring_up(&mut self, by: &UserId, invitee: &Invitee, deadline: Time) {
        let known = self.call.legs.iter().position(|leg| leg.user == invitee.user);
        if let Some(leg) = known.map(|i| &self.call.legs[i])
            && (leg.looks_ringing() || leg.state.is_in_call() || leg.state == LegState::Lobby)
        {
            return;
        }
        let knows = known.filter(|i| !self.call.legs[*i].is_hidden());
        if let Some(i) = knows.filter(|_| invitee.verdict != Verdict::Ring) {
            return self.seem_to_ring(i, by, invitee, deadline);
        }
        let i = self.lay_leg(known, invitee, Some(by));
        self.call.legs[i].ring_deadline = Some(deadline);
        if invitee.verdict == Verdict::Deny {
            return self.suppress(i, EndReason::Denied);
        }
        let (offers, busy) = self.choose_devices(i, invitee);
        let engaged = busy && offers.is_empty();
        match invitee.verdict {
            Verdict::Ring if engaged => self.found_busy(i),
            Verdict::Ring => self.offer(i, &offers, busy),
            Verdict::Silent => {
                self.suppress(i, EndReason::Suppressed);
                self.disguise_leg(i, engaged);
                self.event(EventKind::LegMissed(invitee.user.clone()));
            }
            Verdict::Deny | Verdict::DenyHidden => {
                self.suppress(i, EndReason::DeniedHidden);
                self.disguise_leg(i, engaged);
            }
        }
    }

    /// Somebody who knows the call, and does not want to be rung by this caller: keeps the own part and may come back, while
    /// the others believe that it rings.
    fn seem_to_ring(&mut self, i: usize, by: &UserId, invitee: &Invitee, deadline: Time) {
        let now = self.now;
        let (offers, busy) = self.choose_devices(i, invitee);
        let engaged = busy && offers.is_empty();
        let leg = &mut self.call.legs[i];
        leg.invited_by = Some(by.clone());
        leg.invited_at = now;
        leg.ring_deadline = Some(deadline);
        leg.hide_busy = invitee.hide_busy;
        leg.inner.shown_ringing = false;
        leg.inner.reconnect_by = None;
        if !invitee.handle.is_empty() {
            leg.handle.clone_from(&invitee.handle);
        }
        self.event(EventKind::LegInvited(invitee.user.clone()));
        if invitee.verdict == Verdict::Deny {
            self.call.legs[i].inner.mask = Some(Mask::CannotCall);
            return;
        }
        self.disguise_leg(i, engaged);
        if invitee.verdict == Verdict::Silent {
            self.event(EventKind::LegMissed(invitee.user.clone()));
        }
    }

    /// The devices that ring, or would; and whether the user is busy.
    fn choose_devices<'i>(&mut self, i: usize, invitee: &'i Invitee) -> (Vec<&'i DeviceOffer>, bool) {
        let busy = self.is_busy(invitee);
        let offers = invitee.devices.iter().filter(|offer| !busy || offer.call_waiting);
        let offers: Vec<&DeviceOffer> = offers.take(self.settings.max_devices).collect();
        let inner = &mut self.call.legs[i].inner;
        inner.connected = offers.iter().any(|offer| offer.connected);
        inner.call_waiting = offers.iter().any(|offer| offer.call_waiting);
        (offers, busy)
    }

    /// A leg of a call that begins silently: named, and free to come.
    pub(crate) fn name_member(&mut self, by: &UserId, invitee: &Invitee) {
        let i = self.lay_leg(None, invitee, Some(by));
        match invitee.verdict {
            Verdict::Ring | Verdict::Silent => {}
            Verdict::Deny => self.suppress(i, EndReason::Denied),
            Verdict::DenyHidden => self.suppress(i, EndReason::DeniedHidden),
        }
    }

    /// In another call, or called by as many as may be.
    fn is_busy(&self, invitee: &Invitee) -> bool {
        let user = &invitee.user;
        let wanted = invitee.verdict == Verdict::Ring;
        let load = if wanted { self.book.load(user) } else { self.book.seeming_load(user) };
        self.book.is_busy(user, &self.call.id) || load >= self.settings.max_calls_per_user
    }

    /// A fresh invitation; what the user did before in this call stays known.
    fn lay_leg(&mut self, known: Option<usize>, invitee: &Invitee, by: Option<&UserId>) -> usize {
        let i = known.unwrap_or(self.call.legs.len());
        if known.is_none() {
            self.call.legs.push(Leg::new(invitee.user.clone(), invitee.handle.clone(), self.now));
        }
        let leg = &mut self.call.legs[i];
        let LegInner { views, video_forbidden, .. } = std::mem::take(&mut leg.inner);
        leg.inner = LegInner { views, video_forbidden, ..LegInner::default() };
        leg.state = LegState::Invited;
        leg.verdict = invitee.verdict;
        leg.hide_busy = invitee.hide_busy;
        leg.push = invitee.push;
        leg.invited_by = by.cloned();
        leg.invited_at = self.now;
        leg.ring_deadline = None;
        leg.end_reason = None;
        leg.seat = None;
        leg.devices.clear();
        if !invitee.handle.is_empty() {
            leg.handle.clone_from(&invitee.handle);
        }
        let video = self.may_send_video(i);
        self.call.legs[i].video_allowed = video;
        self.event(EventKind::LegInvited(invitee.user.clone()));
        i
    }

    fn suppress(&mut self, i: usize, reason: EndReason) {
        let leg = &mut self.call.legs[i];
        leg.state = LegState::Suppressed;
        leg.end_reason = Some(reason);
    }

    /// Shows a leg that does not ring as one that does; `engaged`: as one of a user who is in another call.
    fn disguise_leg(&mut self, i: usize, engaged: bool) {
        let leg = &mut self.call.legs[i];
        if engaged && !leg.hide_busy {
            leg.inner.mask = Some(Mask::Busy);
            return;
        }
        leg.inner.mask = Some(Mask::Rings);
        let drawn = self.disguise.draw(leg.inner.connected, self.now.ms_since(leg.invited_at));
        let drawn = drawn.map(|delay| leg.invited_at.after_ms(delay));
        leg.inner.pretend_ringing_at =
            drawn.filter(|at| leg.ring_deadline.is_some_and(|deadline| *at < deadline));
    }

    /// The user is in another call, and no device can show a second one.
    fn found_busy(&mut self, i: usize) {
        let leg = &mut self.call.legs[i];
        let rang = leg.state == LegState::Ringing;
        leg.state = LegState::Busy;
        leg.end_reason = Some(EndReason::Busy);
        let (user, hide) = (leg.user.clone(), leg.hide_busy);
        self.event(EventKind::LegBusy(user));
        if hide && rang {
            self.call.legs[i].inner.mask = Some(Mask::Rings);
        } else if hide {
            self.disguise_leg(i, true);
        }
        self.stop_ringing(i, StopReason::BusyElsewhere, None);
    }

    /// Rings devices, and wakes those that sleep.
    fn offer(&mut self, i: usize, offers: &[&DeviceOffer], busy: bool) {
        let offered_at = self.now;
        let leg = &mut self.call.legs[i];
        leg.devices.extend(offers.iter().map(|offer| DeviceLeg {
            device: offer.device.clone(),
            state: DeviceState::Offered,
            waiting: busy,
            call_waiting: offer.call_waiting,
            offered_at,
        }));
        // While another call goes on, only devices that can show a second one may be woken.
        let wake_all = leg.push && !busy;
        let asleep: Vec<DeviceId> =
            offers.iter().filter(|offer| !offer.connected).map(|offer| offer.device.clone()).collect();
        if !offers.is_empty() || wake_all {
            leg.state = LegState::Alerting;
        }
        for offer in offers.iter().filter(|offer| offer.connected) {
            self.tell_ring(i, &offer.device);
        }
        if wake_all {
            self.send_push(i, Vec::new());
        } else if !asleep.is_empty() {
            self.send_push(i, asleep);
        }
    }

    fn tell_ring(&mut self, i: usize, device: &DeviceId) {
        let user = self.call.legs[i].user.clone();
        if let Some(ring) = self.call.ring(&user, device) {
            self.notice(Notice { user, device: Some(device.clone()), kind: NoticeKind::Ring(ring) });
        }
    }

    /// A device of a user who is called has a socket now.
    pub(crate) fn device_appeared(&mut self, user: &UserId, device: &DeviceId, call_waiting: bool) {
        let Some(i) = self.call.legs.iter().position(|leg| leg.user == *user) else { return };
        let busy = self.is_engaged(user);
        if (busy && !call_waiting) || !self.call.legs[i].looks_ringing() {
            return;
        }
        if !self.call.legs[i].rings() {
            return self.pretend_appeared(i);
        }
        let leg = &mut self.call.legs[i];
        let full = leg.devices.len() >= self.settings.max_devices;
        match leg.devices.iter_mut().find(|known| known.device == *device) {
            Some(known) if known.state == DeviceState::Dead => {
                known.state = DeviceState::Offered;
                (known.waiting, known.call_waiting) = (busy, call_waiting);
            }
            // The product named it while it was away, so that nothing has told it yet. One that does know hears it twice.
            Some(known) if known.state == DeviceState::Offered => {}
            Some(_) => return,
            None if full => return,
            None => leg.devices.push(DeviceLeg {
                device: device.clone(),
                state: DeviceState::Offered,
                waiting: busy,
                call_waiting,
                offered_at: self.now,
            }),
        }
        if leg.state == LegState::Invited {
            leg.state = LegState::Alerting;
        }
        self.tell_ring(i, device);
    }

    fn is_engaged(&self, user: &UserId) -> bool {
        self.book.is_busy(user, &self.call.id)
    }

    /// A leg that rang would be acknowledged soon now.
    fn pretend_appeared(&mut self, i: usize) {
        let leg = &mut self.call.legs[i];
        if leg.inner.shown_ringing || leg.inner.connected {
            return;
        }
        leg.inner.connected = true;
        let soon = self.disguise.draw(true, 0).map(|delay| self.now.after_ms(delay));
        let earlier = leg.inner.pretend_ringing_at.into_iter().chain(soon).min();
        leg.inner.pretend_ringing_at =
            earlier.filter(|at| leg.ring_deadline.is_some_and(|deadline| *at < deadline));
    }

    /// A device's socket is gone: it cannot ring, but the user still can be reached.
    pub(crate) fn device_vanished(&mut self, user: &UserId, device: &DeviceId) {
        let Some(i) = self.call.legs.iter().position(|leg| leg.user == *user) else { return };
        let leg = &mut self.call.legs[i];
        if leg.state == LegState::Lobby && leg.devices.iter().any(|known| known.device == *device) {
            return self.leave_lobby(i);
        }
        if !leg.rings() {
            return;
        }
        let known = leg.devices.iter_mut().find(|known| known.device == *device && known.state.must_ring());
        let Some(known) = known else { return };
        known.state = DeviceState::Dead;
        let silent = !leg.devices.iter().any(|known| known.state.must_ring());
        if silent && leg.push && leg.inner.pushes == 0 {
            self.send_push(i, Vec::new());
        }
    }

    /// The user has begun to talk in another call: only devices that can show a second one go on ringing.
    pub(crate) fn turn_busy(&mut self, user: &UserId) {
        let Some(i) = self.call.legs.iter().position(|leg| leg.user == *user) else { return };
        let leg = &mut self.call.legs[i];
        if !leg.rings() {
            if leg.looks_ringing() && !leg.inner.call_waiting && !leg.hide_busy {
                leg.inner.mask = Some(Mask::Busy);
                leg.inner.pretend_ringing_at = None;
            }
            return;
        }
        if !leg.devices.iter().any(|known| known.call_waiting && known.state.must_ring()) {
            return self.found_busy(i);
        }
        for at in 0..self.call.legs[i].devices.len() {
            let known = &mut self.call.legs[i].devices[at];
            if !known.state.must_ring() {
                continue;
            }
            let device = known.device.clone();
            if known.call_waiting {
                known.waiting = true;
                self.tell_ring(i, &device);
            } else {
                known.state = DeviceState::Stopped(StopReason::BusyElsewhere);
                self.tell_stopped(user, &device, StopReason::BusyElsewhere, true);
            }
        }
    }
}

/// Refuses if nobody of them may be called.
pub(crate) fn must_reach_somebody(invitees: &[Invitee]) -> Result<(), Refusal> {
    if !invitees.is_empty() && invitees.iter().all(|invitee| invitee.verdict == Verdict::Deny) {
        return Err(Refusal::new(Reason::CannotCall, "none of these people can be called"));
    }
    Ok(())
}

impl Leg {
    /// Of somebody who has no part yet.
    pub(crate) fn new(user: UserId, handle: String, now: Time) -> Self {
        Self {
            user,
            handle,
            state: LegState::Invited,
            verdict: Verdict::Ring,
            hide_busy: false,
            invited_by: None,
            devices: Vec::new(),
            push: false,
            invited_at: now,
            ring_deadline: None,
            accepted_at: None,
            joined_at: None,
            left_at: None,
            end_reason: None,
            seat: None,
            on_hold: false,
            video_allowed: false,
            host: false,
            quality: Default::default(),
            inner: LegInner::default(),
        }
    }
}
