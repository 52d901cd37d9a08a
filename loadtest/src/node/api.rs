//! The node's gRPC API: each call has a deadline, names the owner, and is tried again if it may succeed a
//! little later.
use std::future::Future;
use std::time::Duration;

use anyhow::Context as _;
use sluice_api::sfu::v1 as sfu;
use sluice_api::sfu::v1::sfu_client::SfuClient;
use tokio::time::Instant;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status, Streaming};

use super::NodeApi;
use crate::bearer::Bearer;

type Client = SfuClient<InterceptedService<Channel, Bearer>>;

/// A session description of hundreds of sections has half a megabyte, a snapshot of a large room several.
const LARGEST_MESSAGE: usize = 64 << 20;
/// For one attempt.
const DEADLINE: Duration = Duration::from_secs(5);
/// For all attempts: a client waits 15 s for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between attempts.
const PAUSE: Duration = Duration::from_millis(200);
/// A room that nobody renews any more ends after this: the run was killed.
const ORPHANED: Duration = Duration::from_secs(30);

/// A client of the node; clones share one connection.
#[derive(Clone)]
pub(crate) struct Node {
    client: Client,
    owner_epoch: u64,
}

impl Node {
    /// # Errors
    /// If nobody answers there, or the address or token cannot be used.
    pub(crate) async fn connect(api: &NodeApi, owner_epoch: u64) -> anyhow::Result<Self> {
        let bearer =
            Bearer::new(&api.node_token).context("--node-token holds letters that no header may hold")?;
        let endpoint = Endpoint::from_shared(api.node.clone()).context("--node is no URL")?;
        let endpoint = endpoint.connect_timeout(DEADLINE).tcp_nodelay(true);
        let channel = endpoint.connect().await.with_context(|| {
            format!(
                "no node answers at {}; start one (`sluice dev` has one), or name yours with --node",
                api.node
            )
        })?;
        let client = SfuClient::with_interceptor(channel, bearer)
            .max_decoding_message_size(LARGEST_MESSAGE)
            .max_encoding_message_size(LARGEST_MESSAGE);
        Ok(Self { client, owner_epoch })
    }

    /// What the node says of itself, at the first attempt.
    pub(crate) async fn get_node(&self) -> Result<sfu::Node, Status> {
        let mut client = self.client.clone();
        let answer = once(client.get_node(sfu::GetNodeRequest {})).await?;
        answer.node.ok_or_else(|| Status::internal("the node says nothing of itself"))
    }

    pub(crate) async fn put_room(&self, room: &str) -> Result<(), Status> {
        let orphan_timeout_ms = u32::try_from(ORPHANED.as_millis()).unwrap_or(u32::MAX);
        let request = sfu::PutRoomRequest {
            room_id: room.into(),
            owner_epoch: self.owner_epoch,
            app_state: None,
            settings: Some(sfu::RoomSettings { orphan_timeout_ms, max_sessions: 0 }),
        };
        self.call(request, |mut client, request| async move { client.put_room(request).await })
            .await
            .map(drop)
    }

    pub(crate) async fn delete_room(&self, room: &str) -> Result<(), Status> {
        let request = sfu::DeleteRoomRequest { room_id: room.into(), owner_epoch: self.owner_epoch };
        self.call(request, |mut client, request| async move { client.delete_room(request).await })
            .await
            .map(drop)
    }

    /// `None`: the node has no such room.
    pub(crate) async fn get_room(&self, room: &str) -> Result<Option<sfu::Room>, Status> {
        let request = sfu::GetRoomRequest { room_id: room.into() };
        let answer =
            self.call(request, |mut client, request| async move { client.get_room(request).await }).await;
        match answer {
            Ok(answer) => Ok(answer.room),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(status),
        }
    }

    pub(crate) async fn keep_alive(&self) -> Result<(), Status> {
        let request = sfu::KeepAliveRequest { owner_epoch: self.owner_epoch };
        self.call(request, |mut client, request| async move { client.keep_alive(request).await })
            .await
            .map(drop)
    }

    pub(crate) async fn put_session(
        &self,
        place: Place<'_>,
        participant: &str,
        settings: sfu::SessionSettings,
    ) -> Result<(), Status> {
        let request = sfu::PutSessionRequest {
            room_id: place.room.into(),
            owner_epoch: self.owner_epoch,
            session_id: place.session.into(),
            participant_id: participant.into(),
            settings: Some(settings),
            app_state: None,
        };
        self.call(request, |mut client, request| async move { client.put_session(request).await })
            .await
            .map(drop)
    }

    pub(crate) async fn delete_session(&self, place: Place<'_>) -> Result<(), Status> {
        let request = sfu::DeleteSessionRequest {
            room_id: place.room.into(),
            owner_epoch: self.owner_epoch,
            session_id: place.session.into(),
        };
        self.call(request, |mut client, request| async move { client.delete_session(request).await })
            .await
            .map(drop)
    }

    pub(crate) async fn set_publications(
        &self,
        place: Place<'_>,
        publications: Vec<sfu::Publication>,
    ) -> Result<(), Status> {
        let request = sfu::SetPublicationsRequest {
            room_id: place.room.into(),
            owner_epoch: self.owner_epoch,
            session_id: place.session.into(),
            publications,
        };
        self.call(request, |mut client, request| async move { client.set_publications(request).await })
            .await
            .map(drop)
    }

    pub(crate) async fn set_subscriptions(
        &self,
        place: Place<'_>,
        subscriptions: Vec<sfu::Subscription>,
    ) -> Result<(), Status> {
        let request = sfu::SetSubscriptionsRequest {
            room_id: place.room.into(),
            owner_epoch: self.owner_epoch,
            session_id: place.session.into(),
            subscriptions,
        };
        self.call(request, |mut client, request| async move { client.set_subscriptions(request).await })
            .await
            .map(drop)
    }

    pub(crate) async fn set_muted(&self, room: &str, publication: &str, muted: bool) -> Result<(), Status> {
        let request = sfu::SetMutedRequest {
            room_id: room.into(),
            owner_epoch: self.owner_epoch,
            publication_id: publication.into(),
            muted,
        };
        self.call(request, |mut client, request| async move { client.set_muted(request).await })
            .await
            .map(drop)
    }

    pub(crate) async fn negotiate(
        &self,
        place: Place<'_>,
        step: sfu::negotiate_request::Step,
    ) -> Result<sfu::NegotiateResponse, Status> {
        let request = sfu::NegotiateRequest {
            room_id: place.room.into(),
            owner_epoch: self.owner_epoch,
            session_id: place.session.into(),
            step: Some(step),
        };
        self.call(request, |mut client, request| async move { client.negotiate(request).await }).await
    }

    pub(crate) async fn watch(
        &self,
        boot_id: &str,
        after_sequence: u64,
    ) -> Result<Streaming<sfu::WatchEventsResponse>, Status> {
        let mut client = self.client.clone();
        once(client.watch_events(sfu::WatchEventsRequest { boot_id: boot_id.into(), after_sequence })).await
    }

    async fn call<Q: Clone, T, F>(
        &self,
        request: Q,
        call: impl Fn(Client, Q) -> F + Send,
    ) -> Result<T, Status>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let give_up = Instant::now() + PATIENCE;
        loop {
            match once(call(self.client.clone(), request.clone())).await {
                Err(status) if is_transient(&status) && Instant::now() + PAUSE < give_up => {
                    tracing::debug!(code = ?status.code(), message = status.message(), "tried again");
                    tokio::time::sleep(PAUSE).await;
                }
                answer => return answer,
            }
        }
    }
}

/// A session of a room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) room: &'a str,
    pub(crate) session: &'a str,
}

async fn once<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Status> {
    match tokio::time::timeout(DEADLINE, call).await {
        Ok(answer) => answer.map(Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded("the node did not answer in time")),
    }
}

/// Whether the same call may succeed a little later.
fn is_transient(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted)
}

/// An error of the node for people: what was asked, the code, and the node's words.
pub(crate) fn refused(what: &str, status: &Status) -> anyhow::Error {
    anyhow::anyhow!("{what}: the node answers {:?}: {}", status.code(), status.message())
}
