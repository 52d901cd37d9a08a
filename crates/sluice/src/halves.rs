//! `sluice sfu` and `sluice rooms`: the halves apart, and how this binary's settings become theirs.
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use sluice_rooms::Doors;
use sluice_rooms::store::Store;
use sluice_rooms::token::{Grants, TokenBuilder};
use tokio_util::sync::CancellationToken;

use crate::cli::TokenFlags;
use crate::settings::{Rooms, SettingError, Sfu};
use crate::{observe, stop};

/// Runs a node until a signal.
///
/// # Errors
/// What keeps it from starting, or from ending in time.
pub(crate) async fn run_sfu(settings: &Sfu) -> anyhow::Result<()> {
    let stop = stop::on_signal()?;
    observe::serve(settings.metrics, "sfu.metrics", stop.clone()).await?;
    if settings.token.is_empty() {
        tracing::warn!("`sfu.token` is empty: every program on this machine may control the node");
    }
    let node = start_node(settings).await?;
    tracing::info!(grpc = %node.grpc_address(), "the node runs");
    let deadline = Duration::from_secs(settings.shutdown_seconds.into());
    stop::within(deadline, stop.clone(), async { Ok(node.run_until(stop).await?) }).await
}

/// Runs room management until a signal.
///
/// # Errors
/// What keeps it from starting, or from ending in time.
pub(crate) async fn run_rooms(settings: &Rooms) -> anyhow::Result<()> {
    let stop = stop::on_signal()?;
    observe::serve(settings.metrics, "rooms.metrics", stop.clone()).await?;
    let listener = observe::listen(settings.http, "rooms.http").await?;
    let calls = match settings.calls.grpc {
        Some(address) => Some(observe::listen(address, "rooms.calls.grpc").await?),
        None => None,
    };
    let store = open_store(settings, "rooms.calls.store.path")?;
    if calls.is_some() && settings.calls.grpc_token.is_empty() {
        tracing::warn!("`rooms.calls.grpc_token` is empty: every program on this machine may make calls");
    }
    tracing::info!(http = %listener.local_addr()?, node = settings.node, "rooms run");
    let deadline = Duration::from_secs(settings.shutdown_seconds.into());
    let doors = Doors { http: listener, calls, node: None };
    let serving = serve_rooms(settings, doors, store, Router::new(), stop.clone());
    stop::within(deadline, stop, serving).await
}

/// Starts a node.
///
/// # Errors
/// If a port is taken, or an address is not this machine's.
pub(crate) async fn start_node(settings: &Sfu) -> anyhow::Result<sluice_sfu::Node> {
    sluice_sfu::Node::start_with(settings.node()?, sluice_memory::give_back)
        .await
        .context("the node cannot start")
}

/// Opens what must outlive the process; `setting` names the folder.
///
/// # Errors
/// If another process has it, or it cannot be read or made.
pub(crate) fn open_store(settings: &Rooms, setting: &str) -> Result<Arc<dyn Store>, SettingError> {
    let store = &settings.calls.store;
    store.open().map_err(|error| SettingError {
        setting: setting.into(),
        value: Some(store.path.clone()),
        source: None,
        problem: error.to_string(),
    })
}

/// Serves clients and backends, and `routes` beside them, until `stop`.
///
/// # Errors
/// If the server fails.
pub(crate) async fn serve_rooms(
    settings: &Rooms,
    doors: Doors,
    store: Arc<dyn Store>,
    routes: Router,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let rooms = sluice_rooms::Settings {
        node: settings.node.clone(),
        node_token: settings.node_token.reveal().to_owned(),
        keys: settings.keys.iter().map(|(key, secret)| (key.clone(), secret.reveal().to_owned())).collect(),
        http: settings.http,
        auto_create: settings.auto_create,
        single_connection: settings.single_connection,
        ice_servers: settings.ice_servers.clone(),
        limits: settings.limits.clone(),
        timings: settings.timings.clone(),
        calls: settings.calls.clone(),
        ..sluice_rooms::Settings::default()
    };
    sluice_rooms::serve_with_store(rooms, doors, routes, stop, store).await.context("room management failed")
}

/// `sluice token`.
///
/// # Errors
/// If the token cannot be signed.
pub(crate) fn token(flags: &TokenFlags) -> anyhow::Result<String> {
    let may_publish = !flags.listen_only;
    let grants = Grants {
        room_join: true,
        room: flags.room.clone(),
        can_publish: Some(may_publish),
        can_subscribe: Some(true),
        can_publish_data: Some(may_publish),
        can_update_own_metadata: Some(true),
        ..Grants::default()
    };
    let token = TokenBuilder::new(&flags.identity)
        .name(flags.name.as_deref().unwrap_or(&flags.identity))
        .grants(grants)
        .validity(Duration::from_secs(u64::from(flags.hours) * 3600))
        .sign(&flags.key, &flags.secret)?;
    Ok(token)
}
