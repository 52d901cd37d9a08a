//! The HTTP side of `/calls/v1`: which device may connect, and why not.
//!
//! What can fail is decided before the WebSocket is accepted, so that it can be said with an HTTP status. Browsers hide
//! that too; they ask `/calls/v1/validate` with the same query, which answers like this.
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use sluice_calls::Party;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Hub;
use super::log::Cursor;
use super::requests::Operator;
use super::socket::Line;
use crate::calls::convert::check;
use crate::http::Refusal;
use crate::token::{Keys, LEEWAY, TokenError};

/// What it takes to let a device in.
pub(super) struct Door {
    pub(super) hub: Hub,
    pub(super) operator: Arc<dyn Operator>,
    pub(super) keys: Keys,
    pub(super) stop: CancellationToken,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    access_token: String,
    cursor: String,
}

pub(super) fn routes(door: Door) -> Router {
    let router = Router::new().route("/calls/v1", get(connect)).route("/calls/v1/validate", get(validate));
    router.with_state(Arc::new(door))
}

async fn validate(
    State(door): State<Arc<Door>>,
    headers: HeaderMap,
    asked: Query<Asked>,
) -> Result<&'static str, Refusal> {
    let _place = admit(&door, &headers, &asked)?;
    Ok("success")
}

async fn connect(
    State(door): State<Arc<Door>>,
    headers: HeaderMap,
    asked: Query<Asked>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    let Ok(upgrade) = upgrade else {
        return Err(Refusal::new(StatusCode::UPGRADE_REQUIRED, "this path is for WebSockets"));
    };
    let (guest, place) = admit(&door, &headers, &asked).inspect_err(|refusal| {
        let status = refusal.status.as_str().to_owned();
        metrics::counter!("sluice_calls_device_connects_total", "result" => status).increment(1);
        tracing::info!(status = refusal.status.as_u16(), text = refusal.text, "a device was refused");
    })?;
    let limit = door.hub.0.settings.message_bytes;
    let line = Line {
        hub: door.hub.clone(),
        operator: door.operator.clone(),
        party: guest.party,
        call_waiting: guest.call_waiting,
        expires: guest.expires,
        cursor: Cursor::parse(&asked.cursor),
        stop: door.stop.clone(),
    };
    let upgrade =
        upgrade.max_message_size(limit).max_frame_size(limit).read_buffer_size(crate::http::READ_BUFFER);
    let upgrade = upgrade
        .on_failed_upgrade(|error| tracing::info!(%error, "the device went before its WebSocket came"));
    Ok(upgrade.on_upgrade(async move |socket| line.run(socket, place).await))
}

struct Guest {
    party: Party,
    call_waiting: bool,
    expires: Instant,
}

fn admit(door: &Door, headers: &HeaderMap, asked: &Asked) -> Result<(Guest, OwnedSemaphorePermit), Refusal> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
    let pass =
        door.keys.verify_device(bearer.unwrap_or(&asked.access_token)).map_err(|error| match error {
            TokenError::NotADevice => Refusal::new(StatusCode::FORBIDDEN, error.to_string()),
            other => other.into(),
        })?;
    let wrong = |what: &str| Refusal::new(StatusCode::BAD_REQUEST, format!("the access token's {what}"));
    let party = Party {
        user: check::user("sub", &pass.user).map_err(|error| wrong(&error.to_string()))?,
        device: check::device("calls.device", &pass.device).map_err(|error| wrong(&error.to_string()))?,
        handle: check::handle("name", &pass.handle).map_err(|error| wrong(&error.to_string()))?,
    };
    let busy = |status, text: &str| Refusal::new(status, text);
    if door.stop.is_cancelled() {
        return Err(busy(StatusCode::SERVICE_UNAVAILABLE, "the server stops: try again"));
    }
    let Ok(place) = door.hub.0.places.clone().try_acquire_owned() else {
        return Err(busy(StatusCode::SERVICE_UNAVAILABLE, "too many devices are connected: try again later"));
    };
    if !door.hub.0.registry.admits(&party.user, &party.device) {
        return Err(busy(StatusCode::TOO_MANY_REQUESTS, "too many devices of this user are connected"));
    }
    let expires = UNIX_EPOCH.checked_add(Duration::from_secs(pass.expires.saturating_add(LEEWAY)));
    let left = expires.and_then(|at| at.duration_since(SystemTime::now()).ok()).unwrap_or_default();
    // Far times overflow the clock.
    let expires = Instant::now() + left.min(LONGEST_STAY);
    Ok((Guest { party, call_waiting: pass.call_waiting, expires }, place))
}

/// The longest validity of a device's token.
const LONGEST_STAY: Duration = Duration::from_secs(7 * 24 * 3600);
