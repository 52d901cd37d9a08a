//! A client that sends and expects single messages.
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use livekit::signal_request::Message as Request;
use livekit::signal_response::Message as Response;
use prost::Message as _;
use sluice_livekit_proto as livekit;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

const PATIENCE: Duration = Duration::from_secs(10);

pub struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Everything that came, in order.
    pub seen: Vec<Response>,
    pub sid: String,
}

impl Client {
    pub async fn connect(url: &str) -> Result<Self, tungstenite::Error> {
        let (socket, _) = tokio_tungstenite::connect_async(url).await?;
        Ok(Self { socket, seen: Vec::new(), sid: String::new() })
    }

    pub async fn send(&mut self, request: Request) {
        self.try_send(request).await.unwrap();
    }

    /// Fails if the server closed the connection, or does not read for a while.
    pub async fn try_send(&mut self, request: Request) -> Result<(), String> {
        let bytes = livekit::SignalRequest { message: Some(request) }.encode_to_vec();
        let sending = self.socket.send(Message::Binary(bytes.into()));
        let sent = tokio::time::timeout(PATIENCE, sending).await.map_err(|_| "not read".to_owned())?;
        sent.map_err(|error| error.to_string())
    }

    pub async fn send_frame(&mut self, frame: Message) {
        self.socket.send(frame).await.unwrap();
    }

    /// The next message.
    pub async fn next(&mut self) -> Response {
        self.read().await.expect("the server closed the connection")
    }

    async fn read(&mut self) -> Option<Response> {
        loop {
            let frame = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            let Ok(frame) = frame else { panic!("nothing came; before: {:#?}", self.seen) };
            match frame {
                Some(Ok(Message::Binary(bytes))) => {
                    let message = livekit::SignalResponse::decode(bytes).unwrap().message.unwrap();
                    self.seen.push(message.clone());
                    return Some(message);
                }
                Some(Ok(Message::Close(_))) | None | Some(Err(_)) => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// Reads until a message fits; panics after a while.
    pub async fn expect<T>(&mut self, mut fits: impl FnMut(Response) -> Option<T>) -> T {
        loop {
            if let Some(found) = fits(self.next().await) {
                return found;
            }
        }
    }

    /// Reads until the server closes; returns the leave message, if there was one.
    pub async fn closed(&mut self) -> Option<livekit::LeaveRequest> {
        let mut leave = None;
        while let Some(message) = self.read().await {
            if let Response::Leave(request) = message {
                leave = Some(request);
            }
        }
        leave
    }

    /// Reads `join` and remembers who we are.
    pub async fn greeted(&mut self) -> livekit::JoinResponse {
        let Response::Join(join) = self.next().await else { panic!("the first message is not `join`") };
        self.sid = join.participant.as_ref().unwrap().sid.clone();
        join
    }

    pub async fn offer(&mut self) -> livekit::SessionDescription {
        self.expect(|message| match message {
            Response::Offer(offer) => Some(offer),
            _ => None,
        })
        .await
    }

    pub async fn answer(&mut self) -> livekit::SessionDescription {
        self.expect(|message| match message {
            Response::Answer(answer) => Some(answer),
            _ => None,
        })
        .await
    }

    /// Waits for news of a participant that fit.
    pub async fn update(
        &mut self,
        fits: impl Fn(&livekit::ParticipantInfo) -> bool,
    ) -> livekit::ParticipantInfo {
        self.expect(|message| match message {
            Response::Update(update) => update.participants.into_iter().find(&fits),
            _ => None,
        })
        .await
    }

    /// Announces and offers a camera; returns its track id once it is negotiated.
    pub async fn publish(&mut self, cid: &str) -> String {
        self.send(Request::AddTrack(camera(cid))).await;
        let sid = self
            .expect(|message| match message {
                Response::TrackPublished(published) => Some(published.track.unwrap().sid),
                _ => None,
            })
            .await;
        self.send(Request::Offer(description("offer", "v=0", 7))).await;
        self.answer().await;
        sid
    }

    /// Answers the server's offer.
    pub async fn accept(&mut self, offer: &livekit::SessionDescription) {
        self.send(Request::Answer(description("answer", "v=0", offer.id))).await;
    }
}

pub fn camera(cid: &str) -> livekit::AddTrackRequest {
    let layer =
        |quality, width| livekit::VideoLayer { quality, width, height: width / 2, ..Default::default() };
    livekit::AddTrackRequest {
        cid: cid.into(),
        name: "camera".into(),
        r#type: livekit::TrackType::Video.into(),
        source: livekit::TrackSource::Camera.into(),
        layers: vec![layer(0, 320), layer(1, 640), layer(2, 1280)],
        simulcast_codecs: vec![livekit::SimulcastCodec { codec: "vp8".into(), ..Default::default() }],
        ..Default::default()
    }
}

pub fn description(kind: &str, sdp: &str, id: u32) -> livekit::SessionDescription {
    livekit::SessionDescription { r#type: kind.into(), sdp: sdp.into(), id, ..Default::default() }
}
