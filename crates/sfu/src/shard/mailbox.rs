//! The way into a shard: bounded queues and a bell.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use mio::{Registry, Token, Waker};
use sluice_engine::{Command, CommandError, LinkMessage, Reply, ShardNumber};
use tokio::sync::oneshot;

use super::connections::TcpInput;
use super::outbox::Answered;

/// The token of the bell; sockets are numbered from 0.
pub(super) const BELL: Token = Token(usize::MAX);

/// Frames of TCP connections that may wait for a shard. At 1,200 bytes each this is 5 MB, a second of a busy shard's TCP.
const TCP_QUEUE: usize = 4_096;

/// Messages of other shards that may wait for a shard: at 1,200 bytes of payload each, which all subscribers of a packet share, about
/// 10 MB, and a third of a second of a busy shard.
const LINK_QUEUE: usize = 8_192;

/// Bytes of data messages of other shards that may wait for a shard.
const LINK_DATA: usize = 8 << 20;

/// How long a caller waits for a reply. A shard answers within milliseconds, or it is in trouble.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the reply to a command comes.
pub(crate) type Expected = oneshot::Receiver<Answered>;

/// A command with the way back.
pub(super) struct Envelope {
    pub(super) command: Command,
    pub(super) to: oneshot::Sender<Answered>,
}

/// Why a command has no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// The queue is full; the command will not run.
    #[error("the shard's command queue is full; try again later")]
    Full,
    /// The command may still run: repeat it, or ask for the state.
    #[error("the shard did not answer in time")]
    Timeout,
    /// The node shuts down.
    #[error("the node shuts down")]
    Gone,
    /// The shard refused.
    #[error(transparent)]
    Refused(#[from] CommandError),
}

/// There is no room for a frame, or the shard is gone.
#[derive(Debug)]
pub(crate) struct MailboxFull(pub(crate) TcpInput);

/// Puts things into a shard's queues. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Mailbox {
    commands: SyncSender<Envelope>,
    tcp: SyncSender<TcpInput>,
    links: SyncSender<(ShardNumber, LinkMessage)>,
    link_data: Arc<AtomicUsize>,
    bell: Arc<Bell>,
    pub(super) reply_timeout: Duration,
}

/// The shard's end.
pub(super) struct Inbox {
    pub(super) commands: Receiver<Envelope>,
    pub(super) tcp: Receiver<TcpInput>,
    links: Receiver<(ShardNumber, LinkMessage)>,
    link_data: Arc<AtomicUsize>,
    pub(super) bell: Arc<Bell>,
}

/// Wakes the thread, once however often it is rung before the thread looks.
pub(super) struct Bell {
    waker: Waker,
    rung: AtomicBool,
    stop: AtomicBool,
}

impl Bell {
    fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel)
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "cannot wake a shard");
        }
    }

    /// To be called before the queues are emptied, so that nothing that comes later is missed.
    pub(super) fn quieten(&self) {
        self.rung.store(false, Ordering::Release);
    }

    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

pub(super) fn mailbox(registry: &Registry, command_queue: usize) -> io::Result<(Mailbox, Inbox)> {
    let waker = Waker::new(registry, BELL)?;
    let bell = Arc::new(Bell { waker, rung: AtomicBool::new(false), stop: AtomicBool::new(false) });
    let (command_sender, commands) = sync_channel(command_queue);
    let (tcp_sender, tcp) = sync_channel(TCP_QUEUE);
    let (link_sender, links) = sync_channel(LINK_QUEUE);
    let mailbox = Mailbox {
        commands: command_sender,
        tcp: tcp_sender,
        links: link_sender,
        link_data: Arc::default(),
        bell: bell.clone(),
        reply_timeout: REPLY_TIMEOUT,
    };
    let link_data = mailbox.link_data.clone();
    Ok((mailbox, Inbox { commands, tcp, links, link_data, bell }))
}

impl Inbox {
    /// What another shard says next.
    pub(super) fn link(&self) -> Option<(ShardNumber, LinkMessage)> {
        let (from, message) = self.links.try_recv().ok()?;
        let data = message.data_bytes();
        if data > 0 {
            self.link_data.fetch_sub(data, Ordering::Relaxed);
        }
        Some((from, message))
    }
}

impl Mailbox {
    /// Has a command carried out. A caller that goes away before the shard begins withdraws it.
    pub(crate) async fn call(&self, command: Command) -> Result<Reply, CallError> {
        Ok(self.call_with_sequence(command).await?.0)
    }

    /// As [`Mailbox::call`]; also answers the number of the last event before the reply.
    pub(crate) async fn call_with_sequence(&self, command: Command) -> Result<(Reply, u64), CallError> {
        self.answer(self.post(command)?).await
    }

    /// Waits for the reply to what was posted.
    pub(crate) async fn answer(&self, expected: Expected) -> Result<(Reply, u64), CallError> {
        match tokio::time::timeout(self.reply_timeout, expected).await {
            Ok(Ok(answered)) => Ok((answered.result?, answered.event_sequence)),
            Ok(Err(_)) => Err(CallError::Gone),
            Err(_) => Err(CallError::Timeout),
        }
    }

    /// Queues a command. Once this succeeded, the outbox tells of each [`sluice_engine::RoomAction::Put`] what became
    /// of it.
    pub(crate) fn post(&self, command: Command) -> Result<Expected, CallError> {
        let (to, expected) = oneshot::channel();
        match self.commands.try_send(Envelope { command, to }) {
            Ok(()) => {
                self.bell.ring();
                Ok(expected)
            }
            Err(TrySendError::Full(_)) => Err(CallError::Full),
            Err(TrySendError::Disconnected(_)) => Err(CallError::Gone),
        }
    }

    /// Queues what happened on a TCP connection.
    pub(crate) fn tcp(&self, input: TcpInput) -> Result<(), MailboxFull> {
        match self.tcp.try_send(input) {
            Ok(()) => {
                self.bell.ring();
                Ok(())
            }
            Err(TrySendError::Full(input) | TrySendError::Disconnected(input)) => Err(MailboxFull(input)),
        }
    }

    /// Queues what another shard says, or gives it back if there is no place.
    pub(super) fn link(&self, from: ShardNumber, message: LinkMessage) -> Result<(), LinkMessage> {
        let data = message.data_bytes();
        if data > 0 && self.link_data.load(Ordering::Relaxed) >= LINK_DATA {
            return Err(message);
        }
        if data > 0 {
            // Before it is there: whoever takes it out counts it off.
            self.link_data.fetch_add(data, Ordering::Relaxed);
        }
        match self.links.try_send((from, message)) {
            Ok(()) => {
                self.bell.ring();
                Ok(())
            }
            Err(TrySendError::Full((_, message)) | TrySendError::Disconnected((_, message))) => {
                self.link_data.fetch_sub(data, Ordering::Relaxed);
                Err(message)
            }
        }
    }

    /// Ends all rooms, then the thread.
    pub(crate) fn stop(&self) {
        self.bell.stop.store(true, Ordering::Release);
        self.bell.ring();
    }

    /// The thread was told to end.
    pub(crate) fn stopped(&self) -> bool {
        self.bell.stopped()
    }
}
