//! The node, seen through its gRPC API: calls with a deadline and the owner's epoch; `watch` follows its events,
//! `steps` keeps one participant's calls in order.
use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sluice_api::Carrier;
use sluice_api::sfu::v1 as sfu;
use sluice_api::sfu::v1::sfu_client::SfuClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Response, Status};

use crate::settings::Settings;

pub(crate) mod steps;
pub(crate) mod watch;

type Client = SfuClient<InterceptedService<Carrier, Bearer>>;

/// A session description of hundreds of sections has half a megabyte, a snapshot of a large room several.
const LARGEST_MESSAGE: usize = 64 * 1024 * 1024;

#[derive(Clone)]
pub(crate) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// A client of the node; clones share one carrier. A connection comes back by itself.
#[derive(Clone)]
pub(crate) struct Node {
    client: Client,
    /// Grows with each start of room management, so that an old process cannot undo what we do.
    pub(crate) epoch: u64,
    deadline: Duration,
}

fn connection(settings: &Settings) -> Result<Carrier, NodeError> {
    let endpoint = Endpoint::from_shared(settings.node.clone())?
        .connect_timeout(settings.timings.node_call())
        .http2_keep_alive_interval(Duration::from_secs(5))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true)
        .tcp_nodelay(true);
    Ok(sluice_api::carrier(endpoint.connect_lazy()))
}

/// The node's settings are unusable.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Not an `http://host:port`.
    #[error("the node's address is not usable: {0}")]
    Address(#[from] tonic::transport::Error),
    /// Contains what no HTTP header may.
    #[error("the node's token cannot stand in an HTTP header")]
    Token,
}

impl Node {
    /// Without a carrier it connects to the address in the settings at the first call, and again whenever the connection is lost.
    pub(crate) fn new(settings: &Settings, carrier: Option<Carrier>) -> Result<Self, NodeError> {
        let carrier = match carrier {
            Some(carrier) => carrier,
            None => connection(settings)?,
        };
        let token = match settings.node_token.as_str() {
            "" => None,
            token => {
                let mut value: MetadataValue<Ascii> =
                    format!("Bearer {token}").parse().map_err(|_| NodeError::Token)?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        let client = SfuClient::with_interceptor(carrier, Bearer(token))
            .max_decoding_message_size(LARGEST_MESSAGE)
            .max_encoding_message_size(LARGEST_MESSAGE);
        Ok(Self { client, epoch: now_ms().unsigned_abs(), deadline: settings.timings.node_call() })
    }

    async fn call<T, F>(&self, name: &'static str, call: impl FnOnce(Client) -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let answer = match tokio::time::timeout(self.deadline, call(self.client.clone())).await {
            Ok(answer) => answer.map(Response::into_inner),
            Err(_) => Err(Status::deadline_exceeded("the node did not answer in time")),
        };
        if let Err(status) = &answer {
            let code = format!("{:?}", status.code());
            metrics::counter!("sluice_rooms_grpc_errors_total", "call" => name, "code" => code).increment(1);
        }
        answer
    }

    pub(crate) async fn get_node(&self) -> Result<sfu::Node, Status> {
        let answer =
            self.call("GetNode", |mut client| async move { client.get_node(sfu::GetNodeRequest {}).await });
        answer.await?.node.ok_or_else(|| Status::internal("the node says nothing of itself"))
    }

    pub(crate) async fn put_room(
        &self,
        room_id: &str,
        app_state: Option<bytes::Bytes>,
    ) -> Result<(), Status> {
        let request = sfu::PutRoomRequest {
            room_id: room_id.into(),
            owner_epoch: self.epoch,
            app_state,
            settings: None,
        };
        self.call("PutRoom", |mut client| async move { client.put_room(request).await }).await.map(|_| ())
    }

    pub(crate) async fn delete_room(&self, room_id: &str) -> Result<(), Status> {
        let request = sfu::DeleteRoomRequest { room_id: room_id.into(), owner_epoch: self.epoch };
        self.call("DeleteRoom", |mut client| async move { client.delete_room(request).await })
            .await
            .map(|_| ())
    }

    pub(crate) async fn list_rooms(&self, page_token: String) -> Result<sfu::ListRoomsResponse, Status> {
        let request = sfu::ListRoomsRequest { page_size: 1000, page_token };
        self.call("ListRooms", |mut client| async move { client.list_rooms(request).await }).await
    }

    /// `None`: the node has no such room.
    pub(crate) async fn get_room(&self, room_id: &str) -> Result<Option<sfu::Room>, Status> {
        let request = sfu::GetRoomRequest { room_id: room_id.into() };
        match self.call("GetRoom", |mut client| async move { client.get_room(request).await }).await {
            Ok(answer) => Ok(answer.room),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(status),
        }
    }

    pub(crate) async fn keep_alive(&self) -> Result<u32, Status> {
        let request = sfu::KeepAliveRequest { owner_epoch: self.epoch };
        self.call("KeepAlive", |mut client| async move { client.keep_alive(request).await })
            .await
            .map(|answer| answer.rooms)
    }

    pub(crate) async fn put_session(&self, request: sfu::PutSessionRequest) -> Result<(), Status> {
        self.call("PutSession", |mut client| async move { client.put_session(request).await })
            .await
            .map(|_| ())
    }

    pub(crate) async fn delete_session(&self, room_id: &str, session_id: &str) -> Result<(), Status> {
        let request = sfu::DeleteSessionRequest {
            room_id: room_id.into(),
            owner_epoch: self.epoch,
            session_id: session_id.into(),
        };
        self.call("DeleteSession", |mut client| async move { client.delete_session(request).await })
            .await
            .map(|_| ())
    }

    pub(crate) async fn set_publications(&self, request: sfu::SetPublicationsRequest) -> Result<(), Status> {
        self.call("SetPublications", |mut client| async move { client.set_publications(request).await })
            .await
            .map(|_| ())
    }

    pub(crate) async fn set_subscriptions(
        &self,
        request: sfu::SetSubscriptionsRequest,
    ) -> Result<(), Status> {
        self.call("SetSubscriptions", |mut client| async move { client.set_subscriptions(request).await })
            .await
            .map(|_| ())
    }

    pub(crate) async fn set_muted(&self, request: sfu::SetMutedRequest) -> Result<(), Status> {
        self.call("SetMuted", |mut client| async move { client.set_muted(request).await }).await.map(|_| ())
    }

    pub(crate) async fn negotiate(
        &self,
        request: sfu::NegotiateRequest,
    ) -> Result<sfu::NegotiateResponse, Status> {
        self.call("Negotiate", |mut client| async move { client.negotiate(request).await }).await
    }

    pub(crate) async fn add_candidates(&self, request: sfu::AddCandidatesRequest) -> Result<(), Status> {
        self.call("AddCandidates", |mut client| async move { client.add_candidates(request).await })
            .await
            .map(|_| ())
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Whether the same call may succeed a little later.
pub(crate) fn is_transient(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::Cancelled
            | Code::Unknown
    )
}

/// Waiting times between attempts: doubling from 100 ms to 3 s.
#[derive(Debug, Clone, Default)]
pub(crate) struct BackOff(u32);

impl BackOff {
    pub(crate) fn next(&mut self) -> Duration {
        let wait = Duration::from_millis(100 << self.0.min(5)).min(Duration::from_secs(3));
        self.0 += 1;
        wait
    }
}
