//! What Sluice asks and tells, and what each member then sees.
use reqwest::StatusCode;
use serde_json::{Value, json};
use sluice_api::calls::v1::*;

use crate::fake::FakeCalls;
use crate::support::{Product, SECRET, User, call, event, leg, now_s, record, record_ready};

const GROUP: &str = "t_weekend"; // lena, asha, ravi, yuki

fn outcomes(messages: &[Value]) -> Vec<&Value> {
    messages.iter().filter(|message| message["kind"] == "call").map(|it| &it["call"]["outcome"]).collect()
}

async fn ask_hook(product: &Product, question: &Value) -> Value {
    let answer = product.signed("/demo/hooks/authorize", &question.to_string(), now_s(), SECRET).await;
    answer.error_for_status().unwrap().json().await.unwrap()
}

#[tokio::test]
async fn the_hook_answers_from_settings_and_blocks_at_once() {
    let product = Product::start().await;
    let asha = product.sign_in("asha").await;
    let question = json!({
        "caller": { "userId": "zainab", "deviceId": "d", "handle": "@zainab" },
        "calleeUserIds": ["asha", "nobody"], "media": "MEDIA_AUDIO", "kind": "CALL_KIND_GROUP",
    });
    let verdicts = async || {
        let answer = ask_hook(&product, &question).await;
        assert!(answer.get("ttlS").is_none(), "nothing is to be cached");
        answer["callees"].as_array().unwrap().iter().map(|it| it["verdict"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(verdicts().await, ["VERDICT_RING", "VERDICT_DENY"]);
    let silent = json!({ "whoMayCall": "everyone", "silenceUnknown": true, "hideBusy": true });
    asha.put("/settings", Some(silent)).await;
    assert_eq!(verdicts().await, ["VERDICT_SILENT", "VERDICT_DENY"]);
    let answer = ask_hook(&product, &question).await;
    assert_eq!(
        (&answer["callees"][0]["hideBusy"], &answer["callees"][0]["handle"]),
        (&json!(true), &json!("@asha"))
    );
    asha.put("/blocks/zainab", None).await;
    assert_eq!(verdicts().await, ["VERDICT_DENY_HIDDEN", "VERDICT_DENY"]);
    let kitchen = json!({
        "caller": { "userId": "lena" }, "calleeUserIds": ["zainab"], "conversationId": "t_kitchen",
        "media": "MEDIA_AUDIO", "kind": "CALL_KIND_GROUP",
    });
    assert_eq!(
        ask_hook(&product, &kitchen).await["callees"][0]["verdict"],
        "VERDICT_DENY",
        "lena is no member"
    );
}

#[tokio::test]
async fn only_sluice_is_believed() {
    let product = Product::start().await;
    let asha = product.sign_in("asha").await;
    let missed = record(
        "CL_1",
        "t_asha_ravi",
        CallKind::Direct,
        &[("ravi", Outcome::NoAnswer, false), ("asha", Outcome::Missed, false)],
    );
    let body = serde_json::to_string(&record_ready("e1", &missed)).unwrap();
    for path in ["/demo/hooks/events", "/demo/hooks/authorize"] {
        for (seconds, secret) in [(now_s(), "guessed"), (now_s() - 400, SECRET), (now_s() + 400, SECRET)] {
            let answer = product.signed(path, &body, seconds, secret).await;
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path} {seconds} {secret}");
        }
        let plain = product.client.post(format!("{}{path}", product.base)).body(body.clone()).send().await;
        assert_eq!(plain.unwrap().status(), StatusCode::UNAUTHORIZED, "{path}, not signed");
    }
    assert!(outcomes(&asha.messages("t_asha_ravi").await).is_empty());

    // The same one, again and again: as a retry, and as a replay by somebody who listened.
    for _ in 0..3 {
        let answer = product.signed("/demo/hooks/events", &body, now_s(), SECRET).await;
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    }
    assert_eq!(outcomes(&asha.messages("t_asha_ravi").await), ["missed"]);
    let odd = r#"{"eventId":"e2","type":"EVENT_TYPE_OF_A_LATER_VERSION"}"#;
    let answer = product.signed("/demo/hooks/events", odd, now_s(), SECRET).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT, "it must not hold up what follows it");
}

#[tokio::test]
async fn each_member_sees_the_call_in_their_own_way() {
    let product = Product::start().await;
    let (asha, ravi) = (product.sign_in("asha").await, product.sign_in("ravi").await);
    let mut page = asha.live().await;
    let table = [
        (Outcome::Answered, Outcome::Answered, true, "answered", Some("answered"), 0),
        (Outcome::NoAnswer, Outcome::Missed, false, "noAnswer", Some("missed"), 1),
        (Outcome::Cancelled, Outcome::Missed, false, "cancelled", Some("missed"), 2),
        (Outcome::Declined, Outcome::Declined, false, "declined", Some("declined"), 2),
        (Outcome::Busy, Outcome::Missed, false, "busy", Some("missed"), 3),
        (Outcome::Failed, Outcome::Failed, false, "failed", Some("failed"), 3),
        // Blocked: the caller sees what a call that nobody answers looks like, the callee nothing.
        (Outcome::NoAnswer, Outcome::Nothing, false, "noAnswer", None, 3),
    ];
    for (number, (caller, callee, joined, seen, shown, unread)) in table.into_iter().enumerate() {
        let id = format!("CL_{number}");
        let legs = [("ravi", caller, true), ("asha", callee, joined)];
        let record = record(&id, "t_asha_ravi", CallKind::Direct, &legs);
        assert_eq!(
            product.webhook(&record_ready(&format!("e{number}"), &record)).await,
            StatusCode::NO_CONTENT
        );
        let last = ravi.messages("t_asha_ravi").await.pop().unwrap();
        assert_eq!(
            (&last["from"], &last["call"]["outcome"]),
            (&json!("ravi"), &json!(seen)),
            "case {number}"
        );
        assert_eq!(last["call"]["media"], "video");
        assert_eq!(last["call"]["durationMs"], if joined { 60_000 } else { 0 });
        let members = if joined { json!(["asha", "ravi"]) } else { json!(["ravi"]) };
        assert_eq!(last["call"]["memberIds"], members);
        let last = asha.messages("t_asha_ravi").await.pop().unwrap();
        match shown {
            Some(shown) => {
                assert_eq!(
                    (&last["id"], &last["call"]["outcome"]),
                    (&json!(id), &json!(shown)),
                    "case {number}"
                );
                let heard = page.wait_for("message", |message| message["id"] == id.as_str()).await;
                assert_eq!(heard["call"]["outcome"], shown);
            }
            None => assert_ne!(last["id"], id.as_str(), "case {number}"),
        }
        assert_eq!(asha.thread("t_asha_ravi").await["unread"], unread, "case {number}");
        assert_eq!(ravi.thread("t_asha_ravi").await["unread"], 0, "one's own calls are not news");
    }
    // The blocked call told the page nothing: the next that it hears is of something else.
    asha.put("/follows/kabir", None).await;
    page.wait_for("person", |person| person["id"] == "kabir").await;
}

#[tokio::test]
async fn a_call_from_a_profile_gets_the_thread_of_its_two_people() {
    let product = Product::start().await;
    let (tomas, yuki) = (product.sign_in("tomas").await, product.sign_in("yuki").await);
    let legs = [("tomas", Outcome::NoAnswer, false), ("yuki", Outcome::Missed, false)];
    product.webhook(&record_ready("e1", &record("CL_1", "", CallKind::Direct, &legs))).await;
    let thread = tomas.direct("yuki").await;
    assert_eq!(outcomes(&yuki.messages(&thread).await), ["missed"]);
    assert_eq!(yuki.thread(&thread).await["unread"], 1);

    // A blocked one's call opens nothing on the other side.
    let legs = [("tomas", Outcome::NoAnswer, false), ("meera", Outcome::Nothing, false)];
    product.webhook(&record_ready("e2", &record("CL_2", "", CallKind::Direct, &legs))).await;
    let thread = tomas.direct("meera").await;
    assert_eq!(outcomes(&tomas.messages(&thread).await), ["noAnswer"]);
    assert_eq!(product.sign_in("meera").await.thread(&thread).await, Value::Null);
}

async fn banner(user: &User<'_>, thread: &str) -> Value {
    user.thread(thread).await["liveCall"].clone()
}

#[tokio::test]
async fn the_banner_of_a_group_comes_changes_and_goes() {
    use LegState::{Accepted, Joined, Left, Ringing, Suppressed};
    use Verdict::{DenyHidden, Ring, Unspecified};
    let product = Product::start().await;
    let (ravi, yuki) = (product.sign_in("ravi").await, product.sign_in("yuki").await);
    let mut page = ravi.live().await;
    // Yuki has blocked Lena, so that her leg is suppressed.
    let legs = vec![
        leg("lena", Joined, Unspecified),
        leg("ravi", Ringing, Ring),
        leg("yuki", Suppressed, DenyHidden),
    ];
    let mut live = call("CL_1", GROUP, CallKind::Group, CallState::Ringing, legs);
    product.webhook(&event("e1", EventType::CallCreated, &live)).await;
    let told = page.wait_for("thread", |thread| thread["liveCall"]["callId"] == "CL_1").await;
    assert_eq!(told["liveCall"]["memberIds"], json!(["lena"]));
    assert_eq!(banner(&yuki, GROUP).await, Value::Null, "she must not learn of it");

    let mut joined = event("e2", EventType::LegAccepted, &live);
    (joined.call, joined.revision, joined.leg) = (None, 2, Some(leg("ravi", Accepted, Ring)));
    product.webhook(&joined).await;
    page.wait_for("thread", |thread| thread["liveCall"]["memberIds"] == json!(["lena", "ravi"])).await;

    // What comes late and is older changes nothing.
    let mut late = joined.clone();
    (late.event_id, late.revision, late.leg) = ("e0".into(), 1, Some(leg("ravi", Ringing, Ring)));
    product.webhook(&late).await;
    assert_eq!(banner(&ravi, GROUP).await["memberIds"], json!(["lena", "ravi"]));

    live.legs = vec![leg("lena", Left, Unspecified), leg("ravi", Left, Ring)];
    (live.revision, live.state) = (9, CallState::Ended.into());
    product.webhook(&event("e3", EventType::CallEnded, &live)).await;
    page.wait_for("thread", |thread| thread["liveCall"].is_null()).await;
    // Nothing brings back what has ended.
    joined.event_id = "e4".into();
    product.webhook(&joined).await;
    assert_eq!(banner(&ravi, GROUP).await, Value::Null);
}

#[tokio::test]
async fn a_direct_call_shows_a_banner_only_once_it_was_answered() {
    use LegState::{Joined, Ringing};
    let product = Product::start().await;
    let (asha, ravi) = (product.sign_in("asha").await, product.sign_in("ravi").await);
    let legs = |state| vec![leg("ravi", Joined, Verdict::Unspecified), leg("asha", state, Verdict::Ring)];
    let mut live = call("CL_1", "t_asha_ravi", CallKind::Direct, CallState::Ringing, legs(Ringing));
    product.webhook(&event("e1", EventType::CallCreated, &live)).await;
    assert_eq!(banner(&asha, "t_asha_ravi").await, Value::Null);
    assert_eq!(banner(&ravi, "t_asha_ravi").await, Value::Null);
    live = Call {
        revision: 2,
        ..call("CL_1", "t_asha_ravi", CallKind::Direct, CallState::Active, legs(Joined))
    };
    product.webhook(&event("e2", EventType::CallAnswered, &live)).await;
    for user in [&asha, &ravi] {
        let banner = banner(user, "t_asha_ravi").await;
        assert_eq!((&banner["callId"], &banner["startedAtMs"]), (&json!("CL_1"), &json!(2_000)));
        assert_eq!(banner["media"], "audio");
    }
}

#[tokio::test]
async fn calls_that_began_while_we_were_away_are_found() {
    use LegState::Joined;
    let calls = FakeCalls::default();
    let legs = vec![leg("lena", Joined, Verdict::Unspecified)];
    let old = call("CL_old", GROUP, CallKind::Group, CallState::Active, legs.clone());
    calls.with(|state| state.live.push(old));
    let product = Product::with(calls, None).await;
    let asha = product.sign_in("asha").await;
    let mut page = asha.live().await;
    // Either the list came before the page, or the page hears of it.
    if banner(&asha, GROUP).await.is_null() {
        page.wait_for("thread", |thread| thread["liveCall"]["callId"] == "CL_old").await;
    }

    // A webhook of a call that nobody has told of: the list is asked for again, and knows that the old one is over.
    let new = call("CL_new", GROUP, CallKind::Group, CallState::Active, legs.clone());
    product.calls.with(|state| state.live = vec![new.clone()]);
    let mut unknown = event("e1", EventType::LegJoined, &new);
    (unknown.call, unknown.leg) = (None, Some(legs[0].clone()));
    product.webhook(&unknown).await;
    page.wait_for("thread", |thread| thread["liveCall"]["callId"] == "CL_new").await;
    assert_eq!(banner(&asha, GROUP).await["callId"], "CL_new");
    assert!(product.calls.with(|state| state.lists) >= 2);
}

#[tokio::test]
async fn the_history_is_ones_own() {
    let product = Product::start().await;
    let (asha, ravi) = (product.sign_in("asha").await, product.sign_in("ravi").await);
    let answered = [("ravi", Outcome::Answered, true), ("asha", Outcome::Answered, true)];
    let blocked = [("ravi", Outcome::NoAnswer, false), ("asha", Outcome::Nothing, false)];
    product.calls.with(|state| {
        state.records.push(record("CL_2", "t_asha_ravi", CallKind::Direct, &blocked));
        state.records.push(record("CL_1", "t_asha_ravi", CallKind::Direct, &answered));
    });
    let ids = |history: &Value| {
        let calls = history.as_array().unwrap().iter();
        calls.map(|call| call["callId"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let history = ravi.get("/history").await;
    assert_eq!(ids(&history), ["CL_2", "CL_1"]);
    assert_eq!(
        (&history[0]["outcome"], &history[0]["threadId"]),
        (&json!("noAnswer"), &json!("t_asha_ravi"))
    );
    assert_eq!(ids(&asha.get("/history").await), ["CL_1"]);
    assert!(product.sign_in("kabir").await.get("/history").await.as_array().unwrap().is_empty());
}

#[tokio::test]
async fn devices_and_links_are_made_for_whoever_asks() {
    let product = Product::start().await;
    let meera = product.sign_in("meera").await;
    let token = meera.post("/device-token", json!({})).await;
    assert_eq!(token, json!({ "token": "device token", "expiresAtMs": 4_000_000_000_000_i64 }));
    let asked = product.calls.with(|state| state.device_tokens.pop().unwrap());
    assert_eq!((asked.user_id.as_str(), asked.device_id.as_str()), ("meera", "meera-laptop"));
    assert_eq!((asked.handle.as_str(), asked.call_waiting), ("@meera", true));
    let alone =
        json!({ "whoMayCall": "everyone", "silenceUnknown": false, "hideBusy": false, "callWaiting": false });
    meera.put("/settings", Some(alone)).await;
    meera.post("/device-token", json!({})).await;
    assert!(!product.calls.with(|state| state.device_tokens.pop().unwrap()).call_waiting);
    let question =
        json!({ "caller": { "userId": "asha" }, "calleeUserIds": ["meera"], "media": "MEDIA_AUDIO" });
    let named = &ask_hook(&product, &question).await["callees"][0]["devices"];
    assert_eq!(*named, json!([{ "deviceId": "meera-laptop" }]), "also those that announced call waiting");

    let link = meera.post("/links", json!({ "media": "video", "lobby": true })).await;
    assert_eq!(link, json!({ "slug": "slug-of-the-link", "url": "/?link=slug-of-the-link" }));
    let asked = product.calls.with(|state| state.links.pop().unwrap());
    assert_eq!((asked.creator_user_id.as_str(), asked.media(), asked.lobby), ("meera", Media::Video, true));
    assert!(asked.expires_at_ms > now_s() * 1_000 && !asked.request_id.is_empty());
}
