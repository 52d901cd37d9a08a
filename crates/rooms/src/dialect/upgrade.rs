//! The HTTP side: who may connect, and why not.
//!
//! Everything that can fail is decided before the WebSocket is accepted, so that it can be said with an HTTP status.
//! Browsers hide that status too; then clients ask the `validate` path with the same query, which answers like this.
use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{WebSocketUpgrade, close_code};
use axum::extract::{OriginalUri, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sluice_livekit_proto::DisconnectReason;
use sluice_livekit_proto::leave_request::Action;
use sluice_livekit_proto::signal_response::Message;
use tokio::sync::mpsc;

use super::query::{Intent, IntentError};
use super::socket::{Socket, WRITE_BUFFER};
use super::{Arrival, Context, convert, join_request, peer};
use crate::http::READ_BUFFER;
use crate::http::Refusal;
use crate::token::{Claims, TokenError};

type Shared = State<Arc<Context>>;
type Parameters = Query<HashMap<String, String>>;
type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, error.to_string())
    }
}

impl From<IntentError> for Refusal {
    fn from(error: IntentError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error.to_string())
    }
}

/// The paths that clients know, and the one that probes know.
pub(crate) fn routes(context: Arc<Context>) -> Router {
    let mut router = Router::new().route("/rtc", get(connect_two)).route("/rtc/validate", get(validate_two));
    if context.settings.single_connection {
        router = router.route("/rtc/v1", get(connect_one)).route("/rtc/v1/validate", get(validate_one));
    }
    router.route("/healthz", get(healthy)).with_state(context)
}

/// For probes: well once rooms are recovered and joins may come.
async fn healthy(context: Shared) -> Result<&'static str, Refusal> {
    context.directory.ready()?;
    Ok("ok\n")
}

async fn connect_two(
    context: Shared,
    uri: OriginalUri,
    headers: HeaderMap,
    query: Parameters,
    upgrade: Upgrade,
) -> Result<Response, Refusal> {
    let admitted = admit(&context, &uri, &headers, &query, false).await;
    connect(context.0, admitted, upgrade).await
}

async fn connect_one(
    context: Shared,
    uri: OriginalUri,
    headers: HeaderMap,
    query: Parameters,
    upgrade: Upgrade,
) -> Result<Response, Refusal> {
    let admitted = admit(&context, &uri, &headers, &query, true).await;
    connect(context.0, admitted, upgrade).await
}

async fn validate_two(
    context: Shared,
    uri: OriginalUri,
    headers: HeaderMap,
    query: Parameters,
) -> Result<&'static str, Refusal> {
    validate(&context, admit(&context, &uri, &headers, &query, false).await)
}

async fn validate_one(
    context: Shared,
    uri: OriginalUri,
    headers: HeaderMap,
    query: Parameters,
) -> Result<&'static str, Refusal> {
    validate(&context, admit(&context, &uri, &headers, &query, true).await)
}

fn validate(context: &Context, admitted: Result<(Claims, Intent), Refusal>) -> Result<&'static str, Refusal> {
    let (claims, _) = admitted?;
    context.directory.check(&claims.video.room)?;
    Ok("success")
}

/// Reads token and request, asks the call if the room is a call's; says why not.
async fn admit(
    context: &Context,
    uri: &OriginalUri,
    headers: &HeaderMap,
    query: &HashMap<String, String>,
    single: bool,
) -> Result<(Claims, Intent), Refusal> {
    let (mut claims, intent) = read(context, uri, headers, query, single)?;
    crate::calls::media::admit(context.calls.as_ref(), &mut claims).await?;
    Ok((claims, intent))
}

fn read(
    context: &Context,
    uri: &OriginalUri,
    headers: &HeaderMap,
    query: &HashMap<String, String>,
    single: bool,
) -> Result<(Claims, Intent), Refusal> {
    let limits = &context.settings.limits;
    if uri.path_and_query().is_some_and(|path| path.as_str().len() > limits.url_bytes) {
        return Err(Refusal::new(StatusCode::URI_TOO_LONG, "the URL is too long"));
    }
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
    let token = bearer.or_else(|| query.get("access_token").map(String::as_str)).unwrap_or_default();
    let claims = context.keys.verify(token)?;
    let forbidden = |text: &str| Err(Refusal::new(StatusCode::FORBIDDEN, text));
    if claims.calls.is_some() {
        return forbidden("the access token is a device's, for /calls/v1: it joins no room");
    }
    if !claims.video.room_join || claims.video.room.is_empty() {
        return forbidden("the access token permits to join no room");
    }
    if query.get("room").is_some_and(|room| !room.is_empty() && *room != claims.video.room) {
        return forbidden("the access token is for another room");
    }
    let wrong = |text: &str| Err(Refusal::new(StatusCode::BAD_REQUEST, text));
    if claims.identity().is_empty() {
        return wrong("the access token names no identity");
    }
    let names = [claims.identity(), &claims.video.room, &claims.name];
    if names.iter().any(|name| name.len() > limits.name_bytes) {
        return wrong("the room's name, the identity or the participant's name is too long");
    }
    let intent = if single {
        join_request::intent(query, limits.join_request_bytes)?
    } else {
        Intent::from_query(query)?
    };
    let size = |attributes: &std::collections::BTreeMap<String, String>| -> usize {
        attributes.iter().map(|(key, value)| key.len() + value.len()).sum()
    };
    let metadata = claims.metadata.len().max(intent.metadata.as_ref().map_or(0, String::len));
    if metadata > limits.metadata_bytes
        || size(&claims.attributes) + size(&intent.attributes) > limits.metadata_bytes
    {
        return wrong("metadata or attributes are too large");
    }
    Ok((claims, intent))
}

async fn connect(
    context: Arc<Context>,
    admitted: Result<(Claims, Intent), Refusal>,
    upgrade: Upgrade,
) -> Result<Response, Refusal> {
    let Ok(upgrade) = upgrade else {
        return Err(Refusal::new(StatusCode::NOT_FOUND, "this path is for WebSockets"));
    };
    let result = admit_and_join(&context, admitted).await;
    let outcome = match &result {
        Ok(_) => "accepted".to_owned(),
        Err(refusal) => refusal.status.as_str().to_owned(),
    };
    metrics::counter!("sluice_rooms_joins_total", "result" => outcome).increment(1);
    let (claims, intent, arrivals) = result.inspect_err(|refusal| {
        tracing::info!(status = refusal.status.as_u16(), text = refusal.text, "refused");
    })?;
    let limits = context.settings.limits.clone();
    let upgrade = upgrade
        .max_message_size(limits.message_bytes)
        .max_frame_size(limits.message_bytes)
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER);
    let upgrade = upgrade
        .on_failed_upgrade(|error| tracing::info!(%error, "the client went before its WebSocket came"));
    Ok(upgrade
        .on_upgrade(async move |websocket| {
            let socket = Socket::start(websocket, &limits);
            let Some(arrivals) = arrivals else { return turn_away(socket) };
            if let Err(returned) = arrivals.send(Box::new(Arrival { socket, claims, intent })).await {
                turn_away(returned.0.socket);
            }
        })
        .into_response())
}

/// `None`: the participant that the client was before is not there.
type Way = Option<mpsc::Sender<Box<Arrival>>>;

async fn admit_and_join(
    context: &Arc<Context>,
    admitted: Result<(Claims, Intent), Refusal>,
) -> Result<(Claims, Intent, Way), Refusal> {
    let (claims, intent) = admitted?;
    let room = &claims.video.room;
    let way = match &intent.resume {
        Some(participant_id) => {
            // Before rooms are recovered nobody can be told whether it is still there.
            context.directory.ready()?;
            let door = context.directory.find(room, participant_id, claims.identity()).await;
            door.map(|door| door.arrivals)
        }
        None => Some(enter_to_the_end(context, &claims, &intent).await?),
    };
    Ok((claims, intent, way))
}

/// A client that goes while it joins must not leave half a participant behind: the join goes on in a task of its own,
/// and is undone when no WebSocket follows.
async fn enter_to_the_end(
    context: &Arc<Context>,
    claims: &Claims,
    intent: &Intent,
) -> Result<mpsc::Sender<Box<Arrival>>, Refusal> {
    let (context, claims, intent) = (context.clone(), claims.clone(), intent.clone());
    let joining = tokio::spawn(async move { peer::enter(context, &claims, &intent).await });
    joining.await.map_err(|_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "joining failed"))?
}

fn turn_away(socket: Socket) {
    metrics::counter!("sluice_rooms_resumes_refused_total").increment(1);
    let leave = convert::leave_request(DisconnectReason::StateMismatch, Action::Reconnect);
    if let Err(deaf) = socket.tell(Message::Leave(leave)) {
        tracing::debug!(?deaf, "the client is gone again");
    }
    socket.close(close_code::NORMAL, "unknown participant");
}
