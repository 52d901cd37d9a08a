//! The log of events as those see it who follow it: from a resume token on, in order, at least once.
//!
//! A reader holds no memory here: it asks the store for the next events when it has taken the last ones. One that is too
//! slow falls behind what is kept, and is told so.
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use prost::Message as _;
use rand::RngExt as _;
use sluice_api::calls::v1 as api;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::desk::Trouble;
use crate::store::{Change, Expected, Position, Store, StoreError};

/// Events read at once for one reader.
const PAGE: usize = 128;
/// Names this log: a token of another one must not be taken for one of this.
const LOG_KEY: &str = "calls/log";

/// The log, and where it ends. Clones share it.
#[derive(Clone)]
pub(crate) struct Outbox {
    pub(crate) store: Arc<dyn Store>,
    /// Grows with each commit that holds events.
    pub(crate) last: watch::Receiver<Position>,
    name: Arc<str>,
}

impl Outbox {
    /// Over the log of `store`; `last` follows its commits.
    pub(crate) async fn open(
        store: Arc<dyn Store>,
        last: watch::Receiver<Position>,
    ) -> Result<Self, StoreError> {
        let name = match store.get(LOG_KEY).await? {
            Some(document) => String::from_utf8_lossy(&document.value).into_owned(),
            None => {
                let letters = rand::rng().sample_iter(rand::distr::Alphanumeric).take(8).map(char::from);
                let name: String = letters.collect();
                let value = Some(Bytes::from(name.clone()));
                let change =
                    Change { key: LOG_KEY.into(), expected: Expected::Absent, value, events: Vec::new() };
                for answer in store.commit(vec![change]).await? {
                    answer?;
                }
                name
            }
        };
        Ok(Self { store, last, name: name.into() })
    }

    fn token(&self, position: Position) -> String {
        format!("{}-{}", self.name, position.0)
    }

    /// Where a reader with this token begins.
    async fn position(&self, token: &str) -> Result<Position, Trouble> {
        let span = self.store.span().await?;
        if token.is_empty() {
            return Ok(span.last);
        }
        let malformed = || Trouble::Invalid { field: "resume_token", text: "is not one of ours".into() };
        let (name, number) = token.rsplit_once('-').ok_or_else(malformed)?;
        let position: u64 = number.parse().map_err(|_| malformed())?;
        if name != &*self.name || position > span.last.0 {
            return Err(out_of_range("the token is of another log"));
        }
        if position + 1 < span.first.0 {
            return Err(out_of_range("the token is older than what is kept"));
        }
        Ok(Position(position))
    }

    /// All events after `token`; empty: from now on. Ends with an error if the reader falls behind what is kept, or the
    /// store fails; ends when `stop` is.
    ///
    /// # Errors
    /// A token that is malformed, of another log or too old.
    pub(crate) async fn follow(
        &self,
        token: &str,
        stop: CancellationToken,
    ) -> Result<impl Stream<Item = Result<api::Event, Trouble>> + Send + use<>, Trouble> {
        let after = self.position(token).await?;
        let reader = Reader { outbox: self.clone(), after, ready: VecDeque::new(), stop, over: false };
        Ok(futures_util::stream::unfold(reader, async |mut reader| {
            if reader.over {
                return None;
            }
            let next = reader.next().await?;
            reader.over = next.is_err();
            Some((next, reader))
        }))
    }
}

fn out_of_range(text: &str) -> Trouble {
    Trouble::OutOfRange(format!("{text}: list the live calls and subscribe anew"))
}

struct Reader {
    outbox: Outbox,
    after: Position,
    ready: VecDeque<(Position, Bytes)>,
    stop: CancellationToken,
    over: bool,
}

impl Reader {
    async fn next(&mut self) -> Option<Result<api::Event, Trouble>> {
        while self.ready.is_empty() {
            // Before the look: a commit after it wakes us.
            self.outbox.last.mark_unchanged();
            match self.outbox.store.events(self.after, PAGE).await {
                Ok(events) => self.ready.extend(events),
                Err(error) => return Some(Err(error.into())),
            }
            if self.ready.is_empty() {
                tokio::select! {
                    () = self.stop.cancelled() => {
                        return Some(Err(Trouble::Unavailable("the server stops: subscribe again")));
                    }
                    changed = self.outbox.last.changed() => {
                        if changed.is_err() {
                            return Some(Err(Trouble::Unavailable("the server stops: subscribe again")));
                        }
                    }
                }
            }
        }
        let (position, bytes) = self.ready.pop_front()?;
        if position.0 != self.after.0 + 1 {
            return Some(Err(out_of_range("this reader is too slow: events that it has not read are gone")));
        }
        self.after = position;
        match api::Event::decode(bytes) {
            Ok(mut event) => {
                event.resume_token = self.outbox.token(position);
                Some(Ok(event))
            }
            Err(error) => {
                tracing::error!(position = position.0, %error, "an event of the log cannot be read: left out");
                Box::pin(self.next()).await
            }
        }
    }
}
