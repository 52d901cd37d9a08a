//! All live calls of one owner, and the one door to them.
use std::sync::Arc;

use crate::book::{Book, Key};
use crate::call::{Call, CallState, Done};
use crate::change::{Change, World};
use crate::disguise::Disguise;
use crate::id::{CallId, ConversationId, RequestId, Time, UserId};
use crate::outcome::{Answer, Outcome, Reason, Refusal, Seat, Transition};
use crate::request::{Action, Create, LinkEntry, Party, Request};
use crate::settings::Settings;

/// A deadline that turned out to change nothing is looked at again after this, in milliseconds.
const LOOK_AGAIN_MS: u64 = 1_000;

/// All live calls of one owner.
#[derive(Debug)]
pub struct Switchboard {
    settings: Settings,
    book: Book,
    disguise: Disguise,
}

/// Who asked for what, to be remembered in the call.
struct Asked {
    id: Option<RequestId>,
    by: Option<UserId>,
    fingerprint: u64,
}

impl Asked {
    fn done(&self, created: bool) -> Option<Done> {
        let (by, fingerprint) = (self.by.clone(), self.fingerprint);
        self.id.clone().map(|id| Done { id, by, fingerprint, created })
    }
}

impl Switchboard {
    /// Without calls. `seed` is for the delays that hide who does not ring.
    pub fn new(settings: Settings, seed: u64) -> Self {
        Self { settings, book: Book::default(), disguise: Disguise::new(seed) }
    }

    /// Takes a stored call back. Its timers go on at their own deadlines: call [`tick`](Self::tick) next.
    pub fn restore(&mut self, call: Call) {
        self.book.put(Arc::new(call), &self.settings);
    }

    /// Does one request, or refuses it and changes nothing.
    ///
    /// # Errors
    /// Why it was not done.
    pub fn handle(&mut self, now: Time, request: Request) -> Result<Outcome, Refusal> {
        let Request { id, action } = request;
        let asked = Asked { id, by: action.by().cloned(), fingerprint: action.fingerprint() };
        if let Some(answer) = self.replay(&asked, &action)? {
            return Ok(Outcome { answer, transitions: Vec::new() });
        }
        match &action {
            Action::Create(create) => self.create(now, &asked, create),
            Action::JoinLink(entry) => self.join_link(now, &asked, entry),
            Action::DeviceAppeared { user, .. } | Action::DeviceVanished { user, .. } => {
                let transitions = self.in_all_calls(now, user, |change| change.device(&action));
                Ok(Outcome { answer: Answer { call: None, seat: None, merged: false }, transitions })
            }
            _ => {
                let id = action.call().ok_or_else(unknown_call)?;
                let call = self.book.get(id).ok_or_else(unknown_call)?.clone();
                self.change(now, &asked, call, action.wants_seat(), false, |change| change.act(&action))
            }
        }
    }

    /// Fires timers that are due, those of at most `limit` calls; call again while it returns that many.
    pub fn tick(&mut self, now: Time, limit: usize) -> Vec<Transition> {
        let mut transitions = Vec::new();
        while transitions.len() < limit
            && let Some((due, id)) = self.book.next_due().cloned()
            && due <= now
        {
            let Some(call) = self.book.get(&id).cloned() else { break };
            if call.state == CallState::Ended {
                self.book.drop_ended(&id);
                continue;
            }
            let mut change = Change::of(now, call, self.world());
            change.fire();
            match change.finish(None) {
                Some(transition) => {
                    self.book.put(transition.call.clone(), &self.settings);
                    transitions.push(transition);
                }
                None => self.book.postpone(&id, now.after_ms(LOOK_AGAIN_MS)),
            }
        }
        transitions
    }

    /// When [`tick`](Self::tick) has something to do.
    pub fn next_deadline(&self) -> Option<Time> {
        self.book.next_due().map(|(due, _)| *due)
    }

    /// A call that lives, or ended a moment ago.
    pub fn call(&self, id: &CallId) -> Option<&Arc<Call>> {
        self.book.get(id)
    }

    /// Live calls, ordered by id, after `after`.
    pub fn calls<'a>(&'a self, after: Option<&'a CallId>) -> Box<dyn Iterator<Item = &'a Arc<Call>> + 'a> {
        Box::new(self.book.after(after))
    }

    /// Live calls in which `user` has a leg. Calls that this user must not know of are left out.
    pub fn calls_of<'a>(&'a self, user: &'a UserId) -> Box<dyn Iterator<Item = &'a Arc<Call>> + 'a> {
        let known = |call: &&Arc<Call>| call.leg(user).is_some_and(|leg| !leg.is_hidden());
        Box::new(self.book.of_user(user).filter(known))
    }

    /// The live call of a conversation.
    pub fn call_in(&self, conversation: &ConversationId) -> Option<&Arc<Call>> {
        self.book.of_key(&Key::Conversation(conversation.clone())).next()
    }

    /// The answer to a request that was done before.
    fn replay(&self, asked: &Asked, action: &Action) -> Result<Option<Answer>, Refusal> {
        let Some(id) = &asked.id else { return Ok(None) };
        let Some((call, done)) = self.book.done(asked.by.as_ref(), id) else { return Ok(None) };
        if done.fingerprint != asked.fingerprint {
            let text = format!("the request id {id} was used for something else: choose a fresh one");
            return Err(Refusal::new(Reason::RequestIdReused, text));
        }
        let merged = matches!(action, Action::Create(_)) && !done.created;
        Ok(Some(answer(call, action.wants_seat(), merged)))
    }

    fn create(&mut self, now: Time, asked: &Asked, create: &Create) -> Result<Outcome, Refusal> {
        create.check(&self.settings)?;
        if let Some(call) = create.meets(&self.book, now) {
            let party = &create.caller;
            return self.change(now, asked, call, Some(party), true, |change| change.come_in(party));
        }
        self.must_have_place(&create.caller.user, &create.call)?;
        self.begin(now, asked, create.begin(now), &create.caller, |change| change.create(create))
    }

    fn join_link(&mut self, now: Time, asked: &Asked, entry: &LinkEntry) -> Result<Outcome, Refusal> {
        if let Some(call) = self.book.of_link(&entry.link).cloned() {
            return self
                .change(now, asked, call, Some(&entry.party), false, |change| change.enter_by_link(entry));
        }
        self.must_have_place(&entry.party.user, &entry.call)?;
        let call = Call::of_link(entry, now);
        self.begin(now, asked, call, &entry.party, |change| change.open_link(entry))
    }

    fn must_have_place(&self, user: &UserId, id: &CallId) -> Result<(), Refusal> {
        let full = |text: String| Err(Refusal::new(Reason::TooManyCalls, text));
        if self.book.get(id).is_some() {
            return Err(Refusal::new(Reason::Invalid, format!("`call`: {id} was used before")));
        }
        if self.book.live() >= self.settings.max_calls {
            return full(format!("{} calls go on, the most that this server holds", self.settings.max_calls));
        }
        if self.book.load(user) >= self.settings.max_calls_per_user {
            let most = self.settings.max_calls_per_user;
            return full(format!("{user} has {most} calls: leave one first"));
        }
        Ok(())
    }

    fn world(&mut self) -> World<'_> {
        World { book: &self.book, settings: &self.settings, disguise: &mut self.disguise }
    }

    fn begin(
        &mut self,
        now: Time,
        asked: &Asked,
        call: Call,
        party: &Party,
        act: impl FnOnce(&mut Change<'_>) -> Result<(), Refusal>,
    ) -> Result<Outcome, Refusal> {
        let change = Change::begin(now, call, self.world());
        let transition = run(change, asked, act)?.ok_or_else(unknown_call)?;
        let call = transition.call.clone();
        let transitions = self.keep(now, None, transition);
        Ok(Outcome { answer: answer(&call, Some(party), false), transitions })
    }

    fn change(
        &mut self,
        now: Time,
        asked: &Asked,
        before: Arc<Call>,
        party: Option<&Party>,
        merged: bool,
        act: impl FnOnce(&mut Change<'_>) -> Result<(), Refusal>,
    ) -> Result<Outcome, Refusal> {
        let change = Change::of(now, before.clone(), self.world());
        let Some(transition) = run(change, asked, act)? else {
            return Ok(Outcome { answer: answer(&before, party, merged), transitions: Vec::new() });
        };
        let call = transition.call.clone();
        let transitions = self.keep(now, Some(&before), transition);
        Ok(Outcome { answer: answer(&call, party, merged), transitions })
    }

    /// Takes a transition in. Whoever has begun to talk is busy for other calls from now on.
    fn keep(&mut self, now: Time, before: Option<&Call>, transition: Transition) -> Vec<Transition> {
        let call = transition.call.clone();
        self.book.put(call.clone(), &self.settings);
        let mut transitions = vec![transition];
        for (i, leg) in call.legs.iter().enumerate().filter(|(_, leg)| leg.state.is_in_call()) {
            let old = before.and_then(|before| before.legs.get(i));
            if !old.is_some_and(|old| old.state.is_in_call()) {
                let others = self.in_all_calls(now, &leg.user, |change| {
                    if change.call.id != call.id {
                        change.turn_busy(&leg.user);
                    }
                });
                transitions.extend(others);
            }
        }
        transitions
    }

    fn in_all_calls(&mut self, now: Time, user: &UserId, act: impl Fn(&mut Change<'_>)) -> Vec<Transition> {
        let concerned = |call: &&Arc<Call>| {
            call.leg(user).is_some_and(|leg| leg.looks_ringing() || leg.state == crate::LegState::Lobby)
        };
        let calls: Vec<Arc<Call>> = self.book.of_user(user).filter(concerned).cloned().collect();
        let mut transitions = Vec::new();
        for call in calls {
            let mut change = Change::of(now, call, self.world());
            act(&mut change);
            if let Some(transition) = change.finish(None) {
                self.book.put(transition.call.clone(), &self.settings);
                transitions.push(transition);
            }
        }
        transitions
    }
}

fn run(
    mut change: Change<'_>,
    asked: &Asked,
    act: impl FnOnce(&mut Change<'_>) -> Result<(), Refusal>,
) -> Result<Option<Transition>, Refusal> {
    act(&mut change)?;
    // Nothing follows the end of a call, not even the memory of a request that came too late to matter.
    let created = change.is_new();
    let done = asked.done(created).filter(|_| !change.was_over());
    Ok(change.finish(done))
}

fn answer(call: &Arc<Call>, party: Option<&Party>, merged: bool) -> Answer {
    Answer { seat: party.and_then(|party| seat(call, party)), call: Some(call.clone()), merged }
}

fn seat(call: &Call, party: &Party) -> Option<Seat> {
    let leg = call.leg(&party.user)?;
    let seat = leg.seats().find(|seat| seat.device == party.device)?;
    Some(Seat {
        identity: seat.identity.clone(),
        handle: leg.handle.clone(),
        video: leg.video_allowed,
        screen_share: call.may_share_screen(leg),
    })
}

fn unknown_call() -> Refusal {
    Refusal::new(Reason::UnknownCall, "there is no such call, or it ended a while ago")
}

impl Change<'_> {
    fn device(&mut self, action: &Action) {
        match action {
            Action::DeviceAppeared { user, device, call_waiting } => {
                self.device_appeared(user, device, *call_waiting);
            }
            Action::DeviceVanished { user, device } => self.device_vanished(user, device),
            _ => {}
        }
    }

    /// One action on one call.
    fn act(&mut self, action: &Action) -> Result<(), Refusal> {
        match action {
            Action::Ack { user, device, .. } => self.ack(user, device),
            Action::Accept { party, audio_only, .. } => self.accept(party, *audio_only),
            Action::Decline { party, .. } => self.decline(party),
            Action::Cancel { party, .. } => self.cancel(&party.user),
            Action::Join { party, transfer, .. } => self.join(party, *transfer),
            Action::Leave { party, .. } => self.leave(party),
            Action::End { by, reason, .. } => self.end_by(by.as_ref(), *reason),
            Action::Invite { by, invitees, ring_ms, .. } => self.invite(by, invitees, *ring_ms),
            Action::CancelInvite { by, callee, .. } => self.cancel_invite(by, callee),
            Action::RequestUpgrade { user, .. } => self.request_upgrade(user),
            Action::RespondUpgrade { user, accept, .. } => self.respond_upgrade(user, *accept),
            Action::Hold { user, on_hold, .. } => self.hold(user, *on_hold),
            Action::Transfer { party, .. } => self.transfer(party),
            Action::Moderate { by, target, what, .. } => self.moderate(by.as_ref(), target, *what),
            Action::Admit { by, waiting, admit, .. } => self.admit(by, waiting, *admit),
            Action::Rate { user, stars, .. } => self.rate(user, *stars),
            Action::Media { identity, state, .. } => {
                self.media(identity, *state);
                Ok(())
            }
            Action::Quality { identity, quality, .. } => {
                self.quality(identity, *quality);
                Ok(())
            }
            Action::Create(_)
            | Action::JoinLink(_)
            | Action::DeviceAppeared { .. }
            | Action::DeviceVanished { .. } => Ok(()),
        }
    }
}
