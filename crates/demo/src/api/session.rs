//! Development sign-in: no password, so only our own page and this machine's programs may.
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::{Body, Refusal, answer, bearer, hash};
use crate::app::{App, now_ms, random_text};
use crate::world::{No, Person};

/// Characters of a device id that the page proposes.
const LONGEST_DEVICE: usize = 64;

/// `personId`; or `handle` with `name` for somebody new, without for somebody known.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SignIn {
    person_id: Option<String>,
    handle: Option<String>,
    name: Option<String>,
    /// Kept by the page, so that a device is the same when it comes again.
    device_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignedIn {
    session: String,
    me: Person,
    device_id: String,
}

pub(super) async fn sign_in(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
    Body(wanted): Body<SignIn>,
) -> Result<Response, Refusal> {
    let foreign = |problem: crate::origin::Foreign| {
        Refusal::new(StatusCode::FORBIDDEN, "foreignOrigin", problem.to_string())
    };
    app.origins.check(&uri, &headers).map_err(foreign)?;
    let device_id = match wanted.device_id {
        Some(id) => valid_device(id)?,
        None => format!("d_{}", random_text(16)),
    };
    // 32 of 62 characters: 190 bits.
    let session = random_text(32);
    let me = app.change(|world, changes| {
        let me = match (&wanted.person_id, &wanted.handle, &wanted.name) {
            (Some(id), None, _) => world.account(id)?.person.clone(),
            (None, Some(handle), None) => world.by_handle(handle)?.clone(),
            (None, Some(handle), Some(name)) => {
                world.register(format!("p_{}", random_text(12)), handle, name, changes)?
            }
            _ => return Err(No::Invalid("personId", "either this, or handle and name".into())),
        };
        world.sign_in(hash(&session), &me.id, device_id.clone(), now_ms());
        Ok(me)
    })?;
    answer(&SignedIn { session, me, device_id })
}

pub(super) async fn sign_out(
    State(app): State<Arc<App>>,
    _: super::Me,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    app.change(|world, _| world.sign_out(&hash(bearer(&headers).unwrap_or_default())));
    Ok(StatusCode::NO_CONTENT)
}

fn valid_device(id: String) -> Result<String, Refusal> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if id.is_empty() || id.len() > LONGEST_DEVICE || !id.bytes().all(plain) {
        return Err(Refusal::invalid(
            "deviceId",
            format!("1 to {LONGEST_DEVICE} letters, digits, _ and -; or leave it out"),
        ));
    }
    Ok(id)
}
