//! The world as one person may see it, in the form that the web page gets.
use serde::Serialize;
use sluice_api::calls::v1 as proto;

use super::live::LiveCall;
use super::thread::{Content, Message, Note, Outcome, Thread, ThreadKind};
use super::{Account, Person, World};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Profile<'a> {
    #[serde(flatten)]
    person: &'a Person,
    relation: Relations,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Relations {
    blocked: bool,
    contact: bool,
    followed: bool,
}

/// `person`, and what `viewer` keeps about them.
pub(crate) fn profile<'a>(world: &'a World, viewer: &str, person: &str) -> Option<Profile<'a>> {
    let (own, other) = (world.accounts.get(viewer)?, world.accounts.get(person)?);
    let thread = world.direct(viewer, person).filter(|thread| thread.is_shown_to(viewer));
    let id = &other.person.id;
    Some(Profile {
        person: &other.person,
        relation: Relations {
            blocked: own.blocked.contains(id),
            contact: own.contacts.contains(id),
            followed: own.followed.contains(id),
        },
        thread_id: thread.map(|thread| thread.id.as_str()),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ThreadView<'a> {
    id: &'a str,
    kind: ThreadKind,
    title: &'a str,
    members: Vec<&'a Person>,
    last: Option<MessageView<'a>>,
    unread: usize,
    live_call: Option<LiveView<'a>>,
    /// For the order of the list while there is no message.
    opened_at_ms: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LiveView<'a> {
    call_id: &'a str,
    media: &'static str,
    member_ids: Vec<&'a String>,
    started_at_ms: i64,
}

/// `None`: not in this person's list.
pub(crate) fn thread<'a>(world: &'a World, thread: &'a Thread, viewer: &'a str) -> Option<ThreadView<'a>> {
    let live = world.live_in(thread, viewer);
    if !thread.is_shown_to(viewer) && (live.is_none() || !thread.has(viewer)) {
        return None;
    }
    let account = |id: &String| world.accounts.get(id);
    let members: Vec<&Person> =
        thread.members.iter().filter_map(account).map(|account: &Account| &account.person).collect();
    let title = match thread.kind {
        ThreadKind::Group => &thread.title,
        ThreadKind::Direct => {
            members.iter().find(|person| person.id != viewer).map_or("", |person| person.name.as_str())
        }
    };
    Some(ThreadView {
        id: &thread.id,
        kind: thread.kind,
        title,
        members,
        last: thread.seen_by(viewer).next_back().and_then(|last| message(thread, last, viewer)),
        unread: thread.unread(viewer),
        live_call: live.map(live_view),
        opened_at_ms: thread.opened_at_ms,
    })
}

fn live_view(call: &LiveCall) -> LiveView<'_> {
    LiveView {
        call_id: &call.call_id,
        media: media_name(call.media == proto::Media::Video),
        member_ids: call.present().collect(),
        started_at_ms: call.started_at_ms,
    }
}

/// All threads of this person, the latest first.
pub(crate) fn threads<'a>(world: &'a World, viewer: &'a str) -> Vec<ThreadView<'a>> {
    let mut views: Vec<_> = world.threads.values().filter_map(|it| thread(world, it, viewer)).collect();
    let time = |view: &ThreadView<'_>| view.last.as_ref().map_or(view.opened_at_ms, |last| last.at_ms);
    views.sort_by_key(|view| std::cmp::Reverse(time(view)));
    views
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MessageView<'a> {
    id: &'a str,
    thread_id: &'a str,
    kind: &'static str,
    from: &'a str,
    at_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<CallView<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallView<'a> {
    call_id: &'a str,
    media: &'static str,
    kind: &'static str,
    outcome: Outcome,
    duration_ms: i64,
    started_by: &'a str,
    /// Who was in it, and who started it. Nobody else: others' unanswered rings are theirs.
    member_ids: Vec<&'a String>,
}

/// `None`: for this person it was never written.
pub(crate) fn message<'a>(thread: &'a Thread, message: &'a Message, viewer: &str) -> Option<MessageView<'a>> {
    if !message.is_seen_by(viewer) {
        return None;
    }
    let (kind, text, call) = match &message.content {
        Content::Text(text) => ("text", Some(text.as_str()), None),
        Content::Call(note) => ("call", None, Some(call_view(note, viewer))),
    };
    let (id, from, at_ms) = (&message.id, &message.from, message.at_ms);
    Some(MessageView { id, thread_id: &thread.id, kind, from, at_ms, text, call })
}

fn call_view<'a>(note: &'a Note, viewer: &str) -> CallView<'a> {
    let inside = |(user, part): (&'a String, &super::thread::Part)| {
        (part.joined || *user == note.started_by).then_some(user)
    };
    CallView {
        call_id: &note.call_id,
        media: media_name(note.video),
        kind: if note.group { "group" } else { "direct" },
        outcome: note.outcome(viewer),
        duration_ms: note.duration_ms,
        started_by: &note.started_by,
        member_ids: note.parts.iter().filter_map(inside).collect(),
    }
}

/// A call of this person's history.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PastCall<'a> {
    #[serde(flatten)]
    call: CallView<'a>,
    started_at_ms: i64,
    ended_at_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_id: Option<String>,
    /// Those of `memberIds`, the viewer, and those of a direct thread, as far as they are known.
    people: Vec<&'a Person>,
}

/// `None`: not in this person's history. `conversation` is the record's.
pub(crate) fn past_call<'a>(
    world: &'a World,
    note: &'a Note,
    conversation: &str,
    viewer: &str,
) -> Option<PastCall<'a>> {
    let call = call_view(note, viewer);
    if call.outcome == Outcome::Nothing {
        return None;
    }
    let kind = if note.group { proto::CallKind::Group } else { proto::CallKind::Direct };
    let thread = world
        .thread_of_call(conversation, kind, &note.started_by, note.parts.keys())
        .filter(|thread| thread.has(viewer));
    let direct = thread.filter(|thread| thread.kind == ThreadKind::Direct);
    let concerned = |person: &&Person| {
        let id = &person.id;
        id == viewer || call.member_ids.contains(&id) || direct.is_some_and(|thread| thread.has(id))
    };
    let people = world.accounts.values().map(|account| &account.person).filter(concerned).collect();
    let thread_id = thread.map(|thread| thread.id.clone());
    Some(PastCall {
        call,
        started_at_ms: note.started_at_ms,
        ended_at_ms: note.ended_at_ms,
        thread_id,
        people,
    })
}

fn media_name(video: bool) -> &'static str {
    if video { "video" } else { "audio" }
}
