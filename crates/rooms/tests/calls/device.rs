//! A device on its WebSocket, one JSON message at a time.
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use sluice_api::calls::v1::CreateDeviceTokenRequest;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::backend::{Backend, PATIENCE, id, with_token};

pub struct Device {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Everything that came, in order.
    pub seen: Vec<Value>,
}

/// As the product's backend gets it for its user.
pub async fn token(backend: &Backend, user: &str, device: &str) -> String {
    let request = CreateDeviceTokenRequest {
        user_id: user.into(),
        device_id: device.into(),
        handle: user.to_uppercase(),
        ..Default::default()
    };
    backend.rpc().create_device_token(with_token(request)).await.unwrap().into_inner().token
}

impl Device {
    /// Connects, and reads the snapshot.
    pub async fn connect(backend: &Backend, user: &str, device: &str) -> Self {
        let mut this = Self::connect_with(backend, user, device, "").await;
        let first = this.next().await;
        assert!(first["snapshot"].is_object(), "{first}");
        this
    }

    pub async fn connect_with(backend: &Backend, user: &str, device: &str, more: &str) -> Self {
        let token = token(backend, user, device).await;
        let url = format!("ws://{}/calls/v1?access_token={token}{more}", backend.http);
        let (socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        Self { socket, seen: Vec::new() }
    }

    /// The cursor of the last message that had one.
    pub fn cursor(&self) -> String {
        self.seen.iter().rev().find_map(|message| message["cursor"].as_str()).unwrap().to_owned()
    }

    pub async fn next(&mut self) -> Value {
        loop {
            let frame = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            let Ok(frame) = frame else { panic!("nothing came; before: {:#?}", self.seen) };
            match frame {
                Some(Ok(Message::Text(text))) => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    self.seen.push(message.clone());
                    return message;
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("{other:?}; before: {:#?}", self.seen),
            }
        }
    }

    /// Reads until a message has `field`, e.g. `ring`; returns that field.
    pub async fn expect(&mut self, field: &str) -> Value {
        self.expect_that(field, |_| true).await
    }

    /// Reads until a message has `field` and it fits.
    pub async fn expect_that(&mut self, field: &str, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.next().await;
            if let Some(found) = message.get(field).filter(|found| fits(found)) {
                return found.clone();
            }
        }
    }

    /// Asks, and reads until the reply.
    pub async fn ask(&mut self, request: &str, body: Value) -> Value {
        let id = id();
        self.socket.send(Message::text(json!({"id": id, request: body}).to_string())).await.unwrap();
        self.expect_that("reply", |reply| reply["id"] == id.as_str()).await
    }
}
