//! A node as a whole: it starts, runs and ends.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use sluice_engine::{Config, LocalAddress, Protocol};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::addresses::AddressMap;
use crate::control::{Control, Identity};
use crate::events::EventLog;
use crate::media::{MediaSockets, local_addresses};
use crate::server;
use crate::settings::{InvalidSetting, Settings};
use crate::shard::outbox::{self, Outbox};
use crate::shard::{self, Neighbours, Parts, ShardHandle, Sockets};
use crate::tcp::Tcp;
use crate::telemetry;

/// How long calls and tasks may take to end when the node does.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often metrics are renewed, and how often the kernel's drops are looked up (a file with a line per socket).
const METRICS: Duration = Duration::from_secs(1);
const DROPS_EVERY: u32 = 5;

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting cannot be.
    #[error(transparent)]
    Setting(#[from] InvalidSetting),
    /// A socket could not be opened.
    #[error("cannot open {what} at {address}: {error}")]
    Bind {
        /// What it is for.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// The operating system refused something else.
    #[error("cannot {what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why not.
        error: io::Error,
    },
}

/// Why a node ended without being told to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A shard's thread is gone; the log says why.
    #[error("a shard ended unexpectedly")]
    Shard,
    /// A shard's thread does not end; only the end of the process can end it.
    #[error("a shard hangs")]
    ShardHangs,
    /// The API cannot be served any more.
    #[error("the gRPC server failed: {0}")]
    Server(#[from] tonic::transport::Error),
    /// A task of the node panicked.
    #[error("a task of the node failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// A running node.
///
/// It serves from [`Node::start`] on. **Await [`Node::run_until`]**; a node that is dropped instead ends at once, without
/// telling anybody.
pub struct Node {
    grpc_address: SocketAddr,
    media_addresses: Vec<LocalAddress>,
    shards: Shards,
    control: Arc<Control>,
    /// Numbers events; ends when all shards have.
    notes: tokio::task::JoinHandle<()>,
    server: tokio::task::JoinHandle<Result<(), tonic::transport::Error>>,
    /// The TCP listeners and the metrics.
    tasks: TaskTracker,
    /// Cancelled when a shard's thread ends.
    shard_ended: CancellationToken,
    /// Cancelled when the server and tasks should end.
    shutdown: CancellationToken,
}

/// Running shards; told to end when they are dropped.
#[derive(Default)]
struct Shards {
    handles: Vec<ShardHandle>,
    threads: Vec<JoinHandle<()>>,
    /// Empty once all threads have ended.
    alive: TaskTracker,
}

impl Shards {
    /// Waits until all threads have ended. Fails if one panicked, or does not end in time.
    async fn join(&mut self) -> Result<(), RunError> {
        self.alive.close();
        tokio::time::timeout(PATIENCE, self.alive.wait()).await.map_err(|_| RunError::ShardHangs)?;
        // They have nothing left to do, so this does not block.
        let joined: Vec<_> = self.threads.drain(..).map(JoinHandle::join).collect();
        if joined.iter().all(Result::is_ok) { Ok(()) } else { Err(RunError::Shard) }
    }

    fn stop(&self) {
        for shard in &self.handles {
            shard.mailbox.stop();
        }
    }
}

impl Drop for Shards {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Node {
    /// Opens all sockets, and starts the shards and the API. Must be called within a tokio runtime.
    pub async fn start(settings: Settings) -> Result<Node, StartError> {
        Self::start_with(settings, || {}).await
    }

    /// [`Self::start`], and has each shard's thread call `sessions_ended` when sessions have ended and it has time, at most
    /// once a second: the moment to give memory back, which only the thread itself can if the allocator has a heap for each.
    pub async fn start_with(settings: Settings, sessions_ended: fn()) -> Result<Node, StartError> {
        settings.validate()?;
        telemetry::describe();
        let grpc = server::bind(settings.grpc.bind)?;
        let media = MediaSockets::open(&settings)?;
        let media_addresses = media.addresses();
        let udp_sockets = media.udp_sockets();
        let (outbox, notes) = outbox::outbox();
        let shutdown = CancellationToken::new();
        let shard_ended = CancellationToken::new();
        let (tcp_listeners, shards) = start_shards(&settings, media, outbox, &shard_ended, sessions_ended)?;

        let mailboxes: Vec<_> = shards.handles.iter().map(|shard| shard.mailbox.clone()).collect();
        let control = control(&settings, shards.handles.clone(), &media_addresses);
        let notes = tokio::spawn(control.clone().read_notes(notes));
        let tasks = TaskTracker::new();
        tasks.spawn(publish_metrics(control.clone(), udp_sockets, shutdown.clone()));
        let tcp = Arc::new(Tcp::new(settings.tcp.clone(), mailboxes, shutdown.clone()));
        for (listener, addresses) in tcp_listeners {
            tasks.spawn(tcp.clone().listen(listener, addresses));
        }
        tasks.close();
        let grpc_address = grpc.address;
        let server = tokio::spawn(grpc.serve(control.clone(), settings.grpc.token, shutdown.clone()));
        let node = settings.node_id;
        let media = control.media_addresses().join(" ");
        tracing::info!(node, %grpc_address, shards = shards.handles.len(), media, "node started");
        Ok(Node {
            grpc_address,
            media_addresses,
            shards,
            control,
            notes,
            server,
            tasks,
            shard_ended,
            shutdown,
        })
    }

    /// Where the API is served, with the port that the kernel chose.
    pub fn grpc_address(&self) -> SocketAddr {
        self.grpc_address
    }

    /// The API for callers in this process, who need neither a connection nor the token. As over one connection, each call is a
    /// task of its own, which ends when its caller no longer waits, and there is the same bound on calls at the same time. Must be
    /// called within a tokio runtime.
    pub fn carrier(&self) -> sluice_api::Carrier {
        server::carrier(self.control.clone())
    }

    /// What candidates say: the addresses of all shards.
    pub fn media_addresses(&self) -> &[LocalAddress] {
        &self.media_addresses
    }

    /// Runs until `cancel`, or until the node cannot go on. Then ends all rooms, tells those who watch, joins all
    /// threads and tasks, and closes all sockets.
    pub async fn run_until(mut self, cancel: CancellationToken) -> Result<(), RunError> {
        let mut result = Ok(());
        let mut server_ended = false;
        tokio::select! {
            () = cancel.cancelled() => {}
            () = self.shard_ended.cancelled() => result = Err(RunError::Shard),
            ended = &mut self.server => {
                server_ended = true;
                result = ended.map_err(RunError::from).and_then(|served| served.map_err(RunError::from));
            }
        }
        self.control.stop();
        self.shards.stop();
        match self.shards.join().await {
            // Watchers see the rooms end before their streams do.
            Ok(()) => (&mut self.notes).await?,
            Err(error) => {
                self.notes.abort();
                result = result.and(Err(error));
            }
        }
        self.control.events.close();
        self.shutdown.cancel();
        if tokio::time::timeout(PATIENCE, self.tasks.wait()).await.is_err() {
            tracing::warn!("some tasks did not end in time");
        }
        if !server_ended && tokio::time::timeout(PATIENCE, &mut self.server).await.is_err() {
            tracing::warn!("some calls did not end in time");
            self.server.abort();
        }
        tracing::info!("node ended");
        result
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.control.stop();
        self.control.events.close();
        self.shutdown.cancel();
        self.server.abort();
    }
}

type TcpListeners = Vec<(TcpListener, AddressMap)>;

fn start_shards(
    settings: &Settings,
    media: MediaSockets,
    outbox: Outbox,
    ended: &CancellationToken,
    sessions_ended: fn(),
) -> Result<(TcpListeners, Shards), StartError> {
    let tcp_addresses = media.tcp_addresses();
    let mut shards = Shards::default();
    let neighbours = Neighbours::default();
    for (index, sockets) in media.udp.into_iter().enumerate() {
        let addresses = sockets.iter().flat_map(|(_, map)| local_addresses(Protocol::Udp, map));
        let config = Config {
            shard: index as u16,
            seed: rand::random(),
            addresses: addresses.chain(tcp_addresses.iter().copied()).collect(),
            ice_lite: settings.media.ice_lite,
            connect_timeout: settings.connect_timeout(),
            initial_estimate: settings.initial_estimate(),
            limits: settings.limits.to_limits(),
        };
        let parts = Parts {
            config,
            sockets: Sockets::new(sockets, settings.media.send_queue_bytes),
            outbox: outbox.of_shard(index),
            neighbours: neighbours.clone(),
            command_queue: settings.grpc.command_queue,
            sessions_ended,
            ended: ended.clone(),
            alive: shards.alive.token(),
        };
        let spawned = shard::spawn(parts);
        let (handle, thread) =
            spawned.map_err(|error| StartError::System { what: "start a shard", error })?;
        shards.handles.push(handle);
        shards.threads.push(thread);
    }
    let mailboxes = shards.handles.iter().map(|shard| shard.mailbox.clone()).collect();
    // It was empty: nobody else fills it.
    let _ = neighbours.set(mailboxes);
    let into_tokio = |(listener, map)| Ok((TcpListener::from_std(listener)?, map));
    let listeners = media.tcp.into_iter().map(into_tokio).collect::<io::Result<_>>();
    let listeners = listeners.map_err(|error| StartError::System { what: "listen to TCP", error })?;
    Ok((listeners, shards))
}

fn control(settings: &Settings, shards: Vec<ShardHandle>, addresses: &[LocalAddress]) -> Arc<Control> {
    let boot_id = format!("{:032x}", rand::random::<u128>());
    let events = EventLog::new(boot_id, settings.grpc.events_kept, settings.grpc.max_watchers);
    let url = |address: &LocalAddress| match address.protocol {
        Protocol::Udp => format!("udp://{}", address.advertised),
        Protocol::Tcp => format!("tcp://{}", address.advertised),
    };
    let identity = Identity {
        node_id: settings.node_id.clone(),
        started_at: SystemTime::now(),
        media_addresses: addresses.iter().map(url).collect(),
    };
    Arc::new(Control::new(identity, shards, events, settings.limits.room_sessions_per_shard))
}

/// Renews the metrics until the shutdown.
async fn publish_metrics(control: Arc<Control>, sockets: Vec<Vec<SocketAddr>>, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(METRICS);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut tick = 0_u32;
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        control.publish_metrics();
        if tick.is_multiple_of(DROPS_EVERY) {
            let sockets = sockets.clone();
            let looked = tokio::task::spawn_blocking(move || {
                for (shard, sockets) in sockets.iter().enumerate() {
                    let drops = sockets.iter().filter_map(|&socket| sluice_net::kernel_drops(socket)).sum();
                    telemetry::socket_drops(shard, drops);
                }
            });
            if let Err(error) = looked.await {
                tracing::error!(%error, "cannot look up the kernel's drops");
            }
        }
        tick = tick.wrapping_add(1);
    }
}
