//! One client's WebSocket: requests in at a bounded rate, responses out through a bounded queue.
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures_util::stream::SplitStream;
use futures_util::{SinkExt, StreamExt};
use prost::Message as _;
use sluice_livekit_proto as livekit;
use sluice_livekit_proto::{signal_request, signal_response};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::rate::Rate;
use crate::settings::Limits;

/// One message must leave within this, or the client does not read.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Messages that wait are written together, as many at most: several follow each other when somebody joins, and each
/// write is a system call.
const BATCH: usize = 16;
/// What of a batch is held back at most before it is written: what must leave within [`WRITE_TIMEOUT`] stays small.
pub(crate) const WRITE_BUFFER: usize = 16 * 1024;
/// How long we read on after our last word. A connection closed with unread bytes is reset, which can take our last word
/// away from the client.
const LINGER: Duration = Duration::from_secs(5);

enum Frame {
    Response(Box<livekit::SignalResponse>),
    Close(u16, &'static str),
}

/// What came from the client.
#[derive(Debug)]
pub(crate) enum Heard {
    Request(Box<signal_request::Message>),
    /// A sign of life, or a request that we do not know.
    Noise,
    /// No more will come; why, for counters.
    Closed(&'static str),
}

/// The client does not read what we send, or is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deaf {
    Full,
    Gone,
}

/// Whether a write ended well and in time.
async fn within<E>(write: impl Future<Output = Result<(), E>>) -> bool {
    matches!(tokio::time::timeout(WRITE_TIMEOUT, write).await, Ok(Ok(())))
}

pub(crate) struct Socket {
    incoming: SplitStream<WebSocket>,
    outgoing: mpsc::Sender<Frame>,
    rate: Rate,
}

impl Socket {
    pub(crate) fn start(socket: WebSocket, limits: &Limits) -> Self {
        let (mut sink, incoming) = socket.split();
        let (outgoing, mut queue) = mpsc::channel(limits.client_queue.max(1));
        tokio::spawn(async move {
            let mut waiting = Vec::new();
            while queue.recv_many(&mut waiting, BATCH).await > 0 {
                for frame in waiting.drain(..) {
                    let (message, last) = match frame {
                        Frame::Response(response) => {
                            (Message::Binary(response.encode_to_vec().into()), false)
                        }
                        Frame::Close(code, reason) => {
                            (Message::Close(Some(CloseFrame { code, reason: reason.into() })), true)
                        }
                    };
                    if !within(sink.feed(message)).await {
                        return;
                    }
                    if last {
                        within(sink.flush()).await;
                        return;
                    }
                }
                if !within(sink.flush()).await {
                    return;
                }
            }
            // Nobody will say more: whether the client still gets this politeness does not matter.
            within(sink.close()).await;
        });
        Self { incoming, outgoing, rate: Rate::new(limits.messages_per_second, Instant::now()) }
    }

    /// The next thing from the client. May be dropped and called again without harm.
    pub(crate) async fn hear(&mut self) -> Heard {
        let bytes = match self.incoming.next().await {
            Some(Ok(Message::Binary(bytes))) => bytes,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Heard::Noise,
            Some(Ok(Message::Text(_))) => {
                self.say_goodbye(close_code::UNSUPPORTED, "binary frames only");
                return Heard::Closed("text");
            }
            Some(Ok(Message::Close(_))) => return Heard::Closed("client"),
            Some(Err(_)) => {
                // A frame over the limit ends here too: the codec answers nothing, so we say why.
                self.say_goodbye(close_code::POLICY, "the message is too large or the frame is broken");
                return Heard::Closed("broken");
            }
            None => return Heard::Closed("lost"),
        };
        if !self.rate.take(Instant::now()) {
            self.say_goodbye(close_code::POLICY, "too many messages");
            return Heard::Closed("rate");
        }
        match livekit::SignalRequest::decode(bytes) {
            Ok(livekit::SignalRequest { message: Some(message) }) => Heard::Request(Box::new(message)),
            Ok(livekit::SignalRequest { message: None }) => Heard::Noise,
            Err(_) => {
                self.say_goodbye(close_code::INVALID, "malformed message");
                Heard::Closed("malformed")
            }
        }
    }

    pub(crate) fn tell(&self, message: signal_response::Message) -> Result<(), Deaf> {
        let response = Box::new(livekit::SignalResponse { message: Some(message) });
        self.outgoing.try_send(Frame::Response(response)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Deaf::Full,
            mpsc::error::TrySendError::Closed(_) => Deaf::Gone,
        })
    }

    fn say_goodbye(&self, code: u16, reason: &'static str) {
        // A full queue means that the client does not read: it gets the bare end of the connection.
        drop(self.outgoing.try_send(Frame::Close(code, reason)));
    }

    /// Says goodbye after what waits, and closes.
    pub(crate) fn close(self, code: u16, reason: &'static str) {
        self.say_goodbye(code, reason);
        self.part();
    }

    /// Closes when what waits has gone out.
    pub(crate) fn part(self) {
        let Self { mut incoming, outgoing, .. } = self;
        drop(outgoing);
        tokio::spawn(tokio::time::timeout(LINGER, async move {
            while let Some(Ok(_)) = incoming.next().await {}
        }));
    }
}
