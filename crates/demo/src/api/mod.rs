//! `/demo/api`: what the web page asks. JSON, camelCase; errors are `{"error":{"code","message"}}` with an HTTP status.
mod calls;
mod live;
mod people;
mod session;
mod threads;

use std::sync::Arc;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::app::App;
use crate::world::No;

/// Bytes of a request: the longest message of 4,000 characters fits, whatever its script, escaped or not.
const LARGEST: usize = 64 * 1024;

pub(crate) fn routes(app: Arc<App>) -> Router {
    Router::new()
        .route("/demo/api/session", post(session::sign_in).delete(session::sign_out))
        .route("/demo/api/me", get(people::me))
        .route("/demo/api/people", get(people::list))
        .route("/demo/api/people/{id}", get(people::one))
        .route("/demo/api/blocks/{id}", put(people::block).delete(people::unblock))
        .route("/demo/api/contacts/{id}", put(people::add_contact).delete(people::remove_contact))
        .route("/demo/api/follows/{id}", put(people::follow).delete(people::unfollow))
        .route("/demo/api/settings", get(people::settings).put(people::set_settings))
        .route("/demo/api/threads", get(threads::list).post(threads::open))
        .route("/demo/api/threads/{id}/messages", get(threads::messages).post(threads::post))
        .route("/demo/api/threads/{id}/read", post(threads::read))
        .route("/demo/api/history", get(calls::history))
        .route("/demo/api/device-token", post(calls::device_token))
        .route("/demo/api/links", post(calls::create_link))
        .route("/demo/api/live", get(live::live))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(app)
}

/// An error as the page gets it.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub(crate) fn invalid(field: &str, problem: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", format!("{field}: {problem}"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "error": { "code": self.code, "message": self.message } });
        (self.status, Json(body)).into_response()
    }
}

impl From<No> for Refusal {
    fn from(no: No) -> Self {
        let (status, code) = match &no {
            No::Invalid(..) => (StatusCode::BAD_REQUEST, "invalid"),
            No::Missing(_) => (StatusCode::NOT_FOUND, "notFound"),
            No::Taken(_) => (StatusCode::CONFLICT, "taken"),
            No::Full(..) => (StatusCode::INSUFFICIENT_STORAGE, "full"),
        };
        Self::new(status, code, no.to_string())
    }
}

impl From<tonic::Status> for Refusal {
    fn from(status: tonic::Status) -> Self {
        use tonic::Code;
        let (http, code) = match status.code() {
            Code::InvalidArgument => (StatusCode::BAD_REQUEST, "invalid"),
            Code::NotFound => (StatusCode::NOT_FOUND, "notFound"),
            Code::PermissionDenied => (StatusCode::FORBIDDEN, "forbidden"),
            Code::ResourceExhausted => (StatusCode::TOO_MANY_REQUESTS, "tooMany"),
            _ => (StatusCode::BAD_GATEWAY, "callsUnavailable"),
        };
        if http == StatusCode::BAD_GATEWAY {
            tracing::warn!(%status, "Sluice did not do what it was asked for");
        }
        Self::new(http, code, format!("Sluice says: {}", status.message()))
    }
}

/// A JSON body, with our errors.
struct Body<T>(T);

impl<S: Send + Sync, T> FromRequest<S> for Body<T>
where
    Json<T>: FromRequest<S, Rejection = JsonRejection>,
{
    type Rejection = Refusal;

    async fn from_request(request: axum::extract::Request, state: &S) -> Result<Self, Refusal> {
        let Json(body) = Json::<T>::from_request(request, state)
            .await
            .map_err(|problem| Refusal::new(problem.status(), "invalid", problem.body_text()))?;
        Ok(Self(body))
    }
}

/// The query, with our errors.
struct Query<T>(T);

impl<S: Send + Sync, T> FromRequestParts<S> for Query<T>
where
    axum::extract::Query<T>: FromRequestParts<S, Rejection = QueryRejection>,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let axum::extract::Query(query) =
            axum::extract::Query::<T>::from_request_parts(parts, state)
                .await
                .map_err(|problem| Refusal::new(problem.status(), "invalid", problem.body_text()))?;
        Ok(Self(query))
    }
}

/// Who asks, by `Authorization: Bearer <session>`.
struct Me {
    id: String,
    device: String,
}

impl FromRequestParts<Arc<App>> for Me {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        me(app, bearer(&parts.headers).unwrap_or_default())
    }
}

fn me(app: &App, session: &str) -> Result<Me, Refusal> {
    const UNKNOWN: &str = "no session, or one that has ended: sign in";
    let world = app.world();
    let session = world.session(&hash(session));
    let session =
        session.ok_or_else(|| Refusal::new(StatusCode::UNAUTHORIZED, "unauthenticated", UNKNOWN))?;
    Ok(Me { id: session.person.clone(), device: session.device.clone() })
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// Under which a session is kept.
fn hash(session: &str) -> String {
    Sha256::digest(session.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Answers with JSON that borrows from the world, so it is written while the world is locked.
fn answer(what: &impl Serialize) -> Result<Response, Refusal> {
    Ok(Json(serde_json::to_value(what).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written as JSON");
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the log says why")
    })?)
    .into_response())
}
