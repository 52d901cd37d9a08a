//! All live calls of one owner, and the one door to them.
use std::sync::Arc;

use crate::call::Call;
use crate::id::{CallId, ConversationId, Time, UserId};
use crate::outcome::{Outcome, Refusal, Transition};
use crate::request::Request;
use crate::settings::Settings;

/// All live calls of one owner.
#[derive(Debug)]
pub struct Switchboard {}

impl Switchboard {
    /// Without calls. `seed` is for the delays that hide who does not ring.
    pub fn new(settings: Settings, seed: u64) -> Self {
        let _ = (settings, seed);
        unimplemented!()
    }

    /// Takes a stored call back. Its timers go on at their own deadlines: call [`tick`](Self::tick) next.
    pub fn restore(&mut self, call: Call) {
        let _ = call;
        unimplemented!()
    }

    /// Does one request, or refuses it and changes nothing.
    ///
    /// # Errors
    /// Why it was not done.
    pub fn handle(&mut self, now: Time, request: Request) -> Result<Outcome, Refusal> {
        let _ = (now, request);
        unimplemented!()
    }

    /// Fires timers that are due, those of at most `limit` calls; call again while it returns that many.
    pub fn tick(&mut self, now: Time, limit: usize) -> Vec<Transition> {
        let _ = (now, limit);
        unimplemented!()
    }

    /// When [`tick`](Self::tick) has something to do.
    pub fn next_deadline(&self) -> Option<Time> {
        unimplemented!()
    }

    /// A call that lives, or ended a moment ago.
    pub fn call(&self, id: &CallId) -> Option<&Arc<Call>> {
        let _ = id;
        unimplemented!()
    }

    /// Live calls, ordered by id, after `after`.
    pub fn calls<'a>(&'a self, after: Option<&'a CallId>) -> Box<dyn Iterator<Item = &'a Arc<Call>> + 'a> {
        let _ = after;
        unimplemented!()
    }

    /// Live calls in which `user` has a leg.
    pub fn calls_of<'a>(&'a self, user: &'a UserId) -> Box<dyn Iterator<Item = &'a Arc<Call>> + 'a> {
        let _ = user;
        unimplemented!()
    }

    /// The live call of a conversation.
    pub fn call_in(&self, conversation: &ConversationId) -> Option<&Arc<Call>> {
        let _ = conversation;
        unimplemented!()
    }
}
