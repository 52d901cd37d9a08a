//! What stands in the store: keys, and JSON documents. Nothing else of the calls service names a key.
//!
//! A live call is one document, replaced with each transition. At its end the record and its index are written first and
//! the live document goes last, together with the events: on an engine whose batches are not atomic, a crash between
//! leaves a live call that ends again, over the same keys.
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sluice_calls::{
    Call, CallId, ConversationId, Record, RecordOutcome, RequestId, Time, Transition, UserId,
};

use super::convert;
use crate::store::{Change, Document, Expected, Revision, Store, StoreError};

/// Live calls read at once at a start.
const PAGE: usize = 256;
/// Greater than any time, so that keys with the difference sort from the newest.
const FAR: u64 = 9_999_999_999_999;

const LIVE: &str = "calls/live/";
pub(super) const EXPIRY: &str = "calls/expiry/";

fn live_key(call: &CallId) -> String {
    format!("{LIVE}{call}")
}

fn record_key(call: &CallId) -> String {
    format!("calls/record/{call}")
}

fn request_key(user: &UserId, request: &RequestId) -> String {
    format!("calls/request/{user}/{}", escaped(request.as_str()))
}

/// Request ids come from devices too, where they may hold a slash.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('/', "%2F")
}

/// Where a user's records are listed.
pub(super) fn user_prefix(user: &UserId) -> String {
    format!("calls/by-user/{user}/")
}

/// Where a conversation's records are listed.
pub(super) fn conversation_prefix(conversation: &ConversationId) -> String {
    format!("calls/by-conversation/{conversation}/")
}

/// By the time of creation, which is the same if a call ends twice.
fn index_suffix(record: &Record) -> String {
    format!("{:013}/{}", FAR.saturating_sub(record.created_at.0), record.call)
}

/// When the documents named in it are to go.
pub(super) fn expiry_key(at: Time, name: &str) -> String {
    format!("{EXPIRY}{:013}/{name}", at.0.min(FAR))
}

/// The document of an ended call: for the API the record, for late retries the last state.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub(crate) record: Record,
    pub(crate) call: Call,
}

/// A creation that was done: a retry finds the call that it made, also after its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    /// A call's id, or a link's.
    pub(crate) made: String,
    /// Of what was asked, so that another request under the same id is refused.
    pub(crate) fingerprint: u64,
}

/// What to remember of a creation, once it is known which call it made.
#[derive(Debug, Clone)]
pub(crate) struct Remember {
    pub(crate) by: UserId,
    pub(crate) request: RequestId,
    pub(crate) fingerprint: u64,
}

/// For how long documents stay.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention {
    pub(crate) records_ms: u64,
    pub(crate) requests_ms: u64,
}

/// The documents of the calls service. Clones share the store.
#[derive(Clone)]
pub(crate) struct Documents {
    pub(super) store: Arc<dyn Store>,
    pub(super) retention: Retention,
}

pub(super) fn encode<T: Serialize>(document: &T) -> Result<Bytes, StoreError> {
    let encoded = serde_json::to_vec(document);
    encoded.map(Bytes::from).map_err(|error| StoreError::Unavailable(format!("encoding: {error}")))
}

pub(super) fn decode<T: DeserializeOwned>(key: &str, document: &Document) -> Result<T, StoreError> {
    serde_json::from_slice(&document.value)
        .map_err(|error| StoreError::Unavailable(format!("the document {key} cannot be read: {error}")))
}

pub(super) fn put(key: String, value: Bytes) -> Change {
    Change { key, expected: Expected::Any, value: Some(value), events: Vec::new() }
}

impl Documents {
    pub(crate) fn new(store: Arc<dyn Store>, retention: Retention) -> Self {
        Self { store, retention }
    }

    /// A document as it stands, with its revision.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        key: &str,
    ) -> Result<Option<(T, Revision)>, StoreError> {
        let Some(document) = self.store.get(key).await? else { return Ok(None) };
        Ok(Some((decode(key, &document)?, document.revision)))
    }

    /// The writes of a batch: of each call its last state, with the events of all its transitions.
    pub(crate) fn changes(&self, transitions: &[Transition]) -> Result<Vec<Change>, StoreError> {
        let mut places: HashMap<&CallId, usize> = HashMap::new();
        let mut calls: Vec<(&Transition, Vec<Bytes>)> = Vec::new();
        for transition in transitions {
            let place = *places.entry(&transition.call.id).or_insert(calls.len());
            if place == calls.len() {
                calls.push((transition, Vec::new()));
            }
            let (last, events) = &mut calls[place];
            *last = transition;
            events.extend(convert::event::encode(transition));
        }
        let mut changes = Vec::with_capacity(calls.len());
        for (last, events) in calls {
            let key = live_key(&last.call.id);
            let value = match &last.record {
                Some(record) => {
                    self.end(record, &last.call, &mut changes)?;
                    None
                }
                None => Some(encode(&*last.call)?),
            };
            changes.push(Change { key, expected: Expected::Any, value, events });
        }
        Ok(changes)
    }

    fn end(&self, record: &Record, call: &Call, changes: &mut Vec<Change>) -> Result<(), StoreError> {
        let key = record_key(&record.call);
        let ended = Ended { record: record.clone(), call: call.clone() };
        changes.push(put(key.clone(), encode(&ended)?));
        let mut keys = vec![key];
        let suffix = index_suffix(record);
        let listed = record.legs.iter().filter(|leg| leg.shown != RecordOutcome::Nothing);
        let prefixes = listed.map(|leg| user_prefix(&leg.user));
        for prefix in prefixes.chain(record.conversation.as_ref().map(conversation_prefix)) {
            let key = prefix + &suffix;
            changes.push(put(key.clone(), Bytes::new()));
            keys.push(key);
        }
        let at = record.ended_at.after_ms(self.retention.records_ms);
        changes.push(put(expiry_key(at, record.call.as_str()), encode(&keys)?));
        Ok(())
    }

    /// The writes by which a creation is remembered.
    pub(crate) fn remember(&self, now: Time, what: &Remember, made: &str) -> Result<[Change; 2], StoreError> {
        let key = request_key(&what.by, &what.request);
        let value = encode(&Remembered { made: made.to_owned(), fingerprint: what.fingerprint })?;
        let at = now.after_ms(self.retention.requests_ms);
        let name = format!("request-{}-{}", what.by, escaped(what.request.as_str()));
        let expiry = put(expiry_key(at, &name), encode(&[&key])?);
        Ok([put(key, value), expiry])
    }

    /// What a creation made, if it was done before.
    pub(crate) async fn remembered(
        &self,
        by: &UserId,
        request: &RequestId,
    ) -> Result<Option<Remembered>, StoreError> {
        Ok(self.read(&request_key(by, request)).await?.map(|(remembered, _)| remembered))
    }

    /// All live calls. One that cannot be read is left alone and told of: the others go on.
    pub(crate) async fn live(&self) -> Result<Vec<Call>, StoreError> {
        let mut calls = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.store.page(LIVE, after.as_deref(), PAGE).await?;
            for (key, document) in &page {
                match decode(key, document) {
                    Ok(call) => calls.push(call),
                    Err(error) => tracing::error!(%error, "a live call is lost"),
                }
            }
            match page.into_iter().next_back() {
                Some((last, _)) => after = Some(last),
                None => return Ok(calls),
            }
        }
    }

    /// A live call as it is stored.
    pub(crate) async fn stored(&self, call: &CallId) -> Result<Option<Call>, StoreError> {
        Ok(self.read(&live_key(call)).await?.map(|(call, _)| call))
    }

    /// A call that has ended.
    pub(crate) async fn ended(&self, call: &CallId) -> Result<Option<Ended>, StoreError> {
        Ok(self.read(&record_key(call)).await?.map(|(ended, _)| ended))
    }

    /// Changes the record of an ended call; false if there is none.
    pub(crate) async fn amend(&self, call: &CallId, amend: impl Fn(&mut Ended)) -> Result<bool, StoreError> {
        let key = record_key(call);
        loop {
            let Some((mut ended, revision)) = self.read::<Ended>(&key).await? else { return Ok(false) };
            amend(&mut ended);
            match self.store.put(&key, encode(&ended)?, Some(revision)).await {
                Ok(_) => return Ok(true),
                Err(StoreError::Conflict(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the store can be written.
    pub(crate) async fn probe(&self) -> Result<(), StoreError> {
        self.write(vec![put("calls/probe".into(), Bytes::new())]).await
    }

    /// Writes that expect nothing.
    pub(super) async fn write(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        for answer in self.store.commit(changes).await? {
            answer?;
        }
        Ok(())
    }
}
