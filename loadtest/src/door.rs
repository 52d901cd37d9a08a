//! The way into rooms: by the client protocol, as users come, or past room management, by the node's own API.
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use sluice_client::{Client, Options};

use crate::node::{Access, Lobby};
use crate::server::Server;

/// What drives the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Driver {
    /// As users come: tokens, WebSockets, room management.
    #[default]
    ClientProtocol,
    /// Straight to the node's gRPC API, past room management: what the node costs alone.
    Node,
}

impl Driver {
    /// In a report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ClientProtocol => "client protocol",
            Self::Node => "node API",
        }
    }
}

// A process has one or two.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Door {
    ClientProtocol(Server),
    Node(Lobby),
}

impl Door {
    /// # Errors
    /// If the node cannot be reached.
    pub(crate) async fn open(server: &Server, node: Option<&Access>) -> anyhow::Result<Self> {
        Ok(match node {
            None => Self::ClientProtocol(server.clone()),
            Some(access) => Self::Node(Lobby::open(access).await?),
        })
    }

    /// Joins a room.
    pub(crate) async fn join(&self, room: &str, identity: &str, options: Options) -> anyhow::Result<Client> {
        match self {
            Self::ClientProtocol(server) => server.join(room, identity, options).await,
            Self::Node(lobby) => lobby.join(room, identity, options).await,
        }
    }
}

/// How the names of a run's rooms begin.
pub(crate) fn rooms_of(run: &str) -> String {
    format!("load-{run}-")
}

/// The name of a room of a run.
pub(crate) fn room_name(run: &str, room: usize) -> String {
    format!("{}{room}", rooms_of(run))
}

/// The room of the first call, before the run.
pub(crate) fn first_room(run: &str) -> String {
    format!("{}first", rooms_of(run))
}
