//! A transition under construction: a copy of the call, and what its change means for others.
//!
//! Nothing is done until [`Change::finish`]; a refusal on the way drops the copy.
use std::sync::Arc;

use crate::book::Book;
use crate::call::{Call, CallKind, CallState, Done, EndReason, Leg, LegState};
use crate::disguise::Disguise;
use crate::id::{Time, UserId};
use crate::outcome::{Effect, Event, EventKind, Notice, NoticeKind, Reason, Refusal, Transition};
use crate::settings::Settings;

/// What all changes may look at.
pub(crate) struct World<'a> {
    pub(crate) book: &'a Book,
    pub(crate) settings: &'a Settings,
    pub(crate) disguise: &'a mut Disguise,
}

pub(crate) struct Change<'a> {
    pub(crate) now: Time,
    pub(crate) call: Call,
    pub(crate) book: &'a Book,
    pub(crate) settings: &'a Settings,
    pub(crate) disguise: &'a mut Disguise,
    before: Option<Arc<Call>>,
    events: Vec<EventKind>,
    notices: Vec<Notice>,
    effects: Vec<Effect>,
}

impl<'a> Change<'a> {
    /// Of a call that is there.
    pub(crate) fn of(now: Time, call: Arc<Call>, world: World<'a>) -> Self {
        let mut change = Self::begin(now, Call::clone(&call), world);
        change.before = Some(call);
        change
    }

    /// Of a call that begins.
    pub(crate) fn begin(now: Time, call: Call, world: World<'a>) -> Self {
        let World { book, settings, disguise } = world;
        let (events, notices, effects) = (Vec::new(), Vec::new(), Vec::new());
        Self { now, call, book, settings, disguise, before: None, events, notices, effects }
    }

    /// It begins with this change.
    pub(crate) fn is_new(&self) -> bool {
        self.before.is_none()
    }

    /// It had ended before this change.
    pub(crate) fn was_over(&self) -> bool {
        self.before.as_deref().is_some_and(|before| before.state == CallState::Ended)
    }

    pub(crate) fn event(&mut self, kind: EventKind) {
        self.events.push(kind);
    }

    pub(crate) fn notice(&mut self, notice: Notice) {
        self.notices.push(notice);
    }

    pub(crate) fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// The user's leg. A suppressed one is not there for its user: the same answer as to a stranger.
    pub(crate) fn part(&self, user: &UserId) -> Result<usize, Refusal> {
        let at = self.call.legs.iter().position(|leg| leg.user == *user && !leg.is_hidden());
        at.ok_or_else(|| {
            Refusal::new(
                Reason::UnknownUser,
                format!("{user} has no part in this call: invite this user first"),
            )
        })
    }

    /// Refuses once the call has ended.
    pub(crate) fn must_live(&self) -> Result<(), Refusal> {
        if self.call.state == CallState::Ended {
            return Err(Refusal::new(Reason::CallEnded, "the call has ended: create another one"));
        }
        Ok(())
    }

    /// The user's leg in a call that lives.
    pub(crate) fn live_part(&self, user: &UserId) -> Result<usize, Refusal> {
        let at = self.part(user)?;
        self.must_live()?;
        Ok(at)
    }

    /// The leg of a user who is in the call.
    pub(crate) fn in_call_part(&self, user: &UserId) -> Result<usize, Refusal> {
        let at = self.live_part(user)?;
        if !self.call.legs[at].state.is_in_call() {
            return Err(Refusal::new(Reason::NotInCall, format!("{user} is not in the call: join it first")));
        }
        Ok(at)
    }

    /// Refuses whoever is not a host. `None` is the backend, which may do everything.
    pub(crate) fn must_host(&self, user: Option<&UserId>) -> Result<(), Refusal> {
        let Some(user) = user else { return self.must_live() };
        let leg = &self.call.legs[self.live_part(user)?];
        if !leg.host || leg.end_reason == Some(EndReason::Removed) {
            return Err(Refusal::new(Reason::NotAllowed, format!("{user} is not a host of this call")));
        }
        Ok(())
    }

    /// Ends the call: whoever is in it leaves, whoever rings stops.
    pub(crate) fn end(&mut self, reason: EndReason) {
        if self.call.state == CallState::Ended {
            return;
        }
        let answered = self.call.answered_at.is_some();
        for i in 0..self.call.legs.len() {
            self.withdraw(i);
            let leg = &mut self.call.legs[i];
            if leg.state == LegState::Invited {
                leg.state = LegState::Cancelled;
            }
            if leg.state == LegState::Lobby {
                leg.end_reason = Some(reason);
                self.outside_no_more(i);
            } else if leg.state.is_in_call() {
                leg.state = LegState::Left;
                leg.left_at = Some(self.now);
                leg.end_reason = Some(reason);
                leg.take_seats();
                leg.on_hold = false;
                if answered {
                    let user = leg.user.clone();
                    self.event(EventKind::LegLeft(user));
                }
            }
            let inner = &mut self.call.legs[i].inner;
            (inner.pretend_ringing_at, inner.push_at) = (None, None);
            (inner.connect_by, inner.reconnect_by) = (None, None);
        }
        self.call.state = CallState::Ended;
        self.call.ended_at = Some(self.now);
        self.call.end_reason = Some(reason);
        self.call.timers = Default::default();
        self.call.upgrade = None;
        self.effects.clear();
        self.effect(Effect::CloseRoom);
        self.event(EventKind::CallEnded);
    }

    /// The transition, or `None` if nothing has changed and nobody is told anything. `done`: the request that it was for.
    pub(crate) fn finish(mut self, done: Option<Done>) -> Option<Transition> {
        self.settle();
        if let Some(done) = done {
            // The first request stays: it is the one that created the call.
            if self.call.requests.len() >= self.settings.max_requests.max(2) {
                self.call.requests.remove(1);
            }
            self.call.requests.push(done);
        }
        let silent = self.events.is_empty() && self.notices.is_empty() && self.effects.is_empty();
        if silent && self.before.as_deref() == Some(&self.call) {
            return None;
        }
        self.permit();
        self.tell_views();
        self.call.revision += 1;
        let ended = self.call.state == CallState::Ended;
        let record = ended.then(|| Arc::new(self.call.record()));
        if ended {
            self.event(EventKind::RecordReady);
        }
        let (id, revision, at) = (&self.call.id, self.call.revision, self.now);
        let events = self.events.into_iter().enumerate();
        let events = events.map(|(n, kind)| Event { id: format!("{id}-{revision}-{n}"), at, kind }).collect();
        let (notices, effects) = (self.notices, self.effects);
        Some(Transition { call: Arc::new(self.call), events, notices, effects, record })
    }

    /// Tells the room of each seat whose right to send video has changed.
    fn permit(&mut self) {
        let Some(before) = self.before.as_ref().filter(|_| self.call.state != CallState::Ended) else {
            return;
        };
        for (old, new) in before.legs.iter().zip(&self.call.legs) {
            if old.video_allowed == new.video_allowed {
                continue;
            }
            for seat in new.seats().filter(|seat| old.seats().any(|known| known.identity == seat.identity)) {
                let (video, screen_share) = (new.video_allowed, self.call.may_share_screen(new));
                let identity = seat.identity.clone();
                self.effects.push(Effect::Permit { identity, video, screen_share });
            }
        }
    }

    /// Tells each user whose view has changed, and nobody else.
    fn tell_views(&mut self) {
        let before = self.before.as_deref();
        let others_changed = before.is_none_or(|before| !before.looks_like(&self.call, None));
        let legs = self.call.legs.iter().enumerate();
        let news: Vec<_> = legs.map(|(i, leg)| self.news_for(leg, i, others_changed)).collect();
        for (leg, kind) in self.call.legs.iter_mut().zip(news) {
            let Some(kind) = kind else { continue };
            leg.inner.views += 1;
            self.notices.push(Notice { user: leg.user.clone(), device: None, kind });
        }
    }

    fn news_for(&self, leg: &Leg, i: usize, others_changed: bool) -> Option<NoticeKind> {
        let before = self.before.as_deref();
        let old_leg = before.and_then(|before| before.legs.get(i));
        let old = before.zip(old_leg).and_then(|(before, leg)| before.own_part(leg));
        let new = self.call.own_part(leg);
        match (&old, &new) {
            (None, None) => None,
            _ if self.call.state == CallState::Ended => Some(self.over()),
            // Whoever is rung again hears the ring instead.
            (Some(_), None) => (!leg.state.is_pending()).then(|| self.over()),
            (None, Some(_)) => Some(NoticeKind::Changed),
            (Some(old), Some(new)) => {
                let head_changed = before.is_some_and(|before| before.head() != self.call.head());
                let sees = || self.sees_change(leg, old_leg, others_changed);
                let changed = old != new || head_changed || (!new.in_lobby && sees());
                changed.then_some(NoticeKind::Changed)
            }
        }
    }

    /// All see the same of the others, except whoever wears a mask: nobody sees the own one.
    fn sees_change(&self, leg: &Leg, old_leg: Option<&Leg>, others_changed: bool) -> bool {
        let masked = |leg: &Leg| leg.inner.mask.is_some();
        if !masked(leg) && !old_leg.is_some_and(masked) {
            return others_changed;
        }
        self.before.as_deref().is_none_or(|before| !before.looks_like(&self.call, Some(&leg.user)))
    }

    fn over(&self) -> NoticeKind {
        NoticeKind::Over { reason: self.call.shown_reason(), duration_ms: self.call.duration_ms(self.now) }
    }

    /// A direct call that gets a third person.
    pub(crate) fn migrate(&mut self) {
        if self.call.kind == CallKind::Direct {
            self.call.kind = CallKind::Group;
            self.event(EventKind::CallMigrated);
        }
    }
}
