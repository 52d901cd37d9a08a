//! How a call begins, or turns out to be there already (glare, redial, a conversation's call).
use std::sync::Arc;

use crate::book::{Book, Key};
use crate::call::{Call, CallKind, CallState, CallTimers, Leg, LegState, Media};
use crate::change::Change;
use crate::id::{CallId, Time, UserId};
use crate::invite::must_reach_somebody;
use crate::outcome::{EventKind, Reason, Refusal};
use crate::request::{Create, Party};
use crate::settings::Settings;

impl Create {
    pub(crate) fn key(&self) -> Option<Key> {
        if let Some(conversation) = &self.conversation {
            return Some(Key::Conversation(conversation.clone()));
        }
        let direct = self.kind == CallKind::Direct;
        self.invitees.first().filter(|_| direct).map(|callee| Key::pair(&self.caller.user, &callee.user))
    }

    pub(crate) fn check(&self, settings: &Settings) -> Result<(), Refusal> {
        let invalid = |text: &str| Err(Refusal::new(Reason::Invalid, text));
        let direct = self.kind == CallKind::Direct;
        if direct && self.invitees.len() != 1 {
            return invalid("`callees`: a direct call has exactly one; create a group call for more");
        }
        if direct && self.silent {
            return invalid("`silent`: only a group call can begin silently");
        }
        if self.invitees.is_empty() && !self.silent {
            return invalid("`callees`: name somebody to call");
        }
        if self.invitees.len() >= settings.max_legs {
            return Err(Refusal::new(
                Reason::Invalid,
                format!("`callees`: fewer than {}", settings.max_legs),
            ));
        }
        let named = |user: &UserId| self.invitees.iter().filter(|invitee| invitee.user == *user).count();
        if named(&self.caller.user) > 0 {
            return invalid("`callees`: nobody calls oneself; use a transfer to move to another device");
        }
        if self.invitees.iter().any(|invitee| named(&invitee.user) > 1) {
            return invalid("`callees`: each person once");
        }
        Ok(())
    }

    /// The live call that this creation is really about.
    pub(crate) fn meets(&self, book: &Book, now: Time) -> Option<Arc<Call>> {
        let key = self.key()?;
        book.of_key(&key).find(|call| self.is_about(call, now)).cloned()
    }

    fn is_about(&self, call: &Call, now: Time) -> bool {
        let group = self.kind == CallKind::Group || call.kind == CallKind::Group;
        let Some(leg) = call.leg(&self.caller.user) else {
            // Nobody drops into a talk of two, unless the product calls the whole conversation.
            return self.kind == CallKind::Group || call.kind == CallKind::Group;
        };
        let same_people = self.invitees.first().is_some_and(|callee| call.leg(&callee.user).is_some());
        if leg.is_hidden() || !(group || same_people) {
            return false;
        }
        let in_time = leg.ring_deadline.is_some_and(|deadline| now < deadline);
        match call.state {
            CallState::Ended => false,
            _ if leg.state.is_in_call() => true,
            CallState::Ringing if leg.rings() => in_time,
            CallState::Ringing => call.kind == CallKind::Group && leg.state != LegState::Cancelled,
            CallState::Active | CallState::Open => true,
        }
    }

    /// The call, with its caller in it and nobody rung yet.
    pub(crate) fn begin(&self, now: Time) -> Call {
        let mut call = Call::empty(self.call.clone(), self.caller.user.clone(), now);
        call.state = if self.silent { CallState::Open } else { CallState::Ringing };
        call.kind = self.kind;
        call.media = if self.limits.no_video { Media::Audio } else { self.media };
        call.conversation.clone_from(&self.conversation);
        call.app_data.clone_from(&self.app_data);
        call.limits = self.limits.clone();
        call
    }
}

impl Change<'_> {
    /// A new call: the caller takes a seat, the others are rung.
    pub(crate) fn create(&mut self, create: &Create) -> Result<(), Refusal> {
        must_reach_somebody(&create.invitees)?;
        self.event(EventKind::CallCreated);
        self.open_with(&create.caller, true)?;
        let deadline = self.now.after_ms(create.ring_ms.unwrap_or(self.settings.ring_ms));
        for invitee in &create.invitees {
            if create.silent {
                self.name_member(&create.caller.user, invitee);
            } else {
                self.ring_up(&create.caller.user, invitee, deadline);
            }
        }
        Ok(())
    }

    /// The first leg.
    fn open_with(&mut self, caller: &Party, host: bool) -> Result<(), Refusal> {
        let mut leg = Leg::new(caller.user.clone(), caller.handle.clone(), self.now);
        leg.host = host;
        self.call.legs.push(leg);
        self.start_longest();
        self.enter(0, caller)
    }

    pub(crate) fn start_longest(&mut self) {
        self.call.timers.longest = Some(self.now.after_ms(self.longest_ms()));
    }
}

impl Call {
    pub(crate) fn empty(id: CallId, creator: UserId, now: Time) -> Self {
        Self {
            id,
            revision: 0,
            state: CallState::Ringing,
            kind: CallKind::Direct,
            media: Media::Audio,
            conversation: None,
            link: None,
            creator,
            legs: Vec::new(),
            created_at: now,
            answered_at: None,
            ended_at: None,
            end_reason: None,
            app_data: Vec::new(),
            limits: Default::default(),
            upgrade: None,
            lobby: false,
            requests: Vec::new(),
            ratings: Vec::new(),
            seats: 0,
            timers: CallTimers::default(),
        }
    }
}
