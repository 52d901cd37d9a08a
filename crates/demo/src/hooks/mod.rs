//! What Sluice asks us and tells us over HTTP: the permission hook and webhooks. Both prove who sends them.
mod signature;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde::de::DeserializeOwned;
use sluice_api::calls::v1::{AuthorizeCallRequest, CallKind, Event, EventType, Record};
use tokio_util::sync::CancellationToken;

use crate::api::Refusal;
use crate::app::{App, now_ms, random_text};
use crate::world::thread::Note;
use crate::world::{Change, World};

/// Bytes of a webhook: a record of a full call has some tens of kilobytes.
const LARGEST: usize = 1024 * 1024;
/// Between two tries to ask for the live calls, growing from the first to the second.
const SOON: Duration = Duration::from_millis(200);
const LATER: Duration = Duration::from_secs(10);

pub(crate) fn routes(app: Arc<App>) -> Router {
    Router::new()
        .route("/demo/hooks/authorize", post(authorize))
        .route("/demo/hooks/events", post(events))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(app)
}

async fn authorize(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    if let Some(secret) = &app.hook_secret {
        prove(secret, &headers, &body)?;
    }
    let question: AuthorizeCallRequest = parse(&body)?;
    let answer = app.world().authorize(&question);
    Ok(axum::Json(answer).into_response())
}

async fn events(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Result<StatusCode, Refusal> {
    prove(&app.webhook_secret, &headers, &body)?;
    // Refused, it would come again for a day and hold up what follows it; a newer Sluice may say more than we know of.
    let event: Event = match parse(&body) {
        Ok(event) => event,
        Err(problem) => {
            metrics::counter!("sluice_demo_webhooks_not_understood_total").increment(1);
            tracing::warn!(?problem, "a webhook was not understood, and left alone");
            return Ok(StatusCode::NO_CONTENT);
        }
    };
    let known = app.change(|world, changes| !world.is_first(&event.event_id) || take(world, &event, changes));
    if !known {
        app.lost.notify_one();
    }
    Ok(StatusCode::NO_CONTENT)
}

fn prove(secret: &str, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
    signature::check(secret, headers, body, now_ms()).map_err(|problem| {
        metrics::counter!("sluice_demo_webhooks_refused_total").increment(1);
        Refusal::new(StatusCode::UNAUTHORIZED, "badSignature", problem.to_string())
    })
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::invalid("body", error))
}

/// False: it speaks of a call that we do not know.
fn take(world: &mut World, event: &Event, changes: &mut Vec<Change>) -> bool {
    let known = world.hear(event, changes);
    if event.r#type() == EventType::RecordReady
        && let Some(record) = &event.record
    {
        write_into_thread(world, record, changes);
    }
    known
}

/// Writes the call into its thread; a direct call that belongs to none opens the one of its two people.
fn write_into_thread(world: &mut World, record: &Record, changes: &mut Vec<Change>) {
    let creator = &record.creator_user_id;
    let users = record.legs.iter().map(|leg| &leg.user_id);
    let thread = world
        .thread_of_call(&record.conversation_id, record.kind(), creator, users)
        .map(|thread| thread.id.clone());
    let thread = thread.or_else(|| {
        let other = record.legs.iter().map(|leg| &leg.user_id).find(|user| *user != creator)?;
        if record.kind() != CallKind::Direct || !world.accounts.contains_key(creator) {
            return None;
        }
        let id = format!("t_{}", random_text(16));
        world
            .open_direct(id, creator, other, record.created_at_ms, changes)
            .inspect_err(|problem| tracing::warn!(%problem, call = record.call_id, "the call has no thread"))
            .ok()
    });
    if let Some(thread) = thread {
        world.note_call(&thread, Note::of(record), changes);
    }
}

/// Asks for the live calls at the start, because webhooks may have been missed, and whenever one speaks of an unknown call.
pub(crate) async fn follow(app: &App, stop: &CancellationToken) {
    let mut pause = SOON;
    loop {
        let since = app.world().heard();
        let listed = tokio::select! {
            () = stop.cancelled() => return,
            listed = app.calls.live() => listed,
        };
        let again = async {
            match listed {
                Ok(calls) => {
                    app.change(|world, changes| world.take_list(&calls, since, changes));
                    pause = SOON;
                    app.lost.notified().await;
                    // Many webhooks of one unknown call are one question.
                    tokio::time::sleep(SOON).await;
                }
                Err(status) => {
                    tracing::debug!(%status, "the live calls cannot be listed yet");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LATER);
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = again => {}
        }
    }
}
