use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use prost::Message as _;
use tokio::net::TcpListener;

use super::*;
use crate::calls::authority::wall_clock;
use crate::store::{Change, Expected, MemoryStore};

fn event(id: &str, kind: api::EventType, push: Option<api::Push>) -> Bytes {
    let event = api::Event {
        event_id: id.into(),
        call_id: "call".into(),
        at_ms: now(),
        r#type: kind.into(),
        push,
        ..Default::default()
    };
    event.encode_to_vec().into()
}

fn now() -> i64 {
    wall_clock().0.try_into().unwrap()
}

fn to(user: &str, deadline_ms: i64) -> Option<api::Push> {
    Some(api::Push { user_id: user.into(), deadline_ms, attempt: 1, ..Default::default() })
}

#[tokio::test]
async fn without_a_gateway_pushes_are_events_only() {
    assert!(gateway(&PushSettings::default()).unwrap().is_none());
    let unusable = gateway(&PushSettings { url: "http://x/".into(), ..Default::default() });
    assert_eq!(unusable.err().map(|unusable| unusable.field).as_deref(), Some("push.secret"));
}

#[tokio::test]
async fn a_gateway_gets_signed_pushes_alone_and_none_past_its_deadline() {
    let got: Arc<Mutex<Vec<(String, api::Push)>>> = Arc::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/push", listener.local_addr().unwrap());
    let seen = got.clone();
    let answer = async move |headers: HeaderMap, body: Bytes| {
        assert!(headers["sluice-signature"].to_str().unwrap().starts_with("v1="));
        let push: api::Push = serde_json::from_slice(&body).unwrap();
        let id = headers["sluice-event-id"].to_str().unwrap().to_owned();
        let fails = push.user_id == "unlucky";
        seen.lock().unwrap().push((id, push));
        if fails { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
    };
    let routes = Router::new().route("/push", post(answer));
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });

    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let last = watch::Sender::new(Position(0));
    let stop = CancellationToken::new();
    let settings = PushSettings { url, secret: "s3cret".into(), ..Default::default() };
    let sink = gateway(&settings).unwrap().unwrap();
    let task = start(&settings, sink, &store, &last.subscribe(), &stop).await.unwrap();
    let events = vec![
        event("late", api::EventType::Push, to("bob", now() - 1)),
        event("created", api::EventType::CallCreated, None),
        event("fails", api::EventType::Push, to("unlucky", now() + 2_000)),
        event("fails-next", api::EventType::Push, to("unlucky", now() + 60_000)),
        event("ring", api::EventType::Push, to("carol", now() + 60_000)),
    ];
    let change = Change { key: "call".into(), expected: Expected::Any, value: Some(Bytes::new()), events };
    let committed = store.commit(vec![change]).await.unwrap().remove(0).unwrap();
    last.send_replace(committed.position);

    let tried = |id: &str| got.lock().unwrap().iter().filter(|(seen, _)| seen == id).count();
    let deadline = Instant::now() + Duration::from_secs(20);
    // A push that expires makes way for the next one of the same user.
    while tried("fails-next") == 0 {
        assert!(Instant::now() < deadline, "{:?}", got.lock().unwrap());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.cancel();
    task.await.unwrap();
    assert_eq!((tried("late"), tried("created"), tried("ring")), (0, 0, 1));
    assert!((2..=8).contains(&tried("fails")), "retried, then dropped: {}", tried("fails"));
}
