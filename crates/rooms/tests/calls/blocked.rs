//! A caller who is blocked hears exactly what the same caller would hear without the block: word for word, and as late.
//!
//! Each way for a callee to be is tried with a block and without: online and ignoring it, offline, in another call, in
//! another call and hiding it. The words are compared one by one; the times by the Kolmogorov-Smirnov test.
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use sluice_api::calls::v1::*;
use sluice_rooms::store::MemoryStore;

use super::backend::*;
use super::device::Device;

/// Calls of each kind, with a block and again without.
const CALLS: usize = 60;
/// Ordinary calls before: what blocked calls borrow their times from.
const BEFORE: usize = 40;
const RING: Duration = Duration::from_millis(1_500);
/// Between the starts of two calls; a burst would measure the burst.
const PACE: Duration = Duration::from_millis(10);
/// Of the test that two samples come from one distribution: so often it fails although they do.
const LEVEL: f64 = 1e-4;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Callee {
    OnlineAndIgnores,
    Offline,
    Busy,
    BusyAndHidesIt,
}

/// What one caller heard.
#[derive(Debug)]
struct Course {
    /// The answer to the request, without what differs from call to call.
    reply: Value,
    /// What was told of the call, in order, again without that.
    told: Vec<Value>,
    /// Either may come first. 1: the reply did; 0: it did not.
    reply_first: f64,
    /// From the request on, in milliseconds. None: never.
    ringing: Option<f64>,
    over: f64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_caller_cannot_tell() {
    let backend = Backend::start_with(Arc::new(MemoryStore::new()), |settings| {
        settings.calls.model.ring_ms = RING.as_millis().try_into().unwrap();
        // The calls that make people busy have no media.
        settings.calls.model.connect_ms = 600_000;
        settings.calls.permission.rates = sluice_rooms::RateSettings::off();
    });
    let backend = Arc::new(backend.await);
    courses(&backend, "warm", &[(Callee::OnlineAndIgnores, false)], BEFORE).await;

    let kinds = [Callee::OnlineAndIgnores, Callee::Offline, Callee::Busy, Callee::BusyAndHidesIt];
    let all: Vec<(Callee, bool)> = kinds.into_iter().flat_map(|kind| [(kind, false), (kind, true)]).collect();
    let courses = courses(&backend, "real", &all, CALLS).await;
    for (index, kind) in kinds.into_iter().enumerate() {
        compare(kind, &courses[2 * index], &courses[2 * index + 1]);
    }
    // A test that accepts everything proves nothing: the times of a block that is pretended without experience.
    let mut rng = StdRng::seed_from_u64(7);
    let naive: Vec<f64> = (0..CALLS).map(|_| f64::from(rng.random_range(80..400_u32))).collect();
    let real: Vec<f64> = courses[0].iter().filter_map(|course| course.ringing).collect();
    assert!(distance(&real, &naive) > bound(CALLS, CALLS), "the test tells such times apart");
    Arc::into_inner(backend).expect("all callers are done").stop().await;
}

fn compare(kind: Callee, open: &[Course], blocked: &[Course]) {
    let answer = match kind {
        Callee::Busy => "SHOWN_REASON_BUSY",
        _ => "SHOWN_REASON_NO_ANSWER",
    };
    let Course { reply, told, .. } = &open[0];
    assert_eq!(told.last().unwrap()["over"]["reason"], answer.to_lowercase().as_str(), "{kind:?}");
    for course in open.iter().chain(blocked) {
        assert_eq!((&course.reply, &course.told), (reply, told), "{kind:?}");
        let expected = if kind == Callee::Busy { 0.0 } else { RING.as_secs_f64() * 1_000.0 };
        assert!((course.over - expected).abs() < 1_000.0, "{kind:?}: over after {} ms", course.over);
    }
    let times = |of: fn(&Course) -> Option<f64>| {
        let sample = |courses: &[Course]| courses.iter().filter_map(of).collect::<Vec<f64>>();
        (sample(open), sample(blocked))
    };
    let rang = kind == Callee::OnlineAndIgnores;
    let samples = [
        ("ringing", times(|course| course.ringing)),
        ("over", times(|course| Some(course.over))),
        ("the reply comes first", times(|course| Some(course.reply_first))),
    ];
    for (what, (one, other)) in samples {
        assert_eq!(one.len(), other.len(), "{kind:?}: {what}");
        assert_eq!(one.len(), if rang || what != "ringing" { open.len() } else { 0 }, "{kind:?}: {what}");
        if one.is_empty() {
            continue;
        }
        let (apart, allowed) = (distance(&one, &other), bound(one.len(), other.len()));
        assert!(
            apart <= allowed,
            "{kind:?}, {what}: distance {apart:.3}, allowed {allowed:.3}; {one:?} and, blocked, {other:?}"
        );
    }
}

/// The courses of each kind. Calls of all kinds begin in turns, so that all meet the same machine.
async fn courses(
    backend: &Arc<Backend>,
    batch: &str,
    kinds: &[(Callee, bool)],
    calls: usize,
) -> Vec<Vec<Course>> {
    let mut rng = StdRng::seed_from_u64(42);
    let mut running = Vec::new();
    for number in 0..calls {
        for (kind, &(callee, blocks)) in kinds.iter().enumerate() {
            let caller = format!("{batch}-caller-{kind}-{number}");
            let user = format!("{batch}-callee-{kind}-{number}");
            prepare(backend, callee, blocks, &user, &caller).await;
            let device = match callee {
                Callee::Offline => None,
                _ => Some(Device::connect(backend, &user, "phone").await),
            };
            // As long as devices take: soon, mostly.
            let delay = Duration::from_millis(20 + (rng.random_range(0.0..1.0_f64).powi(3) * 200.0) as u64);
            let rings = callee == Callee::OnlineAndIgnores && !blocks;
            let callee = device.map(|device| (device, rings.then_some(delay)));
            let phone = Device::connect(backend, &caller, "phone").await;
            running.push((kind, tokio::spawn(one(phone, caller, user, callee))));
            tokio::time::sleep(PACE).await;
        }
    }
    let mut courses: Vec<Vec<Course>> = kinds.iter().map(|_| Vec::new()).collect();
    for (kind, course) in running {
        courses[kind].push(course.await.unwrap());
    }
    courses
}

/// One call, at both ends. The callee's device rings if it has a delay to say so after; otherwise it must hear nothing.
async fn one(
    phone: Device,
    caller: String,
    user: String,
    callee: Option<(Device, Option<Duration>)>,
) -> Course {
    match callee {
        None => call(phone, caller, user).await,
        Some((device, Some(delay))) => tokio::join!(call(phone, caller, user), ignore(device, delay)).0,
        Some((mut device, None)) => {
            let course = call(phone, caller, user).await;
            device.say("ping", json!({})).await;
            device.expect("pong").await;
            let heard = device.seen.iter().find(|message| message["ring"].is_object());
            assert!(heard.is_none(), "nothing rings: {heard:?}");
            course
        }
    }
}

async fn prepare(backend: &Backend, callee: Callee, blocks: bool, user: &str, caller: &str) {
    let policy = UserPolicy {
        user_id: user.into(),
        who_may_call: WhoMayCall::Everyone.into(),
        hide_busy: callee == Callee::BusyAndHidesIt,
        blocked_user_ids: if blocks { vec![caller.into()] } else { vec![] },
        ..UserPolicy::default()
    };
    backend.rpc().put_user_policy(with_token(PutUserPolicyRequest { policy: Some(policy) })).await.unwrap();
    if matches!(callee, Callee::Busy | Callee::BusyAndHidesIt) {
        let friend = format!("friend-of-{user}");
        let other = CreateCallRequest {
            caller: party(&friend),
            callees: vec![super::backend::callee(user)],
            request_id: id(),
            ..direct()
        };
        let other = backend.create(other).await.unwrap().call.unwrap().call_id;
        backend.accept(&other, user).await.unwrap();
    }
}

/// A device that rings, says so, and is not looked at.
async fn ignore(mut device: Device, delay: Duration) {
    let call = device.expect("ring").await["callId"].clone();
    tokio::time::sleep(delay).await;
    device.say("ack", json!({"callId": call})).await;
    device.expect("ringStopped").await;
}

async fn call(mut phone: Device, caller: String, user: String) -> Course {
    let wanted = json!({"calleeUserIds": [user], "kind": "CALL_KIND_DIRECT", "media": "MEDIA_AUDIO"});
    let before = phone.seen.len();
    let began = Instant::now();
    phone.say("call", wanted).await;
    let (mut ringing, mut over, mut replied) = (None, None, false);
    while over.is_none() || !replied {
        let message = phone.next().await;
        let now = began.elapsed().as_secs_f64() * 1_000.0;
        if ringing.is_none() && message["call"].to_string().contains("SHOWN_RINGING") {
            ringing = Some(now);
        }
        if message["over"].is_object() {
            over = Some(now);
        }
        replied |= message["reply"].is_object();
    }
    let heard = phone.seen[before..].iter().map(|message| plain(message, &caller, &user));
    let (replies, told): (Vec<Value>, _) = heard.partition(|message| message["reply"].is_object());
    let reply_first = f64::from(u8::from(phone.seen[before]["reply"].is_object()));
    let [reply] = replies.try_into().expect("one reply");
    Course { reply, told, reply_first, ringing, over: over.expect("the loop ends with it") }
}

/// Without what is another's in each call: ids, names, times, tokens.
fn plain(message: &Value, caller: &str, user: &str) -> Value {
    match message {
        Value::Object(fields) => {
            let own = ["cursor", "id", "callId", "createdAtMs", "token", "room", "expiresAtMs"];
            let kept = fields.iter().filter(|(name, _)| !own.contains(&name.as_str()));
            kept.map(|(name, value)| (name.clone(), plain(value, caller, user))).collect()
        }
        Value::Array(items) => items.iter().map(|item| plain(item, caller, user)).collect(),
        Value::String(text) => {
            let lower = text.to_lowercase();
            lower.replace(caller, "caller").replace(user, "callee").into()
        }
        other => other.clone(),
    }
}

/// Of Kolmogorov and Smirnov: how far apart the two samples' distribution functions are at most.
fn distance(one: &[f64], other: &[f64]) -> f64 {
    let below =
        |sample: &[f64], at: f64| sample.iter().filter(|x| **x <= at).count() as f64 / sample.len() as f64;
    one.iter().chain(other).map(|at| (below(one, *at) - below(other, *at)).abs()).fold(0.0, f64::max)
}

/// What the distance exceeds with a probability of `LEVEL` if both samples come from one distribution.
fn bound(one: usize, other: usize) -> f64 {
    (-(LEVEL / 2.0).ln() / 2.0).sqrt() * ((one + other) as f64 / (one as f64 * other as f64)).sqrt()
}
