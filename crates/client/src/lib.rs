//! A small native client of the client protocol, for tests and load: it joins a room, publishes media that looks like
//! Opus and VP8 to a forwarder, and counts what arrives.
//!
//! It encodes and decodes nothing: a packet carries a stamp ([`Stamp`]) that tells its receiver when it was sent, how
//! large its layer is, and whether one is missing. It is no SDK: it does not resume, and it does not adapt its bitrate.
//!
//! Who speaks for the server is usually at a WebSocket, and may be anybody who holds the other ends of a
//! [`Signalling`].
//!
//! One client is one task, with a UDP socket for each of its PeerConnections; light ones may share sockets ([`SharedSockets`]).
//! It is bounded: queues have ends, and it stops at [`Options::lifetime`].
//!
//! ```no_run
//! # async fn example(token: &str) -> anyhow::Result<()> {
//! use sluice_client::{AudioShape, Client, Options};
//! let client = Client::connect("ws://127.0.0.1:7880", token, Options::default()).await?;
//! client.publish_audio(AudioShape::default()).await?;
//! let stats = client.until(std::time::Duration::from_secs(5), |stats| !stats.received.is_empty()).await?;
//! println!("{} tracks", stats.received.len());
//! client.leave().await?;
//! # Ok(())
//! # }
//! ```
mod dtx;
mod freeze;
mod gaps;
mod impair;
mod light;
mod media;
mod peer;
mod receive;
mod send;
mod signal;
mod socket;
mod stamp;
mod stats;
mod task;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use tokio::sync::{mpsc, oneshot, watch};

pub use dtx::Dtx;
pub use impair::{Fates, Impaired, Impairment, Link};
pub use media::{AudioShape, LayerShape, VideoShape};
pub use signal::Signalling;
pub use socket::SharedSockets;
pub use stamp::Stamp;
pub use stats::{DataSeen, Ended, PublishedStats, ReceivedStats, Stats};

use signal::Signal;
use task::{Command, Publish, Task};

/// Commands that may wait; more callers wait for room.
const COMMANDS: usize = 32;
/// How long the server has for the first message, for an answer, for a publication.
const PATIENCE: Duration = Duration::from_secs(15);

/// Which of the two signalling paths to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Path {
    /// `/rtc`: one PeerConnection to publish, one to subscribe.
    #[default]
    V0,
    /// `/rtc/v1`: one PeerConnection for both.
    V1,
}

/// Who handles a client's media.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Plane {
    /// A whole WebRTC stack: it asks for what was lost, sends again, estimates the path.
    #[default]
    Full,
    /// What a load needs: real feedback and reports, no retransmission, at a small part of the cost.
    Light(Opened),
}

/// Which received packets a light client decrypts. The others are counted by what stands in their headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// All.
    All,
    /// Of an eighth of the video frames the first packet, and an eighth of the audio: enough for latency and layers. The first of
    /// every frame until one of our key frames came, and for ten seconds after [`Client::set_size`] or a new subscription. What is
    /// missing by the sender's own count is not known.
    Sample,
}

/// A packet as it came, for an oracle.
#[derive(Debug)]
pub struct SeenPacket<'a> {
    /// The track, as the server names it.
    pub track_sid: &'a str,
    /// Of the track in [`Stats::received`]: the same for all its packets, and the next number for the next track that comes.
    pub place: usize,
    /// Of the RTP stream (RFC 3550).
    pub ssrc: u32,
    /// Extended by its roll-overs.
    pub sequence: u64,
    /// RTP timestamp as sent.
    pub timestamp: u32,
    /// The last packet of a frame (video).
    pub marker: bool,
    /// Without header, extensions and padding.
    pub payload: &'a [u8],
    /// What the sender wrote into it, if it was one of ours.
    pub stamp: Option<Stamp>,
    /// What [`Stamp::age_us`] said when it came; 0 without a stamp.
    pub age_us: u64,
    /// No copy of a packet that came before.
    pub new: bool,
    /// When it came from the socket.
    pub at: Instant,
}

/// Called for each received packet that was opened, once it is counted, on the client's task or on that which reads from its
/// socket: it must be quick.
pub type Observer = Arc<dyn Fn(&SeenPacket<'_>) + Send + Sync>;

/// Called when something else than packets was counted, and at the first packet. The counters are not locked then.
pub type Noticed = Arc<dyn Fn() + Send + Sync>;

/// How a client joins.
#[derive(Clone)]
pub struct Options {
    /// Signalling path.
    pub path: Path,
    /// Subscribe to every track as it appears.
    pub auto_subscribe: bool,
    /// Ask for the lowest layer until [`Client::set_size`] says otherwise.
    pub adaptive_stream: bool,
    /// Address to send and receive from; `None`: the one that routes to the server.
    pub bind: Option<IpAddr>,
    /// The client ends by itself after this.
    pub lifetime: Duration,
    /// Ignore the server's DTLS: a peer that stops in mid-handshake, to try the server's patience.
    pub stall_handshake: bool,
    /// Sees received packets.
    pub observer: Option<Observer>,
    /// Hears that there is something new to look at, without looking all the time.
    pub noticed: Option<Noticed>,
    /// Who handles media.
    pub plane: Plane,
    /// A worse network for media and data than there is.
    pub impairment: Impairment,
    /// For light clients whose way to the server is IPv4 loopback and not impaired; the others have sockets of their own.
    pub shared_sockets: Option<SharedSockets>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            path: Path::V0,
            auto_subscribe: true,
            adaptive_stream: false,
            bind: None,
            lifetime: Duration::from_secs(600),
            stall_handshake: false,
            observer: None,
            noticed: None,
            plane: Plane::Full,
            impairment: Impairment::default(),
            shared_sockets: None,
        }
    }
}

/// A participant in a room. Dropping it leaves without goodbye.
pub struct Client {
    commands: mpsc::Sender<Command>,
    stats: watch::Receiver<Stats>,
    identity: String,
    sid: String,
}

impl Client {
    /// Joins. `url` is that of the server, e.g. `ws://127.0.0.1:7880`.
    ///
    /// Returns once the server has let us in; media connects after that, see [`Stats::connected_after`].
    ///
    /// # Errors
    /// If the server cannot be reached, refuses, or says something that is not of the protocol.
    pub async fn connect(url: &str, token: &str, options: Options) -> anyhow::Result<Self> {
        let began = Instant::now();
        let (signal, join) = tokio::time::timeout(PATIENCE, signal::connect(url, token, &options))
            .await
            .map_err(|_| anyhow!("{url} did not let us in within {PATIENCE:?}"))??;
        Self::enter(url, signal, &join, began, options).await
    }

    /// Joins where somebody stands in for the protocol's server. `join` is what that server would say first,
    /// `began` when joining began, and `towards` a URL of the host that media goes to, e.g.
    /// `udp://127.0.0.1:7882`.
    ///
    /// # Errors
    /// If there is no way to that host, or no socket to be had.
    pub async fn connect_over(
        signalling: Signalling,
        join: &sluice_livekit_proto::JoinResponse,
        began: Instant,
        towards: &str,
        options: Options,
    ) -> anyhow::Result<Self> {
        Self::enter(towards, Signal::Other(signalling), join, began, options).await
    }

    async fn enter(
        towards: &str,
        signal: Signal,
        join: &sluice_livekit_proto::JoinResponse,
        began: Instant,
        options: Options,
    ) -> anyhow::Result<Self> {
        let me = join.participant.clone().context("the join response names no participant")?;
        let bind = match options.bind {
            Some(bind) => bind,
            None => signal::local_address_towards(towards).await?,
        };
        let (stats_sender, stats) = watch::channel(Stats::joined(began, join));
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let task = Task::new(signal, bind, join, options, stats_sender, inbox).await?;
        tokio::spawn(task.run());
        Ok(Self { commands, stats, identity: me.identity, sid: me.sid })
    }

    /// Who we are.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The server's id for us.
    #[must_use]
    pub fn sid(&self) -> &str {
        &self.sid
    }

    /// Publishes audio until muted, unpublished or left. Returns the track's id once it is negotiated.
    ///
    /// # Errors
    /// If the server refuses, or does not answer in time.
    pub async fn publish_audio(&self, shape: AudioShape) -> anyhow::Result<String> {
        self.publish(Publish::Audio(shape)).await
    }

    /// Publishes video; as [`publish_audio`](Self::publish_audio).
    ///
    /// # Errors
    /// If the shape has no layer, the server refuses, or does not answer in time.
    pub async fn publish_video(&self, shape: VideoShape) -> anyhow::Result<String> {
        if shape.layers.is_empty() {
            bail!("a video needs at least one layer");
        }
        self.publish(Publish::Video(shape)).await
    }

    async fn publish(&self, what: Publish) -> anyhow::Result<String> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Publish(what, reply)).await?;
        tokio::time::timeout(PATIENCE, answer)
            .await
            .map_err(|_| anyhow!("not published within {PATIENCE:?}"))?
            .map_err(|_| self.gone())?
    }

    /// Says how large a track is shown; the server then sends the layer that covers it.
    ///
    /// # Errors
    /// If the client has ended.
    pub async fn set_size(&self, track_sid: &str, width: u32, height: u32) -> anyhow::Result<()> {
        self.send(Command::Size(track_sid.into(), width, height)).await
    }

    /// Mutes or unmutes a track of ours.
    ///
    /// # Errors
    /// If the client has ended.
    pub async fn mute(&self, track_sid: &str, muted: bool) -> anyhow::Result<()> {
        self.send(Command::Mute(track_sid.into(), muted)).await
    }

    /// Subscribes to a track, or no longer.
    ///
    /// # Errors
    /// If the client has ended.
    pub async fn subscribe(&self, track_sid: &str, subscribe: bool) -> anyhow::Result<()> {
        self.send(Command::Subscribe(track_sid.into(), subscribe)).await
    }

    /// Sends a data message to participants, or to everybody if `to` is empty.
    ///
    /// # Errors
    /// If the client has ended, or the channel is not open within 15 s.
    pub async fn send_data(&self, payload: &[u8], reliable: bool, to: &[String]) -> anyhow::Result<()> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Data { payload: payload.to_vec(), reliable, to: to.to_vec(), reply }).await?;
        tokio::time::timeout(PATIENCE, answer)
            .await
            .map_err(|_| anyhow!("no data channel within {PATIENCE:?}"))?
            .map_err(|_| self.gone())?
    }

    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats.borrow().clone()
    }

    /// Reads what was counted so far without copying it.
    pub fn with_stats<T>(&self, read: impl FnOnce(&Stats) -> T) -> T {
        read(&self.stats.borrow())
    }

    /// Waits until `holds`.
    ///
    /// # Errors
    /// If it does not within `deadline`, or the client ends first; the text says how far things came.
    pub async fn until(
        &self,
        deadline: Duration,
        holds: impl FnMut(&Stats) -> bool,
    ) -> anyhow::Result<Stats> {
        let mut stats = self.stats.clone();
        let waited = tokio::time::timeout(deadline, stats.wait_for(holds)).await;
        match waited {
            Ok(Ok(stats)) => Ok(stats.clone()),
            Ok(Err(_)) => Err(self.gone()),
            Err(_) => bail!("not so within {deadline:?}: {}", self.with_stats(Stats::brief)),
        }
    }

    /// Says goodbye and ends. Returns the last counters.
    ///
    /// # Errors
    /// If it had ended before, for another reason than its lifetime.
    pub async fn leave(self) -> anyhow::Result<Stats> {
        // A client that has ended has closed its inbox; why is in its counters.
        let _ended_already = self.commands.send(Command::Leave).await;
        let mut stats = self.stats.clone();
        let left = tokio::time::timeout(PATIENCE, stats.wait_for(|stats| stats.ended.is_some())).await;
        let stats = match left {
            Ok(Ok(stats)) => stats.clone(),
            Ok(Err(_)) | Err(_) => bail!("the client did not end"),
        };
        match &stats.ended {
            Some(Ended::Left | Ended::Lifetime) => Ok(stats),
            ended => bail!("ended before: {ended:?}"),
        }
    }

    async fn send(&self, command: Command) -> anyhow::Result<()> {
        self.commands.send(command).await.map_err(|_| self.gone())
    }

    fn gone(&self) -> anyhow::Error {
        anyhow!("the client of {} has ended: {:?}", self.identity, self.stats.borrow().ended)
    }
}
