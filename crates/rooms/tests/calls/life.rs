//! A call's life, as the product's backend sees it.
use sluice_api::calls::v1::*;
use tonic::Code;

use super::backend::*;
use super::support::client::Client;

#[tokio::test]
async fn a_call_goes_from_ringing_to_its_record() {
    let backend = Backend::start().await;
    let created = backend.create(direct()).await.unwrap();
    let call = created.call.unwrap();
    assert!(call.call_id.starts_with("CL_") && call.call_id.len() >= 20, "{}", call.call_id);
    assert_eq!(call.state(), CallState::Ringing);
    let caller = created.media.expect("the caller may warm up");
    assert_eq!(caller.room, call.call_id);

    let ack = AckRingRequest {
        call_id: call.call_id.clone(),
        user_id: "ben".into(),
        device_id: "ben-phone".into(),
    };
    backend.rpc().ack_ring(with_token(ack.clone())).await.unwrap();
    let accepted = backend.accept(&call.call_id, "ben").await.unwrap();
    assert_eq!(accepted.call.as_ref().unwrap().state(), CallState::Active);
    let callee = accepted.media.unwrap();
    assert_ne!(caller.identity, callee.identity);
    for media in [&caller, &callee] {
        assert_eq!(backend.may_join(media).await, (200, "success".into()));
    }

    let left = backend.leave(&call.call_id, "ann").await.unwrap();
    assert_eq!(left.state(), CallState::Ended);
    let record = backend.record(&call.call_id).await;
    assert_eq!((record.end_reason(), record.legs.len()), (EndReason::Completed, 2));
    for media in [&caller, &callee] {
        let (status, why) = backend.may_join(media).await;
        assert_eq!((status, why.as_str()), (403, "the call has ended"));
    }
    backend.rpc().ack_ring(with_token(ack)).await.expect("a late acknowledgement is harmless");
    backend.stop().await;
}

#[tokio::test]
async fn a_retry_changes_nothing_even_after_the_end() {
    let backend = Backend::start().await;
    let request = direct();
    let first = backend.create(request.clone()).await.unwrap().call.unwrap();
    let again = backend.create(request.clone()).await.unwrap();
    assert_eq!(again.call.unwrap().call_id, first.call_id);
    assert!(again.media.is_some());
    let other = CreateCallRequest { callees: vec![callee("cem")], ..request.clone() };
    assert_eq!(backend.create(other).await.unwrap_err().code(), Code::AlreadyExists);

    let cancel = CancelCallRequest { request_id: id(), call_id: first.call_id.clone(), party: party("ann") };
    backend.rpc().cancel_call(with_token(cancel.clone())).await.unwrap();
    backend.record(&first.call_id).await;
    let again = backend.rpc().cancel_call(with_token(cancel)).await.unwrap().into_inner().call.unwrap();
    assert_eq!(again.state(), CallState::Ended);
    let late = backend.create(request).await.unwrap().call.unwrap();
    assert_eq!((&late.call_id, late.state()), (&first.call_id, CallState::Ended));
    backend.stop().await;
}

#[tokio::test]
async fn records_are_listed_newest_first_in_pages_and_can_be_rated() {
    let backend = Backend::start().await;
    let mut calls = Vec::new();
    for _ in 0..3 {
        let request = CreateCallRequest { conversation_id: "chat-7".into(), ..direct() };
        let call = backend.create(request).await.unwrap().call.unwrap().call_id;
        backend.accept(&call, "ben").await.unwrap();
        backend.leave(&call, "ben").await.unwrap();
        backend.record(&call).await;
        calls.push(call);
        // The order is by milliseconds.
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    }
    calls.reverse();
    let mut listed = Vec::new();
    let mut token = String::new();
    for _ in 0..3 {
        let request = ListRecordsRequest {
            user_id: "ben".into(),
            page_size: 2,
            page_token: token,
            ..Default::default()
        };
        let page = backend.rpc().list_records(with_token(request)).await.unwrap().into_inner();
        listed.extend(page.records.into_iter().map(|record| record.call_id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(listed, calls);
    let request = ListRecordsRequest { conversation_id: "chat-7".into(), ..Default::default() };
    let page = backend.rpc().list_records(with_token(request)).await.unwrap().into_inner();
    assert_eq!(page.records.len(), 3);
    let rate = |user: &str| RateCallRequest {
        request_id: id(),
        call_id: calls[0].clone(),
        user_id: user.into(),
        stars: 4,
    };
    backend.rpc().rate_call(with_token(rate("ben"))).await.unwrap();
    let stranger = backend.rpc().rate_call(with_token(rate("cem"))).await.unwrap_err();
    assert_eq!(stranger.code(), Code::NotFound, "that user has no part in the call");
    let ratings = backend.record(&calls[0]).await.ratings;
    assert_eq!(ratings, [Rating { user_id: "ben".into(), stars: 4 }]);
    let nobody = ListRecordsRequest { user_id: "cem".into(), ..Default::default() };
    assert!(backend.rpc().list_records(with_token(nobody)).await.unwrap().into_inner().records.is_empty());
    backend.stop().await;
}

#[tokio::test]
async fn media_that_comes_up_joins_the_leg_and_the_end_empties_the_room() {
    let backend = Backend::start().await;
    let created = backend.create(direct()).await.unwrap();
    let call = created.call.unwrap().call_id;
    let media = backend.accept(&call, "ben").await.unwrap().media.unwrap();
    let url = format!("ws://{}/rtc?access_token={}", backend.http, media.token);
    let mut ben = Client::connect(&url).await.unwrap();
    ben.greeted().await;
    assert!(!ben.sid.is_empty());
    backend.leave(&call, "ann").await.unwrap();
    let leave = ben.closed().await.expect("it is told to leave");
    assert!(!leave.can_reconnect);
    let again = Client::connect(&url).await;
    assert!(again.is_err(), "nobody comes into the room of a call that has ended");
    backend.stop().await;
}

#[tokio::test]
async fn an_invitation_that_comes_again_rings_nobody_twice() {
    let backend = Backend::start().await;
    let call = backend.create(direct()).await.unwrap().call.unwrap().call_id;
    backend.accept(&call, "ben").await.unwrap();
    let invite = |request_id: String, user: &str| InviteToCallRequest {
        request_id,
        call_id: call.clone(),
        user_id: "ann".into(),
        callees: vec![callee(user)],
        ring_s: 0,
    };
    let first = id();
    let invited = backend.rpc().invite_to_call(with_token(invite(first.clone(), "cem"))).await.unwrap();
    let invited = invited.into_inner().call.unwrap();
    assert_eq!((invited.kind(), invited.legs.len()), (CallKind::Group, 3));
    let again = backend.rpc().invite_to_call(with_token(invite(first.clone(), "cem"))).await.unwrap();
    assert_eq!(again.into_inner().call.unwrap().revision, invited.revision);
    let other = backend.rpc().invite_to_call(with_token(invite(first, "dan"))).await.unwrap_err();
    assert_eq!(other.code(), Code::AlreadyExists);
    backend.stop().await;
}

#[tokio::test]
async fn a_link_opens_a_call_until_it_is_revoked() {
    let backend = Backend::start().await;
    let request = CreateLinkRequest {
        request_id: id(),
        creator_user_id: "ann".into(),
        media: Media::Video.into(),
        ..Default::default()
    };
    let link =
        backend.rpc().create_link(with_token(request.clone())).await.unwrap().into_inner().link.unwrap();
    let again = backend.rpc().create_link(with_token(request)).await.unwrap().into_inner().link.unwrap();
    assert_eq!(link, again);
    let join = |user: &str| JoinCallRequest {
        request_id: id(),
        link_slug: link.slug.clone(),
        party: party(user),
        ..Default::default()
    };
    let first = backend.rpc().join_call(with_token(join("ann"))).await.unwrap().into_inner();
    let second = backend.rpc().join_call(with_token(join("ben"))).await.unwrap().into_inner();
    assert_eq!(first.call.unwrap().call_id, second.call.unwrap().call_id);
    assert_eq!(backend.may_join(&second.media.unwrap()).await.0, 200);
    let revoke = RevokeLinkRequest { request_id: id(), link_id: link.link_id.clone() };
    backend.rpc().revoke_link(with_token(revoke)).await.unwrap();
    let refused = backend.rpc().join_call(with_token(join("cem"))).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.metadata().get("sluice-reason").unwrap().to_str().unwrap()),
        (Code::FailedPrecondition, "LINK_OVER")
    );
    backend.stop().await;
}
