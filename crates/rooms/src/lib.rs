//! Room management: it owns rooms, decides who may do what in them, and speaks with clients.
//!
//! It is a client of SFU nodes, which it knows only through their gRPC API: no media passes through here, and if this
//! process dies, media goes on; a new one rebuilds its picture from the node ([`serve`]). It is not a calling service
//! (ringing, consent) and not a user directory: whoever holds a token signed with one of our keys may come in.
//!
//! The way of a message: `dialect::socket` (WebSocket) -> `dialect::peer` (one task a participant: the LiveKit dialect,
//! and its node sessions) -> `room` (one task a room: who is there and what they may have) -> the other peers. Each
//! arrow is a bounded channel. Nothing but `dialect` knows how clients speak.
#![forbid(unsafe_code)]
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[allow(dead_code)]
mod calls;
mod dialect;
mod directory;
mod gate;
mod http;
mod id;
mod node;
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
}

/// Serves clients on `listener` until `shutdown`, and a moment longer for requests under way.
///
/// Rooms that the node still holds are taken over first; until that is done (the node may be away) joins are answered
/// with 503. On shutdown the rooms stay at the node, and clients come back to the next process.
///
/// `extra` holds routes of the caller, e.g. a web page at `/`; they get CORS headers too.
pub async fn serve(
    settings: Settings,
    listener: TcpListener,
    extra: Router,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    serve_with_store(settings, listener, extra, shutdown, Arc::new(store::MemoryStore::new())).await
}

/// As [`serve`], with names of rooms kept in `store`.
pub async fn serve_with_store(
    settings: Settings,
    listener: TcpListener,
    extra: Router,
    shutdown: CancellationToken,
    store: Arc<dyn store::Store>,
) -> Result<(), Error> {
    if settings.keys.is_empty() {
        return Err(Error::NoKeys);
    }
    telemetry::describe();
    let settings = Arc::new(settings);
    let patience = settings::seconds(settings.timings.idle);
    let listener = gate::Gate::new(listener, settings.limits.connections, patience);
    let node = node::Node::new(&settings)?;
    // Also ends the tasks below if this future is dropped.
    let stop = shutdown.child_token();
    let _guard = stop.clone().drop_guard();
    let directory = directory::Directory::new(settings.clone(), node.clone(), store, stop.clone());
    let keys = token::Keys::new(settings.keys.clone());
    let context = Arc::new(dialect::Context { settings, keys, node, directory, stop: stop.clone() });
    tokio::spawn(attend(context.clone(), stop.clone()));
    let service = http::service(dialect::upgrade::routes(context), extra);
    let service = axum::ServiceExt::<Request>::into_make_service(service);
    axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned()).await?;
    Ok(())
}

/// Takes over what the node holds, then follows its events and stays the owner.
async fn attend(context: Arc<dialect::Context>, stop: CancellationToken) {
    let Some(position) = recovery::recover(&context, &stop).await else { return };
    let (node, every) = (context.node.clone(), context.settings.timings.keep_alive);
    tokio::spawn(node::watch::keep_alive(node, every, stop.clone()));
    node::watch::follow(context.node.clone(), context.directory.clone(), position, stop).await;
}
