//! What we ask Sluice: the few RPCs of `sluice.calls.v1.Calls` that this product needs.
use std::time::Duration;

use sluice_api::calls::v1::calls_client::CallsClient;
use sluice_api::calls::v1::{
    Call, CreateDeviceTokenRequest, CreateDeviceTokenResponse, CreateLinkRequest, Link, ListCallsRequest,
    ListRecordsRequest, Media, Record,
};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::StartError;
use crate::app::random_text;

/// Sluice answers within milliseconds; whoever waits this long waits for a server that is away.
const PATIENCE: Duration = Duration::from_secs(5);
/// Calls per page, and pages at most: a product of this size has no more going on.
const PAGE: u32 = 1_000;
const PAGES: usize = 10;

/// Clones share one connection, which is made when it is needed.
#[derive(Clone)]
pub(crate) struct Calls {
    client: CallsClient<InterceptedService<Channel, Bearer>>,
}

#[derive(Clone)]
struct Bearer(Option<MetadataValue<Ascii>>);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

impl Calls {
    pub(crate) fn new(address: &str, token: &str) -> Result<Self, StartError> {
        let endpoint = Endpoint::from_shared(address.to_owned()).map_err(|error| StartError::Address {
            address: address.to_owned(),
            problem: error.to_string(),
        })?;
        let channel = endpoint.connect_timeout(PATIENCE).timeout(PATIENCE).connect_lazy();
        let bearer = match token {
            "" => None,
            token => Some(format!("Bearer {token}").parse().map_err(|_| StartError::Token)?),
        };
        Ok(Self { client: CallsClient::with_interceptor(channel, Bearer(bearer)) })
    }

    /// A token with which this device connects to Sluice by itself.
    pub(crate) async fn device_token(
        &self,
        user: &str,
        device: &str,
        handle: &str,
        call_waiting: bool,
    ) -> Result<CreateDeviceTokenResponse, Status> {
        let request = CreateDeviceTokenRequest {
            user_id: user.into(),
            device_id: device.into(),
            handle: handle.into(),
            call_waiting,
            validity_s: 0,
        };
        Ok(self.client.clone().create_device_token(request).await?.into_inner())
    }

    /// A link that anybody may call through.
    pub(crate) async fn create_link(
        &self,
        creator: &str,
        media: Media,
        lobby: bool,
        expires_at_ms: i64,
    ) -> Result<Link, Status> {
        let request = CreateLinkRequest {
            request_id: random_text(24),
            creator_user_id: creator.into(),
            media: media.into(),
            lobby,
            expires_at_ms,
            ..CreateLinkRequest::default()
        };
        let answer = self.client.clone().create_link(request).await?.into_inner();
        answer.link.ok_or_else(|| Status::internal("the answer to CreateLink holds no link"))
    }

    /// All calls that go on.
    pub(crate) async fn live(&self) -> Result<Vec<Call>, Status> {
        let mut calls = Vec::new();
        let mut page_token = String::new();
        for _ in 0..PAGES {
            let request = ListCallsRequest { page_size: PAGE, page_token, ..ListCallsRequest::default() };
            let answer = self.client.clone().list_calls(request).await?.into_inner();
            calls.extend(answer.calls);
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        Ok(calls)
    }

    /// A user's latest calls that have ended, newest first.
    pub(crate) async fn records(&self, user: &str, count: u32) -> Result<Vec<Record>, Status> {
        let request =
            ListRecordsRequest { user_id: user.into(), page_size: count, ..ListRecordsRequest::default() };
        Ok(self.client.clone().list_records(request).await?.into_inner().records)
    }
}
