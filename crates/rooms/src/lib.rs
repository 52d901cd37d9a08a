//! Room management: it owns rooms, decides who may do what in them, and speaks with clients.
//!
//! It is a client of SFU nodes, which it knows only through their gRPC API: no media passes through here, and if this
//! process dies, media goes on; a new one rebuilds its picture from the node ([`serve`]). It is not a user directory:
//! whoever holds a token signed with one of our keys may come in, and whoever the product's backend names may be called
//! (`calls`: ringing and consent).
//!
//! The way of a message: `dialect::socket` (WebSocket) -> `dialect::peer` (one task a participant: the LiveKit dialect,
//! and its node sessions) -> `room` (one task a room: who is there and what they may have) -> the other peers. Each
//! arrow is a bounded channel. Nothing but `dialect` knows how clients speak.
#![forbid(unsafe_code)]
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

mod calls;
mod dialect;
mod directory;
mod gate;
mod http;
mod id;
mod node;
mod rate;
mod recovery;
mod room;
mod settings;
pub mod store;
mod telemetry;
pub mod token;

/// The record that rooms keeps of itself, generated from `proto/sluice/rooms/internal`.
#[allow(missing_docs, clippy::all, unreachable_pub)]
mod model {
    include!(concat!(env!("OUT_DIR"), "/sluice.rooms.internal.v1.rs"));
}

pub use calls::authority::settings::{BuiltInSettings, HookSettings, PermissionSettings, RateSettings, Who};
pub use calls::push::PushSettings;
pub use calls::settings as call_settings;
pub use calls::unusable::Unusable;
pub use calls::webhook::settings::WebhookSettings;
pub use node::NodeError;
pub use settings::{IceServer, Limits, Settings, Timings};

/// Room management could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The node's settings are unusable.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// Without an API key nobody could ever join.
    #[error("no API key is set")]
    NoKeys,
    /// The listener failed.
    #[error("HTTP: {0}")]
    Http(#[from] std::io::Error),
    /// The calls API cannot be listened for.
    #[error("the calls API cannot listen on {address}: {error}")]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// Why not.
        error: std::io::Error,
    },
    /// The calls API cannot be served any more.
    #[error("the calls API failed: {0}")]
    Grpc(#[from] tonic::transport::Error),
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] store::OpenError),
    /// What must outlive the process cannot be read or written.
    #[error("calls cannot be loaded: {0}")]
    Store(#[from] store::StoreError),
    /// A setting of the calls service is unusable.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// A task of ours panicked.
    #[error("a task failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// For devices to close their WebSockets at a stop.
const GOODBYES: Duration = Duration::from_secs(1);

impl From<calls::StartError> for Error {
    fn from(error: calls::StartError) -> Self {
        match error {
            calls::StartError::Unusable(unusable) => unusable.into(),
            calls::StartError::Store(error) => error.into(),
        }
    }
}

/// Where clients and backends come in, and how calls get to the node.
#[derive(Debug)]
pub struct Doors {
    /// Clients: HTTP and WebSocket.
    pub http: TcpListener,
    /// The product's backend: the calls API. `None`: the address in the settings, or no calls at all.
    pub calls: Option<TcpListener>,
    /// The way out, to a node in this process. `None`: the node at the address in the settings.
    pub node: Option<sluice_api::Carrier>,
}

impl From<TcpListener> for Doors {
    fn from(http: TcpListener) -> Self {
        Self { http, calls: None, node: None }
    }
}

/// Serves clients on `doors` until `shutdown`, and a moment longer for requests under way.
///
/// Rooms that the node still holds are taken over first; until that is done (the node may be away) joins are answered
/// with 503. On shutdown the rooms stay at the node, and clients come back to the next process. Calls that stand in the
/// store go on at once, at their own deadlines.
///
/// `extra` holds routes of the caller, e.g. a web page at `/`; they get CORS headers too.
///
/// # Errors
/// What keeps it from starting, or from going on.
pub async fn serve(
    settings: Settings,
    doors: impl Into<Doors>,
    extra: Router,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let store = settings.calls.store.open()?;
    serve_with_store(settings, doors, extra, shutdown, store).await
}

/// As [`serve`], with everything that must outlive the process kept in `store`.
///
/// # Errors
/// What keeps it from starting, or from going on.
pub async fn serve_with_store(
    settings: Settings,
    doors: impl Into<Doors>,
    extra: Router,
    shutdown: CancellationToken,
    store: Arc<dyn store::Store>,
) -> Result<(), Error> {
    if settings.keys.is_empty() {
        return Err(Error::NoKeys);
    }
    telemetry::describe();
    let Doors { http, calls: grpc, node: carrier } = doors.into();
    let settings = Arc::new(settings);
    let patience = settings::seconds(settings.timings.idle);
    let listener = gate::Gate::new(http, settings.limits.connections, patience);
    let node = node::Node::new(&settings, carrier)?;
    // Also ends the tasks below if this future is dropped.
    let stop = shutdown.child_token();
    let _guard = stop.clone().drop_guard();
    let keys = token::Keys::new(settings.keys.clone());
    let loaded = match listen(grpc, settings.calls.grpc).await? {
        Some(grpc) => Some((calls::Calls::load(&settings, &keys, store.clone(), &stop).await?, grpc)),
        None => None,
    };
    let (calls, reports, grpc) = match loaded {
        Some(((calls, reports), grpc)) => (Some(calls), Some(reports), Some(grpc)),
        None => (None, None, None),
    };
    let directory = directory::Directory::new(settings.clone(), node.clone(), store, stop.clone(), reports);
    let desk = calls.as_ref().map(|calls| calls.desk.clone());
    let hub = calls.as_ref().map(|calls| calls.hub.clone());
    let devices = calls.as_ref().map(|calls| calls.routes.clone()).unwrap_or_default();
    let backend = calls.zip(grpc).map(|(calls, grpc)| calls.run(&settings.calls, directory.clone(), grpc));
    let context =
        Arc::new(dialect::Context { settings, keys, node, directory, calls: desk, stop: stop.clone() });
    tokio::spawn(attend(context.clone(), stop.clone()));
    let service = http::service(dialect::upgrade::routes(context).merge(devices), extra);
    let service = axum::ServiceExt::<Request>::into_make_service(service);
    let clients = axum::serve(listener, service).with_graceful_shutdown(stop.clone().cancelled_owned());
    match backend {
        Some(backend) => both(clients.into_future(), backend, stop).await?,
        None => clients.await?,
    }
    if let Some(hub) = hub {
        hub.emptied(GOODBYES).await;
    }
    Ok(())
}

/// Until both have ended; if one fails, the other is told to end.
async fn both(
    serving: impl Future<Output = std::io::Result<()>>,
    calls: JoinHandle<Result<(), tonic::transport::Error>>,
    stop: CancellationToken,
) -> Result<(), Error> {
    let serving = async {
        let served = serving.await.map_err(Error::from);
        stop.cancel();
        served
    };
    let calls = async {
        let served = calls.await.map_err(Error::from).and_then(|served| served.map_err(Error::from));
        stop.cancel();
        served
    };
    let (served, calls) = tokio::join!(serving, calls);
    served.and(calls)
}

async fn listen(
    given: Option<TcpListener>,
    address: Option<SocketAddr>,
) -> Result<Option<TcpListener>, Error> {
    match (given, address) {
        (Some(listener), _) => Ok(Some(listener)),
        (None, Some(address)) => {
            let listener = TcpListener::bind(address).await;
            listener.map(Some).map_err(|error| Error::Listen { address, error })
        }
        (None, None) => Ok(None),
    }
}

/// Takes over what the node holds, then follows its events and stays the owner.
async fn attend(context: Arc<dialect::Context>, stop: CancellationToken) {
    let Some(position) = recovery::recover(&context, &stop).await else { return };
    if let Some(desk) = context.calls.clone() {
        let directory = context.directory.clone();
        tokio::spawn(async move { calls::media::reconcile(&desk, &directory).await });
    }
    let (node, every) = (context.node.clone(), context.settings.timings.keep_alive);
    tokio::spawn(node::watch::keep_alive(node, every, stop.clone()));
    node::watch::follow(context.node.clone(), context.directory.clone(), position, stop).await;
}
