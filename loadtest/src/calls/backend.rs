//! The product's backend: creates, cancels and ends calls over gRPC.
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, bail};
use sluice_api::calls::v1 as api;
use sluice_api::calls::v1::calls_client::CallsClient;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::CallsApi;
use crate::bearer::Bearer;

type Client = CallsClient<InterceptedService<Channel, Bearer>>;

/// Some connections to the API, used in turn.
pub(crate) struct Backend {
    clients: Vec<Client>,
    next: AtomicUsize,
    /// Makes the ids of this run differ from those of earlier runs.
    pub(super) run: String,
}

impl Backend {
    /// # Errors
    /// If the API cannot be reached, or does not take the token.
    pub(crate) async fn connect(settings: &CallsApi, run: String) -> anyhow::Result<Self> {
        let bearer = Bearer::new(&settings.grpc_token)
            .context("--grpc-token holds letters that no header may hold")?;
        let mut clients = Vec::new();
        for _ in 0..settings.grpc_connections.max(1) {
            let endpoint = Endpoint::from_shared(settings.grpc.clone()).context("--grpc is no URL")?;
            let channel =
                endpoint.tcp_nodelay(true).connect().await.with_context(|| {
                    format!("the calls API cannot be reached at {} (--grpc)", settings.grpc)
                })?;
            clients.push(CallsClient::with_interceptor(channel, bearer.clone()));
        }
        let backend = Self { clients, next: AtomicUsize::new(0), run };
        backend.check().await?;
        Ok(backend)
    }

    /// [`Backend::connect`], with ids that are drawn from the clock.
    pub(super) async fn connect_now(settings: &CallsApi) -> anyhow::Result<Self> {
        Self::connect(settings, crate::server::now().as_millis().to_string()).await
    }

    /// Asks for something that is not there: what matters is whether we may ask.
    async fn check(&self) -> anyhow::Result<()> {
        match self
            .client()
            .list_calls(api::ListCallsRequest { user_id: "preflight".into(), ..Default::default() })
            .await
        {
            Ok(_) => Ok(()),
            Err(status) if status.code() == Code::Unauthenticated => {
                bail!(
                    "the calls API does not take the token: give its own with --grpc-token or as SLUICE_CALLS_TOKEN; `sluice dev` has the one of SLUICE_DEV_GRPC_TOKEN"
                )
            }
            Err(status) => Err(status).context("the calls API does not answer"),
        }
    }

    fn client(&self) -> Client {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.clients.len();
        self.clients[turn].clone()
    }

    /// A token for a device's WebSocket.
    pub(crate) async fn device_token(&self, user: &str) -> anyhow::Result<String> {
        let request = api::CreateDeviceTokenRequest {
            user_id: user.into(),
            device_id: "load".into(),
            handle: user.into(),
            ..Default::default()
        };
        Ok(self.client().create_device_token(request).await?.into_inner().token)
    }

    /// A direct audio call: its id, and the caller's way into its room. `name` is of this call alone within the run.
    pub(crate) async fn create(
        &self,
        name: &str,
        caller: &str,
        callee: &str,
    ) -> Result<(String, Option<api::MediaAccess>), Status> {
        let party = api::Party { user_id: caller.into(), device_id: "load".into(), handle: caller.into() };
        let request = api::CreateCallRequest {
            request_id: format!("{}-{name}", self.run),
            caller: Some(party),
            callees: vec![api::Callee { user_id: callee.into(), handle: callee.into() }],
            kind: api::CallKind::Direct.into(),
            media: api::Media::Audio.into(),
            ..Default::default()
        };
        let answer = self.client().create_call(request).await?.into_inner();
        let call = answer.call.ok_or_else(|| Status::internal("the answer holds no call"))?;
        Ok((call.call_id, answer.media))
    }

    pub(crate) async fn cancel(&self, call: &str, caller: &str) -> Result<(), Status> {
        let party = api::Party { user_id: caller.into(), device_id: "load".into(), handle: String::new() };
        let request = api::CancelCallRequest {
            request_id: format!("cancel-{call}"),
            call_id: call.into(),
            party: Some(party),
        };
        self.client().cancel_call(request).await.map(drop)
    }

    pub(crate) async fn end(&self, call: &str) -> Result<(), Status> {
        let request_id = format!("end-{call}");
        let request = api::EndCallRequest { request_id, call_id: call.into(), user_id: String::new() };
        self.client().end_call(request).await.map(drop)
    }

    /// What remains of it.
    pub(crate) async fn record(&self, call: &str) -> anyhow::Result<Option<api::Record>> {
        Ok(self.client().get_call(api::GetCallRequest { call_id: call.into() }).await?.into_inner().record)
    }

    /// Calls of `user` that have not ended.
    pub(crate) async fn live(&self, user: &str) -> anyhow::Result<usize> {
        let request = api::ListCallsRequest { user_id: user.into(), ..Default::default() };
        Ok(self.client().list_calls(request).await?.into_inner().calls.len())
    }
}
