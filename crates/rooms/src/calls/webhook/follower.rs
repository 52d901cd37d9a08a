//! One task that brings the log's events to one target, and remembers how far it is.
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use prost::Message as _;
use rand::RngExt as _;
use sluice_api::calls::v1 as api;
use sluice_calls::Time;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::post::Delivery;
use super::queue::{Job, Progress, Queue};
use super::settings::WebhookSettings;
use crate::calls::authority::wall_clock;
use crate::store::{Position, Revision, Store, StoreError};

/// Events read at once.
const PAGE: usize = 256;
/// Progress is written this often at most: what is delivered since is delivered twice after a kill.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// A store that fails is asked again after this.
const STORE_AGAIN: Duration = Duration::from_secs(1);
/// At the end, requests under way get this long.
const GRACE: Duration = Duration::from_secs(2);

/// Where events go.
#[async_trait]
pub(crate) trait Target: Send + Sync + 'static {
    fn wants(&self, kind: api::EventType) -> bool;

    /// Events of one lane stay in order.
    fn lane(&self, event: &api::Event) -> String {
        event.call_id.clone()
    }

    /// After this it is of no use any more.
    fn deadline(&self, event: &api::Event) -> Option<Time> {
        let _ = event;
        None
    }

    async fn deliver(&self, event: &api::Event) -> Delivery;
}

/// How fast, how often, how much.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    pub(crate) in_flight: usize,
    pub(crate) first_retry_ms: u64,
    pub(crate) longest_retry_ms: u64,
    pub(crate) give_up_ms: u64,
    pub(crate) read_ahead: usize,
    pub(crate) waiting: usize,
}

impl Pace {
    pub(super) fn of(settings: &WebhookSettings) -> Self {
        Self {
            in_flight: settings.in_flight,
            first_retry_ms: settings.first_retry_ms,
            longest_retry_ms: settings.longest_retry_ms,
            give_up_ms: settings.give_up_s.saturating_mul(1_000),
            read_ahead: settings.read_ahead,
            waiting: settings.waiting,
        }
    }

    /// Exponential, with jitter: `random` is 0 to 1. Many calls that fail together do not come back together.
    fn retry_in_ms(&self, failures: u32, random: f64) -> u64 {
        let doubled = self.first_retry_ms.saturating_mul(1_u64 << failures.min(32));
        let most = doubled.min(self.longest_retry_ms);
        most / 2 + (most as f64 / 2.0 * random) as u64
    }
}

/// What became of a job.
enum End {
    Tried(Delivery),
    /// Past its deadline.
    Expired,
    /// No longer in the log, or unreadable.
    Lost,
}

/// See the module.
pub(crate) struct Follower<T> {
    name: String,
    key: String,
    target: Arc<T>,
    pace: Pace,
    store: Arc<dyn Store>,
    last: watch::Receiver<Position>,
    queue: Queue,
    jobs: JoinSet<(End, i64)>,
    lanes: HashMap<Id, Job>,
    saved: Saved,
    /// The log may hold more than was read.
    more: bool,
}

/// The document of the progress as it was written last.
struct Saved {
    revision: Revision,
    /// Of the queue.
    version: u64,
    at: Instant,
}

impl<T: Target> Follower<T> {
    /// Goes on where it was, or begins with the next event; from here on no event is missed.
    pub(crate) async fn open(
        name: &str,
        key: String,
        target: Arc<T>,
        pace: Pace,
        store: &Arc<dyn Store>,
        last: &watch::Receiver<Position>,
    ) -> Result<Self, StoreError> {
        let span = store.span().await?;
        let (mut progress, revision) = match store.get(&key).await? {
            Some(document) => {
                let progress: Progress = serde_json::from_slice(&document.value).map_err(|error| {
                    StoreError::Unavailable(format!("the document {key} cannot be read: {error}"))
                })?;
                (progress, document.revision)
            }
            None => {
                let progress = Progress { read: span.last.0, open: Vec::new() };
                let revision = store.put(&key, encode(&progress)?, None).await?;
                (progress, revision)
            }
        };
        if progress.read > span.last.0 {
            tracing::warn!(
                name,
                read = progress.read,
                last = span.last.0,
                "the log is older than this sink's progress"
            );
            progress = Progress { read: span.last.0, open: Vec::new() };
        }
        let queue = Queue::new(progress.read, pace.read_ahead, pace.waiting);
        let saved = Saved { revision, version: 0, at: Instant::now() };
        let mut follower = Self {
            name: name.to_owned(),
            key,
            target,
            pace,
            store: store.clone(),
            last: last.clone(),
            queue,
            jobs: JoinSet::new(),
            lanes: HashMap::new(),
            saved,
            more: true,
        };
        follower.take_back(progress.open).await?;
        Ok(follower)
    }

    /// Until `stop`; then requests under way get a moment, and the progress is written.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut alone = false;
        loop {
            let pause = self.read().await;
            self.begin();
            self.save_if_due().await;
            let reading = self.more && self.queue.room() > 0 && pause.is_none();
            if reading {
                // Stays fair to what is under way: one page, one look at it.
                while let Some(ended) = self.jobs.try_join_next_with_id() {
                    self.settle(ended);
                }
                if stop.is_cancelled() {
                    break;
                }
                continue;
            }
            let wake = self.wakes_at(pause);
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = self.jobs.join_next_with_id(), if !self.jobs.is_empty() => {
                    self.settle(ended);
                    while let Some(ended) = self.jobs.try_join_next_with_id() {
                        self.settle(ended);
                    }
                }
                changed = self.last.changed(), if !alone => {
                    alone = changed.is_err();
                    self.more = true;
                }
                () = tokio::time::sleep_until(wake) => {}
            }
        }
        let _ = tokio::time::timeout(GRACE, async {
            while let Some(ended) = self.jobs.join_next_with_id().await {
                self.settle(ended);
            }
        })
        .await;
        self.save().await;
    }

    /// Reads one page if there is room. Returns how long to leave the store alone.
    async fn read(&mut self) -> Option<Duration> {
        let limit = self.queue.room().min(PAGE);
        if !self.more || limit == 0 {
            return None;
        }
        // Before the look: a commit after it wakes us.
        self.last.mark_unchanged();
        let page = match self.store.events(self.queue.read(), limit).await {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(name = self.name, %error, "the log cannot be read");
                return Some(STORE_AGAIN);
            }
        };
        self.more = page.len() == limit;
        for (position, bytes) in page {
            let lost = position.0.saturating_sub(self.queue.read().0 + 1);
            self.count_lost(lost);
            self.take(position, bytes);
        }
        None
    }

    fn take(&mut self, position: Position, bytes: Bytes) {
        match api::Event::decode(bytes.clone()) {
            Ok(event) if self.target.wants(event.r#type()) => {
                self.queue.push(position, &self.target.lane(&event), bytes);
            }
            Ok(_) => self.queue.advance(position),
            Err(error) => {
                tracing::error!(position = position.0, %error, "an event of the log cannot be read: left out");
                self.queue.advance(position);
                self.count_lost(1);
            }
        }
    }

    /// What was undelivered when the progress was written.
    async fn take_back(&mut self, open: Vec<(u64, u64)>) -> Result<(), StoreError> {
        for (first, last) in open {
            let mut next = first;
            while next <= last {
                let limit = PAGE.min(usize::try_from(last - next + 1).unwrap_or(PAGE));
                let page = self.store.events(Position(next.saturating_sub(1)), limit).await?;
                let inside: Vec<_> = page.into_iter().filter(|(position, _)| position.0 <= last).collect();
                let Some(reached) = inside.last().map(|(position, _)| position.0) else {
                    self.count_lost(last + 1 - next);
                    break;
                };
                self.count_lost(reached + 1 - next - inside.len() as u64);
                for (position, bytes) in inside {
                    self.take(position, bytes);
                }
                next = reached + 1;
            }
        }
        Ok(())
    }

    fn begin(&mut self) {
        while self.jobs.len() < self.pace.in_flight {
            let Some(job) = self.queue.next(wall_clock()) else { break };
            let (target, store, name) = (self.target.clone(), self.store.clone(), self.name.clone());
            let (position, event) = (job.position, job.event.clone());
            let handle = self.jobs.spawn(attempt(name, target, store, position, event));
            self.lanes.insert(handle.id(), job);
        }
        let behind = self.last.borrow().0.saturating_sub(self.queue.read().0);
        let lag = behind as f64 + self.queue.undelivered() as f64;
        metrics::gauge!("sluice_calls_sink_lag_events", "sink" => self.name.clone()).set(lag);
    }

    fn settle(&mut self, ended: Result<(Id, (End, i64)), JoinError>) {
        let (id, (end, at_ms)) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                tracing::error!(name = self.name, %error, "an attempt broke off");
                let why = error.to_string();
                (error.id(), (End::Tried(Delivery::Failed { why, not_before_ms: None }), 0))
            }
        };
        let Some(job) = self.lanes.remove(&id) else { return };
        let result = match end {
            End::Tried(Delivery::Done) => "delivered",
            End::Expired => "expired",
            End::Lost => {
                self.count_lost(1);
                "lost"
            }
            End::Tried(Delivery::Refused(why)) => {
                tracing::warn!(
                    name = self.name,
                    call = job.lane,
                    position = job.position.0,
                    why,
                    "an event is refused"
                );
                "given_up"
            }
            End::Tried(Delivery::Failed { why, not_before_ms }) => {
                let now = wall_clock();
                let old = at_ms > 0 && now.ms_since(Time(at_ms.unsigned_abs())) > self.pace.give_up_ms;
                let (call, position) = (&job.lane, job.position.0);
                if !old {
                    tracing::debug!(
                        name = self.name,
                        call,
                        position,
                        why,
                        failures = job.failures,
                        "will be retried"
                    );
                    let pause = self.pace.retry_in_ms(job.failures, rand::rng().random());
                    self.queue.failed(&job.lane, now.after_ms(pause.max(not_before_ms.unwrap_or(0))));
                    self.count("retried");
                    return;
                }
                tracing::error!(name = self.name, call, position, why, "an event is given up: it is too old");
                "given_up"
            }
        };
        self.count(result);
        self.queue.settled(&job.lane);
    }

    fn count(&self, result: &'static str) {
        metrics::counter!("sluice_calls_sink_events_total", "sink" => self.name.clone(), "result" => result)
            .increment(1);
    }

    fn count_lost(&self, events: u64) {
        if events > 0 {
            tracing::error!(name = self.name, events, "events are lost: the log no longer holds them");
            metrics::counter!("sluice_calls_sink_lost_total", "sink" => self.name.clone()).increment(events);
        }
    }

    fn wakes_at(&self, pause: Option<Duration>) -> Instant {
        let now = Instant::now();
        let idle = now + Duration::from_secs(60);
        let save = if self.queue.version() == self.saved.version { idle } else { self.saved.at + SAVE_EVERY };
        let retry = self.queue.wakes_at().filter(|_| self.jobs.len() < self.pace.in_flight);
        let retry = retry.map_or(idle, |wake| now + Duration::from_millis(wake.ms_since(wall_clock())));
        save.min(retry).min(pause.map_or(idle, |pause| now + pause))
    }

    async fn save_if_due(&mut self) {
        if self.saved.at.elapsed() >= SAVE_EVERY {
            self.save().await;
        }
    }

    async fn save(&mut self) {
        let version = self.queue.version();
        self.saved.at = Instant::now();
        if version == self.saved.version {
            return;
        }
        let written = match encode(&self.queue.progress()) {
            Ok(value) => self.store.put(&self.key, value, Some(self.saved.revision)).await,
            Err(error) => Err(error),
        };
        match written {
            Ok(revision) => (self.saved.version, self.saved.revision) = (version, revision),
            Err(StoreError::Conflict(_)) => {
                tracing::error!(
                    name = self.name,
                    "another process writes this sink's progress: give each its own name"
                );
                if let Ok(Some(document)) = self.store.get(&self.key).await {
                    self.saved.revision = document.revision;
                }
            }
            Err(error) => tracing::warn!(name = self.name, %error, "the progress cannot be written"),
        }
    }
}

async fn attempt<T: Target>(
    name: String,
    target: Arc<T>,
    store: Arc<dyn Store>,
    position: Position,
    event: Option<Bytes>,
) -> (End, i64) {
    let bytes = match event {
        Some(bytes) => bytes,
        None => match store.events(Position(position.0.saturating_sub(1)), 1).await {
            Ok(page) => match page.into_iter().next() {
                Some((found, bytes)) if found == position => bytes,
                _ => return (End::Lost, 0),
            },
            Err(error) => {
                tracing::warn!(name, %error, "the log cannot be read");
                return (End::Tried(Delivery::Failed { why: error.to_string(), not_before_ms: None }), 0);
            }
        },
    };
    let Ok(event) = api::Event::decode(bytes) else { return (End::Lost, 0) };
    if target.deadline(&event).is_some_and(|deadline| deadline <= wall_clock()) {
        return (End::Expired, event.at_ms);
    }
    (End::Tried(target.deliver(&event).await), event.at_ms)
}

fn encode(progress: &Progress) -> Result<Bytes, StoreError> {
    let encoded = serde_json::to_vec(progress);
    encoded.map(Bytes::from).map_err(|error| StoreError::Unavailable(format!("encoding: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_come_later_and_later_and_not_all_at_once() {
        let pace = Pace::of(&WebhookSettings::default());
        let bounds: Vec<(u64, u64)> =
            [0, 1, 2, 9, 10, 40].map(|n| (pace.retry_in_ms(n, 0.0), pace.retry_in_ms(n, 1.0))).to_vec();
        let seconds = 1_000;
        assert_eq!(bounds[..3], [(500, seconds), (seconds, 2 * seconds), (2 * seconds, 4 * seconds)]);
        assert_eq!(bounds[3], (256 * seconds, 512 * seconds));
        assert_eq!(bounds[4..], [(300 * seconds, 600 * seconds); 2]);
    }
}
