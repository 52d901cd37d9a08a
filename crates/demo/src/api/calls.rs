//! Calls, as far as the page asks us for them: the rest it does with Sluice directly, with the token from here.
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use sluice_api::calls::v1::Media;

use super::{Body, Me, Refusal, answer};
use crate::app::{App, now_ms};
use crate::world::thread::Note;
use crate::world::view;

/// Calls in the history.
const HISTORY: u32 = 100;
/// A link works for a week.
const LINK_MS: i64 = 7 * 24 * 3_600_000;

/// With this the device connects to `/calls/v1`.
pub(super) async fn device_token(State(app): State<Arc<App>>, me: Me) -> Result<Response, Refusal> {
    let (handle, waiting) = {
        let world = app.world();
        let account = world.account(&me.id)?;
        (account.person.handle.clone(), account.settings.call_waiting)
    };
    let given = app.calls.device_token(&me.id, &me.device, &handle, waiting).await?;
    answer(&json!({ "token": given.token, "expiresAtMs": given.expires_at_ms }))
}

/// The user's calls that have ended, newest first.
pub(super) async fn history(State(app): State<Arc<App>>, me: Me) -> Result<Response, Refusal> {
    let records = app.calls.records(&me.id, HISTORY).await?;
    let notes: Vec<_> =
        records.iter().map(|record| (Note::of(record), record.conversation_id.as_str())).collect();
    let world = app.world();
    let past = |(note, conversation)| view::past_call(&world, note, conversation, &me.id);
    answer(
        &notes.iter().map(|(note, conversation)| (note, *conversation)).filter_map(past).collect::<Vec<_>>(),
    )
}

#[derive(Deserialize)]
pub(super) struct NewLink {
    media: LinkMedia,
    #[serde(default)]
    lobby: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum LinkMedia {
    Audio,
    Video,
}

/// Whoever has the link may join, once they are signed in.
pub(super) async fn create_link(
    State(app): State<Arc<App>>,
    me: Me,
    Body(NewLink { media, lobby }): Body<NewLink>,
) -> Result<Response, Refusal> {
    let media = match media {
        LinkMedia::Audio => Media::Audio,
        LinkMedia::Video => Media::Video,
    };
    let link = app.calls.create_link(&me.id, media, lobby, now_ms() + LINK_MS).await?;
    // Relative: the page knows best by which name it was reached.
    answer(&json!({ "slug": link.slug, "url": format!("/?link={}", link.slug) }))
}
