//! Pushes: what wakes a device that has no socket.
//!
//! By default nothing happens here: the PUSH event itself goes to the product's backend, through Subscribe and webhooks,
//! and the backend asks its push services. With a gateway, or another [`PushSink`], pushes go there as well.
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sluice_api::calls::v1 as api;
use sluice_calls::Time;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::unusable::Unusable;
use super::webhook::StartError;
use super::webhook::follower::{Follower, Pace, Target};
use super::webhook::post::{Delivery, Post};
use crate::store::{Position, Store, StoreError};

/// Where the progress is remembered.
const KEY: &str = "calls/push/progress";

/// A push gateway: a service that gets each push as a signed POST.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PushSettings {
    /// `http://` or `https://`. Empty: there is no gateway; pushes go to the product's backend as events.
    pub url: String,
    /// Signs each request, in the manner of webhooks.
    pub secret: String,
    /// Requests under way at once.
    pub in_flight: usize,
    /// A request without an answer by then has failed, in milliseconds.
    pub timeout_ms: u64,
}

impl Default for PushSettings {
    fn default() -> Self {
        Self { url: String::new(), secret: String::new(), in_flight: 64, timeout_ms: 3_000 }
    }
}

/// Whoever can wake devices. Called at least once for each push, until it takes it or the push's deadline has passed.
#[async_trait]
pub(crate) trait PushSink: Send + Sync + 'static {
    /// `id` is the same at each attempt.
    async fn push(&self, id: &str, push: &api::Push) -> Delivery;
}

/// The sink of the settings, if they name one.
pub(crate) fn gateway(settings: &PushSettings) -> Result<Option<Arc<dyn PushSink>>, Unusable> {
    if settings.url.is_empty() {
        return Ok(None);
    }
    if settings.in_flight == 0 || settings.timeout_ms == 0 {
        return Err(Unusable::new("push", "`in_flight` and `timeout_ms` are at least 1"));
    }
    let post = Post::new(&settings.url, &settings.secret, settings.timeout_ms, "push.")?;
    Ok(Some(Arc::new(Gateway { post })))
}

/// Brings every PUSH event of the log to `sink` until `stop`.
pub(crate) async fn start(
    settings: &PushSettings,
    sink: Arc<dyn PushSink>,
    store: &Arc<dyn Store>,
    last: &watch::Receiver<Position>,
    stop: &CancellationToken,
) -> Result<JoinHandle<()>, StartError> {
    // A push lives for the remaining ring time, 45 s by default: it is retried soon, or never.
    let pace = Pace {
        in_flight: settings.in_flight,
        first_retry_ms: 250,
        longest_retry_ms: 4_000,
        give_up_ms: 120_000,
        read_ahead: 4_096,
        waiting: 100_000,
    };
    let target = Arc::new(Pushes { sink });
    let follower = Follower::open("push", KEY.into(), target, pace, store, last);
    let follower = follower.await.map_err(|error: StoreError| StartError::Store(error))?;
    Ok(tokio::spawn(follower.run(stop.clone())))
}

struct Gateway {
    post: Post,
}

#[async_trait]
impl PushSink for Gateway {
    async fn push(&self, id: &str, push: &api::Push) -> Delivery {
        self.post.event(id, push).await
    }
}

struct Pushes {
    sink: Arc<dyn PushSink>,
}

#[async_trait]
impl Target for Pushes {
    fn wants(&self, kind: api::EventType) -> bool {
        kind == api::EventType::Push
    }

    /// In order for each user: "stop" must not come before "ring". Users do not wait for each other.
    fn lane(&self, event: &api::Event) -> String {
        let user = event.push.as_ref().map_or("", |push| push.user_id.as_str());
        format!("{}/{user}", event.call_id)
    }

    fn deadline(&self, event: &api::Event) -> Option<Time> {
        let deadline = event.push.as_ref().map_or(0, |push| push.deadline_ms);
        Some(Time(deadline.max(0).unsigned_abs()))
    }

    async fn deliver(&self, event: &api::Event) -> Delivery {
        match &event.push {
            Some(push) => self.sink.push(&event.event_id, push).await,
            None => Delivery::Refused("it says whom to wake nowhere".into()),
        }
    }
}

#[cfg(test)]
mod tests;
