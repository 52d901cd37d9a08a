//! The server under test: where it is, and how to get in.
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sluice_client::{Client, Options, Path};

use crate::metrics::Metrics;
use crate::process::Sample;

/// Which server, and which way in.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[command(next_help_heading = "The server")]
pub(crate) struct Server {
    /// Where clients connect.
    #[arg(long, global = true, default_value = "ws://127.0.0.1:7880")]
    pub(crate) url: String,
    /// API key.
    #[arg(long, global = true, default_value = "devkey", env = "SLUICE_KEY")]
    pub(crate) key: String,
    /// Its secret.
    #[arg(long, global = true, default_value = "secret", env = "SLUICE_SECRET", hide_env_values = true)]
    pub(crate) secret: String,
    /// Where the node's metrics are, e.g. `http://127.0.0.1:9090`; by default where clients connect, as with `sluice dev`.
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) metrics: Option<String>,
    /// Process id of the server, to report its CPU, memory and file descriptors.
    #[arg(long, global = true, value_name = "PID")]
    pub(crate) server_pid: Option<u32>,
    /// Signalling path of the clients.
    #[arg(long, global = true, value_enum, default_value = "v0")]
    pub(crate) path: PathChoice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PathChoice {
    /// Two connections a client.
    V0,
    /// One connection a client.
    V1,
    /// The clients take turns.
    Mixed,
}

impl PathChoice {
    pub(crate) fn of(self, index: usize) -> Path {
        match (self, index % 2) {
            (Self::V0, _) | (Self::Mixed, 0) => Path::V0,
            _ => Path::V1,
        }
    }
}

impl Server {
    /// Its process now, if it was named.
    ///
    /// # Errors
    /// If there is no such process.
    pub(crate) fn sample(&self) -> anyhow::Result<Option<Sample>> {
        self.server_pid.map(Sample::of).transpose()
    }

    /// What the server counts at this moment.
    ///
    /// # Errors
    /// If it does not say.
    pub(crate) async fn metrics(&self) -> anyhow::Result<Metrics> {
        let url = self.metrics.as_deref().unwrap_or(&self.url);
        Metrics::read(url)
            .await
            .context("the server's metrics cannot be read; name their place with --metrics")
    }

    /// Joins a room.
    pub(crate) async fn join(&self, room: &str, identity: &str, options: Options) -> anyhow::Result<Client> {
        Client::connect(&self.url, &self.token(room, identity)?, options).await
    }

    /// A token that is good for an hour.
    pub(crate) fn token(&self, room: &str, identity: &str) -> anyhow::Result<String> {
        let expires = now() + Duration::from_secs(3600);
        let claims = json!({
            "iss": self.key, "sub": identity, "name": identity, "nbf": now().as_secs(), "exp": expires.as_secs(),
            "video": { "roomJoin": true, "room": room },
        });
        sign(&claims, &self.secret)
    }
}

/// Signs any claims.
pub(crate) fn sign(claims: &Value, secret: &str) -> anyhow::Result<String> {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).context("cannot sign a token")
}

/// Since the Unix epoch.
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
