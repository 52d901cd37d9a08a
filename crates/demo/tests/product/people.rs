//! People, messages, and what survives a restart.
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::fake::FakeCalls;
use crate::support::Product;

#[tokio::test]
async fn somebody_signs_in_as_a_sample_person_or_as_somebody_new() {
    let product = Product::start().await;
    let sample =
        product.client.get(format!("{}/demo/api/people?sample=1", product.base)).send().await.unwrap();
    let sample: Vec<Value> = sample.json().await.unwrap();
    assert!((6..=8).contains(&sample.len()));
    for person in &sample {
        let fields: Vec<&str> = person.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, ["about", "handle", "hue", "id", "name"], "and no phone number");
        assert!(person["handle"].as_str().unwrap().starts_with('@'));
    }

    let asha = product.sign_in("asha").await;
    assert_eq!(asha.get("/me").await["handle"], "@asha");
    let url = format!("{}/demo/api/session", product.base);
    let new = json!({ "handle": "Nilima", "name": "Nilima Sen" });
    let signed_in: Value = product.client.post(&url).json(&new).send().await.unwrap().json().await.unwrap();
    assert_eq!(signed_in["me"]["handle"], "@nilima");
    assert!(signed_in["deviceId"].as_str().unwrap().len() > 8, "a device id was made");
    assert_eq!(asha.get("/people?query=NILI").await[0]["id"], signed_in["me"]["id"]);

    for (body, status) in [
        (json!({ "handle": "@asha", "name": "Another" }), StatusCode::CONFLICT),
        (json!({ "handle": "two words", "name": "Another" }), StatusCode::BAD_REQUEST),
        (json!({ "handle": "fine", "name": " " }), StatusCode::BAD_REQUEST),
        (json!({ "personId": "nobody" }), StatusCode::NOT_FOUND),
        (json!({ "personId": "asha", "deviceId": "a/b" }), StatusCode::BAD_REQUEST),
        (json!({}), StatusCode::BAD_REQUEST),
        (json!({ "personId": 7 }), StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let answer = product.client.post(&url).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), status, "{body}");
        let error: Value = answer.json().await.unwrap();
        assert!(error["error"]["code"].is_string() && error["error"]["message"].is_string(), "{error}");
    }
}

#[tokio::test]
async fn another_web_site_signs_nobody_in() {
    let product = Product::start().await;
    let url = format!("{}/demo/api/session", product.base);
    let ask = |header: &'static str, value: &'static str| {
        let body = json!({ "personId": "asha" });
        let request = product.client.post(&url).header(header, value).json(&body).send();
        async move { request.await.unwrap().status() }
    };
    assert_eq!(ask("origin", "https://evil.example").await, StatusCode::FORBIDDEN);
    assert_eq!(ask("host", "evil.example").await, StatusCode::FORBIDDEN, "a name that was rebound");
    assert_eq!(ask("sec-fetch-site", "cross-site").await, StatusCode::FORBIDDEN);
    assert_eq!(ask("sec-fetch-site", "same-origin").await, StatusCode::OK);
}

#[tokio::test]
async fn nothing_is_told_without_a_session() {
    let product = Product::start().await;
    for path in ["me", "people", "people/asha", "settings", "threads", "history", "live?session=x"] {
        let url = format!("{}/demo/api/{path}", product.base);
        let answer = product.client.get(url).bearer_auth("made up").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    let asha = product.sign_in("asha").await;
    assert_eq!(asha.ask(Method::DELETE, "/session", None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(asha.ask(Method::GET, "/me", None).await.0, StatusCode::UNAUTHORIZED, "signed out");
}

#[tokio::test]
async fn messages_reach_the_other_ones_open_page_and_count_as_unread() {
    let product = Product::start().await;
    let (lena, kabir) = (product.sign_in("lena").await, product.sign_in("kabir").await);
    let mut page = kabir.live().await;
    let thread = lena.direct("kabir").await;
    assert_eq!(lena.direct("kabir").await, thread, "the same one each time");
    assert_eq!(kabir.thread(&thread).await, Value::Null, "nothing in it, nothing to see");

    let sent = lena.post(&format!("/threads/{thread}/messages"), json!({ "text": " Hello: you? " })).await;
    assert_eq!(sent["text"], "Hello: you?");
    let heard = page.wait_for("message", |_| true).await;
    assert_eq!(heard, sent);
    let told = page.wait_for("thread", |thread| thread["unread"] == 1).await;
    assert_eq!((&told["title"], &told["last"]["id"]), (&json!("Lena Vogel"), &sent["id"]));

    kabir.post(&format!("/threads/{thread}/read"), json!({})).await;
    page.wait_for("thread", |thread| thread["unread"] == 0).await;
    assert_eq!(kabir.get("/people/lena").await["threadId"], thread.as_str());
}

#[tokio::test]
async fn only_members_read_and_write_and_no_message_is_longer_than_it_may_be() {
    let product = Product::start().await;
    let (asha, ravi) = (product.sign_in("asha").await, product.sign_in("ravi").await);
    let group = json!({ "kind": "group", "memberIds": ["meera", "yuki"], "title": "Choir" });
    let group = asha.post("/threads", group).await;
    let path = format!("/threads/{}/messages", group["id"].as_str().unwrap());
    assert_eq!(group["members"].as_array().unwrap().len(), 3);
    assert_eq!(ravi.ask(Method::GET, &path, None).await.0, StatusCode::NOT_FOUND);
    let text = |count| Some(json!({ "text": "ॐ".repeat(count) }));
    assert_eq!(ravi.ask(Method::POST, &path, text(1)).await.0, StatusCode::NOT_FOUND);
    assert_eq!(asha.ask(Method::POST, &path, text(4_000)).await.0, StatusCode::OK);
    assert_eq!(asha.ask(Method::POST, &path, text(4_001)).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(asha.ask(Method::POST, &path, text(40_000)).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    for members in [json!([]), json!(["nobody"])] {
        let body = json!({ "kind": "group", "memberIds": members, "title": "x" });
        assert!(asha.ask(Method::POST, "/threads", Some(body)).await.0.is_client_error());
    }
}

#[tokio::test]
async fn older_messages_come_page_by_page() {
    let product = Product::start().await;
    let asha = product.sign_in("asha").await;
    let thread = asha.direct("kabir").await;
    let path = format!("/threads/{thread}/messages");
    for number in 0..60 {
        asha.post(&path, json!({ "text": number.to_string() })).await;
    }
    let latest = asha.messages(&thread).await;
    let texts =
        |page: &[Value]| page.iter().map(|it| it["text"].as_str().unwrap().parse().unwrap()).collect();
    let numbers: Vec<u32> = texts(&latest);
    assert_eq!(numbers, (10..60).collect::<Vec<_>>());
    let before = latest[0]["id"].as_str().unwrap();
    let older = asha.get(&format!("{path}?before={before}")).await;
    let numbers: Vec<u32> = texts(older["messages"].as_array().unwrap());
    assert_eq!(numbers, (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_block_hides_what_is_written_and_the_writer_cannot_tell() {
    let product = Product::start().await;
    let (tomas, yuki) = (product.sign_in("tomas").await, product.sign_in("yuki").await);
    yuki.put("/blocks/tomas", None).await;
    assert_eq!(yuki.get("/people/tomas").await["relation"]["blocked"], true);
    assert_eq!(tomas.get("/people/yuki").await["relation"]["blocked"], false);
    let thread = tomas.direct("yuki").await;
    tomas.post(&format!("/threads/{thread}/messages"), json!({ "text": "Are you there?" })).await;
    assert_eq!(tomas.messages(&thread).await.len(), 1);
    assert_eq!(yuki.thread(&thread).await, Value::Null);
    assert_eq!(yuki.messages(&thread).await.len(), 0);
}

#[tokio::test]
async fn settings_and_relations_reach_ones_other_pages() {
    let product = Product::start().await;
    let (meera, ravi) = (product.sign_in("meera").await, product.sign_in("ravi").await);
    let (mut page, mut other) = (meera.live().await, ravi.live().await);
    assert_eq!(meera.get("/settings").await["whoMayCall"], "everyone");
    assert_eq!(meera.get("/settings").await["callWaiting"], true);
    let wanted =
        json!({ "whoMayCall": "contacts", "silenceUnknown": true, "hideBusy": true, "callWaiting": false });
    assert_eq!(meera.put("/settings", Some(wanted.clone())).await, wanted);
    assert_eq!(page.next().await, ("settings".into(), wanted));
    meera.put("/follows/ravi", None).await;
    let (name, person) = page.next().await;
    assert_eq!((name.as_str(), &person["relation"]["followed"]), ("person", &json!(true)));
    ravi.put("/contacts/asha", None).await;
    assert_eq!(other.next().await.1["id"], "asha", "what others set is theirs: this is the first he hears");

    let bad = json!({ "whoMayCall": "friends", "silenceUnknown": true, "hideBusy": true });
    assert!(meera.ask(Method::PUT, "/settings", Some(bad)).await.0.is_client_error());
    assert_eq!(meera.ask(Method::PUT, "/blocks/meera", None).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(meera.ask(Method::PUT, "/blocks/nobody", None).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_restart_keeps_people_messages_and_sessions() {
    let folder = tempfile::tempdir().unwrap();
    let calls = FakeCalls::default();
    let first = Product::with(calls.clone(), Some(folder.path().to_owned())).await;
    let asha = first.sign_in("asha").await;
    asha.put("/blocks/tomas", None).await;
    let thread = asha.direct("kabir").await;
    asha.post(&format!("/threads/{thread}/messages"), json!({ "text": "Kept" })).await;
    let session = asha.session.clone();
    first.stop().await;
    let file = std::fs::read_to_string(folder.path().join("demo.json")).unwrap();
    assert!(!file.contains(&session), "the file signs nobody in");

    let second = Product::with(calls, Some(folder.path().to_owned())).await;
    let answer = second.client.get(format!("{}/demo/api/me", second.base)).bearer_auth(&session).send().await;
    assert_eq!(answer.unwrap().status(), StatusCode::OK, "still signed in");
    let asha = second.sign_in("asha").await;
    assert_eq!(asha.messages(&thread).await[0]["text"], "Kept");
    assert_eq!(asha.get("/people/tomas").await["relation"]["blocked"], true);
    second.stop().await;
}
