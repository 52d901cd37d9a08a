//! Calls that go on, as webhooks tell of them: for the banner in each thread.
//!
//! Webhooks come at least once, in order per call. A list of all live calls, asked for at the start and whenever a webhook
//! speaks of a call that we do not know, fills the gaps; what webhooks have told meanwhile wins over the list.
use std::collections::BTreeMap;

use sluice_api::calls::v1 as proto;

use super::recent::Recent;
use super::thread::{Thread, ThreadKind};
use super::{Change, World};

/// Live calls that are followed.
const CALLS: usize = 10_000;
/// People of one call that are followed.
const LEGS: usize = 1_000;
/// Ended calls that are remembered, against news of them that come late.
const ENDED: usize = 4_096;

#[derive(Debug, Default)]
pub(crate) struct LiveCalls {
    calls: BTreeMap<String, LiveCall>,
    ended: Recent<ENDED>,
    /// Grows with each event.
    events: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct LiveCall {
    pub(crate) call_id: String,
    pub(crate) media: proto::Media,
    kind: proto::CallKind,
    state: proto::CallState,
    conversation: String,
    creator: String,
    pub(crate) started_at_ms: i64,
    legs: BTreeMap<String, LiveLeg>,
    revision: u64,
    /// The count of events at the last news.
    heard: u64,
}

#[derive(Debug, Clone, Copy)]
struct LiveLeg {
    present: bool,
    /// Its user must not learn of the call.
    suppressed: bool,
}

impl From<&proto::Leg> for LiveLeg {
    fn from(leg: &proto::Leg) -> Self {
        use proto::LegState::{Accepted, Joined, Reconnecting, Suppressed};
        use proto::Verdict::{Deny, DenyHidden};
        Self {
            present: matches!(leg.state(), Accepted | Joined | Reconnecting),
            suppressed: leg.state() == Suppressed || matches!(leg.verdict(), Deny | DenyHidden),
        }
    }
}

impl LiveCall {
    fn new(call: &proto::Call, heard: u64) -> Self {
        let answered = call.answered_at_ms > 0;
        Self {
            call_id: call.call_id.clone(),
            media: call.media(),
            kind: call.kind(),
            state: call.state(),
            conversation: call.conversation_id.clone(),
            creator: call.creator_user_id.clone(),
            started_at_ms: if answered { call.answered_at_ms } else { call.created_at_ms },
            legs: call.legs.iter().take(LEGS).map(|leg| (leg.user_id.clone(), leg.into())).collect(),
            revision: call.revision,
            heard,
        }
    }

    /// Who is in it.
    pub(crate) fn present(&self) -> impl Iterator<Item = &String> {
        self.legs.iter().filter(|(_, leg)| leg.present).map(|(user, _)| user)
    }

    /// Whether a banner may tell this member of the thread. A call that rings tells nobody but through Sluice itself; one
    /// that a user is kept from is not told of at all.
    fn is_shown_to(&self, viewer: &str) -> bool {
        let leg = self.legs.get(viewer);
        if leg.is_some_and(|leg| leg.suppressed) {
            return false;
        }
        match self.kind {
            proto::CallKind::Group => self.state == proto::CallState::Open || self.present().next().is_some(),
            _ => self.state == proto::CallState::Active && leg.is_some(),
        }
    }
}

impl World {
    /// Takes in what a webhook tells. False: it speaks of a call that we do not know, so the list is to be asked for.
    pub(crate) fn hear(&mut self, event: &proto::Event, changes: &mut Vec<Change>) -> bool {
        use proto::EventType::{CallEnded, RecordReady};
        self.live.events += 1;
        let heard = self.live.events;
        if matches!(event.r#type(), CallEnded | RecordReady) {
            self.end(&event.call_id, changes);
            return true;
        }
        if self.live.ended.contains(&event.call_id) {
            return true;
        }
        if let Some(call) = &event.call {
            self.take(LiveCall::new(call, heard), changes);
            return true;
        }
        let Some(leg) = &event.leg else { return true };
        let Some(call) = self.live.calls.get_mut(&event.call_id) else { return false };
        if event.revision < call.revision || call.legs.len() >= LEGS {
            return true;
        }
        call.revision = event.revision;
        call.heard = heard;
        call.legs.insert(leg.user_id.clone(), leg.into());
        let call = call.clone();
        self.tell_of(&call, changes);
        true
    }

    /// The count of events so far, to be remembered before the list is asked for.
    pub(crate) fn heard(&self) -> u64 {
        self.live.events
    }

    /// Takes in the list of all calls, asked for when `since` events had been heard.
    pub(crate) fn take_list(&mut self, calls: &[proto::Call], since: u64, changes: &mut Vec<Change>) {
        let listed = |id: &String| calls.iter().any(|call| call.call_id == *id);
        let old = self.live.calls.values().filter(|call| call.heard <= since).map(|call| &call.call_id);
        let gone: Vec<String> = old.filter(|id| !listed(id)).cloned().collect();
        for id in gone {
            self.end(&id, changes);
        }
        for call in calls.iter().filter(|call| call.state() != proto::CallState::Ended) {
            if !self.live.ended.contains(&call.call_id) {
                self.take(LiveCall::new(call, since), changes);
            }
        }
    }

    fn take(&mut self, call: LiveCall, changes: &mut Vec<Change>) {
        let known = self.live.calls.get(&call.call_id);
        if known.is_some_and(|known| known.revision > call.revision) {
            return;
        }
        if known.is_none() && self.live.calls.len() >= CALLS {
            metrics::counter!("sluice_demo_calls_not_followed_total").increment(1);
            return;
        }
        self.live.calls.insert(call.call_id.clone(), call.clone());
        self.tell_of(&call, changes);
    }

    fn end(&mut self, call_id: &str, changes: &mut Vec<Change>) {
        self.live.ended.insert(call_id);
        if let Some(call) = self.live.calls.remove(call_id) {
            self.tell_of(&call, changes);
        }
    }

    fn tell_of(&self, call: &LiveCall, changes: &mut Vec<Change>) {
        if let Some(thread) = self.thread_of(call) {
            changes.push(Change::Thread(thread.id.clone()));
        }
    }

    fn thread_of(&self, call: &LiveCall) -> Option<&Thread> {
        self.thread_of_call(&call.conversation, call.kind, &call.creator, call.legs.keys())
    }

    /// The call that goes on in a thread, as far as `viewer` may know: the newest, if there are two.
    pub(crate) fn live_in(&self, thread: &Thread, viewer: &str) -> Option<&LiveCall> {
        let here = |call: &&LiveCall| match call.conversation == thread.id {
            true => true,
            // Only a call without a conversation may belong to a direct thread by its people.
            false => {
                thread.kind == ThreadKind::Direct && self.thread_of(call).is_some_and(|it| it.id == thread.id)
            }
        };
        let calls = self.live.calls.values().filter(|call| call.is_shown_to(viewer)).filter(here);
        calls.max_by_key(|call| (call.started_at_ms, &call.call_id))
    }
}
