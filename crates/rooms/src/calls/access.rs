//! Tokens with which a device enters its call's room: short-lived, bound to call and seat.
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sluice_api::calls::v1 as api;
use sluice_calls::{CallId, Seat};

use super::desk::Trouble;
use crate::token::{Grants, TokenBuilder};

/// Signs them.
pub(crate) struct AccessDesk {
    key: String,
    secret: String,
    url: String,
    validity: Duration,
}

/// What a seat may send.
pub(crate) fn sources(video: bool, screen_share: bool) -> Vec<&'static str> {
    let mut sources = vec!["microphone"];
    if video {
        sources.push("camera");
    }
    if screen_share {
        sources.extend(["screen_share", "screen_share_audio"]);
    }
    sources
}

impl AccessDesk {
    /// `url`: where clients connect; empty if that is not known.
    pub(crate) fn new(key: &str, secret: &str, url: &str, validity: Duration) -> Self {
        Self { key: key.into(), secret: secret.into(), url: url.into(), validity }
    }

    /// For this seat of this call, from now on.
    pub(crate) fn issue(&self, call: &CallId, seat: &Seat) -> Result<api::MediaAccess, Trouble> {
        let grants = Grants {
            room_join: true,
            room: call.to_string(),
            can_publish_sources: sources(seat.video, seat.screen_share)
                .into_iter()
                .map(String::from)
                .collect(),
            can_publish_data: Some(true),
            ..Grants::default()
        };
        let token = TokenBuilder::new(&seat.identity)
            .name(&seat.handle)
            .grants(grants)
            .call(call.as_str())
            .validity(self.validity)
            .sign(&self.key, &self.secret);
        let token = token.map_err(|error| {
            tracing::error!(%error, "a token for a call's room");
            Trouble::Unavailable("the token for the call's room cannot be signed")
        })?;
        let expires = SystemTime::now() + self.validity;
        let expires = expires.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Ok(api::MediaAccess {
            url: self.url.clone(),
            token,
            room: call.to_string(),
            identity: seat.identity.clone(),
            expires_at_ms: i64::try_from(expires).unwrap_or(i64::MAX),
        })
    }
}
