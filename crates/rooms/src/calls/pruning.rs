//! Old documents and events go, in small steps, so that nothing waits for it.
use std::time::Duration;

use prost::Message as _;
use sluice_api::calls::v1 as api;
use sluice_calls::Time;
use tokio_util::sync::CancellationToken;

use super::documents::{Documents, EXPIRY, decode};
use crate::store::{Change, Expected, Position, StoreError};

/// Expired documents removed, and events looked at, in one step.
const STEP: usize = 256;
/// Between steps while there is nothing to do.
const IDLE: Duration = Duration::from_secs(30);
/// Between steps while there is: a thousandth of the store's time.
const BUSY: Duration = Duration::from_millis(50);

/// How much of the event log stays.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogRetention {
    pub(crate) age_ms: u64,
    pub(crate) events: u64,
}

/// Prunes until `stop`.
pub(crate) async fn run(
    documents: Documents,
    log: LogRetention,
    clock: fn() -> Time,
    stop: CancellationToken,
) {
    loop {
        let step = async {
            let expired = expire(&documents, clock()).await?;
            let trimmed = trim(&documents, log, clock()).await?;
            Ok::<_, StoreError>(expired || trimmed)
        };
        let wait = match step.await {
            Ok(true) => BUSY,
            Ok(false) => IDLE,
            Err(error) => {
                tracing::warn!(%error, "old documents stay for now");
                IDLE
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Removes documents whose time is over; true if there may be more.
async fn expire(documents: &Documents, now: Time) -> Result<bool, StoreError> {
    let page = documents.store.page(EXPIRY, None, STEP).await?;
    let due = |key: &str| {
        let at = key.strip_prefix(EXPIRY).and_then(|rest| rest.split('/').next()?.parse::<u64>().ok());
        at.is_none_or(|at| at <= now.0)
    };
    let expired: Vec<_> = page.iter().take_while(|(key, _)| due(key)).collect();
    let remove = |key: String| Change { key, expected: Expected::Any, value: None, events: Vec::new() };
    let mut changes = Vec::new();
    for (key, document) in &expired {
        changes.extend(decode::<Vec<String>>(key, document)?.into_iter().map(remove));
        changes.push(remove(key.clone()));
    }
    if !changes.is_empty() {
        metrics::counter!("sluice_calls_documents_expired_total").increment(changes.len() as u64);
        documents.write(changes).await?;
    }
    Ok(expired.len() == STEP)
}

/// Forgets events that are too old or too many; true if there may be more.
async fn trim(documents: &Documents, log: LogRetention, now: Time) -> Result<bool, StoreError> {
    let span = documents.store.span().await?;
    let surplus = span.last.0.saturating_sub(log.events);
    if surplus >= span.first.0 {
        documents.store.trim(Position(surplus)).await?;
        return Ok(false);
    }
    let before = Position(span.first.0.saturating_sub(1));
    let oldest = documents.store.events(before, STEP).await?;
    let eldest = now.0.saturating_sub(log.age_ms);
    let old = |bytes: &[u8]| {
        // What cannot be read helps nobody.
        api::Event::decode(bytes).map_or(true, |event| u64::try_from(event.at_ms).is_ok_and(|at| at < eldest))
    };
    let over = oldest.iter().take_while(|(_, bytes)| old(bytes)).count();
    let Some((through, _)) = over.checked_sub(1).and_then(|last| oldest.get(last)) else { return Ok(false) };
    documents.store.trim(*through).await?;
    Ok(over == STEP)
}
