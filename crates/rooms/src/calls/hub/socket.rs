//! One device's connection: what it asks goes to the operator, what its log holds goes to it.
//!
//! One task: it reads, writes and waits for replies in turn. A device that does not read makes it wait, for a bounded time;
//! meanwhile its log fills, and nobody else notices.
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use sluice_api::calls::v1 as api;
use sluice_api::calls::v1::client_message::Request;
use sluice_calls::{DeviceId, Party, Time, UserId};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_util::sync::CancellationToken;

use super::log::Cursor;
use super::registry::{Connection, Reading};
use super::requests::Operator;
use super::{Ending, Hub, messages};
use crate::calls::desk::Trouble;
use crate::calls::front::Done;
use crate::rate::Rate;

/// One message must leave within this, or the device does not read.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// The calls must say how things stand within this.
const PICTURE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long we read on after our last word, so that the device hears it: a connection that is closed with unread bytes is
/// reset, and may take our last word away. Requests under way have as long to end.
const LINGER: Duration = Duration::from_secs(2);
/// Characters of an error of the JSON parser that the device gets to read; it may quote the whole message.
const LONGEST_QUOTE: usize = 200;

/// A device at the door, with all that its connection needs.
pub(super) struct Line {
    pub(super) hub: Hub,
    pub(super) operator: Arc<dyn Operator>,
    pub(super) party: Party,
    pub(super) call_waiting: bool,
    pub(super) expires: Instant,
    pub(super) cursor: Option<Cursor>,
    pub(super) stop: CancellationToken,
}

/// Resolves to the reply, as text.
type Answering = Pin<Box<dyn Future<Output = Option<String>> + Send>>;

/// A connection that has its place.
struct Talk<'a> {
    line: &'a Line,
    socket: WebSocket,
    connection: Connection,
    /// Everything up to this position of the log has been sent.
    sent: u64,
    answering: FuturesUnordered<Answering>,
    rate: Rate,
    heard: Instant,
}

impl Line {
    /// From the first message to the last; holds `_place` as long.
    pub(super) async fn run(self, mut socket: WebSocket, _place: OwnedSemaphorePermit) {
        // A cursor of another process names a log that is not here.
        let boot = self.hub.0.boot;
        let position = self.cursor.filter(|cursor| cursor.boot == boot).map(|cursor| cursor.position);
        let (user, device) = (&self.party.user, &self.party.device);
        let Ok(entered) = self.hub.0.registry.enter(user, device, self.call_waiting, position) else {
            count_close(Ending::Unready);
            return farewell(&mut socket, Ending::Unready).await;
        };
        metrics::gauge!("sluice_calls_devices").increment(1.0);
        let result = if entered.resumes { "resumed" } else { "snapshot" };
        metrics::counter!("sluice_calls_device_connects_total", "result" => result).increment(1);
        let now = Instant::now();
        let mut talk = Talk {
            line: &self,
            socket,
            connection: entered.connection,
            sent: position.unwrap_or_default(),
            answering: FuturesUnordered::new(),
            rate: Rate::new(self.hub.0.settings.messages_per_second, now),
            heard: now,
        };
        let ending = talk.run(entered.resumes).await;
        self.hub.0.registry.leave(user, device, &talk.connection, Instant::now());
        metrics::gauge!("sluice_calls_devices").decrement(1.0);
        count_close(ending);
        tracing::debug!(%user, %device, ?ending, "a device's connection ended");
        let Talk { mut socket, answering, .. } = talk;
        // A request that was heard is done, though nobody hears the reply: "leave" is the last word of many.
        let requests = timeout(LINGER, answering.for_each(async |_| ()));
        drop(tokio::join!(farewell(&mut socket, ending), requests));
    }

    fn cursor(&self, position: u64) -> String {
        Cursor { boot: self.hub.0.boot, position }.text()
    }
}

fn count_close(ending: Ending) {
    metrics::counter!("sluice_calls_device_closes_total", "reason" => ending.label()).increment(1);
}

/// Our last word, then nothing but the device's.
async fn farewell(socket: &mut WebSocket, ending: Ending) {
    let Some((code, reason)) = ending.farewell() else { return };
    let close = Message::Close(Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) }));
    let goodbye = async {
        if socket.send(close).await.is_ok() {
            while let Some(Ok(_)) = socket.recv().await {}
        }
    };
    // Whether the device hears it is up to the device.
    drop(timeout(LINGER, goodbye).await);
}

fn now() -> Time {
    Time(u64::try_from(crate::node::now_ms()).unwrap_or_default())
}

impl Talk<'_> {
    async fn run(&mut self, resumes: bool) -> Ending {
        match self.converse(resumes).await {
            Ok(never) => match never {},
            Err(ending) => ending,
        }
    }

    async fn converse(&mut self, resumes: bool) -> Result<std::convert::Infallible, Ending> {
        let (stop, bell) = (self.line.stop.clone(), self.connection.bell.clone());
        tokio::select! {
            () = stop.cancelled() => return Err(Ending::Stopping),
            greeted = timeout(PICTURE_TIMEOUT, self.greet(resumes)) => greeted.map_err(|_| Ending::Unready)??,
        }
        self.read_log().await?;
        let mut ping = tokio::time::interval(self.line.hub.0.settings.ping());
        ping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let expiry = tokio::time::sleep_until(self.line.expires);
        tokio::pin!(expiry);
        loop {
            tokio::select! {
                () = stop.cancelled() => return Err(Ending::Stopping),
                () = &mut expiry => return Err(Ending::Expired),
                () = bell.notified() => self.read_log().await?,
                Some(reply) = self.answering.next() => self.say(reply).await?,
                frame = self.socket.recv() => self.hear(frame).await?,
                now = ping.tick() => self.check_life(now).await?,
            }
        }
    }

    /// The first message: how things stand, or that the device's own picture is good.
    async fn greet(&mut self, resumes: bool) -> Result<(), Ending> {
        let Line { hub, operator, party, .. } = self.line;
        let (user, device) = (&party.user, &party.device);
        let unready = |trouble: Trouble| {
            tracing::info!(%user, %device, %trouble, "a device cannot be greeted");
            Ending::Unready
        };
        operator.appeared(user, device, self.line.call_waiting).await.map_err(unready)?;
        if resumes {
            return self.say(messages::pong(self.line.cursor(self.sent), now())).await;
        }
        let mark = {
            let (hub, user, device) = (hub.clone(), user.clone(), device.clone());
            let connection = self.connection.clone();
            Box::new(move || hub.0.registry.end(&user, &device, &connection))
        };
        let (picture, position) = operator.picture(user, device, mark).await.map_err(unready)?;
        self.sent = position.ok_or(Ending::Replaced)?;
        let cursor = self.line.cursor(self.sent);
        self.say(messages::snapshot(&picture, cursor, user, device, now())).await
    }

    /// Sends what the log holds beyond what was sent.
    async fn read_log(&mut self) -> Result<(), Ending> {
        let line = self.line;
        let (user, device) = (&line.party.user, &line.party.device);
        let words = match line.hub.0.registry.read(user, device, &self.connection, self.sent) {
            Reading::Words(words) => words,
            Reading::Missing => return Err(Ending::Behind),
            Reading::Replaced => return Err(Ending::Replaced),
        };
        for (position, word) in words {
            self.say(messages::word(&word, line.cursor(position), user, device)).await?;
            self.sent = position;
        }
        Ok(())
    }

    async fn say(&mut self, text: Option<String>) -> Result<(), Ending> {
        let Some(text) = text else { return Ok(()) };
        metrics::counter!("sluice_calls_device_messages_total", "direction" => "out").increment(1);
        self.write(Message::Text(text.into())).await
    }

    async fn write(&mut self, message: Message) -> Result<(), Ending> {
        match timeout(WRITE_TIMEOUT, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ending::Lost),
            Err(_) => Err(Ending::Behind),
        }
    }

    async fn check_life(&mut self, now: Instant) -> Result<(), Ending> {
        if now.saturating_duration_since(self.heard) >= self.line.hub.0.settings.silence() {
            return Err(Ending::Silent);
        }
        self.write(Message::Ping(bytes::Bytes::new())).await
    }

    async fn hear(&mut self, frame: Option<Result<Message, axum::Error>>) -> Result<(), Ending> {
        let frame = match frame {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Err(broken(error)),
            None => return Err(Ending::Lost),
        };
        self.heard = Instant::now();
        if !self.rate.take(self.heard) {
            return Err(Ending::Flood);
        }
        match frame {
            Message::Text(text) => self.take(&text).await,
            Message::Binary(_) => Err(Ending::Binary),
            Message::Close(_) => Err(Ending::Client),
            Message::Ping(_) | Message::Pong(_) => Ok(()),
        }
    }

    async fn take(&mut self, text: &str) -> Result<(), Ending> {
        metrics::counter!("sluice_calls_device_messages_total", "direction" => "in").increment(1);
        let (id, request) = match parse(text) {
            Ok((_, Request::Ping(_))) => return self.say(messages::pong(String::new(), now())).await,
            Ok(parsed) => parsed,
            Err((id, trouble)) => return self.refuse(id, trouble).await,
        };
        if self.answering.len() >= self.line.hub.0.settings.requests.max(1) {
            return self.refuse(id, Trouble::Overloaded).await;
        }
        let (operator, party) = (self.line.operator.clone(), self.line.party.clone());
        // In the order in which they came: the set polls what is new first to last.
        self.answering.push(Box::pin(async move {
            let result: Result<Done, Trouble> = operator.serve(&party, &id, request).await;
            messages::reply(id, result, &party.user, &party.device)
        }));
        Ok(())
    }

    async fn refuse(&mut self, id: String, trouble: Trouble) -> Result<(), Ending> {
        let (user, device): (&UserId, &DeviceId) = (&self.line.party.user, &self.line.party.device);
        let reply = messages::reply(id, Err(trouble), user, device);
        self.say(reply).await
    }
}

/// What is wrong with a connection that cannot be read on.
fn broken(error: axum::Error) -> Ending {
    let error = error.into_inner();
    match error.downcast_ref::<tungstenite::Error>() {
        Some(tungstenite::Error::Capacity(_)) => Ending::Large,
        Some(tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => Ending::Lost,
        Some(tungstenite::Error::Protocol(_) | tungstenite::Error::Utf8(_)) => Ending::Broken,
        _ => Ending::Lost,
    }
}

/// Its id and request; or what is wrong, with the id if that can be read.
fn parse(text: &str) -> Result<(String, Request), (String, Trouble)> {
    let invalid = |text: String| Trouble::Invalid { field: "request", text };
    match serde_json::from_str::<api::ClientMessage>(text) {
        Ok(api::ClientMessage { id, request: Some(request) }) => Ok((id, request)),
        Ok(api::ClientMessage { id, request: None }) => Err((id, invalid("is missing".into()))),
        Err(error) => {
            let known = serde_json::from_str::<serde_json::Value>(text).ok();
            let id = known.as_ref().and_then(|value| value.get("id")).and_then(serde_json::Value::as_str);
            let text: String =
                format!("is not a ClientMessage: {error}").chars().take(LONGEST_QUOTE).collect();
            Err((id.unwrap_or_default().to_owned(), invalid(text)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_message_is_answered_with_its_id_if_it_has_one() {
        let wrong = |text: &str| parse(text).map_err(|(id, trouble)| (id, trouble.to_string())).unwrap_err();
        assert_eq!(wrong("{\"id\":\"7\"}"), ("7".into(), "`request`: is missing".into()));
        let (id, text) = wrong("{\"id\":\"7\",\"fly\":{}}");
        assert!(id == "7" && text.contains("fly"), "{text}");
        assert_eq!(wrong("{\"id\":7,\"ping\":{}}").0, "");
        assert_eq!(wrong("[1").0, "");
        let (id, text) = wrong(&format!("{{\"id\":\"7\",\"{}\":1}}", "x".repeat(10_000)));
        assert!(id == "7" && text.len() < 300, "{} characters", text.len());
        assert_eq!(wrong(&"[".repeat(60_000)).0, "", "depth is bounded");
    }

    #[test]
    fn a_message_is_read_as_protobuf_writes_json() {
        let (id, request) = parse("{\"id\":\"a\",\"call\":{\"calleeUserIds\":[\"ben\"],\"kind\":\"CALL_KIND_DIRECT\",\"media\":\"MEDIA_VIDEO\",\"ringS\":30}}").unwrap();
        let Request::Call(call) = request else { panic!("{request:?}") };
        assert_eq!(call.media(), api::Media::Video);
        assert_eq!((id.as_str(), call.callee_user_ids, call.ring_s), ("a", vec!["ben".to_owned()], 30));
    }
}
