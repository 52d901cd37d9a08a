//! A Calls service that answers what it is told to, and writes down what it is asked.
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use sluice_api::calls::v1::calls_server::{Calls, CallsServer};
use sluice_api::calls::v1::*;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

pub const TOKEN: &str = "the token of the calls' API";

#[derive(Clone, Default)]
pub struct FakeCalls(Arc<Mutex<State>>);

#[derive(Default)]
pub struct State {
    pub live: Vec<Call>,
    pub records: Vec<Record>,
    pub device_tokens: Vec<CreateDeviceTokenRequest>,
    pub links: Vec<CreateLinkRequest>,
    pub lists: usize,
}

impl FakeCalls {
    pub async fn start(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tonic::transport::Server::builder().add_service(CallsServer::with_interceptor(
            self.clone(),
            |request: Request<()>| match request.metadata().get("authorization") {
                Some(token) if token == format!("Bearer {TOKEN}").as_str() => Ok(request),
                _ => Err(Status::unauthenticated("not the token")),
            },
        ));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        address
    }

    pub fn with<T>(&self, what: impl FnOnce(&mut State) -> T) -> T {
        what(&mut self.0.lock().unwrap())
    }
}

/// RPCs that a backend which leaves ringing to the devices never calls.
macro_rules! never {
    ($($name:ident: $request:ident -> $response:ident;)*) => {
        #[tonic::async_trait]
        impl Calls for FakeCalls {
            $(async fn $name(&self, _: Request<$request>) -> Result<Response<$response>, Status> {
                Err(Status::unimplemented(stringify!($name)))
            })*

            type SubscribeStream = tokio_stream::Empty<Result<Event, Status>>;

            async fn subscribe(
                &self,
                _: Request<SubscribeRequest>,
            ) -> Result<Response<Self::SubscribeStream>, Status> {
                Err(Status::unimplemented("subscribe"))
            }

            async fn list_calls(
                &self,
                _: Request<ListCallsRequest>,
            ) -> Result<Response<ListCallsResponse>, Status> {
                let calls = self.with(|state| {
                    state.lists += 1;
                    state.live.clone()
                });
                Ok(Response::new(ListCallsResponse { calls, ..Default::default() }))
            }

            async fn list_records(
                &self,
                request: Request<ListRecordsRequest>,
            ) -> Result<Response<ListRecordsResponse>, Status> {
                let user = request.into_inner().user_id;
                let has = |record: &&Record| record.legs.iter().any(|leg| leg.user_id == user);
                let records = self.with(|state| state.records.iter().filter(has).cloned().collect());
                Ok(Response::new(ListRecordsResponse { records, ..Default::default() }))
            }

            async fn create_device_token(
                &self,
                request: Request<CreateDeviceTokenRequest>,
            ) -> Result<Response<CreateDeviceTokenResponse>, Status> {
                self.with(|state| state.device_tokens.push(request.into_inner()));
                let token = "device token".into();
                Ok(Response::new(CreateDeviceTokenResponse { token, expires_at_ms: 4_000_000_000_000 }))
            }

            async fn create_link(
                &self,
                request: Request<CreateLinkRequest>,
            ) -> Result<Response<CreateLinkResponse>, Status> {
                self.with(|state| state.links.push(request.into_inner()));
                let link = Link { slug: "slug-of-the-link".into(), ..Default::default() };
                Ok(Response::new(CreateLinkResponse { link: Some(link) }))
            }
        }
    };
}

never! {
    create_call: CreateCallRequest -> CreateCallResponse;
    ack_ring: AckRingRequest -> AckRingResponse;
    accept_call: AcceptCallRequest -> AcceptCallResponse;
    decline_call: DeclineCallRequest -> DeclineCallResponse;
    cancel_call: CancelCallRequest -> CancelCallResponse;
    join_call: JoinCallRequest -> JoinCallResponse;
    leave_call: LeaveCallRequest -> LeaveCallResponse;
    end_call: EndCallRequest -> EndCallResponse;
    invite_to_call: InviteToCallRequest -> InviteToCallResponse;
    cancel_invite: CancelInviteRequest -> CancelInviteResponse;
    request_upgrade: RequestUpgradeRequest -> RequestUpgradeResponse;
    respond_upgrade: RespondUpgradeRequest -> RespondUpgradeResponse;
    set_hold: SetHoldRequest -> SetHoldResponse;
    transfer_device: TransferDeviceRequest -> TransferDeviceResponse;
    moderate_participant: ModerateParticipantRequest -> ModerateParticipantResponse;
    get_call: GetCallRequest -> GetCallResponse;
    rate_call: RateCallRequest -> RateCallResponse;
    update_link: UpdateLinkRequest -> UpdateLinkResponse;
    revoke_link: RevokeLinkRequest -> RevokeLinkResponse;
    admit: AdmitRequest -> AdmitResponse;
    put_user_policy: PutUserPolicyRequest -> PutUserPolicyResponse;
    get_user_policy: GetUserPolicyRequest -> GetUserPolicyResponse;
}
