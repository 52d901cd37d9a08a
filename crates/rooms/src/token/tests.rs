use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

use super::{Claims, Grants, Keys, TokenBuilder, TokenError};
use crate::model::Source;

fn keys() -> Keys {
    Keys::new(BTreeMap::from([("devkey".into(), "secret".into())]))
}

fn signed(claims: serde_json::Value) -> String {
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(b"secret"))
        .unwrap()
}

fn now() -> u64 {
    jsonwebtoken::get_current_timestamp()
}

#[test]
fn a_signed_token_comes_back_whole() {
    let token = TokenBuilder::new("alice")
        .room("lobby")
        .name("Alice")
        .metadata("m")
        .sign("devkey", "secret")
        .unwrap();
    let claims = keys().verify(&token).unwrap();
    assert_eq!((claims.identity(), claims.name.as_str(), claims.metadata.as_str()), ("alice", "Alice", "m"));
    assert!(claims.video.room_join);
    assert_eq!(claims.video.room, "lobby");
}

#[test]
fn each_fault_has_its_own_words() {
    let keys = keys();
    assert_eq!(keys.verify(""), Err(TokenError::Missing));
    assert_eq!(keys.verify("not a token"), Err(TokenError::Malformed));
    assert_eq!(keys.verify("a.b.c"), Err(TokenError::Malformed));
    let token = TokenBuilder::new("a").sign("otherkey", "secret").unwrap();
    assert_eq!(keys.verify(&token), Err(TokenError::UnknownKey));
    let token = TokenBuilder::new("a").sign("devkey", "guess").unwrap();
    assert_eq!(keys.verify(&token), Err(TokenError::Signature));
    assert_eq!(keys.verify(&signed(json!({"iss": "devkey", "exp": now() - 120}))), Err(TokenError::Expired));
    assert_eq!(keys.verify(&signed(json!({"iss": "devkey"}))), Err(TokenError::Malformed), "exp is required");
    let early = json!({"iss": "devkey", "exp": now() + 600, "nbf": now() + 300});
    assert_eq!(keys.verify(&signed(early)), Err(TokenError::NotYet));
}

#[test]
fn a_minute_of_clock_difference_is_forgiven() {
    assert!(keys().verify(&signed(json!({"iss": "devkey", "exp": now() - 30}))).is_ok());
    assert!(keys().verify(&signed(json!({"iss": "devkey", "exp": now() + 60, "nbf": now() + 30}))).is_ok());
}

#[test]
fn an_unsigned_token_is_refused() {
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(json!({"alg": "none", "typ": "JWT"}));
    let claims = part(json!({"iss": "devkey", "sub": "alice", "exp": now() + 600}));
    assert_eq!(keys().verify(&format!("{header}.{claims}.")), Err(TokenError::Malformed));
}

#[test]
fn the_identity_may_stand_in_jti() {
    let claims = keys().verify(&signed(json!({"iss": "devkey", "jti": "bob", "exp": now() + 60}))).unwrap();
    assert_eq!(claims.identity(), "bob");
}

#[test]
fn absent_permissions_are_granted() {
    let permissions = Grants::default().permissions();
    assert!(permissions.can_publish && permissions.can_subscribe && permissions.can_publish_data);
    assert!(!permissions.can_update_metadata && !permissions.hidden);
}

#[test]
fn data_follows_publishing_unless_it_is_named() {
    let silent = Grants { can_publish: Some(false), ..Grants::default() };
    assert!(!silent.permissions().can_publish_data);
    let chatting = Grants { can_publish: Some(false), can_publish_data: Some(true), ..Grants::default() };
    assert!(chatting.permissions().can_publish_data);
}

#[test]
fn listed_sources_override_can_publish() {
    let sources = vec!["microphone".to_string(), "nonsense".to_string()];
    let grants = Grants { can_publish: Some(false), can_publish_sources: sources, ..Grants::default() };
    let permissions = grants.permissions();
    assert!(permissions.can_publish);
    assert_eq!(permissions.sources, [i32::from(Source::Microphone)]);
    let nonsense = Grants { can_publish_sources: vec!["nonsense".into()], ..Grants::default() };
    assert!(!nonsense.permissions().can_publish, "unknown names must not open everything");
}

#[test]
fn a_renewed_token_says_the_same_for_longer() {
    let token = TokenBuilder::new("alice")
        .room("lobby")
        .validity(Duration::from_secs(1))
        .sign("devkey", "secret")
        .unwrap();
    let claims = keys().verify(&token).unwrap();
    let renewed = keys().verify(&keys().renew(&claims, Duration::from_secs(600)).unwrap()).unwrap();
    assert!(renewed.exp >= claims.exp + 590);
    assert_eq!(Claims { exp: 0, nbf: 0, ..renewed }, Claims { exp: 0, nbf: 0, ..claims });
}

#[test]
fn claims_of_server_sdks_are_understood() {
    let claims = signed(json!({
        "iss": "devkey", "sub": "bob", "exp": now() + 60, "kind": "agent", "sha256": "x", "roomConfig": {"name": "y"},
        "video": {"roomJoin": true, "room": "r", "canPublishSources": ["camera"], "canUpdateOwnMetadata": true, "x": 1},
    }));
    let claims = keys().verify(&claims).unwrap();
    assert_eq!(claims.kind_number(), 4);
    assert!(claims.video.permissions().can_update_metadata);
}

#[test]
fn a_device_is_who_its_token_says() {
    let token = TokenBuilder::new("ann")
        .name("Ann")
        .device("phone", true)
        .validity(Duration::from_secs(600))
        .sign("devkey", "secret")
        .unwrap();
    let pass = keys().verify_device(&token).unwrap();
    assert_eq!((pass.user.as_str(), pass.handle.as_str(), pass.device.as_str()), ("ann", "Ann", "phone"));
    assert!(pass.call_waiting && pass.expires >= now() + 590);
}

#[test]
fn only_a_devices_token_stands_for_a_device() {
    let room = TokenBuilder::new("ann").room("lobby");
    let refused = |token: TokenBuilder| keys().verify_device(&token.sign("devkey", "secret").unwrap());
    assert_eq!(refused(room.clone()), Err(TokenError::NotADevice));
    assert_eq!(refused(room.device("phone", false)), Err(TokenError::NotADevice), "for both is for neither");
    assert_eq!(refused(TokenBuilder::new("ann")), Err(TokenError::NotADevice));
}
