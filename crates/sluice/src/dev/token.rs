//! `POST /dev/token`: a token for whoever sits at this machine, so that the page works without a backend.
//!
//! It is the one unauthenticated way into a room, so other web sites are kept out: see [`sluice_demo::origin`].
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use sluice_demo::origin::{Foreign, Origins};

/// Longest room or display name, in characters.
const LONGEST_NAME: usize = 64;

/// Makes a token: room, identity, display name.
pub(crate) type Mint = dyn Fn(&str, &str, &str) -> anyhow::Result<String> + Send + Sync;

/// What the endpoint needs to know.
pub(crate) struct Desk {
    pub(crate) mint: Box<Mint>,
    /// A part of each identity that nobody else has.
    pub(crate) unique: fn() -> String,
    /// Whose page may ask.
    pub(crate) origins: Origins,
}

#[derive(Deserialize)]
struct Wanted {
    room: String,
    name: String,
}

#[derive(Serialize)]
struct Given {
    token: String,
    identity: String,
}

type Refusal = (StatusCode, &'static str);

const FOREIGN: Refusal =
    (StatusCode::FORBIDDEN, "only the page of this server may ask for development tokens\n");

/// The endpoint.
pub(crate) fn routes(desk: Desk) -> Router {
    Router::new().route("/dev/token", post(give)).with_state(Arc::new(desk))
}

async fn give(
    State(desk): State<Arc<Desk>>,
    uri: Uri,
    headers: HeaderMap,
    Json(wanted): Json<Wanted>,
) -> Result<Json<Given>, Refusal> {
    desk.origins.check(&uri, &headers).map_err(|Foreign| FOREIGN)?;
    let (room, name) = (named(&wanted.room)?, named(&wanted.name)?);
    let identity = format!("{name}-{}", (desk.unique)());
    let token = (desk.mint)(room, &identity, name).map_err(|error| {
        tracing::error!(%error, "cannot sign a token");
        (StatusCode::INTERNAL_SERVER_ERROR, "cannot sign a token; the log says why\n")
    })?;
    Ok(Json(Given { token, identity }))
}

fn named(text: &str) -> Result<&str, Refusal> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > LONGEST_NAME || text.chars().any(char::is_control) {
        return Err((StatusCode::BAD_REQUEST, "room and name must have 1 to 64 characters\n"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!(named(" Ann ").unwrap(), "Ann");
        assert!(named("   ").is_err());
        assert!(named(&"x".repeat(65)).is_err());
        assert!(named("a\u{0}b").is_err());
    }
}
