//! A server with pretended calls, and devices that speak by hand.
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use sluice_api::calls::v1::client_message::Request;
use sluice_calls::{DeviceId, Party, UserId};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::super::log::Word;
use super::super::requests::{Mark, Operator};
use super::super::{DeviceSettings, Hub};
use crate::calls::desk::{Picture, Trouble};
use crate::calls::front::Done;
use crate::token::{Keys, TokenBuilder};

const PATIENCE: Duration = Duration::from_secs(20);

type Say = Box<dyn Fn(&str) + Send>;

/// Calls that only pretend.
pub(super) struct Pretender {
    heard: Mutex<Vec<String>>,
    picture: Mutex<Picture>,
    around: Mutex<Option<Say>>,
    trouble: Mutex<Option<Trouble>>,
    gate: Arc<Semaphore>,
}

impl Pretender {
    pub(super) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    pub(super) fn show(&self, picture: Picture) {
        *self.picture.lock().unwrap() = picture;
    }

    /// Says `CL_before` before the picture is taken, and `CL_after` before it arrives.
    pub(super) fn around_the_picture(&self, say: impl Fn(&str) + Send + 'static) {
        *self.around.lock().unwrap() = Some(Box::new(say));
    }

    pub(super) fn refuse(&self, trouble: Trouble) {
        *self.trouble.lock().unwrap() = Some(trouble);
    }

    /// Requests wait while the guard lives.
    pub(super) fn hold(&self) -> OwnedSemaphorePermit {
        self.gate.clone().try_acquire_owned().unwrap()
    }

    fn hear(&self, text: String) -> Result<(), Trouble> {
        self.heard.lock().unwrap().push(text);
        self.trouble.lock().unwrap().clone().map_or(Ok(()), Err)
    }
}

#[async_trait]
impl Operator for Pretender {
    async fn serve(&self, party: &Party, id: &str, _request: Request) -> Result<Done, Trouble> {
        drop(self.gate.acquire().await);
        self.hear(format!("asked {}/{}/{} {id}", party.user, party.device, party.handle))?;
        Ok(Done { call: None, media: None, merged: false })
    }

    async fn picture(
        &self,
        _user: &UserId,
        _device: &DeviceId,
        mark: Mark,
    ) -> Result<(Picture, Option<u64>), Trouble> {
        let say = |call: &str| {
            if let Some(say) = self.around.lock().unwrap().as_ref() {
                say(call);
            }
        };
        say("CL_before");
        let position = mark();
        say("CL_after");
        Ok((self.picture.lock().unwrap().clone(), position))
    }

    async fn appeared(&self, user: &UserId, device: &DeviceId, _call_waiting: bool) -> Result<(), Trouble> {
        self.hear(format!("appeared {user}/{device}"))
    }

    async fn vanished(&self, user: &UserId, device: &DeviceId) -> Result<(), Trouble> {
        self.hear(format!("vanished {user}/{device}"))
    }
}

/// A server under test.
pub(super) struct House {
    pub(super) hub: Hub,
    pub(super) operator: Arc<Pretender>,
    pub(super) stop: CancellationToken,
    address: SocketAddr,
    _stop: DropGuard,
}

pub(super) fn token(user: &str, device: &str) -> String {
    let token = TokenBuilder::new(user).name(format!("Handle of {user}")).device(device, false);
    token.sign("devkey", "secret").unwrap()
}

impl House {
    pub(super) async fn open() -> Self {
        Self::open_with(|_| ()).await
    }

    pub(super) async fn open_with(change: impl FnOnce(&mut DeviceSettings)) -> Self {
        let mut settings = DeviceSettings::default();
        change(&mut settings);
        let operator = Arc::new(Pretender {
            heard: Mutex::default(),
            picture: Mutex::default(),
            around: Mutex::default(),
            trouble: Mutex::default(),
            gate: Arc::new(Semaphore::new(1)),
        });
        let (hub, stop) = (Hub::new(settings), CancellationToken::new());
        let keys = Keys::new(BTreeMap::from([("devkey".into(), "secret".into())]));
        let router = hub.open_with(operator.clone(), keys, stop.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { hub, operator, _stop: stop.clone().drop_guard(), stop, address }
    }

    pub(super) fn say(&self, user: &str, device: Option<&str>, word: Word) {
        let device = device.map(DeviceId::new);
        self.hub.0.registry.say(&UserId::new(user), device.as_ref(), &word, tokio::time::Instant::now());
    }

    /// Waits for it; panics after a while.
    pub(super) async fn until(&self, mut condition: impl FnMut() -> bool) {
        let waiting = async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("it does not come to be");
    }

    fn url(&self, token: &str, more: &str) -> String {
        format!("ws://{}/calls/v1?access_token={token}{more}", self.address)
    }

    pub(super) async fn connect_with(&self, token: &str, more: &str) -> Client {
        let (socket, _) = tokio_tungstenite::connect_async(self.url(token, more)).await.unwrap();
        Client(socket)
    }

    pub(super) async fn connect(&self, user: &str, device: &str) -> Client {
        self.connect_with(&token(user, device), "").await
    }

    pub(super) async fn resume(&self, user: &str, device: &str, cursor: &str) -> Client {
        self.connect_with(&token(user, device), &format!("&cursor={cursor}")).await
    }

    /// Connects and reads the snapshot.
    pub(super) async fn snapshot(&self, user: &str, device: &str) -> Client {
        let mut client = self.connect(user, device).await;
        let first = client.next().await;
        assert!(first["snapshot"].is_object(), "{first}");
        client
    }

    /// Status and text with which a WebSocket is refused.
    pub(super) async fn refusal(&self, token: &str) -> (u16, String) {
        match tokio_tungstenite::connect_async(self.url(token, "")).await {
            Err(tungstenite::Error::Http(response)) => {
                let text = response.body().as_deref().unwrap_or_default();
                (response.status().as_u16(), String::from_utf8_lossy(text).into_owned())
            }
            other => panic!("not refused: {other:?}"),
        }
    }

    /// Status and text of a GET.
    pub(super) async fn get(&self, path: &str) -> (u16, String) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}

/// A device that sends and reads single frames.
#[derive(Debug)]
pub(super) struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    pub(super) async fn send(&mut self, message: Value) {
        self.send_frame(Message::text(message.to_string())).await;
    }

    pub(super) async fn send_frame(&mut self, frame: Message) {
        self.try_send(frame).await.unwrap();
    }

    pub(super) async fn try_send(&mut self, frame: Message) -> Result<(), tungstenite::Error> {
        tokio::time::timeout(PATIENCE, self.0.send(frame)).await.expect("the server reads or closes")
    }

    pub(super) async fn close(&mut self) {
        self.0.close(None).await.unwrap();
    }

    /// The next message.
    pub(super) async fn next(&mut self) -> Value {
        loop {
            match tokio::time::timeout(PATIENCE, self.0.next()).await.expect("nothing came") {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("not a message: {other:?}"),
            }
        }
    }

    /// The code with which the server closes; none if the connection just breaks.
    pub(super) async fn closed(&mut self) -> Option<u16> {
        loop {
            match tokio::time::timeout(PATIENCE, self.0.next()).await.expect("it is not closed") {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }
}
