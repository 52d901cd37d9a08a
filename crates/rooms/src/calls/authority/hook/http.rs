//! The hook over HTTP: a POST of the question in JSON form.
use async_trait::async_trait;
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Response, Url};
use sluice_api::calls::v1 as api;

use super::{Ask, Failure, LARGEST_ANSWER, SETTING};
use crate::calls::authority::settings::HookSettings;
use crate::calls::unusable::Unusable;
use crate::calls::webhook::sign::{SIGNATURE, Signer, TIMESTAMP, timestamp};

pub(super) struct Http {
    client: Client,
    url: Url,
    authorization: Option<HeaderValue>,
    signer: Option<Signer>,
}

impl Http {
    pub(super) fn new(settings: &HookSettings) -> Result<Self, Unusable> {
        let url = Url::parse(&settings.url);
        let url = url.map_err(|error| Unusable::new(SETTING, format!("is no URL: {error}")))?;
        // A redirect would carry the question and its token to somewhere that nobody has named.
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build();
        let client = client.map_err(|error| Unusable::new(SETTING, error.to_string()))?;
        let authorization = match settings.token.as_str() {
            "" => None,
            token => {
                let value = HeaderValue::try_from(format!("Bearer {token}"));
                let text = "must be printable ASCII";
                let mut value = value.map_err(|_| Unusable::new("permission.hook.token", text))?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        let signer = (!settings.secret.is_empty()).then(|| Signer::new(&settings.secret));
        Ok(Self { client, url, authorization, signer })
    }

    async fn send(&self, body: Bytes) -> Result<Response, reqwest::Error> {
        let mut request = self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        if let Some(signer) = &self.signer {
            let timestamp = timestamp();
            let signature = signer.sign(&timestamp, &body);
            request = request.header(TIMESTAMP, timestamp).header(SIGNATURE, signature);
        }
        request.body(body).send().await
    }
}

#[async_trait]
impl Ask for Http {
    async fn ask(&self, question: &api::AuthorizeCallRequest) -> Result<api::AuthorizeCallResponse, Failure> {
        let body = serde_json::to_vec(question).map_err(|error| Failure::Malformed(error.to_string()))?;
        let body = Bytes::from(body);
        // Once more: the backend may have closed an idle connection at this very moment. A question changes nothing.
        let mut answer = match self.send(body.clone()).await {
            Ok(answer) => answer,
            Err(_) => self.send(body).await.map_err(unreachable)?,
        };
        if !answer.status().is_success() {
            return Err(Failure::Status(format!("HTTP status {}", answer.status())));
        }
        let mut text = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if text.len() + chunk.len() > LARGEST_ANSWER {
                return Err(Failure::Malformed(format!("it has more than {LARGEST_ANSWER} bytes")));
            }
            text.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&text).map_err(|error| Failure::Malformed(error.to_string()))
    }
}

/// The whole chain: "error sending request" alone helps nobody.
fn unreachable(error: reqwest::Error) -> Failure {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    Failure::Unreachable(text)
}
