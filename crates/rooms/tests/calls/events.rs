//! The stream of events: in order, from a resume token on, and an error where it cannot be.
use sluice_api::calls::v1::*;
use tonic::{Code, Streaming};

use super::backend::*;

async fn subscribe(backend: &Backend, token: &str) -> Streaming<Event> {
    let request = SubscribeRequest { resume_token: token.into() };
    backend.rpc().subscribe(with_token(request)).await.unwrap().into_inner()
}

async fn until(events: &mut Streaming<Event>, last: EventType) -> Vec<Event> {
    let mut seen = Vec::new();
    let reading = async {
        while seen.last().is_none_or(|event: &Event| event.r#type() != last) {
            seen.push(events.message().await.unwrap().expect("the stream goes on"));
        }
    };
    if tokio::time::timeout(PATIENCE, reading).await.is_err() {
        panic!(
            "{last:?} did not come; before: {:?}",
            seen.iter().map(|event| event.r#type()).collect::<Vec<_>>()
        );
    }
    seen
}

#[tokio::test]
async fn a_follower_hears_all_in_order_and_resumes_where_it_stopped() {
    let backend = Backend::start().await;
    let mut events = subscribe(&backend, "").await;
    let call = backend.create(direct()).await.unwrap().call.unwrap().call_id;
    backend.accept(&call, "ben").await.unwrap();
    backend.leave(&call, "ann").await.unwrap();
    let seen = until(&mut events, EventType::RecordReady).await;
    let types: Vec<_> = seen.iter().map(Event::r#type).collect();
    assert_eq!(types.first(), Some(&EventType::CallCreated));
    assert!(types.contains(&EventType::CallAnswered) && types.contains(&EventType::CallEnded), "{types:?}");
    assert!(seen.iter().all(|event| event.call_id == call && !event.resume_token.is_empty()));
    assert!(seen.windows(2).all(|pair| pair[0].revision <= pair[1].revision), "revisions never go back");

    let middle = seen.len() / 2;
    let mut resumed = subscribe(&backend, &seen[middle].resume_token).await;
    assert_eq!(until(&mut resumed, EventType::RecordReady).await, seen[middle + 1..]);
    backend.stop().await;
}

#[tokio::test]
async fn a_token_that_is_of_no_use_is_refused() {
    let backend = Backend::start().await;
    let code = async |token: &str| {
        let request = SubscribeRequest { resume_token: token.into() };
        backend.rpc().subscribe(with_token(request)).await.map(drop).unwrap_err().code()
    };
    assert_eq!(code("nonsense").await, Code::InvalidArgument);
    assert_eq!(code("anotherlog-3").await, Code::OutOfRange);
    backend.stop().await;
}

#[tokio::test]
async fn a_follower_is_told_when_the_server_stops() {
    let backend = Backend::start().await;
    let mut events = subscribe(&backend, "").await;
    let stopping = tokio::spawn(backend.stop());
    let end = events.message().await.expect_err("an error says that it goes on elsewhere");
    assert_eq!(end.code(), Code::Unavailable);
    stopping.await.unwrap();
}
