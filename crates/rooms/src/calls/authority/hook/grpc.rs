//! The hook over gRPC: the service `sluice.calls.v1.CallPolicy`.
use std::time::Duration;

use async_trait::async_trait;
use sluice_api::calls::v1 as api;
use sluice_api::calls::v1::call_policy_client::CallPolicyClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

use super::{Ask, Failure, LARGEST_ANSWER, SETTING};
use crate::calls::authority::settings::HookSettings;
use crate::calls::unusable::Unusable;

/// A dead connection is noticed after this and once more as long, rather than by the questions on it.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

pub(super) struct Grpc {
    client: CallPolicyClient<Channel>,
    authorization: Option<MetadataValue<Ascii>>,
}

impl Grpc {
    pub(super) fn new(settings: &HookSettings) -> Result<Self, Unusable> {
        if !settings.secret.is_empty() {
            let text = "signs HTTP questions only: use `token` with gRPC";
            return Err(Unusable::new("permission.hook.secret", text));
        }
        let no_url = |error: tonic::transport::Error| Unusable::new(SETTING, format!("is no URL: {error}"));
        let url = settings.url.replacen("grpc", "http", 1);
        let mut endpoint = Endpoint::from_shared(url.clone()).map_err(no_url)?;
        if url.starts_with("https") {
            endpoint = endpoint.tls_config(ClientTlsConfig::new().with_native_roots()).map_err(no_url)?;
        }
        let endpoint = endpoint
            .connect_timeout(Duration::from_millis(settings.deadline_ms))
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true);
        let client = CallPolicyClient::new(endpoint.connect_lazy()).max_decoding_message_size(LARGEST_ANSWER);
        let authorization = match settings.token.as_str() {
            "" => None,
            token => {
                let value = MetadataValue::try_from(format!("Bearer {token}"));
                let text = "must be printable ASCII";
                Some(value.map_err(|_| Unusable::new("permission.hook.token", text))?)
            }
        };
        Ok(Self { client, authorization })
    }

    async fn send(&self, question: &api::AuthorizeCallRequest) -> Result<api::AuthorizeCallResponse, Status> {
        let mut request = Request::new(question.clone());
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        Ok(self.client.clone().authorize_call(request).await?.into_inner())
    }
}

#[async_trait]
impl Ask for Grpc {
    async fn ask(&self, question: &api::AuthorizeCallRequest) -> Result<api::AuthorizeCallResponse, Failure> {
        // Once more: the backend may have closed the connection at this very moment. A question changes nothing.
        let answer = match self.send(question).await {
            Err(status) if status.code() == Code::Unavailable => self.send(question).await,
            answer => answer,
        };
        answer.map_err(|status| match status.code() {
            Code::Unavailable => Failure::Unreachable(status.message().into()),
            Code::OutOfRange | Code::Internal => Failure::Malformed(status.message().into()),
            code => Failure::Status(format!("{code:?}: {}", status.message())),
        })
    }
}
