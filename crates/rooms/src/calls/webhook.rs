//! What happens in calls, for the product's backend: each event of the store's log is POSTed, signed, to each endpoint.
//!
//! At least once, and in order per call: the next event of a call waits for the former one, while other calls go on. The
//! events stay in the store; a [`follower`] only knows where each one stands, so that it may be down for hours or killed
//! at any moment. Nothing here waits for a backend that does not answer but that endpoint's own follower.
use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use sluice_api::calls::v1 as api;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::unusable::Unusable;
use crate::store::{Position, Store, StoreError};

pub(crate) mod follower;
pub(crate) mod post;
mod queue;
pub(crate) mod settings;
pub(crate) mod sign;

use follower::{Follower, Pace, Target};
use post::{Delivery, Post};
use settings::WebhookSettings;

/// Letters of an endpoint's name, which is part of a key in the store.
const LONGEST_NAME: usize = 64;

/// A sink could not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Unusable(#[from] Unusable),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Follows the log for each endpoint until `stop`; await the tasks then, so that what was delivered is remembered.
///
/// `last` grows with each commit that holds events. An endpoint that is new begins with the events after this.
///
/// # Errors
/// Names the setting that is unusable; or the store failed.
pub(crate) async fn start(
    endpoints: &[WebhookSettings],
    store: &Arc<dyn Store>,
    last: &watch::Receiver<Position>,
    stop: &CancellationToken,
) -> Result<Vec<JoinHandle<()>>, StartError> {
    let mut names = HashSet::new();
    let mut followers = Vec::new();
    for (place, settings) in endpoints.iter().enumerate() {
        let target = Arc::new(Endpoint::new(settings, place)?);
        if !names.insert(settings.name.as_str()) {
            let text = format!("`{}` is the name of two endpoints", settings.name);
            return Err(Unusable::new(format!("webhooks[{place}].name"), text).into());
        }
        let key = format!("calls/webhook/{}", settings.name);
        followers.push(Follower::open(&settings.name, key, target, Pace::of(settings), store, last).await?);
    }
    Ok(followers.into_iter().map(|follower| tokio::spawn(follower.run(stop.clone()))).collect())
}

/// One endpoint of the product's backend.
struct Endpoint {
    /// Empty: all.
    types: HashSet<api::EventType>,
    post: Post,
}

impl Endpoint {
    fn new(settings: &WebhookSettings, place: usize) -> Result<Self, Unusable> {
        let field = |name: &str| format!("webhooks[{place}].{name}");
        let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        if !(1..=LONGEST_NAME).contains(&settings.name.len()) || !settings.name.bytes().all(letters) {
            let text = "must be 1 to 64 lower-case letters, digits, `-` and `_`";
            return Err(Unusable::new(field("name"), text));
        }
        if settings.in_flight == 0
            || settings.read_ahead == 0
            || settings.waiting == 0
            || settings.timeout_ms == 0
        {
            let text = "`in_flight`, `read_ahead`, `waiting` and `timeout_ms` are at least 1";
            return Err(Unusable::new(format!("webhooks[{place}]"), text));
        }
        let types = settings.events.iter().map(|name| {
            let full = format!("EVENT_TYPE_{}", name.trim_start_matches("EVENT_TYPE_"));
            let known = api::EventType::from_str_name(&full);
            known.ok_or_else(|| Unusable::new(field("events"), format!("`{name}` is not an event type")))
        });
        let types = types.collect::<Result<_, _>>()?;
        let post = Post::new(&settings.url, &settings.secret, settings.timeout_ms, &field(""))?;
        Ok(Self { types, post })
    }
}

#[async_trait]
impl Target for Endpoint {
    fn wants(&self, kind: api::EventType) -> bool {
        self.types.is_empty() || self.types.contains(&kind)
    }

    async fn deliver(&self, event: &api::Event) -> Delivery {
        self.post.event(&event.event_id, event).await
    }
}

#[cfg(test)]
mod tests;
