//! A process that dies while a phone rings: the next one goes on with the same call, at the same deadline.
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use sluice_api::calls::v1::*;
use sluice_rooms::store::{EmbeddedSettings, EmbeddedStore};

use super::backend::*;

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

#[tokio::test]
async fn a_ringing_call_outlives_the_process_and_times_out_at_its_own_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Arc::new(EmbeddedStore::open(EmbeddedSettings::at(folder.path())).unwrap());
    let backend = Backend::start_with(open(), |settings| settings.calls.model.ring_ms = 3_000).await;
    let request = direct();
    let call = backend.create(request.clone()).await.unwrap().call.unwrap();
    let deadline = call.legs.iter().find(|leg| leg.user_id == "ben").unwrap().ring_deadline_ms;
    backend.kill().await;

    // The store is free once the tasks of the old process have ended.
    let store = loop {
        match EmbeddedStore::open(EmbeddedSettings::at(folder.path())) {
            Ok(store) => break Arc::new(store),
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    };
    let backend = Backend::start_with(store, |settings| settings.calls.model.ring_ms = 60_000).await;
    let again = backend.create(request).await.unwrap().call.unwrap();
    assert_eq!(again.call_id, call.call_id, "the request is remembered");
    let record = backend.record(&call.call_id).await;
    assert!(matches!(record.end_reason(), EndReason::NoAnswer | EndReason::Unreachable), "{record:?}");
    let late_by = record.ended_at_ms - deadline;
    assert!((0..2_000).contains(&late_by), "ended {late_by} ms after its deadline, now {}", now_ms());
    let ben = record.legs.iter().find(|leg| leg.user_id == "ben").unwrap();
    assert_eq!(ben.shown(), Outcome::Missed);
    backend.stop().await;
}
