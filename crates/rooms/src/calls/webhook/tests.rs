//! Stories of delivery, to real HTTP servers on loopback.
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use prost::Message as _;
use tokio::net::TcpListener;

use super::*;
use crate::calls::authority::wall_clock;
use crate::store::{Change, Expected, MemoryStore};

type Rule = Box<dyn FnMut(&api::Event) -> StatusCode + Send>;

/// An endpoint: what it got, and what it says to each request.
pub(crate) struct Receiver {
    pub(crate) url: String,
    pub(crate) got: Mutex<Vec<(HeaderMap, Vec<u8>, StatusCode)>>,
    rule: Mutex<Rule>,
}

impl Receiver {
    async fn start(rule: impl FnMut(&api::Event) -> StatusCode + Send + 'static) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/events", listener.local_addr().unwrap());
        let receiver = Arc::new(Self { url, got: Mutex::default(), rule: Mutex::new(Box::new(rule)) });
        let state = receiver.clone();
        let answer = async move |headers: HeaderMap, body: Bytes| {
            let event: api::Event = serde_json::from_slice(&body).unwrap();
            let status = (state.rule.lock().unwrap())(&event);
            state.got.lock().unwrap().push((headers, body.to_vec(), status));
            status
        };
        let routes = Router::new().route("/events", post(answer));
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        receiver
    }

    /// Ids of events that were taken, in order.
    fn taken(&self) -> Vec<String> {
        let got = self.got.lock().unwrap();
        let taken = got.iter().filter(|(_, _, status)| status.is_success());
        taken.map(|(headers, ..)| headers["sluice-event-id"].to_str().unwrap().to_owned()).collect()
    }

    async fn has_taken(&self, count: usize) {
        until(|| self.taken().len() >= count, || format!("{:?} instead of {count}", self.taken())).await;
    }
}

async fn until(condition: impl Fn() -> bool, otherwise: impl Fn() -> String) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{}", otherwise());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A log that is written to.
struct Log {
    store: Arc<dyn Store>,
    last: watch::Sender<Position>,
}

impl Log {
    fn new(kept: usize) -> Self {
        Self { store: Arc::new(MemoryStore::keeping(kept)), last: watch::Sender::new(Position(0)) }
    }

    async fn append(&self, events: &[api::Event]) {
        let events = events.iter().map(|event| event.encode_to_vec().into()).collect();
        let change =
            Change { key: "call".into(), expected: Expected::Any, value: Some(Bytes::new()), events };
        let committed = self.store.commit(vec![change]).await.unwrap().remove(0).unwrap();
        self.last.send_replace(committed.position);
    }

    async fn start(&self, endpoints: &[WebhookSettings]) -> Running {
        let stop = CancellationToken::new();
        let tasks = start(endpoints, &self.store, &self.last.subscribe(), &stop).await.unwrap();
        Running { stop, tasks }
    }

    async fn progress(&self, name: &str) -> queue::Progress {
        let document = self.store.get(&format!("calls/webhook/{name}")).await.unwrap().unwrap();
        serde_json::from_slice(&document.value).unwrap()
    }
}

struct Running {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap();
        }
    }

    fn kill(self) {
        for task in self.tasks {
            task.abort();
        }
    }
}

fn event(call: &str, revision: u64) -> api::Event {
    api::Event {
        event_id: format!("{call}-{revision}"),
        call_id: call.into(),
        revision,
        at_ms: wall_clock().0.try_into().unwrap(),
        r#type: api::EventType::CallCreated.into(),
        ..Default::default()
    }
}

fn events(calls: &[&str], each: u64) -> Vec<api::Event> {
    (1..=each).flat_map(|revision| calls.iter().map(move |call| event(call, revision))).collect()
}

fn to(receiver: &Receiver) -> WebhookSettings {
    let (url, secret) = (receiver.url.clone(), "s3cret".into());
    WebhookSettings { url, secret, first_retry_ms: 10, longest_retry_ms: 40, ..WebhookSettings::default() }
}

fn of_call(taken: &[String], call: &str) -> Vec<String> {
    taken.iter().filter(|id| id.starts_with(call)).cloned().collect()
}

#[tokio::test]
async fn an_event_comes_as_json_with_a_signature_that_anybody_can_check() {
    let log = Log::new(1_000);
    let receiver = Receiver::start(|_| StatusCode::NO_CONTENT).await;
    log.append(&[event("before", 1)]).await;
    let running = log.start(&[to(&receiver)]).await;
    log.append(&[event("call", 1)]).await;
    receiver.has_taken(1).await;
    let (headers, body, _) = receiver.got.lock().unwrap()[0].clone();
    let event: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(event["eventId"], "call-1", "what was there before the endpoint was is not sent");
    assert_eq!((&event["callId"], &event["type"]), (&"call".into(), &"EVENT_TYPE_CALL_CREATED".into()));
    assert_eq!(headers["content-type"], "application/json");
    let timestamp = headers["sluice-timestamp"].to_str().unwrap();
    assert!(wall_clock().0 / 1_000 - timestamp.parse::<u64>().unwrap() < 60);
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"s3cret").unwrap();
    mac.update(format!("{timestamp}.").as_bytes());
    mac.update(&body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(headers["sluice-signature"], format!("v1={hex}"));
    running.stop().await;
}

#[tokio::test]
async fn events_of_a_call_stay_in_order_however_often_they_fail() {
    let log = Log::new(1_000);
    let mut tries: HashMap<String, u32> = HashMap::new();
    // Each third event fails three times.
    let receiver = Receiver::start(move |event| {
        let tries = tries.entry(event.event_id.clone()).or_default();
        *tries += 1;
        if event.revision % 3 == 0 && *tries <= 3 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
    })
    .await;
    let running = log.start(&[to(&receiver)]).await;
    let calls = ["a", "b", "c", "d"];
    log.append(&events(&calls, 10)).await;
    receiver.has_taken(40).await;
    let taken = receiver.taken();
    assert_eq!(taken.len(), 40, "nothing twice");
    for call in calls {
        let expected: Vec<String> = (1..=10).map(|revision| format!("{call}-{revision}")).collect();
        assert_eq!(of_call(&taken, call), expected);
    }
    running.stop().await;
    assert_eq!(log.progress("backend").await, queue::Progress { read: 40, open: vec![] });
}

#[tokio::test]
async fn a_call_that_always_fails_and_a_dead_endpoint_block_nobody_else() {
    let log = Log::new(10_000);
    let bad =
        |event: &api::Event| if event.call_id == "bad" { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let receiver = Receiver::start(bad).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let small = WebhookSettings { in_flight: 2, read_ahead: 8, ..to(&receiver) };
    let dead = WebhookSettings { name: "dead".into(), url: nobody, ..to(&receiver) };
    let running = log.start(&[dead, small]).await;
    log.append(&events(&["bad", "good"], 100)).await;
    receiver.has_taken(100).await;
    let expected: Vec<String> = (1..=100).map(|revision| format!("good-{revision}")).collect();
    assert_eq!(receiver.taken(), expected);
    running.stop().await;
    let progress = log.progress("backend").await;
    assert_eq!((progress.read, progress.open.len()), (200, 100), "every second one is undelivered");
    assert_eq!(log.progress("dead").await, queue::Progress { read: 200, open: vec![(1, 200)] });
}

#[tokio::test]
async fn after_a_restart_it_goes_on_with_what_was_not_delivered() {
    let log = Log::new(1_000);
    let down = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let flag = down.clone();
    let receiver = Receiver::start(move |event| {
        let fails = event.call_id == "bad" && flag.load(std::sync::atomic::Ordering::Relaxed);
        if fails { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
    })
    .await;
    let running = log.start(&[to(&receiver)]).await;
    log.append(&events(&["bad", "good"], 5)).await;
    receiver.has_taken(5).await;
    running.stop().await;
    log.append(&[event("late", 1)]).await;
    down.store(false, std::sync::atomic::Ordering::Relaxed);
    let running = log.start(&[to(&receiver)]).await;
    receiver.has_taken(11).await;
    running.stop().await;
    let taken = receiver.taken();
    assert_eq!(taken.len(), 11, "nothing twice: {taken:?}");
    assert_eq!(of_call(&taken, "bad"), ["bad-1", "bad-2", "bad-3", "bad-4", "bad-5"]);
    assert_eq!(of_call(&taken, "late"), ["late-1"]);
}

#[tokio::test]
async fn a_kill_loses_nothing() {
    let log = Log::new(10_000);
    let receiver = Receiver::start(|_| StatusCode::OK).await;
    let calls: Vec<String> = (0..50).map(|number| format!("call{number}")).collect();
    let calls: Vec<&str> = calls.iter().map(String::as_str).collect();
    let all = events(&calls, 10);
    let running = log.start(&[to(&receiver)]).await;
    for part in all.chunks(100) {
        log.append(part).await;
        receiver.has_taken(20).await;
    }
    running.kill();
    let running = log.start(&[to(&receiver)]).await;
    let distinct = || receiver.taken().into_iter().collect::<HashSet<_>>().len();
    until(|| distinct() == 500, || format!("{} of 500", distinct())).await;
    running.stop().await;
}

#[tokio::test]
async fn gone_gives_up_the_event_and_old_age_too() {
    let log = Log::new(1_000);
    let receiver = Receiver::start(|event| match event.event_id.as_str() {
        "a-1" => StatusCode::GONE,
        "a-2" => StatusCode::BAD_GATEWAY,
        _ => StatusCode::OK,
    })
    .await;
    let running = log.start(&[WebhookSettings { give_up_s: 1, ..to(&receiver) }]).await;
    log.append(&events(&["a"], 3)).await;
    receiver.has_taken(1).await;
    assert_eq!(receiver.taken(), ["a-3"]);
    let tries = |id: &str| {
        let got = receiver.got.lock().unwrap();
        got.iter().filter(|(headers, ..)| headers["sluice-event-id"] == id).count()
    };
    assert_eq!(tries("a-1"), 1);
    assert!(tries("a-2") > 5, "for a second: {}", tries("a-2"));
    running.stop().await;
}

#[tokio::test]
async fn a_log_that_was_trimmed_ends_nothing() {
    let log = Log::new(10);
    let receiver = Receiver::start(|_| StatusCode::OK).await;
    // Known to the endpoint, but it is away while the log moves on.
    log.start(&[to(&receiver)]).await.stop().await;
    log.append(&events(&["a"], 100)).await;
    let running = log.start(&[to(&receiver)]).await;
    receiver.has_taken(10).await;
    log.append(&[event("b", 1)]).await;
    receiver.has_taken(11).await;
    running.stop().await;
    assert_eq!(receiver.taken().first().map(String::as_str), Some("a-91"));
    assert_eq!(log.progress("backend").await, queue::Progress { read: 101, open: vec![] });
}

#[tokio::test]
async fn undelivered_events_that_the_log_forgot_are_given_up() {
    let log = Log::new(10);
    let receiver =
        Receiver::start(
            |event| {
                if event.call_id == "bad" { StatusCode::BAD_GATEWAY } else { StatusCode::OK }
            },
        )
        .await;
    let running = log.start(&[to(&receiver)]).await;
    log.append(&[event("bad", 1)]).await;
    until(|| !receiver.got.lock().unwrap().is_empty(), || "no attempt".into()).await;
    log.append(&events(&["good"], 20)).await;
    receiver.has_taken(10).await;
    log.append(&[event("bad", 2)]).await;
    let second =
        || receiver.got.lock().unwrap().iter().any(|(headers, ..)| headers["sluice-event-id"] == "bad-2");
    until(second, || "the next event of the call is never tried".into()).await;
    running.stop().await;
}

#[tokio::test]
async fn an_endpoint_gets_the_types_that_it_wants() {
    let log = Log::new(1_000);
    let receiver = Receiver::start(|_| StatusCode::OK).await;
    let ended = api::Event { r#type: api::EventType::CallEnded.into(), ..event("a", 2) };
    let only = WebhookSettings { events: vec!["CALL_ENDED".into()], ..to(&receiver) };
    let running = log.start(&[only]).await;
    log.append(&[event("a", 1), ended]).await;
    receiver.has_taken(1).await;
    running.stop().await;
    assert_eq!(receiver.taken(), ["a-2"]);
    assert_eq!(log.progress("backend").await.read, 2);
}

#[tokio::test]
async fn unusable_settings_are_named() {
    let log = Log::new(10);
    let good =
        WebhookSettings { url: "http://127.0.0.1:9/".into(), secret: "s".into(), ..Default::default() };
    let cases = [
        (vec![WebhookSettings { name: "A/b".into(), ..good.clone() }], "webhooks[0].name"),
        (vec![WebhookSettings { url: "nowhere".into(), ..good.clone() }], "webhooks[0].url"),
        (vec![WebhookSettings { secret: String::new(), ..good.clone() }], "webhooks[0].secret"),
        (vec![WebhookSettings { events: vec!["CALL".into()], ..good.clone() }], "webhooks[0].events"),
        (vec![good.clone(), good], "webhooks[1].name"),
    ];
    for (endpoints, field) in cases {
        let stop = CancellationToken::new();
        match start(&endpoints, &log.store, &log.last.subscribe(), &stop).await {
            Err(StartError::Unusable(unusable)) => assert_eq!(unusable.field, field),
            other => panic!("{field}: {other:?}"),
        }
    }
}
