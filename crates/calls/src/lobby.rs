//! Links, and the lobby in front of a call: who comes through a link waits for a host, if the link says so.
use crate::call::{Call, CallKind, CallState, DeviceState, EndReason, Leg, LegState};
use crate::change::Change;
use crate::id::Time;
use crate::outcome::{EventKind, Reason, Refusal};
use crate::request::{LinkEntry, Party};
use crate::ringing::device_leg;

impl Change<'_> {
    /// Somebody comes through the call's link.
    pub(crate) fn enter_by_link(&mut self, entry: &LinkEntry) -> Result<(), Refusal> {
        self.call.lobby = entry.lobby;
        let party = &entry.party;
        let known = self.call.legs.iter().position(|leg| leg.user == party.user);
        let i = match known {
            Some(i) => i,
            None => self.add_newcomer(party)?,
        };
        let is_host = party.user == entry.creator;
        let leg = &mut self.call.legs[i];
        leg.host |= is_host && known.is_none();
        if leg.state.is_in_call() {
            return self.join(party, entry.transfer);
        }
        if leg.end_reason == Some(EndReason::Removed) {
            return Err(Refusal::new(Reason::NotAllowed, "removed from this call: a host may invite again"));
        }
        let trusted = leg.host || leg.accepted_at.is_some() || leg.rings();
        if entry.lobby && !trusted {
            self.wait_outside(i, party);
            return Ok(());
        }
        self.enter(i, party)
    }

    /// The link's call begins with whoever comes first.
    pub(crate) fn open_link(&mut self, entry: &LinkEntry) -> Result<(), Refusal> {
        self.event(EventKind::CallCreated);
        self.start_longest();
        self.enter_by_link(entry)
    }

    /// A leg for somebody whom nobody invited.
    pub(crate) fn add_newcomer(&mut self, party: &Party) -> Result<usize, Refusal> {
        let most = self.settings.max_legs;
        if self.call.legs.len() >= most {
            return Err(Refusal::new(Reason::CallFull, format!("at most {most} people may come to a call")));
        }
        self.call.legs.push(Leg::new(party.user.clone(), party.handle.clone(), self.now));
        Ok(self.call.legs.len() - 1)
    }

    fn wait_outside(&mut self, i: usize, party: &Party) {
        let leg = &mut self.call.legs[i];
        let waited = leg.state == LegState::Lobby;
        leg.state = LegState::Lobby;
        leg.end_reason = None;
        leg.inner.mask = None;
        leg.inner.pretend_ringing_at = None;
        // The device that came last is the one that will get the seat.
        leg.devices.retain(|known| known.device != party.device);
        device_leg(leg, &party.device, self.settings.max_devices, self.now);
        if !waited {
            self.event(EventKind::LobbyWaiting(party.user.clone()));
        }
    }

    pub(crate) fn let_in(&mut self, i: usize) -> Result<(), Refusal> {
        let leg = &self.call.legs[i];
        let user = leg.user.clone();
        let Some(device) = leg.devices.last().map(|known| known.device.clone()) else {
            return Err(Refusal::new(Reason::NotWaiting, format!("{user} waits with no device")));
        };
        self.must_have_room()?;
        self.event(EventKind::LobbyAdmitted(user.clone()));
        self.enter(i, &Party { user, device, handle: String::new() })
    }

    pub(crate) fn turn_away(&mut self, i: usize) {
        self.outside_no_more(i);
        let leg = &mut self.call.legs[i];
        leg.end_reason = Some(EndReason::Removed);
        let user = leg.user.clone();
        self.event(EventKind::LobbyRefused(user));
    }

    /// Whoever waits goes away.
    pub(crate) fn leave_lobby(&mut self, i: usize) {
        self.outside_no_more(i);
        let leg = &mut self.call.legs[i];
        leg.end_reason = Some(EndReason::Completed);
        let user = leg.user.clone();
        self.event(EventKind::LegLeft(user));
    }

    /// No seat will be given to the devices that waited.
    pub(crate) fn outside_no_more(&mut self, i: usize) {
        let leg = &mut self.call.legs[i];
        leg.state = LegState::Left;
        leg.left_at = Some(self.now);
        leg.devices.iter_mut().for_each(|known| known.state = DeviceState::Dead);
    }
}

impl Call {
    /// A call with nobody in it yet.
    pub(crate) fn of_link(entry: &LinkEntry, now: Time) -> Self {
        let mut call = Self::empty(entry.call.clone(), entry.party.user.clone(), now);
        call.state = CallState::Open;
        call.kind = CallKind::Group;
        call.media = entry.media;
        call.conversation.clone_from(&entry.conversation);
        call.link = Some(entry.link.clone());
        call.limits = entry.limits.clone();
        call.lobby = entry.lobby;
        call
    }
}
