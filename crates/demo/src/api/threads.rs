//! Threads and their messages.
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::{Body, Me, Query, Refusal, answer};
use crate::app::{App, now_ms, random_text};
use crate::world::thread::ThreadKind;
use crate::world::{No, view};

/// Messages in one answer.
const PAGE: usize = 50;

pub(super) async fn list(State(app): State<Arc<App>>, me: Me) -> Result<Response, Refusal> {
    answer(&view::threads(&app.world(), &me.id))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Open {
    kind: ThreadKind,
    member_ids: Vec<String>,
    #[serde(default)]
    title: String,
}

/// The direct thread of two people is the same each time.
pub(super) async fn open(
    State(app): State<Arc<App>>,
    me: Me,
    Body(wanted): Body<Open>,
) -> Result<Response, Refusal> {
    let others: Vec<String> = wanted.member_ids.into_iter().filter(|id| *id != me.id).collect();
    let new_id = format!("t_{}", random_text(16));
    let id = app.change(|world, changes| match (wanted.kind, others.as_slice()) {
        (ThreadKind::Group, others) => {
            world.open_group(new_id, &me.id, others, &wanted.title, now_ms(), changes)
        }
        (ThreadKind::Direct, [other]) => {
            let id = world.open_direct(new_id, &me.id, other, now_ms(), changes)?;
            // Whoever asks for it wants to see it, even if the other one opened it and has not written yet.
            world.show(&id, &me.id, changes)?;
            Ok(id)
        }
        (ThreadKind::Direct, _) => Err(No::Invalid("memberIds", "a direct thread needs one other".into())),
    })?;
    let world = app.world();
    let thread = world.thread(&id, &me.id)?;
    answer(&view::thread(&world, thread, &me.id).ok_or(No::Missing("thread"))?)
}

#[derive(Deserialize)]
pub(super) struct Before {
    before: Option<String>,
}

/// The latest, or those before a message; oldest first. A message that is not kept any more has none before it.
pub(super) async fn messages(
    State(app): State<Arc<App>>,
    me: Me,
    Path(id): Path<String>,
    Query(Before { before }): Query<Before>,
) -> Result<Response, Refusal> {
    let world = app.world();
    let thread = world.thread(&id, &me.id)?;
    let seen: Vec<_> = thread.seen_by(&me.id).collect();
    let end = match &before {
        Some(before) => seen.iter().position(|message| message.id == *before).unwrap_or_default(),
        None => seen.len(),
    };
    let page = seen.get(end.saturating_sub(PAGE)..end).unwrap_or_default();
    let page: Vec<_> = page.iter().filter_map(|message| view::message(thread, message, &me.id)).collect();
    answer(&json!({ "messages": page }))
}

#[derive(Deserialize)]
pub(super) struct Post {
    text: String,
}

pub(super) async fn post(
    State(app): State<Arc<App>>,
    me: Me,
    Path(id): Path<String>,
    Body(Post { text }): Body<Post>,
) -> Result<Response, Refusal> {
    let message = format!("m_{}", random_text(16));
    app.change(|world, changes| world.post(&id, &me.id, message.clone(), &text, now_ms(), changes))?;
    let world = app.world();
    let thread = world.thread(&id, &me.id)?;
    let written = thread.messages.iter().rev().find(|known| known.id == message);
    answer(&written.and_then(|message| view::message(thread, message, &me.id)))
}

pub(super) async fn read(
    State(app): State<Arc<App>>,
    me: Me,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    app.change(|world, changes| world.mark_read(&id, &me.id, changes))?;
    Ok(StatusCode::NO_CONTENT)
}
