//! `sluice dev`: node, rooms and the web page in one process.
//!
//! The halves meet in the node's API, as they would on two machines: the same calls with the same messages, but carried
//! within the process, since two ends of HTTP/2 are a good part of what it costs to let somebody in (docs/performance.md).
//! The API is served at its port too, behind a token.
mod demo;
mod token;

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use rand::distr::{Alphanumeric, SampleString as _};
use sluice_demo::origin::Origins;
use sluice_rooms::Doors;
use sluice_rooms::token::{Grants, TokenBuilder};
use tokio_util::sync::CancellationToken;

use crate::settings::{DEV_KEY, DEV_SECRET, Dev, Rooms, Secret, Sfu};
use crate::{halves, observe, page, stop};

/// A token for the page lasts a working day; the server renews it while the client is connected.
const TOKEN_LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// Runs everything until a signal.
///
/// # Errors
/// What keeps it from starting, or from ending in time.
pub(crate) async fn run(settings: &Dev) -> anyhow::Result<()> {
    let stop = stop::on_signal()?;
    let metrics = observe::start_metrics()?;
    // First of all: somebody who starts it twice should read of this port, not of a media port.
    let listener = observe::listen((settings.bind, settings.http_port).into(), "dev.http_port").await?;
    let http = listener.local_addr()?;

    let calls =
        observe::listen((settings.bind, settings.calls_grpc_port).into(), "dev.calls_grpc_port").await?;
    let calls_address = calls.local_addr()?;

    let given = !settings.grpc_token.is_empty();
    let secret = if given { settings.grpc_token.clone() } else { Secret::new(random_text(32)) };
    let mut rooms = rooms_part(settings, http, calls_address, secret.clone());
    let data = (!settings.data_dir.is_empty()).then(|| PathBuf::from(&settings.data_dir));
    let api = (reachable(calls_address), secret.clone());
    let wiring = (!settings.without_messenger)
        .then(|| demo::Wiring::new(api, reachable(http), data, addresses(settings)));
    if let Some(wiring) = &wiring {
        wiring.point_at_demo(&mut rooms.calls);
    }
    let store = halves::open_store(&rooms, "dev.data_dir")?;
    let node = halves::start_node(&sfu_part(settings, secret)).await?;

    let desk = token::Desk {
        mint: Box::new(|room, identity, name| {
            let grants = Grants {
                room_join: true,
                room: room.to_owned(),
                can_update_own_metadata: Some(true),
                ..Grants::default()
            };
            let token = TokenBuilder::new(identity).name(name).grants(grants).validity(TOKEN_LIFETIME);
            Ok(token.sign(DEV_KEY, DEV_SECRET)?)
        }),
        unique: || random_text(6),
        origins: Origins::new(addresses(settings)),
    };
    let demo = wiring.map(|wiring| wiring.start()).transpose()?;
    let mut routes = page::routes().merge(token::routes(desk)).merge(observe::routes(metrics));
    if let Some(demo) = &demo {
        routes = routes.merge(demo.routes());
    }
    greet(settings, http, node.grpc_address(), calls_address);
    let doors = Doors { http: listener, calls: Some(calls), node: Some(node.carrier()) };

    // Rooms end first, so that clients hear of it while the node still carries their media; if either fails, both end.
    let (rooms_stop, node_stop) = (stop.child_token(), CancellationToken::new());
    // The open feeds of pages end first, or the HTTP server would wait for them.
    let demo_stop = rooms_stop.child_token();
    let serving = async {
        let served = halves::serve_rooms(&rooms, doors, store, routes, rooms_stop.clone()).await;
        demo_stop.cancel();
        node_stop.cancel();
        served
    };
    let forwarding = async {
        let forwarded = node.run_until(node_stop.clone()).await.context("the node failed");
        rooms_stop.cancel();
        forwarded
    };
    let demonstrating = async {
        if let Some(demo) = demo {
            demo.run_until(demo_stop.clone()).await;
        }
    };
    let deadline = Duration::from_secs(settings.shutdown_seconds.into());
    stop::within(deadline, stop, async {
        let (served, forwarded, ()) = tokio::join!(serving, forwarding, demonstrating);
        served.and(forwarded)
    })
    .await
}

fn sfu_part(settings: &Dev, token: Secret) -> Sfu {
    Sfu {
        node_id: "dev".into(),
        bind: vec![settings.bind],
        tcp_port: settings.tcp_port,
        udp_port: settings.udp_port,
        shards: settings.shards,
        advertise: settings.advertise.clone(),
        grpc: (settings.bind, settings.grpc_port).into(),
        token,
        ..Sfu::default()
    }
}

fn rooms_part(settings: &Dev, http: SocketAddr, calls: SocketAddr, token: Secret) -> Rooms {
    let mut rooms =
        Rooms { http, keys: [(DEV_KEY.to_owned(), Secret::new(DEV_SECRET))].into(), ..Rooms::default() };
    rooms.calls.grpc = Some(calls);
    rooms.calls.grpc_token = token.reveal().to_owned();
    rooms.calls.store.path = match settings.data_dir.as_str() {
        // In memory; room management alone would have a folder by default.
        "" => String::new(),
        folder => PathBuf::from(folder).join("calls").display().to_string(),
    };
    rooms
}

/// Addresses that this process is known by, besides loopback.
fn addresses(settings: &Dev) -> Vec<IpAddr> {
    [settings.bind].into_iter().chain(settings.advertise.iter().copied()).collect()
}

fn random_text(characters: usize) -> String {
    Alphanumeric.sample_string(&mut rand::rng(), characters)
}

/// An address to connect to, for one that is listened on.
fn reachable(listens_on: SocketAddr) -> SocketAddr {
    let ip = match listens_on.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    (ip, listens_on.port()).into()
}

/// The start-up text. Browsers give camera and microphone to `localhost` and to https only, hence the name.
#[allow(clippy::print_stdout, reason = "this is the command's answer to whoever typed it")]
fn greet(settings: &Dev, http: SocketAddr, grpc: SocketAddr, calls: SocketAddr) {
    let local = settings.bind.is_loopback() || settings.bind.is_unspecified();
    let page = if local { format!("http://localhost:{}", http.port()) } else { format!("http://{http}") };
    let Dev { tcp_port, udp_port, shards, .. } = settings;
    let last = udp_port.saturating_add(shards.saturating_sub(1));
    let udp = if last > *udp_port { format!("{udp_port}-{last}") } else { udp_port.to_string() };
    let token = if settings.grpc_token.is_empty() {
        "with a random token; set SLUICE_DEV_GRPC_TOKEN to choose one"
    } else {
        "with the token from your settings"
    };
    let data = match settings.data_dir.as_str() {
        "" => "in memory",
        folder => folder,
    };
    let mut text = format!(
        "\n  Sluice {} runs.\n\n  Open  {page}  in two windows: that is a call.\n\n  \
         Client SDKs   url ws://{}, key {DEV_KEY}, secret {DEV_SECRET}\n  \
         Tokens        sluice token --room demo --identity ann\n  \
         Media         udp {udp}, tcp {tcp_port}\n  \
         Calls' gRPC   {calls}, {token}\n  \
         Node's gRPC   {grpc}, the same token\n  \
         Data          {data}\n  \
         Metrics       {page}/metrics\n\n",
        env!("CARGO_PKG_VERSION"),
        page.trim_start_matches("http://"),
    );
    if !settings.bind.is_loopback() {
        text.push_str(&format!(
            "  Anybody who reaches {} may join: the development key is public. Browsers give camera and microphone\n  \
             only to https pages and to localhost.\n\n",
            settings.bind
        ));
    }
    text.push_str("  Ctrl-C stops it.\n\n");
    // Nobody may be reading any more; that is no reason to end.
    if let Err(error) = std::io::stdout().write_all(text.as_bytes()) {
        tracing::debug!(%error, "the greeting was not printed");
    }
}
