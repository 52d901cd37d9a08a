//! Settings: defaults, then a TOML file, then the environment, then flags; checked before anything starts.
//!
//! One file serves every command: each reads its own section and `[log]`.
mod check;
mod environment;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use figment::Figment;
use figment::providers::{Format as _, Serialized, Toml};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::cli::{LogFlags, LogFormat};
pub(crate) use environment::Environment;

/// The key that everybody knows, by convention of the client SDKs' examples.
pub(crate) const DEV_KEY: &str = "devkey";
/// Its secret.
pub(crate) const DEV_SECRET: &str = "secret";
/// In the working directory.
const DATA_DIR: &str = "./sluice-data";
/// Read from the working directory if no file is named.
const DEFAULT_FILE: &str = "sluice.toml";

/// All sections.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) log: Log,
    pub(crate) dev: Dev,
    pub(crate) sfu: Sfu,
    pub(crate) rooms: Rooms,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    /// Directives of tracing-subscriber's `EnvFilter`.
    pub(crate) filter: String,
    pub(crate) format: LogFormat,
}

/// `[dev]`: everything in one process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Dev {
    pub(crate) bind: IpAddr,
    pub(crate) http_port: u16,
    pub(crate) tcp_port: u16,
    pub(crate) udp_port: u16,
    pub(crate) grpc_port: u16,
    /// Bearer token of both gRPC APIs, the node's and that of calls; random if empty.
    pub(crate) grpc_token: Secret,
    /// The calls API.
    pub(crate) calls_grpc_port: u16,
    /// Where calls and events are kept; empty: in memory.
    pub(crate) data_dir: String,
    /// Leaves out the messaging product, and with it the hook that says who may call whom.
    pub(crate) without_messenger: bool,
    pub(crate) shards: u16,
    #[serde(deserialize_with = "list")]
    pub(crate) advertise: Vec<IpAddr>,
    pub(crate) allow_dev_key_anywhere: bool,
    pub(crate) shutdown_seconds: u16,
}

/// `[sfu]`: a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sfu {
    pub(crate) node_id: String,
    #[serde(deserialize_with = "list")]
    pub(crate) bind: Vec<IpAddr>,
    pub(crate) tcp_port: u16,
    pub(crate) udp_port: u16,
    pub(crate) shards: u16,
    #[serde(deserialize_with = "list")]
    pub(crate) advertise: Vec<IpAddr>,
    pub(crate) grpc: SocketAddr,
    pub(crate) token: Secret,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) shutdown_seconds: u16,
    pub(crate) ice_lite: bool,
    /// What the bandwidth estimator assumes of a new path, bits per second.
    pub(crate) initial_estimate_bps: u64,
    /// Bounds of each shard, by the names of `sluice_sfu::LimitSettings`; those left out keep their defaults.
    pub(crate) limits: BTreeMap<String, u64>,
    /// Bounds of ICE over TCP, by the names of `sluice_sfu::TcpSettings`.
    pub(crate) tcp: BTreeMap<String, u64>,
}

/// `[rooms]`: room management.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Rooms {
    pub(crate) http: SocketAddr,
    pub(crate) node: String,
    pub(crate) node_token: Secret,
    /// Key to secret.
    pub(crate) keys: BTreeMap<String, Secret>,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) allow_dev_key_anywhere: bool,
    pub(crate) shutdown_seconds: u16,
    /// A room that does not exist is created by the first who joins.
    pub(crate) auto_create: bool,
    /// Serve clients that use a single PeerConnection.
    pub(crate) single_connection: bool,
    /// STUN and TURN servers for clients.
    pub(crate) ice_servers: Vec<sluice_rooms::IceServer>,
    pub(crate) limits: sluice_rooms::Limits,
    pub(crate) timings: sluice_rooms::Timings,
    /// Ringing and consent.
    pub(crate) calls: sluice_rooms::call_settings::Settings,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".into(), format: LogFormat::Text }
    }
}

impl Default for Dev {
    fn default() -> Self {
        Self {
            bind: Ipv4Addr::LOCALHOST.into(),
            http_port: 7880,
            tcp_port: 7881,
            udp_port: 7882,
            grpc_port: 7883,
            grpc_token: Secret::default(),
            calls_grpc_port: 7884,
            data_dir: DATA_DIR.into(),
            without_messenger: false,
            shards: 1,
            advertise: Vec::new(),
            allow_dev_key_anywhere: false,
            shutdown_seconds: 5,
        }
    }
}

impl Default for Sfu {
    fn default() -> Self {
        Self {
            node_id: "node-1".into(),
            bind: vec![Ipv4Addr::LOCALHOST.into()],
            tcp_port: 7881,
            udp_port: 7882,
            shards: 0,
            advertise: Vec::new(),
            grpc: (Ipv4Addr::LOCALHOST, 7883).into(),
            token: Secret::default(),
            metrics: None,
            shutdown_seconds: 30,
            ice_lite: true,
            initial_estimate_bps: sluice_sfu::Settings::default().media.initial_estimate_bps,
            limits: BTreeMap::new(),
            tcp: BTreeMap::new(),
        }
    }
}

impl Default for Rooms {
    fn default() -> Self {
        Self {
            http: (Ipv4Addr::LOCALHOST, 7880).into(),
            node: "http://127.0.0.1:7883".into(),
            node_token: Secret::default(),
            keys: BTreeMap::new(),
            metrics: None,
            allow_dev_key_anywhere: false,
            shutdown_seconds: 10,
            auto_create: true,
            single_connection: true,
            ice_servers: Vec::new(),
            limits: sluice_rooms::Limits::default(),
            timings: sluice_rooms::Timings::default(),
            calls: calls(),
        }
    }
}

/// On loopback, and with a store on disk: what was answered for must outlive the process.
fn calls() -> sluice_rooms::call_settings::Settings {
    let mut calls = sluice_rooms::call_settings::Settings {
        grpc: Some((Ipv4Addr::LOCALHOST, 7884).into()),
        ..sluice_rooms::call_settings::Settings::default()
    };
    calls.store.path = DATA_DIR.into();
    calls
}

/// A value that never shows in logs.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "(none)" } else { "(hidden)" })
    }
}

/// What is wrong with a setting, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SettingError {
    /// `section.name`.
    pub(crate) setting: String,
    /// As far as known; never that of a secret.
    pub(crate) value: Option<String>,
    /// Where the value came from, as far as known.
    pub(crate) source: Option<String>,
    pub(crate) problem: String,
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "setting `{}`", self.setting)?;
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        if let Some(source) = &self.source {
            write!(f, " (from {source})")?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for SettingError {}

/// The flags of one command as settings of its section.
pub(crate) struct Flags<'a, T> {
    pub(crate) section: &'static str,
    pub(crate) flags: &'a T,
    pub(crate) log: &'a LogFlags,
}

/// Layers all sources. `file` must exist if given; otherwise `sluice.toml` is read if it is there.
///
/// # Errors
/// The first setting that is unknown or of the wrong type, or a file that cannot be read.
pub(crate) fn load<T: Serialize>(
    file: Option<&Path>,
    environment: Environment,
    flags: &Flags<'_, T>,
) -> Result<Settings, SettingError> {
    if let Some(path) = file.filter(|path| !path.is_file()) {
        return Err(SettingError {
            setting: "--config".into(),
            value: Some(path.display().to_string()),
            source: None,
            problem: "there is no such file; give the path of a TOML file, or leave it out".into(),
        });
    }
    let default_file = Some(Path::new(DEFAULT_FILE)).filter(|path| path.is_file());
    let toml = file.or(default_file).map_or_else(|| Toml::string(""), Toml::file_exact);
    Figment::from(Serialized::defaults(Settings::default()))
        .merge(toml)
        .merge(environment)
        .merge(Serialized::default("log", flags.log))
        .merge(Serialized::default(flags.section, flags.flags))
        // Lossy: everything in the environment is text.
        .extract_lossy()
        .map_err(describe)
}

fn describe(error: figment::Error) -> SettingError {
    use figment::error::Kind;
    let mut setting = error.path.join(".");
    let problem = match &error.kind {
        Kind::UnknownField(field, expected) => {
            if error.path.last() != Some(field) {
                setting = error.path.iter().chain([field]).cloned().collect::<Vec<_>>().join(".");
            }
            format!("there is no such setting; this section has: {}", expected.join(", "))
        }
        kind => kind.to_string(),
    };
    let source = error.metadata.as_ref().map(|metadata| match &metadata.source {
        Some(source) => format!("{} {source}", metadata.name),
        None => metadata.name.to_string(),
    });
    if setting.is_empty() {
        setting = "(the file as a whole)".into();
    }
    SettingError { setting, value: None, source, problem }
}

/// A list, or one string with commas (as it is in the environment).
fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpAddr>, D::Error> {
    struct Addresses;
    impl<'de> Visitor<'de> for Addresses {
        type Value = Vec<IpAddr>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of IP addresses")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            parts.map(|part| part.parse().map_err(|_| E::custom(not_an_address(part)))).collect()
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut addresses = Vec::new();
            while let Some(part) = seq.next_element::<String>()? {
                addresses.push(
                    part.parse()
                        .map_err(|_| <A::Error as serde::de::Error>::custom(not_an_address(&part)))?,
                );
            }
            Ok(addresses)
        }
    }
    deserializer.deserialize_any(Addresses)
}

fn not_an_address(text: &str) -> String {
    format!("`{text}` is not an IP address; names are not looked up, write e.g. 203.0.113.7 or 2001:db8::7")
}

impl Settings {
    /// One section and `[log]` as TOML, without secrets.
    pub(crate) fn show(&self, section: &str) -> Result<String, toml::ser::Error> {
        let mut table = toml::Table::try_from(self)?;
        table.retain(|key, _| key == "log" || key == section);
        for (_, section) in table.iter_mut() {
            hide_secrets(section);
        }
        toml::to_string(&table)
    }
}

/// Whatever is named like a secret, however deep it stands.
fn hide_secrets(section: &mut toml::Value) {
    const SECRETS: [&str; 5] = ["token", "node_token", "grpc_token", "credential", "secret"];
    let hidden = || toml::Value::String("(hidden)".into());
    match section {
        toml::Value::Array(values) => values.iter_mut().for_each(hide_secrets),
        toml::Value::Table(table) => {
            for (key, value) in table.iter_mut() {
                match (key.as_str(), value) {
                    (name, toml::Value::String(text)) if SECRETS.contains(&name) => {
                        if !text.is_empty() {
                            *text = "(hidden)".into();
                        }
                    }
                    ("keys", toml::Value::Table(keys)) => {
                        keys.iter_mut().for_each(|(_, secret)| *secret = hidden())
                    }
                    (_, value) => hide_secrets(value),
                }
            }
        }
        _ => {}
    }
}
