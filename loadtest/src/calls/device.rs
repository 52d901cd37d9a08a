//! One user's device on `/calls/v1`: says and hears `client.proto` in JSON.
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use sluice_api::calls::v1 as api;
use sluice_api::calls::v1::client_message::{Accept, Request, Ring};
use sluice_api::calls::v1::server_message::Message as Heard;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// What is awaited comes within this, or counts as lost.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Device {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    sent: u64,
}

impl Device {
    /// Connects and reads the snapshot.
    pub(crate) async fn connect(url: &str, token: &str) -> anyhow::Result<Self> {
        let address = format!("{}/calls/v1?access_token={token}", url.trim_end_matches('/'));
        let connecting = tokio_tungstenite::connect_async(address);
        let (socket, _) = connecting.await.with_context(|| format!("no WebSocket at {url}/calls/v1"))?;
        if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
            stream.set_nodelay(true)?;
        }
        // The ids of a device's requests are its own for ever, so a connection goes on above those of earlier ones.
        let sent = u64::try_from(crate::server::now().as_millis()).unwrap_or(0);
        let mut device = Self { socket, sent };
        match device.hear().await? {
            Heard::Snapshot(_) => Ok(device),
            other => bail!("the first message is not a snapshot but {other:?}"),
        }
    }

    /// The next message.
    pub(crate) async fn hear(&mut self) -> anyhow::Result<Heard> {
        loop {
            let frame = self.socket.next().await.context("the server closed the WebSocket")??;
            match frame {
                Message::Text(text) => {
                    let message: api::ServerMessage = serde_json::from_str(&text)?;
                    if let Some(message) = message.message {
                        return Ok(message);
                    }
                }
                Message::Close(frame) => bail!("the server closed the WebSocket: {frame:?}"),
                _ => {}
            }
        }
    }

    /// Waits for what `wanted` picks, and skips the rest.
    pub(crate) async fn until<T>(
        &mut self,
        what: &str,
        mut wanted: impl FnMut(Heard) -> Option<T>,
    ) -> anyhow::Result<(T, Instant)> {
        let hearing = async {
            loop {
                if let Some(found) = wanted(self.hear().await?) {
                    return anyhow::Ok((found, Instant::now()));
                }
            }
        };
        tokio::time::timeout(PATIENCE, hearing)
            .await
            .with_context(|| format!("{what} did not come within {} s", PATIENCE.as_secs()))?
    }

    pub(crate) async fn acknowledge(&mut self, call: &str) -> anyhow::Result<()> {
        self.say(Request::Ack(Ring { call_id: call.into() })).await.map(drop)
    }

    /// Accepts, and waits for the way into the room.
    pub(crate) async fn accept(&mut self, call: &str) -> anyhow::Result<(api::MediaAccess, Instant)> {
        let id = self.say(Request::Accept(Accept { call_id: call.into(), audio_only: false })).await?;
        let reply = |heard| match heard {
            Heard::Reply(reply) if reply.id == id => Some(reply),
            _ => None,
        };
        let (reply, at) = self.until("the answer to an accept", reply).await?;
        if let Some(error) = reply.error {
            bail!("the accept was refused: {} {}", error.reason, error.message);
        }
        let media = reply.media.context("the answer to an accept holds no way into the room")?;
        if media.token.is_empty() {
            bail!("the answer to an accept holds an empty token");
        }
        Ok((media, at))
    }

    async fn say(&mut self, request: Request) -> anyhow::Result<String> {
        self.sent += 1;
        let id = self.sent.to_string();
        let message = api::ClientMessage { id: id.clone(), request: Some(request) };
        self.socket.send(Message::text(serde_json::to_string(&message)?)).await?;
        Ok(id)
    }
}
