//! A running product, and people who use it.
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::StreamExt as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};
use sha2::Sha256;
use sluice_api::calls::v1::*;
use sluice_demo::{Demo, Settings};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::fake::{FakeCalls, TOKEN};

pub const SECRET: &str = "shared by Sluice and the product";
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Product {
    pub base: String,
    pub client: Client,
    pub calls: FakeCalls,
    stop: CancellationToken,
    tasks: [JoinHandle<()>; 2],
}

impl Product {
    pub async fn start() -> Self {
        Self::with(FakeCalls::default(), None).await
    }

    pub async fn with(calls: FakeCalls, data: Option<PathBuf>) -> Self {
        let settings = Settings {
            calls: format!("http://{}", calls.start().await),
            calls_token: TOKEN.into(),
            webhook_secret: SECRET.into(),
            hook_secret: Some(SECRET.into()),
            data,
            addresses: Vec::new(),
        };
        let demo = Demo::start(settings).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let (routes, ending) = (demo.routes(), stop.clone());
        let serving = tokio::spawn(async move {
            let server = axum::serve(listener, routes);
            server.with_graceful_shutdown(ending.cancelled_owned()).await.unwrap();
        });
        let running = tokio::spawn(demo.run_until(stop.clone()));
        Self { base, client: Client::new(), calls, stop, tasks: [serving, running] }
    }

    pub async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            tokio::time::timeout(PATIENCE, task).await.expect("it ends").unwrap();
        }
    }

    pub async fn sign_in(&self, person: &str) -> User<'_> {
        let body = json!({ "personId": person, "deviceId": format!("{person}-laptop") });
        let answer = self.client.post(format!("{}/demo/api/session", self.base)).json(&body).send().await;
        let answer: Value = answer.unwrap().error_for_status().unwrap().json().await.unwrap();
        assert_eq!(answer["me"]["id"], person);
        User { product: self, session: answer["session"].as_str().unwrap().into() }
    }

    /// Sends what Sluice would send.
    pub async fn webhook(&self, event: &Event) -> StatusCode {
        let body = serde_json::to_string(event).unwrap();
        self.signed("/demo/hooks/events", &body, now_s(), SECRET).await.status()
    }

    pub async fn signed(&self, path: &str, body: &str, seconds: i64, secret: &str) -> Response {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("{seconds}.{body}").as_bytes());
        let signature: String =
            mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let request = self.client.post(format!("{}{path}", self.base));
        let request = request.header("sluice-timestamp", seconds.to_string());
        let request = request.header("sluice-signature", format!("v1={signature}"));
        request.body(body.to_owned()).send().await.unwrap()
    }
}

pub fn now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// Somebody who is signed in.
pub struct User<'a> {
    product: &'a Product,
    pub session: String,
}

impl User<'_> {
    pub async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let request = self.product.client.request(method, format!("{}/demo/api{path}", self.product.base));
        let mut request = request.bearer_auth(&self.session);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        let value =
            if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect("JSON, always") };
        (status, value)
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, value) = self.ask(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {value}");
        value
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let (status, value) = self.ask(Method::POST, path, Some(body)).await;
        assert!(status.is_success(), "{path}: {status} {value}");
        value
    }

    pub async fn put(&self, path: &str, body: Option<Value>) -> Value {
        let (status, value) = self.ask(Method::PUT, path, body).await;
        assert!(status.is_success(), "{path}: {status} {value}");
        value
    }

    /// The id of the direct thread with somebody.
    pub async fn direct(&self, other: &str) -> String {
        let thread = self.post("/threads", json!({ "kind": "direct", "memberIds": [other] })).await;
        thread["id"].as_str().unwrap().to_owned()
    }

    pub async fn messages(&self, thread: &str) -> Vec<Value> {
        self.get(&format!("/threads/{thread}/messages")).await["messages"].as_array().unwrap().clone()
    }

    /// One thread of the list; null if it is not there.
    pub async fn thread(&self, id: &str) -> Value {
        let threads = self.get("/threads").await;
        threads.as_array().unwrap().iter().find(|thread| thread["id"] == id).cloned().unwrap_or_default()
    }

    pub async fn live(&self) -> Live {
        let url = format!("{}/demo/api/live?session={}", self.product.base, self.session);
        let answer = self.product.client.get(url).send().await.unwrap().error_for_status().unwrap();
        let stream = answer.bytes_stream().map(|bytes| bytes.unwrap().to_vec()).boxed();
        let mut live = Live { stream, text: String::new(), last_id: 0 };
        assert!(live.block().await.ends_with("hello"), "the feed opens at once");
        live
    }
}

/// An open feed.
pub struct Live {
    stream: futures_util::stream::BoxStream<'static, Vec<u8>>,
    text: String,
    last_id: u64,
}

impl Live {
    async fn block(&mut self) -> String {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return block;
            }
            let more = tokio::time::timeout(PATIENCE, self.stream.next()).await.expect("an update in time");
            self.text.push_str(std::str::from_utf8(&more.expect("the feed goes on")).unwrap());
        }
    }

    /// The next update: its name and what it says.
    pub async fn next(&mut self) -> (String, Value) {
        let mut block = self.block().await;
        // Heartbeats.
        while block.starts_with(':') {
            block = self.block().await;
        }
        let field = |name: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_else(|| panic!("no {name} in {block}")).trim_start().to_owned()
        };
        let id: u64 = field("id").parse().unwrap();
        assert!(id > self.last_id, "ids grow");
        self.last_id = id;
        (field("event"), serde_json::from_str(&field("data")).unwrap())
    }

    /// Waits for an update of this name that fits.
    pub async fn wait_for(&mut self, name: &str, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let (what, value) = self.next().await;
            if what == name && fits(&value) {
                return value;
            }
        }
    }
}

pub fn leg(user: &str, state: LegState, verdict: Verdict) -> Leg {
    Leg { user_id: user.into(), state: state.into(), verdict: verdict.into(), ..Leg::default() }
}

pub fn call(id: &str, conversation: &str, kind: CallKind, state: CallState, legs: Vec<Leg>) -> Call {
    Call {
        call_id: id.into(),
        revision: 1,
        state: state.into(),
        kind: kind.into(),
        media: Media::Audio.into(),
        conversation_id: conversation.into(),
        creator_user_id: legs[0].user_id.clone(),
        created_at_ms: 1_000,
        answered_at_ms: if state == CallState::Active { 2_000 } else { 0 },
        legs,
        ..Call::default()
    }
}

pub fn event(id: &str, kind: EventType, call: &Call) -> Event {
    Event {
        event_id: id.into(),
        call_id: call.call_id.clone(),
        revision: call.revision,
        r#type: kind.into(),
        conversation_id: call.conversation_id.clone(),
        call: Some(call.clone()),
        ..Event::default()
    }
}

/// Legs: user, what their list shows, whether they were in the call.
pub fn record(id: &str, conversation: &str, kind: CallKind, legs: &[(&str, Outcome, bool)]) -> Record {
    let answered = legs.iter().skip(1).any(|(_, _, joined)| *joined);
    Record {
        call_id: id.into(),
        conversation_id: conversation.into(),
        kind: kind.into(),
        media: Media::Video.into(),
        creator_user_id: legs[0].0.into(),
        created_at_ms: 1_000,
        ended_at_ms: 65_000,
        duration_ms: if answered { 60_000 } else { 0 },
        legs: legs
            .iter()
            .map(|(user, shown, joined)| LegRecord {
                user_id: (*user).into(),
                shown: (*shown).into(),
                joined_at_ms: if *joined { 5_000 } else { 0 },
                ..LegRecord::default()
            })
            .collect(),
        ..Record::default()
    }
}

pub fn record_ready(event_id: &str, record: &Record) -> Event {
    Event {
        event_id: event_id.into(),
        call_id: record.call_id.clone(),
        r#type: EventType::RecordReady.into(),
        conversation_id: record.conversation_id.clone(),
        record: Some(record.clone()),
        ..Event::default()
    }
}
