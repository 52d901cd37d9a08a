//! The messaging product beside the halves. It meets room management as any product's backend would: over its gRPC API,
//! with a permission hook and webhooks, all of them on sockets and signed.
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use sluice_demo::Demo;
use sluice_rooms::call_settings::{LONGEST_DEADLINE_MS, Settings as Calls};

use crate::settings::Secret;

/// Long enough for nobody to guess.
const SECRET: usize = 40;

/// What both sides must know of each other.
pub(super) struct Wiring {
    /// Where the calls API can be reached.
    pub(super) calls: SocketAddr,
    /// Its bearer token.
    pub(super) token: Secret,
    /// Where our own HTTP server can be reached.
    pub(super) http: SocketAddr,
    /// For what outlives the process.
    pub(super) data: Option<PathBuf>,
    /// Whose page may sign in.
    pub(super) addresses: Vec<IpAddr>,
    /// Signs webhooks and questions to the hook.
    secret: String,
}

impl Wiring {
    pub(super) fn new(
        (calls, token): (SocketAddr, Secret),
        http: SocketAddr,
        data: Option<PathBuf>,
        addresses: Vec<IpAddr>,
    ) -> Self {
        // Anew at each start: an event that waits from the last run is signed when it is sent.
        Self { calls, token, http, data, addresses, secret: super::random_text(SECRET) }
    }

    /// Points room management at the product.
    pub(super) fn point_at_demo(&self, calls: &mut Calls) {
        calls.permission.hook.url = format!("http://{}/demo/hooks/authorize", self.http);
        calls.permission.hook.secret.clone_from(&self.secret);
        // The product answers from memory, but on a laptop where browsers start it may get no processor for longer than
        // the default, and a question without an answer refuses the call.
        calls.permission.hook.deadline_ms = LONGEST_DEADLINE_MS;
        let mut events = calls.webhooks.first().cloned().unwrap_or_default();
        events.name = "demo".into();
        events.url = format!("http://{}/demo/hooks/events", self.http);
        events.secret.clone_from(&self.secret);
        calls.webhooks = vec![events];
    }

    /// Starts the product; it waits for the calls API by itself.
    pub(super) fn start(&self) -> Result<Demo, sluice_demo::StartError> {
        Demo::start(sluice_demo::Settings {
            calls: format!("http://{}", self.calls),
            calls_token: self.token.reveal().to_owned(),
            webhook_secret: self.secret.clone(),
            hook_secret: Some(self.secret.clone()),
            data: self.data.clone(),
            addresses: self.addresses.clone(),
        })
    }
}
