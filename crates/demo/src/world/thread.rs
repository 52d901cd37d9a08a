//! Threads: the place of messages and of calls between two people or in a group.
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use sluice_api::calls::v1 as proto;

use super::{Change, No, World, text};

const THREADS: usize = 1_000;
/// Members of a group. Sluice invites no more than this to a call by default.
pub(crate) const MEMBERS: usize = 64;
/// Messages that a thread keeps, and bytes of text; the oldest give way.
const MESSAGES: usize = 500;
const BYTES: usize = 256 * 1024;
/// Characters of one message.
const TEXT: std::ops::RangeInclusive<usize> = 1..=4_000;
const TITLE: std::ops::RangeInclusive<usize> = 1..=60;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum ThreadKind {
    Direct,
    Group,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Thread {
    pub(crate) id: String,
    pub(crate) kind: ThreadKind,
    /// Of a group; a direct thread is called after the other person.
    pub(crate) title: String,
    pub(crate) members: Vec<String>,
    /// They see a direct thread before there is anything in it.
    opened_by: BTreeSet<String>,
    pub(crate) opened_at_ms: i64,
    pub(crate) messages: VecDeque<Message>,
    last_number: u64,
    /// Member to the number of the last message that was read.
    pub(crate) read: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) id: String,
    /// Grows in its thread.
    pub(crate) number: u64,
    pub(crate) from: String,
    pub(crate) at_ms: i64,
    /// Those who had blocked the sender: for them it was never written.
    pub(crate) hidden_from: BTreeSet<String>,
    pub(crate) content: Content,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Content {
    Text(String),
    Call(Note),
}

/// A call that has ended, as it stands in a thread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Note {
    pub(crate) call_id: String,
    pub(crate) video: bool,
    pub(crate) group: bool,
    pub(crate) started_by: String,
    pub(crate) started_at_ms: i64,
    pub(crate) ended_at_ms: i64,
    /// 0: nobody answered.
    pub(crate) duration_ms: i64,
    /// User to their part.
    pub(crate) parts: BTreeMap<String, Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) outcome: Outcome,
    /// Was in the call.
    pub(crate) joined: bool,
}

/// How a call stands in one person's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Outcome {
    Answered,
    Missed,
    Declined,
    Cancelled,
    NoAnswer,
    Busy,
    Failed,
    /// Not in the list at all.
    Nothing,
}

impl Note {
    /// From Sluice's record: what each user's own list shows is said there, leg by leg.
    pub(crate) fn of(record: &proto::Record) -> Self {
        let part = |leg: &proto::LegRecord| Part {
            outcome: match leg.shown() {
                proto::Outcome::Answered => Outcome::Answered,
                proto::Outcome::Missed => Outcome::Missed,
                proto::Outcome::Declined => Outcome::Declined,
                proto::Outcome::Cancelled => Outcome::Cancelled,
                proto::Outcome::NoAnswer => Outcome::NoAnswer,
                proto::Outcome::Busy => Outcome::Busy,
                proto::Outcome::Failed => Outcome::Failed,
                proto::Outcome::Nothing | proto::Outcome::Unspecified => Outcome::Nothing,
            },
            joined: leg.joined_at_ms > 0,
        };
        Self {
            call_id: record.call_id.clone(),
            video: record.media() == proto::Media::Video,
            group: record.kind() == proto::CallKind::Group,
            started_by: record.creator_user_id.clone(),
            started_at_ms: record.created_at_ms,
            ended_at_ms: record.ended_at_ms,
            duration_ms: record.duration_ms,
            parts: record.legs.iter().take(1_000).map(|leg| (leg.user_id.clone(), part(leg))).collect(),
        }
    }

    /// Whoever had no part in a group's call sees that there was one, if there was one.
    pub(crate) fn outcome(&self, viewer: &str) -> Outcome {
        match self.parts.get(viewer) {
            Some(part) => part.outcome,
            None if self.group && self.duration_ms > 0 => Outcome::Answered,
            None => Outcome::Nothing,
        }
    }
}

impl Message {
    pub(crate) fn is_seen_by(&self, viewer: &str) -> bool {
        match &self.content {
            Content::Text(_) => !self.hidden_from.contains(viewer),
            Content::Call(note) => note.outcome(viewer) != Outcome::Nothing,
        }
    }

    /// Text of others, and calls that were missed.
    fn asks_for_attention(&self, viewer: &str) -> bool {
        match &self.content {
            Content::Text(_) => self.from != viewer && self.is_seen_by(viewer),
            Content::Call(note) => note.outcome(viewer) == Outcome::Missed,
        }
    }

    fn bytes(&self) -> usize {
        match &self.content {
            Content::Text(text) => text.len(),
            Content::Call(note) => note.parts.len() * 64,
        }
    }
}

impl Thread {
    pub(crate) fn has(&self, person: &str) -> bool {
        self.members.iter().any(|member| member == person)
    }

    pub(crate) fn seen_by<'a>(&'a self, viewer: &'a str) -> impl DoubleEndedIterator<Item = &'a Message> {
        self.messages.iter().filter(move |message| message.is_seen_by(viewer))
    }

    /// A direct thread shows itself to the other person with the first message that they may see.
    pub(crate) fn is_shown_to(&self, viewer: &str) -> bool {
        let begun = || self.opened_by.contains(viewer) || self.seen_by(viewer).next().is_some();
        self.has(viewer) && (self.kind == ThreadKind::Group || begun())
    }

    pub(crate) fn unread(&self, viewer: &str) -> usize {
        let read = self.read.get(viewer).copied().unwrap_or_default();
        let new = self.messages.iter().filter(|message| message.number > read);
        new.filter(|message| message.asks_for_attention(viewer)).count()
    }

    fn push(&mut self, id: String, from: &str, at_ms: i64, hidden_from: BTreeSet<String>, content: Content) {
        self.last_number += 1;
        let number = self.last_number;
        self.messages.push_back(Message { id, number, from: from.into(), at_ms, hidden_from, content });
        let mut bytes: usize = self.messages.iter().map(Message::bytes).sum();
        while (self.messages.len() > MESSAGES || bytes > BYTES)
            && let Some(oldest) = self.messages.pop_front()
        {
            bytes -= oldest.bytes();
        }
    }
}

impl World {
    /// The thread, if the viewer belongs to it; whoever does not cannot tell whether it exists.
    pub(crate) fn thread(&self, id: &str, viewer: &str) -> Result<&Thread, No> {
        self.threads.get(id).filter(|thread| thread.has(viewer)).ok_or(No::Missing("thread"))
    }

    /// The direct thread of these two.
    pub(crate) fn direct(&self, one: &str, other: &str) -> Option<&Thread> {
        let both = |thread: &&Thread| thread.has(one) && thread.has(other);
        self.threads.values().filter(|thread| thread.kind == ThreadKind::Direct).find(both)
    }

    /// Opens the direct thread of `me` and `other`: the same one each time.
    pub(crate) fn open_direct(
        &mut self,
        new_id: String,
        me: &str,
        other: &str,
        now_ms: i64,
        changes: &mut Vec<Change>,
    ) -> Result<String, No> {
        self.account(other)?;
        if me == other {
            return Err(No::Invalid("memberIds", "a direct thread needs somebody else".into()));
        }
        if let Some(thread) = self.direct(me, other) {
            return Ok(thread.id.clone());
        }
        self.open(new_id, ThreadKind::Direct, String::new(), vec![me.into(), other.into()], now_ms, changes)
    }

    /// Opens a group with `me` in it.
    pub(crate) fn open_group(
        &mut self,
        new_id: String,
        me: &str,
        others: &[String],
        title: &str,
        now_ms: i64,
        changes: &mut Vec<Change>,
    ) -> Result<String, No> {
        let title = text("title", title, TITLE)?;
        let mut members = vec![me.to_owned()];
        for other in others {
            self.account(other)?;
            if !members.contains(other) {
                members.push(other.clone());
            }
            if members.len() > MEMBERS {
                return Err(No::Full("members", MEMBERS));
            }
        }
        if members.len() < 2 {
            return Err(No::Invalid("memberIds", "a group needs somebody else".into()));
        }
        self.open(new_id, ThreadKind::Group, title, members, now_ms, changes)
    }

    fn open(
        &mut self,
        id: String,
        kind: ThreadKind,
        title: String,
        members: Vec<String>,
        now_ms: i64,
        changes: &mut Vec<Change>,
    ) -> Result<String, No> {
        if self.threads.len() >= THREADS {
            return Err(No::Full("threads", THREADS));
        }
        let thread = Thread {
            id: id.clone(),
            kind,
            title,
            opened_by: members.first().cloned().into_iter().collect(),
            members,
            opened_at_ms: now_ms,
            messages: VecDeque::new(),
            last_number: 0,
            read: BTreeMap::new(),
        };
        self.threads.insert(id.clone(), thread);
        changes.push(Change::Thread(id.clone()));
        Ok(id)
    }

    /// Writes a message.
    pub(crate) fn post(
        &mut self,
        thread_id: &str,
        me: &str,
        message_id: String,
        content: &str,
        now_ms: i64,
        changes: &mut Vec<Change>,
    ) -> Result<(), No> {
        let content = text("text", content, TEXT)?;
        let thread = self.thread(thread_id, me)?;
        // In a group everybody reads everybody.
        let hides = |member: &&String| thread.kind == ThreadKind::Direct && self.blocks(member, me);
        let hidden_from = thread.members.iter().filter(hides).cloned().collect();
        self.add(thread_id, message_id, me, now_ms, hidden_from, Content::Text(content), changes);
        self.mark_read(thread_id, me, changes)
    }

    /// Writes a call into its thread, once.
    pub(crate) fn note_call(&mut self, thread_id: &str, note: Note, changes: &mut Vec<Change>) {
        let Some(thread) = self.threads.get(thread_id) else { return };
        if thread.messages.iter().any(|message| message.id == note.call_id) {
            return;
        }
        let (id, from, at_ms) = (note.call_id.clone(), note.started_by.clone(), note.ended_at_ms);
        self.add(thread_id, id, &from, at_ms, BTreeSet::new(), Content::Call(note), changes);
    }

    #[allow(clippy::too_many_arguments, reason = "a message, part by part")]
    fn add(
        &mut self,
        thread_id: &str,
        id: String,
        from: &str,
        at_ms: i64,
        hidden_from: BTreeSet<String>,
        content: Content,
        changes: &mut Vec<Change>,
    ) {
        let Some(thread) = self.threads.get_mut(thread_id) else { return };
        thread.push(id.clone(), from, at_ms, hidden_from, content);
        changes.push(Change::Message(thread_id.to_owned(), id));
        changes.push(Change::Thread(thread_id.to_owned()));
    }

    /// The member wants to see it, with or without messages.
    pub(crate) fn show(&mut self, thread_id: &str, me: &str, changes: &mut Vec<Change>) -> Result<(), No> {
        self.thread(thread_id, me)?;
        let thread = self.threads.get_mut(thread_id).ok_or(No::Missing("thread"))?;
        if thread.opened_by.insert(me.to_owned()) {
            changes.push(Change::ThreadFor(thread_id.to_owned(), me.to_owned()));
        }
        Ok(())
    }

    /// Everything in the thread up to now was read.
    pub(crate) fn mark_read(
        &mut self,
        thread_id: &str,
        me: &str,
        changes: &mut Vec<Change>,
    ) -> Result<(), No> {
        self.thread(thread_id, me)?;
        let thread = self.threads.get_mut(thread_id).ok_or(No::Missing("thread"))?;
        let last = thread.last_number;
        if thread.read.insert(me.to_owned(), last) != Some(last) {
            changes.push(Change::ThreadFor(thread_id.to_owned(), me.to_owned()));
        }
        Ok(())
    }

    /// The thread that a call belongs to, as far as there is one: its conversation, or that of its two people.
    pub(crate) fn thread_of_call<'a>(
        &self,
        conversation: &str,
        kind: proto::CallKind,
        creator: &str,
        users: impl IntoIterator<Item = &'a String>,
    ) -> Option<&Thread> {
        if let Some(thread) = self.threads.get(conversation) {
            return Some(thread);
        }
        let other = users.into_iter().find(|user| *user != creator)?;
        if kind == proto::CallKind::Direct { self.direct(creator, other) } else { None }
    }
}
