//! The event log: every event of the node with its number, and the streams of those who watch.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::Stream;
use futures_util::stream;
use prost::Message as _;
use sluice_api::sfu::v1 as api;
use tokio::sync::watch;
use tonic::Status;

use crate::event_ring::EventRing;

/// Events copied from the log at once; a watcher never holds more.
const PAGE: usize = 256;

/// The newest events of a node. Numbers begin with 1 at each boot.
pub(crate) struct EventLog {
    boot_id: String,
    max_watchers: usize,
    ring: Mutex<EventRing>,
    /// Written only while the ring is locked.
    progress: watch::Sender<Progress>,
    watchers: AtomicUsize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    /// The number of the last event.
    last: u64,
    /// There will be no more.
    closed: bool,
}

impl EventLog {
    /// Keeps `capacity` events for at most `max_watchers` streams.
    pub(crate) fn new(boot_id: String, capacity: usize, max_watchers: usize) -> Self {
        EventLog {
            boot_id,
            max_watchers,
            ring: Mutex::new(EventRing::new(capacity)),
            progress: watch::Sender::default(),
            watchers: AtomicUsize::new(0),
        }
    }

    pub(crate) fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// The number of the last event.
    pub(crate) fn last(&self) -> u64 {
        self.progress.borrow().last
    }

    /// Streams that are open.
    pub(crate) fn watchers(&self) -> usize {
        self.watchers.load(Ordering::Relaxed)
    }

    /// Numbers an event and gives it to all who watch.
    pub(crate) fn append(&self, room_id: &str, at: SystemTime, kind: api::event::Kind) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let sequence = self.last() + 1;
        let room_id = room_id.to_owned();
        let event = api::Event { sequence, at_ms: unix_ms(at), room_id, kind: Some(kind) };
        ring.push(&event);
        self.progress.send_modify(|progress| progress.last = sequence);
    }

    /// `count` events were lost on their way: their numbers stay empty, so that everybody notices.
    pub(crate) fn skip(&self, count: u64) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.clear();
        self.progress.send_modify(|progress| progress.last += count);
    }

    /// There will be no more events: streams end once they have shown what there is.
    pub(crate) fn close(&self) {
        self.progress.send_modify(|progress| progress.closed = true);
    }

    /// Opens a stream: `Hello`, then events. It ends with an error for a watcher that fell too far behind.
    pub(crate) fn watch(
        self: &Arc<Self>,
        request: &api::WatchEventsRequest,
    ) -> Result<impl Stream<Item = Result<api::WatchEventsResponse, Status>> + use<>, Status> {
        let place = Place::take(self)?;
        let known = self.progress.subscribe();
        let (after, reset) = {
            let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
            let last = self.last();
            let kept = ring.before_oldest().unwrap_or(last)..=last;
            let resumable = request.boot_id == self.boot_id && kept.contains(&request.after_sequence);
            match (request.boot_id.is_empty(), resumable) {
                (true, _) => (last, false),
                (false, true) => (request.after_sequence, false),
                (false, false) => (last, true),
            }
        };
        let hello = api::Hello { boot_id: self.boot_id.clone(), sequence: after, reset };
        let hello = api::watch_events_response::Message::Hello(hello);
        let watcher = Watcher { place, known, after, page: VecDeque::new() };
        let events = stream::unfold(Some(watcher), |watcher| async move {
            let mut watcher = watcher?;
            match watcher.next().await {
                Ok(event) => {
                    let event = api::watch_events_response::Message::Event(event);
                    Some((Ok(api::WatchEventsResponse { message: Some(event) }), Some(watcher)))
                }
                Err(status) => Some((Err(status), None)),
            }
        });
        let hello = stream::iter([Ok(api::WatchEventsResponse { message: Some(hello) })]);
        Ok(futures_util::StreamExt::chain(hello, events))
    }

    /// The events behind `after`, a page at most; an error if some of them are gone.
    fn page(&self, after: u64, page: &mut VecDeque<Vec<u8>>) -> Result<(), Status> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let last = self.last();
        let before_oldest = ring.before_oldest().unwrap_or(last);
        if after < before_oldest {
            return Err(Status::data_loss(
                "events were lost, or this watcher is too slow: watch again, and fetch snapshots if told to",
            ));
        }
        // Numbers in the ring are consecutive: a gap clears it.
        let skip = usize::try_from(after - before_oldest).unwrap_or(usize::MAX);
        page.extend(ring.read(skip, PAGE));
        Ok(())
    }
}

/// One of the places for watchers; given back when the stream is dropped.
struct Place(Arc<EventLog>);

impl Place {
    fn take(log: &Arc<EventLog>) -> Result<Self, Status> {
        let place = Place(log.clone());
        if log.watchers.fetch_add(1, Ordering::Relaxed) >= log.max_watchers {
            return Err(Status::resource_exhausted("too many event streams"));
        }
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Watcher {
    place: Place,
    known: watch::Receiver<Progress>,
    after: u64,
    /// Encoded.
    page: VecDeque<Vec<u8>>,
}

impl Watcher {
    async fn next(&mut self) -> Result<api::Event, Status> {
        loop {
            if let Some(event) = self.page.pop_front() {
                let event = api::Event::decode(&event[..]);
                let event =
                    event.map_err(|error| Status::internal(format!("a kept event is broken: {error}")))?;
                self.after = event.sequence;
                return Ok(event);
            }
            let closed = self.known.borrow_and_update().closed;
            self.place.0.page(self.after, &mut self.page)?;
            if self.page.is_empty() && (closed || self.known.changed().await.is_err()) {
                return Err(Status::unavailable("the node shuts down"));
            }
        }
    }
}

/// Milliseconds since the Unix epoch; times before it are 0.
pub(crate) fn unix_ms(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
