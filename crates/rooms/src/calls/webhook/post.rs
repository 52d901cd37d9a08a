//! One signed POST to the product's side, and what its answer means.
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};
use serde::Serialize;

use super::sign::{EVENT_ID, SIGNATURE, Signer, TIMESTAMP, timestamp};
use crate::calls::unusable::Unusable;

/// Bytes of an answer that are read so that the connection can be used again; nobody looks at them.
const READ_OF_ANSWER: usize = 64 * 1024;
/// A `Retry-After` beyond this many seconds is not believed.
const LONGEST_WISH_S: u64 = 3_600;

/// What became of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// Taken.
    Done,
    /// Never wanted: no retry.
    Refused(String),
    /// Try again, perhaps not before some time.
    Failed { why: String, not_before_ms: Option<u64> },
}

impl Delivery {
    fn failed(why: impl Into<String>) -> Self {
        Self::Failed { why: why.into(), not_before_ms: None }
    }
}

/// A URL and the secret that it shares with us.
pub(crate) struct Post {
    client: Client,
    url: Url,
    signer: Signer,
}

impl Post {
    /// `section` is the path of the settings, with a dot at its end.
    pub(crate) fn new(url: &str, secret: &str, timeout_ms: u64, section: &str) -> Result<Self, Unusable> {
        let unusable = |name: &str, text: String| Unusable::new(format!("{section}{name}"), text);
        let url = Url::parse(url).map_err(|error| unusable("url", format!("is no URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(unusable("url", "must begin with http:// or https://".into()));
        }
        if secret.is_empty() {
            let text = "must not be empty: nobody could tell our requests from forged ones";
            return Err(unusable("secret", text.into()));
        }
        let client = Client::builder()
            .timeout(Duration::from_millis(timeout_ms))
            // Would carry the event to somewhere that nobody has named.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| unusable("url", error.to_string()))?;
        Ok(Self { client, url, signer: Signer::new(secret) })
    }

    /// One attempt with `message` in JSON form.
    pub(crate) async fn event<T: Serialize + Sync>(&self, id: &str, message: &T) -> Delivery {
        let body = match serde_json::to_vec(message) {
            Ok(body) => body,
            Err(error) => return Delivery::Refused(format!("it has no JSON form: {error}")),
        };
        let timestamp = timestamp();
        let signature = self.signer.sign(&timestamp, &body);
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(TIMESTAMP, timestamp)
            .header(SIGNATURE, signature)
            .header(EVENT_ID, id)
            .body(body);
        match request.send().await {
            Ok(answer) => judge(answer).await,
            Err(error) if error.is_timeout() => Delivery::failed("no answer in time"),
            Err(error) => Delivery::failed(format!("cannot be reached: {error:?}")),
        }
    }
}

async fn judge(mut answer: Response) -> Delivery {
    let status = answer.status();
    let wish = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let mut read = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        read += chunk.len();
        if read > READ_OF_ANSWER {
            break;
        }
    }
    if status.is_success() {
        Delivery::Done
    } else if status == StatusCode::GONE {
        Delivery::Refused(format!("HTTP status {status}"))
    } else {
        let not_before_ms = wish.map(|seconds| seconds.min(LONGEST_WISH_S) * 1_000);
        Delivery::Failed { why: format!("HTTP status {status}"), not_before_ms }
    }
}
