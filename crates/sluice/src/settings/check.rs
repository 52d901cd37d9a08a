//! Rules that types cannot state. Each error says what to do.
use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::de::DeserializeOwned;

use super::{DEV_KEY, DEV_SECRET, Dev, Rooms, SettingError, Settings, Sfu, describe};

/// HMAC-SHA256 keys shorter than this are guessed faster than they are used (RFC 7518 section 3.2 asks for 32 bytes;
/// 16 of real randomness are beyond search).
const SHORTEST_SECRET: usize = 16;
/// A thread per shard: more than this is a typing error on any machine of today.
const MOST_SHARDS: u16 = 256;

impl Settings {
    /// Checks one section.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub(crate) fn check(&self, section: &str) -> Result<(), SettingError> {
        match section {
            "dev" => self.dev.check(),
            "sfu" => self.sfu.check(),
            "rooms" => self.rooms.check(),
            _ => Ok(()),
        }
    }
}

impl Dev {
    fn check(&self) -> Result<(), SettingError> {
        if !self.bind.is_loopback() && !self.allow_dev_key_anywhere {
            return refuse(
                "dev.bind",
                self.bind,
                "other machines could reach this address, and everybody knows the development key. Listen on 127.0.0.1, \
                 or pass --allow-dev-key-anywhere in a network that you trust, or run `sluice sfu` and `sluice rooms` \
                 with a key of your own",
            );
        }
        check_ports("dev.udp_port", self.udp_port, self.shards)?;
        check_shards("dev.shards", self.shards)?;
        check_advertise("dev", &self.advertise)?;
        let tcp = [
            ("http_port", self.http_port),
            ("tcp_port", self.tcp_port),
            ("grpc_port", self.grpc_port),
            ("calls_grpc_port", self.calls_grpc_port),
        ];
        for (index, (name, port)) in tcp.iter().enumerate() {
            if let Some((other, _)) = tcp[..index].iter().find(|(_, other)| other == port && *port != 0) {
                return refuse(
                    &format!("dev.{name}"),
                    port,
                    &format!("`dev.{other}` is the same port; give each its own"),
                );
            }
        }
        Ok(())
    }
}

impl Sfu {
    fn check(&self) -> Result<(), SettingError> {
        check_ports("sfu.udp_port", self.udp_port, self.shards)?;
        check_secret("sfu.token", self.token.reveal(), self.grpc.ip())?;
        let node = self.node()?;
        node.validate().map_err(|error| {
            // The node groups its settings; here they stand flat.
            let name = match error.name {
                "media.bind_ips" => "bind",
                "media.advertise_ips" => "advertise",
                "media.first_udp_port" => "udp_port",
                "media.initial_estimate_bps" => "initial_estimate_bps",
                "grpc.token" => "token",
                name => name,
            };
            SettingError {
                setting: format!("sfu.{name}"),
                value: self.shown(name),
                source: None,
                problem: error.problem,
            }
        })
    }

    /// A setting as it would stand in a file; none of a secret.
    fn shown(&self, name: &str) -> Option<String> {
        let mut value = toml::Value::try_from(self).ok()?;
        for part in name.split('.') {
            value = value.get(part)?.clone();
        }
        (name != "token").then(|| value.to_string())
    }

    /// The node's own settings.
    ///
    /// # Errors
    /// A name in `[sfu.limits]` or `[sfu.tcp]` that the node does not know.
    pub(crate) fn node(&self) -> Result<sluice_sfu::Settings, SettingError> {
        let mut node = sluice_sfu::Settings {
            node_id: self.node_id.clone(),
            shards: self.shards.into(),
            tcp: bounds("tcp", &self.tcp)?,
            limits: bounds("limits", &self.limits)?,
            ..sluice_sfu::Settings::default()
        };
        node.media.bind_ips.clone_from(&self.bind);
        node.media.first_udp_port = self.udp_port;
        // Off is 0 here, for flags have no null; the kernel's choice is of use in tests only.
        node.media.tcp_port = (self.tcp_port != 0).then_some(self.tcp_port);
        node.media.advertise_ips.clone_from(&self.advertise);
        node.media.ice_lite = self.ice_lite;
        node.media.initial_estimate_bps = self.initial_estimate_bps;
        node.grpc.bind = self.grpc;
        node.grpc.token = self.token.reveal().to_owned();
        Ok(node)
    }
}

fn bounds<T: DeserializeOwned>(table: &str, values: &BTreeMap<String, u64>) -> Result<T, SettingError> {
    let explain = |error: figment::Error| describe(error.with_path(&format!("sfu.{table}")));
    let value = figment::value::Value::serialize(values).map_err(explain)?;
    value.deserialize().map_err(explain)
}

impl Rooms {
    fn check(&self) -> Result<(), SettingError> {
        if !self.node.starts_with("http://") && !self.node.starts_with("https://") {
            return refuse(
                "rooms.node",
                &self.node,
                "give the node's gRPC address as a URL, e.g. http://127.0.0.1:7883",
            );
        }
        if self.keys.is_empty() {
            return refuse(
                "rooms.keys",
                "{}",
                "nobody could join: give a key and its secret, e.g. SLUICE_ROOMS_KEYS=mykey:$(openssl rand -hex 32)",
            );
        }
        let open = !self.http.ip().is_loopback();
        for (key, secret) in &self.keys {
            if key.is_empty() {
                return refuse("rooms.keys", "\"\"", "a key needs a name");
            }
            let is_dev = key == DEV_KEY || secret.reveal() == DEV_SECRET;
            if is_dev && open && !self.allow_dev_key_anywhere {
                return refuse(
                    &format!("rooms.keys.{key}"),
                    "(hidden)",
                    "everybody knows the development key, and other machines could reach `rooms.http`. Use a key of your \
                     own; in a network that you trust, pass --allow-dev-key-anywhere",
                );
            }
            if !is_dev {
                check_secret(&format!("rooms.keys.{key}"), secret.reveal(), self.http.ip())?;
            }
        }
        if let Some(grpc) = self.calls.grpc {
            check_secret("rooms.calls.grpc_token", &self.calls.grpc_token, grpc.ip())?;
            if grpc == self.http {
                return refuse(
                    "rooms.calls.grpc",
                    grpc,
                    "`rooms.http` is the same address; give each its own",
                );
            }
        }
        self.calls.validate().map_err(|error| SettingError {
            setting: format!("rooms.calls.{}", error.field),
            value: None,
            source: None,
            problem: error.text,
        })
    }
}

/// On loopback a short or missing secret is a matter of taste; elsewhere it is a hole.
fn check_secret(setting: &str, secret: &str, listens_on: IpAddr) -> Result<(), SettingError> {
    if listens_on.is_loopback() || secret.len() >= SHORTEST_SECRET {
        return Ok(());
    }
    let length = secret.len();
    let problem = format!(
        "other machines can reach {listens_on}, and a secret of {length} characters is too short: give at least \
         {SHORTEST_SECRET} random ones, e.g. from `openssl rand -hex 32`"
    );
    Err(SettingError { setting: setting.into(), value: Some("(hidden)".into()), source: None, problem })
}

fn check_ports(setting: &str, first: u16, shards: u16) -> Result<(), SettingError> {
    if first != 0 && first.checked_add(shards.saturating_sub(1)).is_none() {
        return refuse(
            setting,
            first,
            &format!("{shards} shards need that many ports from here on, past 65535; begin lower"),
        );
    }
    Ok(())
}

fn check_shards(setting: &str, shards: u16) -> Result<(), SettingError> {
    if shards > MOST_SHARDS {
        return refuse(
            setting,
            shards,
            &format!("at most {MOST_SHARDS}; one per core is best, 0 chooses that"),
        );
    }
    Ok(())
}

fn check_advertise(section: &str, advertise: &[IpAddr]) -> Result<(), SettingError> {
    let setting = format!("{section}.advertise");
    if let Some(nowhere) = advertise.iter().find(|ip| ip.is_unspecified() || ip.is_multicast()) {
        return refuse(
            &setting,
            nowhere,
            "clients cannot send to this address; give the one under which they reach you",
        );
    }
    Ok(())
}

fn refuse<T>(setting: &str, value: impl ToString, problem: &str) -> Result<T, SettingError> {
    Err(SettingError {
        setting: setting.into(),
        value: Some(value.to_string()),
        source: None,
        problem: problem.into(),
    })
}
