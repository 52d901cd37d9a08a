//! Where to find a call: by id, user, key, link, request and deadline. Every index follows from the calls themselves.
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::call::{Call, CallKind, CallState, Done, Leg};
use crate::id::{CallId, ConversationId, LinkId, RequestId, Time, UserId};
use crate::settings::Settings;
use crate::timers;

/// What creation is serialised by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Conversation(ConversationId),
    /// Sorted.
    Pair(UserId, UserId),
}

impl Key {
    pub(crate) fn pair(one: &UserId, other: &UserId) -> Self {
        let (first, second) = if one <= other { (one, other) } else { (other, one) };
        Self::Pair(first.clone(), second.clone())
    }

    pub(crate) fn of(call: &Call) -> Option<Self> {
        if let Some(conversation) = &call.conversation {
            return Some(Self::Conversation(conversation.clone()));
        }
        match (call.kind, &call.legs[..]) {
            (CallKind::Direct, [one, other]) => Some(Self::pair(&one.user, &other.user)),
            _ => None,
        }
    }
}

/// All calls that live, or ended a moment ago.
#[derive(Debug, Default)]
pub(crate) struct Book {
    calls: BTreeMap<CallId, Entry>,
    users: FxHashMap<UserId, Vec<CallId>>,
    keys: FxHashMap<Key, SmallVec<[CallId; 1]>>,
    links: FxHashMap<LinkId, CallId>,
    requests: FxHashMap<(Option<UserId>, RequestId), CallId>,
    due: BTreeSet<(Time, CallId)>,
    live: usize,
}

#[derive(Debug)]
struct Entry {
    call: Arc<Call>,
    due: Option<Time>,
}

impl Book {
    pub(crate) fn get(&self, id: &CallId) -> Option<&Arc<Call>> {
        self.calls.get(id).map(|entry| &entry.call)
    }

    /// Calls that have not ended.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    pub(crate) fn after<'a>(&'a self, id: Option<&'a CallId>) -> impl Iterator<Item = &'a Arc<Call>> {
        let from = id.map_or(Bound::Unbounded, Bound::Excluded);
        let entries = self.calls.range::<CallId, _>((from, Bound::Unbounded));
        entries.map(|(_, entry)| &entry.call).filter(|call| call.state != CallState::Ended)
    }

    /// Live calls in which the user has a leg of any kind.
    pub(crate) fn of_user(&self, user: &UserId) -> impl Iterator<Item = &Arc<Call>> {
        self.users.get(user).into_iter().flatten().filter_map(|id| self.get(id))
    }

    pub(crate) fn of_key(&self, key: &Key) -> impl Iterator<Item = &Arc<Call>> {
        self.keys.get(key).into_iter().flatten().filter_map(|id| self.get(id))
    }

    pub(crate) fn of_link(&self, link: &LinkId) -> Option<&Arc<Call>> {
        self.links.get(link).and_then(|id| self.get(id))
    }

    /// The call in which this request was done.
    pub(crate) fn done(&self, by: Option<&UserId>, id: &RequestId) -> Option<(&Arc<Call>, &Done)> {
        let call = self.get(self.requests.get(&(by.cloned(), id.clone()))?)?;
        let done = call.requests.iter().find(|done| done.id == *id && done.by.as_ref() == by)?;
        Some((call, done))
    }

    /// In a call other than this one, or calling somebody.
    pub(crate) fn is_busy(&self, user: &UserId, except: &CallId) -> bool {
        let mut others = self.of_user(user).filter(|call| call.id != *except);
        others.any(|call| call.leg(user).is_some_and(|leg| leg.state.is_in_call()))
    }

    /// Calls that the user is in, or that ring at this user.
    pub(crate) fn load(&self, user: &UserId) -> usize {
        self.legs_of(user).filter(|leg| leg.state.is_in_call() || leg.rings()).count()
    }

    /// The same, with calls that only seem to ring: what callers who are not wanted would count.
    pub(crate) fn seeming_load(&self, user: &UserId) -> usize {
        self.legs_of(user).filter(|leg| leg.state.is_in_call() || leg.looks_ringing()).count()
    }

    fn legs_of(&self, user: &UserId) -> impl Iterator<Item = &Leg> {
        self.of_user(user).filter_map(|call| call.leg(user))
    }

    pub(crate) fn next_due(&self) -> Option<&(Time, CallId)> {
        self.due.first()
    }

    /// Looks at this call again only then: for a deadline that turned out to change nothing.
    pub(crate) fn postpone(&mut self, id: &CallId, until: Time) {
        if let Some(entry) = self.calls.get_mut(id) {
            move_due(&mut self.due, entry, Some(until));
        }
    }

    /// Forgets an ended call.
    pub(crate) fn drop_ended(&mut self, id: &CallId) {
        let Some(mut entry) = self.calls.remove(id) else { return };
        move_due(&mut self.due, &mut entry, None);
        for done in &entry.call.requests {
            self.requests.remove(&(done.by.clone(), done.id.clone()));
        }
    }

    /// Takes the newest state of a call.
    pub(crate) fn put(&mut self, call: Arc<Call>, settings: &Settings) {
        let before = self.get(&call.id).cloned();
        self.index_requests(before.as_deref(), &call);
        let was = before.as_deref().filter(|before| before.state != CallState::Ended);
        let is = Some(&*call).filter(|call| call.state != CallState::Ended);
        self.index_users(was, is);
        self.index_key(was, is);
        match (was, is) {
            (None, Some(_)) => self.live += 1,
            (Some(_), None) => self.live -= 1,
            _ => {}
        }
        let due = timers::due(&call, settings);
        let entry =
            self.calls.entry(call.id.clone()).or_insert_with(|| Entry { call: call.clone(), due: None });
        entry.call = call;
        move_due(&mut self.due, entry, due);
    }

    fn index_requests(&mut self, before: Option<&Call>, call: &Call) {
        let known = before.map_or(&[][..], |before| &before.requests);
        if known.last() == call.requests.last() && known.len() == call.requests.len() {
            return;
        }
        for done in known {
            self.requests.remove(&(done.by.clone(), done.id.clone()));
        }
        for done in &call.requests {
            self.requests.insert((done.by.clone(), done.id.clone()), call.id.clone());
        }
    }

    /// Legs are only ever added, so that new ones stand at the end.
    fn index_users(&mut self, was: Option<&Call>, is: Option<&Call>) {
        match (was, is) {
            (_, Some(call)) => {
                for leg in call.legs.iter().skip(was.map_or(0, |was| was.legs.len())) {
                    self.users.entry(leg.user.clone()).or_default().push(call.id.clone());
                }
            }
            (Some(call), None) => {
                for leg in &call.legs {
                    let Some(ids) = self.users.get_mut(&leg.user) else { continue };
                    ids.retain(|id| *id != call.id);
                    if ids.is_empty() {
                        self.users.remove(&leg.user);
                    }
                }
            }
            (None, None) => {}
        }
    }

    fn index_key(&mut self, was: Option<&Call>, is: Option<&Call>) {
        let (old, new) = (was.and_then(Key::of), is.and_then(Key::of));
        if old != new {
            if let (Some(key), Some(call)) = (old, was)
                && let Some(ids) = self.keys.get_mut(&key)
            {
                ids.retain(|id| *id != call.id);
                if ids.is_empty() {
                    self.keys.remove(&key);
                }
            }
            if let (Some(key), Some(call)) = (new, is) {
                self.keys.entry(key).or_default().push(call.id.clone());
            }
        }
        match (was, is) {
            (None, Some(call)) => {
                call.link.iter().for_each(|link| drop(self.links.insert(link.clone(), call.id.clone())));
            }
            (Some(call), None) => call.link.iter().for_each(|link| drop(self.links.remove(link))),
            _ => {}
        }
    }
}

fn move_due(due: &mut BTreeSet<(Time, CallId)>, entry: &mut Entry, to: Option<Time>) {
    if entry.due == to {
        return;
    }
    if let Some(old) = entry.due {
        due.remove(&(old, entry.call.id.clone()));
    }
    if let Some(new) = to {
        due.insert((new, entry.call.id.clone()));
    }
    entry.due = to;
}
