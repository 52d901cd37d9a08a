//! One connection, from its first frame to its end.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sluice_net::{FrameDecoder, FrameError, encode_frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::Tcp;
use super::first_frame::{self, NoShard};
use crate::shard::{Mailbox, TcpInput, TcpPeer};
use crate::telemetry;

/// Bytes of a frame at most, after the first. No session sends packets larger than a path's MTU; data channels neither.
const MAX_FRAME: usize = 4_096;

/// Room made for each read.
const READ_BYTES: usize = 16 << 10;

/// Bytes written at once.
const WRITE_BYTES: usize = 32 << 10;

/// Frames of one connection that may wait for the shard; then the peer has to wait, as TCP does it.
const WAITING_FRAMES: usize = 128;

/// Rest between attempts to tell an overloaded shard that a connection is gone.
const RETRY: Duration = Duration::from_millis(20);

pub(super) struct Connection<'a> {
    pub(super) number: u64,
    pub(super) peer: SocketAddr,
    /// Ours, as advertised.
    pub(super) destination: SocketAddr,
    pub(super) tcp: &'a Tcp,
}

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// No first frame in time.
    NoFirstFrame,
    NoShard(NoShard),
    /// The shard's queue had no room for a new connection.
    ShardBusy,
    Closed,
    /// The peer sent no frame for too long.
    PeerSilent,
    /// The session answers nothing: there is none, or it is over.
    SessionSilent,
    /// The shard gave the connection up.
    GivenUp,
    Frame(FrameError),
    Io(io::Error),
}

impl End {
    /// Set if no connection came about.
    pub(super) fn refusal(&self) -> Option<&'static str> {
        match self {
            End::NoFirstFrame => Some("no_first_frame"),
            End::NoShard(_) => Some("no_shard"),
            End::ShardBusy => Some("shard_busy"),
            _ => None,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::NoFirstFrame => f.write_str("no first frame in time"),
            End::NoShard(error) => error.fmt(f),
            End::ShardBusy => f.write_str("the shard is busy"),
            End::Closed => f.write_str("closed by the peer"),
            End::PeerSilent => f.write_str("the peer was silent"),
            End::SessionSilent => f.write_str("no session answered"),
            End::GivenUp => f.write_str("the peer was too slow"),
            End::Frame(error) => error.fmt(f),
            End::Io(error) => error.fmt(f),
        }
    }
}

impl Connection<'_> {
    pub(super) async fn serve(self, stream: TcpStream) -> End {
        match self.try_serve(stream).await {
            Ok(end) | Err(end) => end,
        }
    }

    async fn try_serve(&self, stream: TcpStream) -> Result<End, End> {
        // Media cannot wait until a segment is full.
        stream.set_nodelay(true).map_err(End::Io)?;
        let (mut reader, writer) = stream.into_split();
        let mut decoder = FrameDecoder::new(first_frame::MAX_BYTES);
        let patience = Duration::from_millis(self.tcp.settings.first_frame_timeout_ms);
        let first = timeout_at(Instant::now() + patience, next_frame(&mut reader, &mut decoder));
        let first = first.await.map_err(|_| End::NoFirstFrame)??;
        let shard = first_frame::shard_of(&first, self.tcp.mailboxes.len()).map_err(End::NoShard)?;
        decoder.set_limit(MAX_FRAME);
        let mailbox = &self.tcp.mailboxes[shard];

        let (frames, to_peer) = channel(self.tcp.settings.send_queue_frames);
        let (source, destination) = (self.peer, self.destination);
        let given_up = CancellationToken::new();
        let alive = given_up.clone().drop_guard();
        let opened = TcpPeer { connection: self.number, source, destination, frames, alive };
        mailbox.tcp(TcpInput::Opened(opened)).map_err(|_| End::ShardBusy)?;
        let idle = Duration::from_millis(self.tcp.settings.idle_timeout_ms);
        let end = tokio::select! {
            end = self.read(mailbox, first, reader, decoder, idle) => end,
            end = write(writer, to_peer, idle) => end,
            () = given_up.cancelled() => End::GivenUp,
        };
        self.tell_closed(mailbox).await;
        Ok(end)
    }

    /// Hands frames to the shard. Ends when the peer is gone or silent.
    async fn read(
        &self,
        mailbox: &Mailbox,
        first: Bytes,
        mut reader: OwnedReadHalf,
        mut decoder: FrameDecoder,
        idle: Duration,
    ) -> End {
        let waiting = Arc::new(Semaphore::new(WAITING_FRAMES));
        let mut contents = first;
        loop {
            let Ok(permit) = waiting.clone().acquire_owned().await else { return End::GivenUp };
            let (source, destination) = (self.peer, self.destination);
            if mailbox.tcp(TcpInput::Frame { source, destination, contents, permit }).is_err() {
                telemetry::tcp_frame_dropped();
            }
            // Bytes that never become a frame do not count as a sign of life.
            let next = timeout_at(Instant::now() + idle, next_frame(&mut reader, &mut decoder));
            contents = match next.await {
                Ok(Ok(frame)) => frame,
                Ok(Err(end)) => return end,
                Err(_) => return End::PeerSilent,
            };
        }
    }

    /// A shard that does not know would go on sending to nobody, so this is repeated until it is heard.
    async fn tell_closed(&self, mailbox: &Mailbox) {
        let (source, destination) = (self.peer, self.destination);
        let mut input = TcpInput::Closed { connection: self.number, source, destination };
        while let Err(full) = mailbox.tcp(input)
            && !mailbox.stopped()
        {
            input = full.0;
            tokio::time::sleep(RETRY).await;
        }
    }
}

async fn next_frame(reader: &mut OwnedReadHalf, decoder: &mut FrameDecoder) -> Result<Bytes, End> {
    loop {
        if let Some(frame) = decoder.next_frame().map_err(End::Frame)? {
            return Ok(frame);
        }
        let buffer = decoder.buffer();
        buffer.reserve(READ_BYTES);
        if reader.read_buf(buffer).await.map_err(End::Io)? == 0 {
            return Err(End::Closed);
        }
    }
}

/// Writes what the shard sends. Ends when nothing comes for `idle`, or when the peer takes nothing for as long.
async fn write(mut writer: OwnedWriteHalf, mut frames: Receiver<Vec<u8>>, idle: Duration) -> End {
    let mut bytes = Vec::with_capacity(WRITE_BYTES);
    loop {
        let mut next = match timeout_at(Instant::now() + idle, frames.recv()).await {
            Ok(Some(frame)) => Some(frame),
            Ok(None) => return End::GivenUp,
            Err(_) => return End::SessionSilent,
        };
        bytes.clear();
        while let Some(frame) = next {
            if let Err(error) = encode_frame(&frame, &mut bytes) {
                return End::Frame(error);
            }
            next = if bytes.len() < WRITE_BYTES { frames.try_recv().ok() } else { None };
        }
        match timeout_at(Instant::now() + idle, writer.write_all(&bytes)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return End::Io(error),
            Err(_) => return End::PeerSilent,
        }
    }
}
