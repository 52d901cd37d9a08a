//! The command line. Flags mirror settings; see `settings` for how they are layered.
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;

/// Lines stay below 100 columns, the width of help where there is no terminal.
const EXAMPLES: &str = "\
Examples:
  sluice                              everything on this machine, for trying out
  sluice dev --http-port 8080         the same, the page on http://localhost:8080
  sluice dev --bind 0.0.0.0 --allow-dev-key-anywhere
                                      the same, reachable from your network
  sluice token --room standup --identity ann
                                      an access token for the development key
  sluice sfu --config /etc/sluice/sluice.toml
  sluice rooms --config /etc/sluice/sluice.toml
  sluice rooms --check                show the settings that would be used

What listens where, by default:
  7880/tcp   rooms   HTTP and WebSocket: clients, /healthz; in dev also web page and /metrics
  7881/tcp   sfu     media over TCP, for clients whose network drops UDP
  7882/udp   sfu     media; one port per shard, counting upwards
  7883/tcp   sfu     the control API (gRPC), with a bearer token
  7884/tcp   rooms   the calls API (gRPC), with a bearer token

Settings: defaults < ./sluice.toml or --config FILE < environment < flags.
The flag --http-port of `sluice dev` is `http_port` in section [dev] of the file, and
SLUICE_DEV_HTTP_PORT in the environment. See docs/settings.md.";

/// Sluice carries audio and video calls: an SFU node that forwards media, and room management that clients speak to.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    /// What to run; `dev` if left out.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

const EVERYWHERE: &str = "Options of every command";

/// Flags of every command.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Read settings from this TOML file. Without it, ./sluice.toml is read if it is there.
    #[arg(long, global = true, value_name = "FILE", env = "SLUICE_CONFIG", help_heading = EVERYWHERE)]
    pub(crate) config: Option<PathBuf>,
    /// Check the settings, print them as TOML without secrets, and exit.
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub(crate) check: bool,
    #[command(flatten)]
    pub(crate) log: LogFlags,
}

/// How to log.
#[derive(Debug, Args, Serialize)]
pub(crate) struct LogFlags {
    /// What to log, e.g. `info` or `info,sluice_rooms=debug` [default: info]
    #[arg(long = "log", global = true, value_name = "FILTER", help_heading = EVERYWHERE)]
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<String>,
    /// How log lines look [default: text]
    #[arg(long = "log-format", global = true, value_name = "FORMAT", help_heading = EVERYWHERE)]
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<LogFormat>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything in one process: node, rooms and the web page, with the development key.
    ///
    /// Rooms calls the node's API as it does when they run apart, but within the process. The key is devkey, its secret is
    /// secret: everybody knows them, so `dev` serves only this machine unless it is told otherwise.
    Dev(DevFlags),
    /// Run an SFU node, controlled through gRPC.
    Sfu(SfuFlags),
    /// Run room management, which clients connect to; it is a gRPC client of an SFU node.
    Rooms(RoomsFlags),
    /// Print an access token for a room.
    Token(TokenFlags),
}

/// Flags of `sluice dev`; each is the setting of that name in `[dev]`.
#[derive(Debug, Default, Args, Serialize)]
pub(crate) struct DevFlags {
    /// Address that everything listens on [default: 127.0.0.1]
    #[arg(long, value_name = "IP")]
    #[serde(skip_serializing_if = "Option::is_none")]
    bind: Option<IpAddr>,
    /// Web page, clients and metrics [default: 7880]
    #[arg(long, value_name = "PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    http_port: Option<u16>,
    /// Media over TCP [default: 7881]
    #[arg(long, value_name = "PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tcp_port: Option<u16>,
    /// Media over UDP: this port for the first shard, the next for the second, and so on [default: 7882]
    #[arg(long, value_name = "PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    udp_port: Option<u16>,
    /// The node's gRPC API [default: 7883]
    #[arg(long, value_name = "PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    grpc_port: Option<u16>,
    /// The calls API (gRPC), for a product's backend [default: 7884]
    #[arg(long, value_name = "PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    calls_grpc_port: Option<u16>,
    /// Folder where calls and events are kept; empty for memory alone [default: ./sluice-data]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    data_dir: Option<String>,
    /// Media threads; 0 for one per core [default: 1]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    shards: Option<u16>,
    /// Address under which clients reach the media ports, if it is not the bound one; may be repeated
    #[arg(long, value_name = "IP")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    advertise: Vec<IpAddr>,
    /// Leave out the messaging product of the demonstration, which lets only its own people call each other: for loads through the
    /// calls API, or a product of your own
    #[arg(long)]
    #[serde(skip_serializing_if = "is_false")]
    without_messenger: bool,
    /// Serve the development key on addresses that other machines reach: anybody who reaches them may join any room
    #[arg(long)]
    #[serde(skip_serializing_if = "is_false")]
    allow_dev_key_anywhere: bool,
}

/// Flags of `sluice sfu`; each is the setting of that name in `[sfu]`.
#[derive(Debug, Default, Args, Serialize)]
pub(crate) struct SfuFlags {
    /// Name of this node, stable across restarts [default: node-1]
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    node_id: Option<String>,
    /// Addresses of the media ports; may be repeated, e.g. for IPv4 and IPv6 [default: 127.0.0.1]
    #[arg(long, value_name = "IP")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bind: Vec<IpAddr>,
    /// Media over TCP; 0 for none [default: 7881]
    #[arg(long, value_name = "PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tcp_port: Option<u16>,
    /// Media over UDP: this port for the first shard, the next for the second, and so on [default: 7882]
    #[arg(long, value_name = "PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    udp_port: Option<u16>,
    /// Media threads; 0 for one per core [default: 0]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    shards: Option<u16>,
    /// Address under which clients reach the media ports, if it is not the bound one; may be repeated
    #[arg(long, value_name = "IP")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    advertise: Vec<IpAddr>,
    /// Where the gRPC API listens [default: 127.0.0.1:7883]
    #[arg(long, value_name = "IP:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    grpc: Option<SocketAddr>,
    /// Where /metrics and /healthz listen; none if left out
    #[arg(long, value_name = "IP:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<SocketAddr>,
}

/// Flags of `sluice rooms`; each is the setting of that name in `[rooms]`.
#[derive(Debug, Default, Args, Serialize)]
pub(crate) struct RoomsFlags {
    /// Where clients connect, HTTP and WebSocket [default: 127.0.0.1:7880]
    #[arg(long, value_name = "IP:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<SocketAddr>,
    /// gRPC address of an SFU node, e.g. http://10.0.0.5:7883 [default: http://127.0.0.1:7883]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    /// Where /metrics and /healthz listen; none if left out
    #[arg(long, value_name = "IP:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<SocketAddr>,
    /// Serve the development key on addresses that other machines reach: anybody who reaches them may join any room
    #[arg(long)]
    #[serde(skip_serializing_if = "is_false")]
    allow_dev_key_anywhere: bool,
    #[command(flatten)]
    calls: CallsFlags,
}

/// Those of `[rooms.calls]`.
#[derive(Debug, Default, Args, Serialize)]
pub(crate) struct CallsFlags {
    /// Where the calls API (gRPC) listens [default: 127.0.0.1:7884]
    #[arg(long = "calls-grpc", value_name = "IP:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    grpc: Option<SocketAddr>,
    #[command(flatten)]
    store: StoreFlags,
}

/// Those of `[rooms.calls.store]`.
#[derive(Debug, Default, Args, Serialize)]
pub(crate) struct StoreFlags {
    /// Folder where calls and events are kept; empty for memory alone [default: ./sluice-data]
    #[arg(long = "data-dir", value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
}

/// Flags of `sluice token`.
#[derive(Debug, Args)]
pub(crate) struct TokenFlags {
    /// Room that the holder may join.
    #[arg(long)]
    pub(crate) room: String,
    /// Who the holder is, unique within the room.
    #[arg(long)]
    pub(crate) identity: String,
    /// Name shown to others; the identity if left out.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Key to sign with.
    #[arg(long, default_value = super::settings::DEV_KEY, env = "SLUICE_KEY")]
    pub(crate) key: String,
    /// The key's secret. In scripts prefer the environment: command lines are visible to other users.
    #[arg(long, default_value = super::settings::DEV_SECRET, env = "SLUICE_SECRET", hide_env_values = true)]
    pub(crate) secret: String,
    /// Hours until it expires.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=8760))]
    pub(crate) hours: u16,
    /// Leave out the right to publish.
    #[arg(long)]
    pub(crate) listen_only: bool,
}

fn is_false(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_subcommand_means_dev() {
        assert!(Cli::parse_from(["sluice"]).command.is_none());
    }
}
