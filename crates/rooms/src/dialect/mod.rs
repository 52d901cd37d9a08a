//! The protocol of LiveKit client SDKs: everything that is particular to it, and nothing else.
//!
//! `upgrade` answers HTTP and lets WebSockets in, `query` and `join_request` read what the client asks for, `socket`
//! carries frames, and `peer` is one participant's task: it turns requests into changes of the room and calls to the
//! node, and notices of the room into responses. `convert` holds the mapping between the room's records and messages.
//!
//! Two ways of negotiating exist. With two PeerConnections (`/rtc`) the client offers on one, the node on the other;
//! with a single one (`/rtc/v1`) only the client offers, and is asked for more sections when it lacks them.
use crate::directory::Directory;
use crate::node::Node;
use crate::settings::Settings;
use crate::token::{Claims, Keys};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

mod convert;
mod join_request;
pub(crate) mod peer;
mod query;
mod socket;
pub(crate) mod upgrade;

/// Numbers of the signalling protocol that this server speaks.
const PROTOCOL: i32 = 17;
/// Clients compare it with the version at which a LiveKit server learned what they need.
const COMPATIBLE_VERSION: &str = "1.13.0";

/// What every participant's task needs.
pub(crate) struct Context {
    pub(crate) settings: Arc<Settings>,
    pub(crate) keys: Keys,
    pub(crate) node: Node,
    pub(crate) directory: Directory,
    /// Who decides on the rooms of calls, if calls are served.
    pub(crate) calls: Option<crate::calls::desk::Desk>,
    pub(crate) stop: CancellationToken,
}

/// A client that connected: to begin, or to go on.
pub(crate) struct Arrival {
    socket: socket::Socket,
    claims: Claims,
    intent: query::Intent,
}
