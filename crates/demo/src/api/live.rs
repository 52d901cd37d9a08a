//! The feed of one open page, as Server-Sent Events. Whoever connects, again or anew, loads what it shows.
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt as _};
use serde::Deserialize;
use tokio_stream::wrappers::ReceiverStream;

use super::{Query, Refusal, me};
use crate::app::App;
use crate::feed::Update;

/// Below the half minute after which proxies like to close what is silent.
const HEARTBEAT: Duration = Duration::from_secs(15);

#[derive(Deserialize)]
pub(super) struct Session {
    session: String,
}

/// The session stands in the query, because a browser's EventSource sends no header of ours.
pub(super) async fn live(
    State(app): State<Arc<App>>,
    Query(Session { session }): Query<Session>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refusal> {
    let me = me(&app, &session)?;
    let full =
        || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "full", "too many open pages; try again later");
    let updates = ReceiverStream::new(app.feed.open(&me.id).ok_or_else(full)?);
    let event =
        |update: Update| Ok(Event::default().id(update.id.to_string()).event(update.name).data(update.data));
    let keep_alive = KeepAlive::new().interval(HEARTBEAT).text("here");
    // The first comment makes the browser's EventSource open at once.
    let hello = futures_util::stream::iter([Ok(Event::default().comment("hello"))]);
    Ok(Sse::new(hello.chain(updates.map(event))).keep_alive(keep_alive))
}
