//! Who is really there: media that comes up, is lost, comes back; people who leave.
use crate::call::{CallState, EndReason, LegState};
use crate::change::Change;
use crate::outcome::{Effect, EventKind, Reason, Refusal};
use crate::record::{Quality, Rating};
use crate::request::{MediaState, Party};

impl Change<'_> {
    /// What became of a participant's media. Identities that hold no seat are none of the call's business.
    pub(crate) fn media(&mut self, identity: &str, state: MediaState) {
        if self.call.state == CallState::Ended {
            return;
        }
        let Some(i) = self.seated(identity) else { return };
        let leg = &self.call.legs[i];
        let replaced = leg.seats().nth(1).is_some_and(|old| old.identity == identity);
        let replaces = leg.seats().nth(1).is_some() && !replaced;
        match state {
            MediaState::Up if replaces => self.moved(i),
            MediaState::Left if replaced => self.old_seat_gone(i),
            MediaState::Left if replaces => self.back_to_old_seat(i, Some(identity)),
            MediaState::Lost if replaces => {}
            MediaState::Up => self.media_up(i),
            MediaState::Lost => self.media_lost(i),
            MediaState::Left => self.walk_out(i, Some(identity)),
        }
    }

    pub(crate) fn quality(&mut self, identity: &str, quality: Quality) {
        if self.call.state == CallState::Ended {
            return;
        }
        let Some(i) = self.seated(identity) else { return };
        let leg = &mut self.call.legs[i];
        leg.quality = quality;
        let user = leg.user.clone();
        self.event(EventKind::QualityReport(user));
    }

    fn seated(&self, identity: &str) -> Option<usize> {
        self.call.legs.iter().position(|leg| leg.seats().any(|seat| seat.identity == identity))
    }

    fn media_up(&mut self, i: usize) {
        let leg = &mut self.call.legs[i];
        if !matches!(leg.state, LegState::Accepted | LegState::Reconnecting) {
            return;
        }
        leg.state = LegState::Joined;
        leg.joined_at.get_or_insert(self.now);
        leg.inner.reconnect_by = None;
        // During a transfer the clock of the new seat goes on.
        if leg.seats().nth(1).is_none() {
            leg.inner.connect_by = None;
        }
        let user = leg.user.clone();
        self.event(EventKind::LegJoined(user));
    }

    fn media_lost(&mut self, i: usize) {
        // Before the answer, a caller's media may come and go.
        let until =
            (self.call.state != CallState::Ringing).then(|| self.now.after_ms(self.settings.reconnect_ms));
        let leg = &mut self.call.legs[i];
        if leg.state != LegState::Joined {
            return;
        }
        leg.state = LegState::Reconnecting;
        leg.inner.reconnect_by = until;
        let user = leg.user.clone();
        self.event(EventKind::LegReconnecting(user));
    }

    /// Accepted, but media did not come up.
    pub(crate) fn connect_timeout(&mut self, i: usize) {
        let retry_until = self.now.after_ms(self.settings.reconnect_ms);
        let leg = &mut self.call.legs[i];
        leg.inner.connect_by = None;
        if leg.seats().nth(1).is_some() {
            return self.back_to_old_seat(i, None);
        }
        if leg.state != LegState::Accepted {
            return;
        }
        leg.state = LegState::Failed;
        leg.end_reason = Some(EndReason::ConnectFailed);
        leg.inner.reconnect_by = Some(retry_until);
        let user = leg.user.clone();
        self.give_up_seats(i, None);
        self.event(EventKind::LegFailed(user));
    }

    /// Media did not come back, or an accept was not tried again.
    pub(crate) fn reconnect_timeout(&mut self, i: usize) {
        let leg = &mut self.call.legs[i];
        leg.inner.reconnect_by = None;
        if leg.state != LegState::Reconnecting {
            return;
        }
        if leg.seats().nth(1).is_some() {
            return self.old_seat_gone(i);
        }
        self.depart(i, EndReason::ConnectionLost, None);
    }

    /// A device says goodbye.
    pub(crate) fn leave(&mut self, party: &Party) -> Result<(), Refusal> {
        let i = self.live_part(&party.user)?;
        let leg = &self.call.legs[i];
        if leg.state == LegState::Lobby {
            self.leave_lobby(i);
            return Ok(());
        }
        if !leg.state.is_in_call() || !leg.sits(&party.device) {
            let text = format!("device {} of {} is not in the call", party.device, party.user);
            return Err(Refusal::new(Reason::NotInCall, text));
        }
        // The device that is being replaced may say goodbye a moment too early.
        if leg.seats().nth(1).is_some_and(|old| old.device == party.device) {
            self.old_seat_gone(i);
        } else {
            self.walk_out(i, None);
        }
        Ok(())
    }

    /// Before anybody has answered, the caller's leaving is a cancellation.
    fn walk_out(&mut self, i: usize, gone: Option<&str>) {
        if self.call.state == CallState::Ringing && self.call.legs[i].user == self.call.creator {
            self.end(EndReason::Cancelled);
        } else {
            self.depart(i, EndReason::Completed, gone);
        }
    }

    /// Out of the call. `gone`: an identity that has left the room already.
    pub(crate) fn depart(&mut self, i: usize, reason: EndReason, gone: Option<&str>) {
        self.give_up_seats(i, gone);
        let leg = &mut self.call.legs[i];
        leg.state = LegState::Left;
        leg.left_at = Some(self.now);
        leg.end_reason = Some(reason);
        leg.on_hold = false;
        leg.inner.reconnect_by = None;
        let user = leg.user.clone();
        self.event(EventKind::LegLeft(user));
    }

    fn give_up_seats(&mut self, i: usize, gone: Option<&str>) {
        let leg = &mut self.call.legs[i];
        leg.inner.connect_by = None;
        for seat in leg.take_seats().into_iter().filter(|seat| gone != Some(&seat.identity)) {
            self.effect(Effect::Remove { identity: seat.identity, moved: false });
        }
    }

    /// Whoever was in it may say how it was.
    pub(crate) fn rate(&mut self, party: &crate::id::UserId, stars: u8) -> Result<(), Refusal> {
        let i = self.live_part(party)?;
        if self.call.legs[i].accepted_at.is_none() {
            return Err(Refusal::new(Reason::NotInCall, format!("{party} was not in the call")));
        }
        if !(1..=5).contains(&stars) {
            return Err(Refusal::new(Reason::Invalid, "`stars`: must be 1 to 5"));
        }
        self.call.ratings.retain(|rating| rating.user != *party);
        self.call.ratings.push(Rating { user: party.clone(), stars });
        Ok(())
    }
}
