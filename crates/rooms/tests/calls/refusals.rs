//! What is refused: with which code, naming what, and that it changes nothing.
use sluice_api::calls::v1::*;
use tonic::{Code, Request, Status};

use super::backend::*;

fn reason(status: &Status) -> &str {
    status.metadata().get("sluice-reason").map_or("", |word| word.to_str().unwrap())
}

#[tokio::test]
async fn without_the_token_nothing_is_answered() {
    let backend = Backend::start().await;
    let status = backend.rpc().create_call(Request::new(direct())).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    let mut request = Request::new(SubscribeRequest::default());
    request.metadata_mut().insert("authorization", "Bearer wrong".parse().unwrap());
    assert_eq!(backend.rpc().subscribe(request).await.map(drop).unwrap_err().code(), Code::Unauthenticated);
    backend.stop().await;
}

#[tokio::test]
async fn a_creation_names_the_field_that_is_wrong() {
    let backend = Backend::start().await;
    let many: Vec<_> = (0..300).map(|index| callee(&format!("u{index}"))).collect();
    let group = |callees| CreateCallRequest { kind: CallKind::Group.into(), callees, ..direct() };
    let wrong = [
        ("request_id", CreateCallRequest { request_id: String::new(), ..direct() }),
        ("request_id", CreateCallRequest { request_id: "x".repeat(65), ..direct() }),
        ("caller", CreateCallRequest { caller: None, ..direct() }),
        ("caller.user_id", CreateCallRequest { caller: party("a b"), ..direct() }),
        ("callees", CreateCallRequest { callees: vec![], ..direct() }),
        ("callees", CreateCallRequest { callees: vec![callee("ann")], ..direct() }),
        ("callees", CreateCallRequest { callees: vec![callee("ben"), callee("cem")], ..direct() }),
        ("callees", group(vec![callee("ben"), callee("ben")])),
        ("callees", group(many)),
        ("callees.user_id", CreateCallRequest { callees: vec![callee("a/b")], ..direct() }),
        ("kind", CreateCallRequest { kind: 0, ..direct() }),
        ("media", CreateCallRequest { media: 77, ..direct() }),
        ("conversation_id", CreateCallRequest { conversation_id: "x".repeat(129), ..direct() }),
        ("ring_s", CreateCallRequest { ring_s: 14, ..direct() }),
        ("ring_s", CreateCallRequest { ring_s: 121, ..direct() }),
        ("silent", CreateCallRequest { silent: true, ..direct() }),
        ("app_data", CreateCallRequest { app_data: vec![0; 4097].into(), ..direct() }),
    ];
    for (field, request) in wrong {
        let status = backend.create(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status:?}");
        assert!(status.message().starts_with(&format!("`{field}`")), "{field}: {}", status.message());
    }
    let calls = backend.rpc().list_calls(with_token(ListCallsRequest::default())).await.unwrap();
    assert!(calls.into_inner().calls.is_empty(), "nothing came to be");
    backend.stop().await;
}

#[tokio::test]
async fn what_does_not_exist_is_named() {
    let backend = Backend::start().await;
    let call_id = || "CL_nobodyknowsthis00000".to_owned();
    let mut rpc = backend.rpc();
    let user_id = || "ann".to_owned();
    let statuses = vec![
        backend.call(&call_id()).await.map(drop),
        backend.accept(&call_id(), "ann").await.map(drop),
        backend.leave(&call_id(), "ann").await.map(drop),
        rpc.ack_ring(with_token(AckRingRequest {
            call_id: call_id(),
            user_id: user_id(),
            device_id: "d".into(),
        }))
        .await
        .map(drop),
        rpc.decline_call(with_token(DeclineCallRequest {
            request_id: id(),
            call_id: call_id(),
            party: party("ann"),
        }))
        .await
        .map(drop),
        rpc.cancel_call(with_token(CancelCallRequest {
            request_id: id(),
            call_id: call_id(),
            party: party("ann"),
        }))
        .await
        .map(drop),
        rpc.join_call(with_token(JoinCallRequest {
            request_id: id(),
            call_id: call_id(),
            party: party("ann"),
            ..Default::default()
        }))
        .await
        .map(drop),
        rpc.join_call(with_token(JoinCallRequest {
            request_id: id(),
            link_slug: "nolink".into(),
            party: party("ann"),
            ..Default::default()
        }))
        .await
        .map(drop),
        rpc.end_call(with_token(EndCallRequest {
            request_id: id(),
            call_id: call_id(),
            user_id: String::new(),
        }))
        .await
        .map(drop),
        rpc.invite_to_call(with_token(InviteToCallRequest {
            request_id: id(),
            call_id: call_id(),
            user_id: user_id(),
            callees: vec![callee("ben")],
            ring_s: 0,
        }))
        .await
        .map(drop),
        rpc.cancel_invite(with_token(CancelInviteRequest {
            request_id: id(),
            call_id: call_id(),
            user_id: user_id(),
            callee_user_id: "ben".into(),
        }))
        .await
        .map(drop),
        rpc.request_upgrade(with_token(RequestUpgradeRequest {
            request_id: id(),
            call_id: call_id(),
            user_id: user_id(),
        }))
        .await
        .map(drop),
        rpc.respond_upgrade(with_token(RespondUpgradeRequest {
            request_id: id(),
            call_id: call_id(),
            user_id: user_id(),
            accept: true,
        }))
        .await
        .map(drop),
        rpc.set_hold(with_token(SetHoldRequest {
            request_id: id(),
            call_id: call_id(),
            user_id: user_id(),
            on_hold: true,
        }))
        .await
        .map(drop),
        rpc.transfer_device(with_token(TransferDeviceRequest {
            request_id: id(),
            call_id: call_id(),
            party: party("ann"),
        }))
        .await
        .map(drop),
        rpc.moderate_participant(with_token(ModerateParticipantRequest {
            request_id: id(),
            call_id: call_id(),
            user_id: String::new(),
            target_user_id: "ben".into(),
            action: Some(moderate_participant_request::Action::Mute(true)),
        }))
        .await
        .map(drop),
        rpc.admit(with_token(AdmitRequest {
            request_id: id(),
            call_id: call_id(),
            user_id: user_id(),
            waiting_user_id: "ben".into(),
            admit: true,
        }))
        .await
        .map(drop),
        rpc.rate_call(with_token(RateCallRequest {
            request_id: id(),
            call_id: call_id(),
            user_id: user_id(),
            stars: 5,
        }))
        .await
        .map(drop),
        rpc.update_link(with_token(UpdateLinkRequest {
            request_id: id(),
            link_id: "LK_none".into(),
            ..Default::default()
        }))
        .await
        .map(drop),
        rpc.revoke_link(with_token(RevokeLinkRequest { request_id: id(), link_id: "LK_none".into() }))
            .await
            .map(drop),
        rpc.get_user_policy(with_token(GetUserPolicyRequest { user_id: user_id() })).await.map(drop),
    ];
    for (place, status) in statuses.into_iter().enumerate() {
        let status = status.unwrap_err();
        assert_eq!(status.code(), Code::NotFound, "{place}: {status:?}");
    }
    backend.stop().await;
}

#[tokio::test]
async fn a_state_that_does_not_fit_has_its_word() {
    let backend = Backend::start().await;
    let call = backend.create(direct()).await.unwrap().call.unwrap().call_id;
    let stranger = backend.accept(&call, "cem").await.unwrap_err();
    assert!(matches!(stranger.code(), Code::PermissionDenied | Code::NotFound), "{stranger:?}");
    let accepted = backend.accept(&call, "ben").await.unwrap().call.unwrap();
    let other = AcceptCallRequest {
        request_id: id(),
        call_id: call.clone(),
        party: Some(Party { user_id: "ben".into(), device_id: "ben-laptop".into(), handle: "BEN".into() }),
        audio_only: false,
    };
    let second = backend.rpc().accept_call(with_token(other)).await.unwrap_err();
    assert_eq!((second.code(), reason(&second)), (Code::FailedPrecondition, "ALREADY_ANSWERED"));
    let unchanged = backend.call(&call).await.unwrap().call.unwrap();
    assert_eq!(unchanged.revision, accepted.revision, "refusals change nothing");
    backend.leave(&call, "ben").await.unwrap();
    let late = backend.accept(&call, "ben").await.unwrap_err();
    assert_eq!(late.code(), Code::FailedPrecondition);
    assert!(["CALL_ENDED", "RING_OVER"].contains(&reason(&late)), "{late:?}");
    assert!(late.message().starts_with(reason(&late)));
    backend.stop().await;
}

#[tokio::test]
async fn an_accept_after_the_ring_is_over_gets_its_word() {
    let store = std::sync::Arc::new(sluice_rooms::store::MemoryStore::new());
    let backend = Backend::start_with(store, |settings| settings.calls.model.ring_ms = 300).await;
    let call = backend.create(direct()).await.unwrap().call.unwrap().call_id;
    let record = backend.record(&call).await;
    assert!(matches!(record.end_reason(), EndReason::NoAnswer | EndReason::Unreachable), "{record:?}");
    let late = backend.accept(&call, "ben").await.unwrap_err();
    assert_eq!((late.code(), reason(&late)), (Code::FailedPrecondition, "RING_OVER"));
    backend.stop().await;
}
