//! The gRPC service: each RPC is checked field by field, goes through the front, and its outcome becomes the answer.
mod calling;
mod links;
mod looking;
mod observe;
pub(crate) mod server;
mod users;

use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use sluice_api::calls::v1 as api;
use sluice_api::calls::v1::calls_server::Calls;
use sluice_calls::Time;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::authority::Authority;
use super::desk::Desk;
use super::documents::Documents;
use super::front::Front;
use super::outbox::Outbox;
use observe::{Seen, observe};

/// What the RPCs work with. Clones share it.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) front: Front,
    pub(crate) desk: Desk,
    pub(crate) documents: Documents,
    /// For what the backend tells of users.
    pub(crate) authority: Authority,
    pub(crate) outbox: Outbox,
    /// For tokens of devices.
    pub(crate) keys: Signer,
    pub(crate) clock: fn() -> Time,
    /// Places for those who follow the events.
    pub(crate) followers: Arc<Semaphore>,
    pub(crate) stop: CancellationToken,
}

/// The API key that signs.
#[derive(Clone)]
pub(crate) struct Signer {
    pub(crate) key: String,
    pub(crate) secret: String,
}

/// Whose request it is, for traces; checked later.
fn party(party: &Option<api::Party>) -> &str {
    party.as_ref().map_or("", |party| &party.user_id)
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Calls for Service {
    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<api::Event, Status>> + Send>>;

    async fn subscribe(&self, request: Request<api::SubscribeRequest>) -> Answer<Self::SubscribeStream> {
        let request = request.into_inner();
        observe(Seen::of("Subscribe", "", ""), self.follow(request)).await
    }

    async fn create_call(&self, request: Request<api::CreateCallRequest>) -> Answer<api::CreateCallResponse> {
        let request = request.into_inner();
        let seen = Seen::of("CreateCall", "", party(&request.caller));
        observe(seen, self.do_create_call(request)).await
    }

    async fn ack_ring(&self, request: Request<api::AckRingRequest>) -> Answer<api::AckRingResponse> {
        let request = request.into_inner();
        let seen = Seen::of("AckRing", &request.call_id, &request.user_id);
        observe(seen, self.do_ack_ring(request)).await
    }

    async fn accept_call(&self, request: Request<api::AcceptCallRequest>) -> Answer<api::AcceptCallResponse> {
        let request = request.into_inner();
        let seen = Seen::of("AcceptCall", &request.call_id, party(&request.party));
        observe(seen, self.do_accept_call(request)).await
    }

    async fn decline_call(
        &self,
        request: Request<api::DeclineCallRequest>,
    ) -> Answer<api::DeclineCallResponse> {
        let request = request.into_inner();
        let seen = Seen::of("DeclineCall", &request.call_id, party(&request.party));
        observe(seen, self.do_decline_call(request)).await
    }

    async fn cancel_call(&self, request: Request<api::CancelCallRequest>) -> Answer<api::CancelCallResponse> {
        let request = request.into_inner();
        let seen = Seen::of("CancelCall", &request.call_id, party(&request.party));
        observe(seen, self.do_cancel_call(request)).await
    }

    async fn join_call(&self, request: Request<api::JoinCallRequest>) -> Answer<api::JoinCallResponse> {
        let request = request.into_inner();
        let seen = Seen::of("JoinCall", &request.call_id, party(&request.party));
        observe(seen, self.do_join_call(request)).await
    }

    async fn leave_call(&self, request: Request<api::LeaveCallRequest>) -> Answer<api::LeaveCallResponse> {
        let request = request.into_inner();
        let seen = Seen::of("LeaveCall", &request.call_id, party(&request.party));
        observe(seen, self.do_leave_call(request)).await
    }

    async fn end_call(&self, request: Request<api::EndCallRequest>) -> Answer<api::EndCallResponse> {
        let request = request.into_inner();
        let seen = Seen::of("EndCall", &request.call_id, &request.user_id);
        observe(seen, self.do_end_call(request)).await
    }

    async fn invite_to_call(
        &self,
        request: Request<api::InviteToCallRequest>,
    ) -> Answer<api::InviteToCallResponse> {
        let request = request.into_inner();
        let seen = Seen::of("InviteToCall", &request.call_id, &request.user_id);
        observe(seen, self.do_invite_to_call(request)).await
    }

    async fn cancel_invite(
        &self,
        request: Request<api::CancelInviteRequest>,
    ) -> Answer<api::CancelInviteResponse> {
        let request = request.into_inner();
        let seen = Seen::of("CancelInvite", &request.call_id, &request.user_id);
        observe(seen, self.do_cancel_invite(request)).await
    }

    async fn request_upgrade(
        &self,
        request: Request<api::RequestUpgradeRequest>,
    ) -> Answer<api::RequestUpgradeResponse> {
        let request = request.into_inner();
        let seen = Seen::of("RequestUpgrade", &request.call_id, &request.user_id);
        observe(seen, self.do_request_upgrade(request)).await
    }

    async fn respond_upgrade(
        &self,
        request: Request<api::RespondUpgradeRequest>,
    ) -> Answer<api::RespondUpgradeResponse> {
        let request = request.into_inner();
        let seen = Seen::of("RespondUpgrade", &request.call_id, &request.user_id);
        observe(seen, self.do_respond_upgrade(request)).await
    }

    async fn set_hold(&self, request: Request<api::SetHoldRequest>) -> Answer<api::SetHoldResponse> {
        let request = request.into_inner();
        let seen = Seen::of("SetHold", &request.call_id, &request.user_id);
        observe(seen, self.do_set_hold(request)).await
    }

    async fn transfer_device(
        &self,
        request: Request<api::TransferDeviceRequest>,
    ) -> Answer<api::TransferDeviceResponse> {
        let request = request.into_inner();
        let seen = Seen::of("TransferDevice", &request.call_id, party(&request.party));
        observe(seen, self.do_transfer_device(request)).await
    }

    async fn moderate_participant(
        &self,
        request: Request<api::ModerateParticipantRequest>,
    ) -> Answer<api::ModerateParticipantResponse> {
        let request = request.into_inner();
        let seen = Seen::of("ModerateParticipant", &request.call_id, &request.user_id);
        observe(seen, self.do_moderate_participant(request)).await
    }

    async fn get_call(&self, request: Request<api::GetCallRequest>) -> Answer<api::GetCallResponse> {
        let request = request.into_inner();
        let seen = Seen::of("GetCall", &request.call_id, "");
        observe(seen, self.do_get_call(request)).await
    }

    async fn list_calls(&self, request: Request<api::ListCallsRequest>) -> Answer<api::ListCallsResponse> {
        let request = request.into_inner();
        let seen = Seen::of("ListCalls", "", &request.user_id);
        observe(seen, self.do_list_calls(request)).await
    }

    async fn list_records(
        &self,
        request: Request<api::ListRecordsRequest>,
    ) -> Answer<api::ListRecordsResponse> {
        let request = request.into_inner();
        let seen = Seen::of("ListRecords", "", &request.user_id);
        observe(seen, self.do_list_records(request)).await
    }

    async fn rate_call(&self, request: Request<api::RateCallRequest>) -> Answer<api::RateCallResponse> {
        let request = request.into_inner();
        let seen = Seen::of("RateCall", &request.call_id, &request.user_id);
        observe(seen, self.do_rate_call(request)).await
    }

    async fn create_link(&self, request: Request<api::CreateLinkRequest>) -> Answer<api::CreateLinkResponse> {
        let request = request.into_inner();
        let seen = Seen::of("CreateLink", "", &request.creator_user_id);
        observe(seen, self.do_create_link(request)).await
    }

    async fn update_link(&self, request: Request<api::UpdateLinkRequest>) -> Answer<api::UpdateLinkResponse> {
        let request = request.into_inner();
        let seen = Seen::of("UpdateLink", "", "");
        observe(seen, self.do_update_link(request)).await
    }

    async fn revoke_link(&self, request: Request<api::RevokeLinkRequest>) -> Answer<api::RevokeLinkResponse> {
        let request = request.into_inner();
        let seen = Seen::of("RevokeLink", "", "");
        observe(seen, self.do_revoke_link(request)).await
    }

    async fn admit(&self, request: Request<api::AdmitRequest>) -> Answer<api::AdmitResponse> {
        let request = request.into_inner();
        let seen = Seen::of("Admit", &request.call_id, &request.user_id);
        observe(seen, self.do_admit(request)).await
    }

    async fn create_device_token(
        &self,
        request: Request<api::CreateDeviceTokenRequest>,
    ) -> Answer<api::CreateDeviceTokenResponse> {
        let request = request.into_inner();
        let seen = Seen::of("CreateDeviceToken", "", &request.user_id);
        observe(seen, self.do_create_device_token(request)).await
    }

    async fn put_user_policy(
        &self,
        request: Request<api::PutUserPolicyRequest>,
    ) -> Answer<api::PutUserPolicyResponse> {
        let request = request.into_inner();
        let seen =
            Seen::of("PutUserPolicy", "", request.policy.as_ref().map_or("", |policy| &policy.user_id));
        observe(seen, self.do_put_user_policy(request)).await
    }

    async fn get_user_policy(
        &self,
        request: Request<api::GetUserPolicyRequest>,
    ) -> Answer<api::GetUserPolicyResponse> {
        let request = request.into_inner();
        let seen = Seen::of("GetUserPolicy", "", &request.user_id);
        observe(seen, self.do_get_user_policy(request)).await
    }
}
