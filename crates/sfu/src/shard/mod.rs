//! One shard: an engine, its sockets and its thread, and the handle by which the rest of the node reaches it.
//!
//! Commands and frames of TCP connections come in by bounded queues; replies and events leave by the [`outbox`], media by
//! the sockets. The thread waits for its sockets and its bell alone, never for a queue.

mod connections;
mod departures;
mod guard;
mod links;
mod mailbox;
pub(crate) mod outbox;
mod pending;
pub(crate) mod report;
mod sockets;
mod thread;

#[cfg(test)]
pub(crate) mod tests;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use sluice_engine::{Config, Shard};
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;

pub(crate) use connections::{TcpInput, TcpPeer};
pub(crate) use guard::Engine;
pub(crate) use links::Neighbours;
pub(crate) use mailbox::{CallError, Mailbox};
pub(crate) use sockets::Sockets;

use guard::Guarded;
use links::Links;
use outbox::Outbox;
use report::ReportCell;

/// The rest of the node's view of a shard.
#[derive(Clone)]
pub(crate) struct ShardHandle {
    pub(crate) mailbox: Mailbox,
    pub(crate) report: Arc<ReportCell>,
}

/// What a shard is made of.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) sockets: Sockets,
    pub(crate) outbox: Outbox,
    /// Commands that may wait.
    pub(crate) command_queue: usize,
    /// All shards of the node, for links.
    pub(crate) neighbours: Neighbours,
    /// Called by the thread when it has time and sessions have ended.
    pub(crate) sessions_ended: fn(),
    /// Cancelled when the thread ends, for whatever reason.
    pub(crate) ended: CancellationToken,
    /// Held by the thread until it ends.
    pub(crate) alive: TaskTrackerToken,
}

/// Starts a shard's thread. It ends, and closes its sockets, after [`Mailbox::stop`].
pub(crate) fn spawn(parts: Parts) -> io::Result<(ShardHandle, JoinHandle<()>)> {
    spawn_with::<Shard>(parts)
}

fn spawn_with<E: Engine>(parts: Parts) -> io::Result<(ShardHandle, JoinHandle<()>)> {
    let Parts { config, mut sockets, outbox, command_queue, neighbours, sessions_ended, ended, alive } =
        parts;
    let poll = mio::Poll::new()?;
    sockets.register(poll.registry())?;
    let (mailbox, inbox) = mailbox::mailbox(poll.registry(), command_queue)?;
    let handle = ShardHandle { mailbox, report: Arc::default() };
    let report = handle.report.clone();
    let links = Links::new(config.shard, neighbours);
    let ways = thread::Ways { inbox, outbox, links };
    let name = format!("shard-{}", config.shard);
    let engine = Guarded::<E>::new(Instant::now(), config).map_err(io::Error::other)?;
    let thread = std::thread::Builder::new().name(name).spawn(move || {
        let _held = (ended.drop_guard(), alive);
        thread::ShardThread::new(poll, engine, sockets, ways, report, sessions_ended).run();
    })?;
    Ok((handle, thread))
}
