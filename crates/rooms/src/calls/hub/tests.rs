//! Devices over real WebSockets, against calls that only pretend.
pub(crate) mod model;
mod pretend;

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use sluice_calls::{DeviceId, Reason, Refusal, UserId};
use tokio_tungstenite::tungstenite::Message;

use self::model::{over, ring, stopped};
use self::pretend::{House, token};
use super::log::Word;
use crate::calls::desk::{Picture, Trouble};
use crate::token::TokenBuilder;

fn ann() -> UserId {
    UserId::new("ann")
}

fn phone() -> DeviceId {
    DeviceId::new("phone")
}

#[tokio::test]
async fn a_device_first_learns_how_things_stand_and_that_it_may_ring() {
    let house = House::open().await;
    house.operator.show(Picture { rings: vec![ring("CL_1")], calls: Vec::new() });
    let mut phone = house.connect("ann", "phone").await;
    let first = phone.next().await;
    let snapshot = &first["snapshot"];
    assert_eq!((&snapshot["userId"], &snapshot["deviceId"]), (&json!("ann"), &json!("phone")));
    assert_eq!(snapshot["rings"][0]["callId"], "CL_1");
    assert!(snapshot["serverTimeMs"].as_str().unwrap().parse::<u64>().unwrap() > 0, "64 bits are text");
    assert_eq!(house.operator.heard(), ["appeared ann/phone"]);
    assert_eq!(house.hub.devices(&ann()).len(), 1);
}

#[tokio::test]
async fn a_ring_holds_the_handle_the_kind_and_the_deadline_and_nothing_else() {
    let house = House::open().await;
    let mut phone = house.snapshot("ann", "phone").await;
    house.say("ann", Some("phone"), Word::Ring(ring("CL_1")));
    let message = phone.next().await;
    assert!(message["cursor"].is_string());
    let expected = json!({
        "callId": "CL_1", "callerUserId": "ben", "callerHandle": "Ben", "kind": "CALL_KIND_DIRECT",
        "media": "MEDIA_AUDIO", "deadlineMs": "45000",
    });
    assert_eq!(message["ring"], expected);
}

#[tokio::test]
async fn what_is_said_while_the_picture_is_taken_comes_once_and_after_it() {
    let house = House::open().await;
    let hub = house.hub.clone();
    let say = move |call: &str| hub.0.registry.say(&ann(), None, &stopped(call), tokio::time::Instant::now());
    house.operator.around_the_picture(say);
    let mut phone = house.connect("ann", "phone").await;
    assert!(phone.next().await["snapshot"].is_object());
    assert_eq!(phone.next().await["ringStopped"]["callId"], "CL_after");
}

#[tokio::test]
async fn the_same_device_again_takes_the_place_of_the_old_socket() {
    let house = House::open().await;
    let mut old = house.snapshot("ann", "phone").await;
    let mut new = house.snapshot("ann", "phone").await;
    assert_eq!(old.closed().await, Some(4001));
    house.say("ann", None, stopped("CL_1"));
    assert_eq!(new.next().await["ringStopped"]["callId"], "CL_1");
    assert_eq!(house.hub.devices(&ann()).len(), 1);
}

#[tokio::test]
async fn a_short_absence_misses_nothing() {
    let house = House::open().await;
    let mut phone = house.snapshot("ann", "phone").await;
    house.say("ann", Some("phone"), Word::Ring(ring("CL_1")));
    let cursor = phone.next().await["cursor"].as_str().unwrap().to_owned();
    drop(phone);
    house.until(|| house.hub.devices(&ann()).is_empty()).await;
    house.say("ann", None, stopped("CL_1"));
    house.say("ann", None, over("CL_1"));
    let mut phone = house.resume("ann", "phone", &cursor).await;
    let greeting = phone.next().await;
    assert!(greeting["pong"].is_object() && greeting["cursor"] == cursor.as_str(), "{greeting}");
    assert_eq!(
        phone.next().await["ringStopped"],
        json!({"callId": "CL_1", "reason": "STOP_REASON_CANCELLED"})
    );
    let over = phone.next().await;
    assert_eq!(over["over"], json!({"callId": "CL_1", "reason": "SHOWN_REASON_ENDED", "durationMs": "1500"}));
    assert_ne!(over["cursor"], cursor.as_str());
}

#[tokio::test]
async fn an_unknown_cursor_gets_a_snapshot() {
    let house = House::open().await;
    let mut phone = house.connect("ann", "phone").await;
    let cursor = phone.next().await["cursor"].as_str().unwrap().to_owned();
    let of_another_process = format!("1{cursor}");
    for cursor in [of_another_process.as_str(), "rubbish", "ffffffffffffffff.18446744073709551615"] {
        let mut again = house.resume("ann", "phone", cursor).await;
        assert!(again.next().await["snapshot"].is_object(), "{cursor}");
    }
    let mut tablet = house.resume("ann", "tablet", &cursor).await;
    assert!(tablet.next().await["snapshot"].is_object(), "another device's cursor");
}

#[tokio::test]
async fn only_who_stays_away_has_vanished() {
    let house = House::open_with(|settings| settings.grace_ms = 200).await;
    drop(house.snapshot("ann", "phone").await);
    let tablet = house.snapshot("ann", "tablet").await;
    house.until(|| house.operator.heard().contains(&"vanished ann/phone".to_owned())).await;
    assert!(house.hub.devices(&ann()).iter().all(|offer| offer.device.as_str() == "tablet"));
    drop(tablet);
    house.until(|| house.operator.heard().contains(&"vanished ann/tablet".to_owned())).await;
    let vanished = house.operator.heard().iter().filter(|heard| heard.starts_with("vanished")).count();
    assert_eq!(vanished, 2, "once each");
}

#[tokio::test]
async fn who_falls_behind_begins_anew() {
    let house = House::open_with(|settings| settings.kept_messages = 4).await;
    let mut phone = house.connect("ann", "phone").await;
    let cursor = phone.next().await["cursor"].as_str().unwrap().to_owned();
    // Nothing else runs meanwhile: the socket's task finds that it has missed some.
    for number in 0..10 {
        house.say("ann", None, stopped(&format!("CL_{number}")));
    }
    assert_eq!(phone.closed().await, Some(4002));
    let mut phone = house.resume("ann", "phone", &cursor).await;
    assert!(phone.next().await["snapshot"].is_object());
    assert_eq!(house.hub.0.registry.kept(), 4);
}

#[tokio::test]
async fn memory_is_bounded_over_all_devices() {
    let house = House::open_with(|settings| settings.kept_messages_in_all = 10).await;
    let _phones = (house.snapshot("ann", "phone").await, house.snapshot("ben", "phone").await);
    for number in 0..100 {
        house.say(["ann", "ben"][number % 2], None, stopped(&format!("CL_{number}")));
        assert!(house.hub.0.registry.kept() <= 11, "{} at {number}", house.hub.0.registry.kept());
    }
}

#[tokio::test]
async fn a_request_is_that_of_the_token_and_gets_its_reply() {
    let house = House::open().await;
    let mut phone = house.snapshot("ann", "phone").await;
    phone.send(json!({"id": "a1", "accept": {"callId": "CL_1"}})).await;
    assert_eq!(phone.next().await["reply"], json!({"id": "a1"}));
    house.operator.refuse(Trouble::Refused(Refusal::new(Reason::AlreadyAnswered, "the tablet was faster")));
    phone.send(json!({"id": "a2", "accept": {"callId": "CL_1"}})).await;
    let reply = phone.next().await;
    let error = &reply["reply"]["error"];
    assert_eq!(
        (&error["code"], &error["reason"]),
        (&json!("FAILED_PRECONDITION"), &json!("ALREADY_ANSWERED"))
    );
    assert_eq!(error["message"], "ALREADY_ANSWERED: the tablet was faster");
    let served: Vec<_> =
        house.operator.heard().into_iter().filter(|heard| heard.starts_with("asked")).collect();
    assert_eq!(served, ["asked ann/phone/Handle of ann a1", "asked ann/phone/Handle of ann a2"]);
}

#[tokio::test]
async fn a_busy_device_is_bounded_and_still_alive() {
    let house = House::open_with(|settings| settings.requests = 2).await;
    let mut phone = house.snapshot("ann", "phone").await;
    let hold = house.operator.hold();
    for id in ["1", "2", "3"] {
        phone.send(json!({"id": id, "leave": {"callId": "CL_1"}})).await;
    }
    let refused = phone.next().await;
    assert_eq!(refused["reply"]["id"], "3");
    assert_eq!(refused["reply"]["error"]["reason"], "OVERLOADED");
    phone.send(json!({"ping": {}})).await;
    assert!(phone.next().await["pong"]["serverTimeMs"].is_string());
    drop(hold);
    assert_eq!(phone.next().await["reply"]["id"], "1");
    assert_eq!(phone.next().await["reply"]["id"], "2");
}

#[tokio::test]
async fn the_last_word_counts() {
    let house = House::open().await;
    let mut phone = house.snapshot("ann", "phone").await;
    phone.send(json!({"id": "bye", "leave": {"callId": "CL_1"}})).await;
    phone.close().await;
    house.until(|| house.operator.heard().iter().any(|heard| heard.ends_with(" bye"))).await;
}

#[tokio::test]
async fn nonsense_is_answered_and_the_connection_goes_on() {
    let house = House::open().await;
    let mut phone = house.snapshot("ann", "phone").await;
    let nonsense = [
        "",
        "[]",
        "{\"id\":\"x\"}",
        "{\"id\":\"x\",\"fly\":{}}",
        "{\"id\":\"x\",\"accept\":{\"callId\":7}}",
        "\u{0}",
    ];
    for text in nonsense {
        phone.send_frame(Message::text(text)).await;
        let error = phone.next().await["reply"]["error"].clone();
        assert_eq!(error["code"], "INVALID_ARGUMENT", "{text:?}");
        assert!(error["message"].as_str().unwrap().starts_with("`request`: is"), "{error}");
    }
    phone.send(json!({"ping": {}})).await;
    assert!(phone.next().await["pong"].is_object());
}

#[tokio::test]
async fn hostile_frames_end_the_connection_and_nothing_else() {
    let house = House::open().await;
    let mut tablet = house.snapshot("ann", "tablet").await;
    let mut phone = house.snapshot("ann", "phone").await;
    phone.send_frame(Message::binary(vec![0, 1, 2])).await;
    assert_eq!(phone.closed().await, Some(1003));

    let mut phone = house.snapshot("ann", "phone").await;
    phone.send_frame(Message::text("x".repeat(70_000))).await;
    assert_eq!(phone.closed().await, Some(1009));

    let mut phone = house.snapshot("ann", "phone").await;
    // The server stops reading long before the end: it may be that nobody hears its last word.
    drop(phone.try_send(Message::text("x".repeat(10_000_000))).await);
    assert!(matches!(phone.closed().await, Some(1009) | None));

    let mut phone = house.snapshot("ann", "phone").await;
    for _ in 0..200 {
        drop(phone.try_send(Message::text("{\"ping\":{}}")).await);
    }
    assert_eq!(phone.closed().await, Some(1008));

    house.say("ann", Some("tablet"), stopped("CL_1"));
    assert_eq!(tablet.next().await["ringStopped"]["callId"], "CL_1");
}

#[tokio::test]
async fn who_shows_no_life_is_closed() {
    let house = House::open_with(|settings| (settings.ping_s, settings.silence_s) = (1, 1)).await;
    let mut phone = house.snapshot("ann", "phone").await;
    // A client that does not read answers no pings.
    house.until(|| house.hub.devices(&ann()).is_empty()).await;
    assert_eq!(phone.closed().await, Some(4004));
}

#[tokio::test]
async fn a_wrong_token_is_refused_before_the_upgrade_and_where_browsers_can_ask() {
    let house = House::open().await;
    let signed = |builder: TokenBuilder| builder.sign("devkey", "secret").unwrap();
    let expired =
        claims(json!({"iss": "devkey", "sub": "ann", "exp": now() - 120, "calls": {"device": "phone"}}));
    let cases = [
        ("".to_owned(), 401, "no access token"),
        ("a.b.c".to_owned(), 401, "malformed"),
        (TokenBuilder::new("ann").device("phone", false).sign("devkey", "guess").unwrap(), 401, "signature"),
        (expired, 401, "expired"),
        (signed(TokenBuilder::new("ann").room("lobby")), 403, "not a device's"),
        (signed(TokenBuilder::new("ann").room("lobby").device("phone", false)), 403, "not a device's"),
        (signed(TokenBuilder::new("ann").device("a phone", false)), 400, "calls.device"),
        (signed(TokenBuilder::new("").device("phone", false)), 400, "sub"),
    ];
    for (token, status, words) in cases {
        let (seen, text) = house.refusal(&token).await;
        assert!(seen == status && text.contains(words), "{seen} {text}");
        let (seen, text) = house.get(&format!("/calls/v1/validate?access_token={token}")).await;
        assert!(seen == status && text.contains(words), "{seen} {text}");
    }
    let good = token("ann", "phone");
    assert_eq!(house.get(&format!("/calls/v1/validate?access_token={good}")).await, (200, "success".into()));
    assert_eq!(house.get(&format!("/calls/v1?access_token={good}")).await.0, 426, "no WebSocket");
    assert!(house.operator.heard().is_empty());
}

#[tokio::test]
async fn an_expired_token_ends_the_stay() {
    let house = House::open().await;
    // A minute of clock difference is forgiven; 58 seconds of it have passed.
    let token =
        claims(json!({"iss": "devkey", "sub": "ann", "exp": now() - 58, "calls": {"device": "phone"}}));
    let mut phone = house.connect_with(&token, "").await;
    assert!(phone.next().await["snapshot"].is_object());
    assert_eq!(phone.closed().await, Some(4003));
}

#[tokio::test]
async fn a_full_house_says_so() {
    let house = House::open_with(|settings| (settings.connections, settings.devices_per_user) = (3, 1)).await;
    let _phone = house.snapshot("ann", "phone").await;
    assert_eq!(house.refusal(&token("ann", "tablet")).await.0, 429);
    let _again = house.snapshot("ann", "phone").await;
    let _ben = house.snapshot("ben", "phone").await;
    house.until(|| house.hub.0.places.available_permits() == 1).await;
    let _cid = house.snapshot("cid", "phone").await;
    house.until(|| house.hub.0.places.available_permits() == 0).await;
    assert_eq!(house.refusal(&token("dan", "phone")).await.0, 503);
}

#[tokio::test]
async fn calls_that_cannot_be_looked_at_send_the_device_away_for_now() {
    let house = House::open().await;
    house.operator.refuse(Trouble::Overloaded);
    let mut phone = house.connect("ann", "phone").await;
    assert_eq!(phone.closed().await, Some(1013));
}

#[tokio::test]
async fn a_stop_sends_everybody_to_the_next_process() {
    let house = House::open().await;
    let mut phone = house.snapshot("ann", "phone").await;
    house.stop.cancel();
    assert_eq!(phone.closed().await, Some(1001));
    let began = tokio::time::Instant::now();
    house.hub.emptied(Duration::from_secs(10)).await;
    assert!(began.elapsed() < Duration::from_secs(5));
}

fn now() -> u64 {
    jsonwebtoken::get_current_timestamp()
}

fn claims(claims: Value) -> String {
    let key = EncodingKey::from_secret(b"secret");
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap()
}

/// Telling is what the one desk does for all: it must cost next to nothing.
#[tokio::test]
async fn ten_thousand_rings_take_the_desk_little_time() {
    let hub = super::Hub::new(super::DeviceSettings::default());
    let users: Vec<UserId> = (0..10_000).map(|number| UserId::new(format!("u{number}"))).collect();
    for user in &users {
        hub.0.registry.enter(user, &phone(), false, None).unwrap();
    }
    let began = std::time::Instant::now();
    for user in &users {
        assert_eq!(hub.devices(user).len(), 1);
        let word = Word::Ring(ring("CL_1"));
        hub.0.registry.say(user, Some(&phone()), &word, tokio::time::Instant::now());
    }
    let took = began.elapsed();
    println!("10,000 rings told in {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
}
