//! Stories of the permission hook, asked over real HTTP and gRPC on loopback.
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::post;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sluice_api::calls::v1 as api;
use sluice_api::calls::v1::call_policy_server::{CallPolicy, CallPolicyServer};
use sluice_calls::DeviceId;
use tokio::net::TcpListener;
use tonic::{Request, Response, Status};

use super::settings::{HookSettings, RateSettings};
use super::*;
use crate::store::MemoryStore;

/// Everybody's phone is connected, nobody's laptop.
struct Phones;

impl Presence for Phones {
    fn devices(&self, _: &UserId) -> Vec<DeviceOffer> {
        vec![DeviceOffer { device: DeviceId::new("phone"), call_waiting: false, connected: true }]
    }
}

/// A backend: what it answers, and what it was asked.
struct Backend {
    url: String,
    answer: Mutex<Answer>,
    asked: Mutex<Vec<(HeaderMap, Vec<u8>)>>,
    count: AtomicUsize,
}

#[derive(Clone)]
enum Answer {
    Json(Value),
    Raw(StatusCode, Vec<u8>),
    Never,
}

impl Backend {
    async fn start(answer: Answer) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let backend = Arc::new(Self {
            url: format!("http://{}/authorize", listener.local_addr().unwrap()),
            answer: Mutex::new(answer),
            asked: Mutex::default(),
            count: AtomicUsize::new(0),
        });
        let state = backend.clone();
        let routes = Router::new().route(
            "/authorize",
            post(async move |headers: HeaderMap, body: axum::body::Bytes| {
                state.count.fetch_add(1, Ordering::Relaxed);
                state.asked.lock().unwrap().push((headers, body.to_vec()));
                let answer = state.answer.lock().unwrap().clone();
                match answer {
                    Answer::Json(value) => axum::Json(value).into_response(),
                    Answer::Raw(status, body) => (status, body).into_response(),
                    Answer::Never => std::future::pending().await,
                }
            }),
        );
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        backend
    }

    fn says(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    fn asked(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    fn hook(&self) -> HookSettings {
        HookSettings { url: self.url.clone(), ..HookSettings::default() }
    }
}

struct Scene {
    authority: Authority,
    now: Arc<AtomicU64>,
}

fn scene(hook: HookSettings) -> Scene {
    let settings = PermissionSettings { hook, rates: RateSettings::off(), ..PermissionSettings::default() };
    let now = Arc::new(AtomicU64::new(1_700_000_000_000));
    let clock = now.clone();
    let clock: Clock = Arc::new(move || Time(clock.load(Ordering::Relaxed)));
    let store = Arc::new(MemoryStore::new());
    Scene { authority: Authority::with_clock(&settings, store, Arc::new(Phones), clock).unwrap(), now }
}

fn question(callees: &[&str]) -> Question {
    Question {
        caller: Party { user: UserId::new("alice"), device: DeviceId::new("phone"), handle: "Alice".into() },
        callees: callees.iter().map(|callee| (UserId::new(*callee), format!("@{callee}"))).collect(),
        conversation: None,
        media: Media::Audio,
        kind: CallKind::Direct,
        call: None,
    }
}

impl Scene {
    async fn call(&self, callees: &[&str]) -> Result<Permission, Trouble> {
        self.authority.authorize(question(callees)).await
    }

    async fn verdicts(&self, callees: &[&str]) -> Vec<Verdict> {
        self.call(callees).await.unwrap().invitees.iter().map(|invitee| invitee.verdict).collect()
    }

    async fn cannot_call(&self, callees: &[&str]) {
        match self.call(callees).await {
            Err(Trouble::Refused(refusal)) => assert_eq!(refusal.reason, Reason::CannotCall),
            other => panic!("{other:?}"),
        }
    }

    fn pass_seconds(&self, seconds: u64) {
        self.now.fetch_add(seconds * 1_000, Ordering::Relaxed);
    }
}

fn ring(callee: &str) -> Value {
    json!({"callees": [{"userId": callee, "verdict": "VERDICT_RING"}]})
}

#[tokio::test]
async fn the_hook_says_who_rings_where_and_within_which_limits() {
    let backend = Backend::start(Answer::Json(json!({
        "callees": [
            {"userId": "carol", "verdict": "VERDICT_SILENT"},
            {"userId": "bob", "verdict": "VERDICT_RING", "handle": "Bob B.", "hideBusy": true, "devices": [
                {"deviceId": "phone", "callWaiting": true}, {"deviceId": "laptop"}]},
            {"userId": "mallory", "verdict": "VERDICT_DENY_HIDDEN"},
            {"userId": "eve", "verdict": "VERDICT_RING"},
        ],
        "limits": {"maxParticipants": 4, "maxDurationS": 60, "noVideo": true},
    })))
    .await;
    let scene = scene(HookSettings { token: "t0ken".into(), secret: "s3cret".into(), ..backend.hook() });
    let permission = scene.call(&["bob", "carol", "mallory", "dave"]).await.unwrap();

    let verdicts: Vec<_> =
        permission.invitees.iter().map(|invitee| (invitee.user.as_str(), invitee.verdict)).collect();
    let expected = [
        ("bob", Verdict::Ring),
        ("carol", Verdict::Silent),
        ("mallory", Verdict::DenyHidden),
        // Left out: denied. Eve, whom nobody asked about, is not called.
        ("dave", Verdict::Deny),
    ];
    assert_eq!(verdicts, expected);
    let bob = &permission.invitees[0];
    assert_eq!((bob.handle.as_str(), bob.hide_busy, bob.push), ("Bob B.", true, true));
    let offer = |id: &str, call_waiting, connected| DeviceOffer {
        device: DeviceId::new(id),
        call_waiting,
        connected,
    };
    assert_eq!(bob.devices, [offer("phone", true, true), offer("laptop", false, false)]);
    let hidden = &permission.invitees[2];
    assert_eq!(
        (hidden.devices.len(), hidden.push, hidden.handle.as_str()),
        (1, true, "@mallory"),
        "as if it rang"
    );
    assert_eq!(permission.limits.max_participants, Some(4));
    assert_eq!((permission.limits.max_duration_ms, permission.limits.no_video), (Some(60_000), true));

    let (headers, body) = backend.asked.lock().unwrap()[0].clone();
    assert_eq!(headers["authorization"], "Bearer t0ken");
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"s3cret").unwrap();
    mac.update(headers["sluice-timestamp"].as_bytes());
    mac.update(b".");
    mac.update(&body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(headers["sluice-signature"], format!("v1={hex}"));
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let expected = json!({
        "caller": {"userId": "alice", "deviceId": "phone", "handle": "Alice"},
        "calleeUserIds": ["bob", "carol", "mallory", "dave"],
        "media": "MEDIA_AUDIO",
        "kind": "CALL_KIND_DIRECT",
    });
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn without_a_list_all_connected_devices_ring_and_the_rest_may_be_pushed() {
    let backend = Backend::start(Answer::Json(ring("bob"))).await;
    let permission = scene(backend.hook()).call(&["bob"]).await.unwrap();
    assert_eq!((permission.invitees[0].devices.len(), permission.invitees[0].push), (1, true));
    let listed = json!({"callees": [
        {"userId": "bob", "verdict": "VERDICT_RING", "devices": [{"deviceId": "phone"}, {"deviceId": "phone"}]}]});
    backend.says(Answer::Json(listed));
    let permission = scene(backend.hook()).call(&["bob"]).await.unwrap();
    assert_eq!(
        (permission.invitees[0].devices.len(), permission.invitees[0].push),
        (1, false),
        "all are here"
    );
}

#[tokio::test]
async fn a_late_answer_is_no_answer() {
    let backend = Backend::start(Answer::Never).await;
    let scene = scene(HookSettings { deadline_ms: 200, ..backend.hook() });
    let begun = Instant::now();
    scene.cannot_call(&["bob"]).await;
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(200), "{took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn an_answer_is_reused_for_as_long_as_it_says() {
    let mut answer = ring("bob");
    answer["ttlS"] = json!(60);
    let backend = Backend::start(Answer::Json(answer)).await;
    let scene = scene(backend.hook());
    for _ in 0..3 {
        assert_eq!(scene.verdicts(&["bob"]).await, [Verdict::Ring]);
    }
    assert_eq!(backend.asked(), 1);
    let video = Question { media: Media::Video, ..question(&["bob"]) };
    scene.authority.authorize(video).await.unwrap();
    assert_eq!(backend.asked(), 2, "another question");
    scene.pass_seconds(60);
    scene.verdicts(&["bob"]).await;
    assert_eq!(backend.asked(), 3, "too old");
    scene.verdicts(&["bob", "carol"]).await;
    let asked: Value = serde_json::from_slice(&backend.asked.lock().unwrap()[3].1).unwrap();
    assert_eq!(asked["calleeUserIds"], json!(["carol"]), "only about whom nothing is known");
}

#[tokio::test]
async fn a_failing_hook_lets_ring_only_those_who_rang_in_the_last_hour() {
    let backend = Backend::start(Answer::Json(ring("bob"))).await;
    let scene = scene(backend.hook());
    scene.verdicts(&["bob"]).await;
    backend.says(Answer::Raw(StatusCode::INTERNAL_SERVER_ERROR, vec![]));
    assert_eq!(scene.verdicts(&["bob"]).await, [Verdict::Ring]);
    scene.cannot_call(&["carol"]).await;
    assert_eq!(
        scene.verdicts(&["carol", "bob"]).await,
        [Verdict::Deny, Verdict::Ring],
        "a group call goes on without her"
    );
    scene.pass_seconds(3_599);
    assert_eq!(scene.verdicts(&["bob"]).await, [Verdict::Ring]);
    scene.pass_seconds(1);
    scene.cannot_call(&["bob"]).await;
}

#[tokio::test]
async fn a_ring_that_was_taken_back_is_forgotten() {
    let backend = Backend::start(Answer::Json(ring("bob"))).await;
    let scene = scene(backend.hook());
    scene.verdicts(&["bob"]).await;
    backend.says(Answer::Json(json!({"callees": [{"userId": "bob", "verdict": "VERDICT_DENY_HIDDEN"}]})));
    assert_eq!(scene.verdicts(&["bob"]).await, [Verdict::DenyHidden]);
    backend.says(Answer::Raw(StatusCode::BAD_GATEWAY, vec![]));
    scene.cannot_call(&["bob"]).await;
}

#[tokio::test]
async fn a_malformed_answer_is_a_failure() {
    let twice = json!({"callees": [
        {"userId": "bob", "verdict": "VERDICT_RING"}, {"userId": "bob", "verdict": "VERDICT_DENY"}]});
    let devices: Vec<Value> = (0..17).map(|number| json!({"deviceId": format!("d{number}")})).collect();
    let raw = |body: &[u8]| Answer::Raw(StatusCode::OK, body.to_vec());
    let one = |more: Value| {
        let mut verdict = json!({"userId": "bob", "verdict": "VERDICT_RING"});
        verdict.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Answer::Json(json!({"callees": [verdict]}))
    };
    let cases = [
        ("no JSON", raw(b"<html>")),
        ("nothing", raw(b"")),
        ("another form", raw(b"[1]")),
        ("no verdict of ours", Answer::Json(json!({"callees": [{"userId": "bob", "verdict": "SURE"}]}))),
        ("two verdicts", Answer::Json(twice)),
        ("too many devices", one(json!({"devices": devices}))),
        ("a device without a name", one(json!({"devices": [{"deviceId": ""}]}))),
        ("a long handle", one(json!({"handle": "x".repeat(65)}))),
        ("too large", raw(&vec![b' '; 2 * 1024 * 1024])),
        ("a redirect", Answer::Raw(StatusCode::TEMPORARY_REDIRECT, vec![])),
    ];
    for (what, answer) in cases {
        let backend = Backend::start(answer).await;
        let scene = scene(HookSettings { deadline_ms: 1_000, ..backend.hook() });
        match scene.call(&["bob"]).await {
            Err(Trouble::Refused(refusal)) => assert_eq!(refusal.reason, Reason::CannotCall, "{what}"),
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn nobody_rings_when_there_is_no_hook_at_its_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for scheme in ["http", "grpc"] {
        scene(HookSettings { url: format!("{scheme}://{address}"), ..Default::default() })
            .cannot_call(&["bob"])
            .await;
    }
}

struct GrpcBackend;

#[tonic::async_trait]
impl CallPolicy for GrpcBackend {
    async fn authorize_call(
        &self,
        request: Request<api::AuthorizeCallRequest>,
    ) -> Result<Response<api::AuthorizeCallResponse>, Status> {
        if request.metadata().get("authorization").is_none_or(|token| token != "Bearer t0ken") {
            return Err(Status::unauthenticated("no token"));
        }
        let callees = request.into_inner().callee_user_ids.into_iter();
        if callees.as_slice().iter().any(|callee| callee == "slow") {
            std::future::pending::<()>().await;
        }
        let ring = |user_id| api::CalleeVerdict {
            user_id,
            verdict: api::Verdict::Ring.into(),
            ..Default::default()
        };
        Ok(Response::new(api::AuthorizeCallResponse {
            callees: callees.map(ring).collect(),
            ..Default::default()
        }))
    }
}

#[tokio::test]
async fn the_hook_speaks_grpc_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("grpc://{}", listener.local_addr().unwrap());
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let server = tonic::transport::Server::builder().add_service(CallPolicyServer::new(GrpcBackend));
    tokio::spawn(server.serve_with_incoming(incoming));
    let settings = HookSettings { url, token: "t0ken".into(), ..Default::default() };
    let scene = scene(settings.clone());
    assert_eq!(scene.verdicts(&["bob"]).await, [Verdict::Ring]);
    scene.cannot_call(&["slow"]).await;
    self::scene(HookSettings { token: "wrong".into(), ..settings }).cannot_call(&["bob"]).await;
}

#[tokio::test]
async fn unusable_settings_are_named() {
    let cases = [
        (HookSettings { url: "ftp://x".into(), ..Default::default() }, "permission.hook.url"),
        (HookSettings { url: "http://".into(), ..Default::default() }, "permission.hook.url"),
        (
            HookSettings { url: "http://x".into(), deadline_ms: 1_001, ..Default::default() },
            "permission.hook.deadline_ms",
        ),
        (
            HookSettings { url: "http://x".into(), token: "\n".into(), ..Default::default() },
            "permission.hook.token",
        ),
        (
            HookSettings { url: "grpc://x".into(), secret: "s".into(), ..Default::default() },
            "permission.hook.secret",
        ),
    ];
    for (hook, field) in cases {
        let settings = PermissionSettings { hook, ..Default::default() };
        let made = Authority::new(&settings, Arc::new(MemoryStore::new()), Arc::new(Phones));
        assert_eq!(made.err().map(|unusable| unusable.field).as_deref(), Some(field));
    }
}

#[tokio::test]
async fn a_fresh_account_stays_fresh_over_a_restart_and_grows_old_with_time() {
    let rates = RateSettings { fresh_calls_per_minute: 1, calls_per_minute: 3, ..RateSettings::default() };
    let settings = PermissionSettings { rates, ..Default::default() };
    let store = Arc::new(MemoryStore::new());
    let start = |at: u64| {
        let clock: Clock = Arc::new(move || Time(at));
        Authority::with_clock(&settings, store.clone(), Arc::new(Phones), clock).unwrap()
    };
    let limited = async |authority: &Authority| {
        matches!(
            authority.authorize(question(&["bob"])).await,
            Err(Trouble::RateLimited { retry_after_ms: Some(_), .. })
        )
    };
    let day = 24 * 3_600_000;
    for (at, let_through) in [(day, 1), (2 * day - 1, 1), (2 * day, 3)] {
        let authority = start(at);
        for _ in 0..let_through {
            assert!(!limited(&authority).await);
        }
        assert!(limited(&authority).await, "{let_through} calls at {at}");
    }
}
