//! Ringing, as devices see it: from the backend's CreateCall to the answer on one device and silence on the others.
use serde_json::{Value, json};
use sluice_api::calls::v1::*;

use super::backend::*;
use super::device::{Device, token};

/// How `user` looks in a view of a call.
fn shown(view: &Value, user: &str) -> String {
    let members = view["members"].as_array().unwrap();
    let member = members.iter().find(|member| member["userId"] == user).unwrap();
    member["state"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn all_devices_ring_one_answers_and_the_others_fall_silent() {
    let backend = Backend::start().await;
    let mut ann = Device::connect(&backend, "ann", "ann-phone").await;
    let mut phone = Device::connect(&backend, "ben", "phone").await;
    let mut tablet = Device::connect(&backend, "ben", "tablet").await;
    let call = backend.create(direct()).await.unwrap().call.unwrap().call_id;

    for device in [&mut phone, &mut tablet] {
        let mut message = device.next().await;
        let ring = message["ring"].as_object_mut().expect("nothing but the ring comes");
        assert!(ring.remove("deadlineMs").unwrap().as_str().unwrap().parse::<u64>().unwrap() > 0);
        let all = json!({
            "callId": call, "callerUserId": "ann", "callerHandle": "ANN", "kind": "CALL_KIND_DIRECT",
            "media": "MEDIA_AUDIO",
        });
        assert_eq!(Value::Object(ring.clone()), all);
    }
    assert!(phone.ask("ack", json!({"callId": call})).await["error"].is_null());
    ann.expect_that("call", |view| shown(view, "ben") == "SHOWN_RINGING").await;

    let accepted = phone.ask("accept", json!({"callId": call})).await;
    let media = &accepted["media"];
    assert_eq!((&media["room"], &accepted["call"]["thisDevice"]), (&json!(call), &json!(true)));
    let access = MediaAccess { token: media["token"].as_str().unwrap().into(), ..Default::default() };
    assert_eq!(backend.may_join(&access).await, (200, "success".into()));
    let stopped = tablet.expect("ringStopped").await;
    assert_eq!(stopped, json!({"callId": call, "reason": "STOP_REASON_ACCEPTED_ELSEWHERE"}));
    let late = tablet.ask("accept", json!({"callId": call})).await;
    assert_eq!(late["error"]["reason"], "ALREADY_ANSWERED");
    assert_eq!(late["error"]["code"], "FAILED_PRECONDITION");
    ann.expect_that("call", |view| view["state"] == "CALL_STATE_ACTIVE").await;

    assert!(ann.ask("leave", json!({"callId": call})).await["error"].is_null());
    assert_eq!(phone.expect("over").await["reason"], "SHOWN_REASON_ENDED");
    assert_eq!(backend.record(&call).await.end_reason(), EndReason::Completed);
    backend.stop().await;
}

#[tokio::test]
async fn a_device_calls_and_is_declined() {
    let backend = Backend::start().await;
    let mut ann = Device::connect(&backend, "ann", "phone").await;
    let mut ben = Device::connect(&backend, "ben", "phone").await;
    let wanted = json!({"calleeUserIds": ["ben"], "kind": "CALL_KIND_DIRECT", "media": "MEDIA_VIDEO"});
    let created = ann.ask("call", wanted).await;
    let call = created["call"]["callId"].as_str().unwrap().to_owned();
    assert!(created["media"]["token"].is_string());
    assert_eq!(ben.expect("ring").await["callerHandle"], "ANN", "from the token, not from the device");
    assert!(ben.ask("decline", json!({"callId": call})).await["error"].is_null());
    assert_eq!(ann.expect("over").await["reason"], "SHOWN_REASON_DECLINED");
    let late = ben.ask("accept", json!({"callId": call})).await;
    assert_eq!(late["error"]["code"], "FAILED_PRECONDITION", "{late}");
    backend.stop().await;
}

#[tokio::test]
async fn a_device_that_comes_while_it_rings_rings_too() {
    let backend = Backend::start().await;
    let call = backend.create(direct()).await.unwrap().call.unwrap().call_id;
    let mut phone = Device::connect_with(&backend, "ben", "phone", "").await;
    let snapshot = phone.next().await;
    assert_eq!(snapshot["snapshot"]["rings"][0]["callId"], call.as_str(), "{snapshot}");
    assert!(snapshot["snapshot"]["calls"].is_null(), "nothing but the ring before it accepts");
    assert!(phone.ask("accept", json!({"callId": call})).await["media"]["token"].is_string());
    backend.stop().await;
}

#[tokio::test]
async fn a_device_that_was_away_for_a_moment_hears_that_it_rings_no_more() {
    let backend = Backend::start().await;
    let mut phone = Device::connect(&backend, "ben", "phone").await;
    let mut tablet = Device::connect(&backend, "ben", "tablet").await;
    let call = backend.create(direct()).await.unwrap().call.unwrap().call_id;
    tablet.expect("ring").await;
    phone.expect("ring").await;
    let cursor = tablet.cursor();
    drop(tablet);
    phone.ask("accept", json!({"callId": call})).await;
    let mut tablet = Device::connect_with(&backend, "ben", "tablet", &format!("&cursor={cursor}")).await;
    assert!(tablet.next().await["pong"].is_object(), "its picture is good, but for what follows");
    assert_eq!(tablet.expect("ringStopped").await["reason"], "STOP_REASON_ACCEPTED_ELSEWHERE");
    backend.stop().await;
}

#[tokio::test]
async fn a_devices_token_opens_no_room_and_a_rooms_token_no_socket() {
    let backend = Backend::start().await;
    let device = token(&backend, "ann", "phone").await;
    let (status, why) = backend.get(&format!("/rtc/validate?access_token={device}")).await;
    assert!(status == 403 && why.contains("joins no room"), "{status} {why}");
    let room = backend.create(direct()).await.unwrap().media.unwrap().token;
    let (status, why) = backend.get(&format!("/calls/v1/validate?access_token={room}")).await;
    assert!(status == 403 && why.contains("not a device's"), "{status} {why}");
    backend.stop().await;
}
