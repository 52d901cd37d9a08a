//! The devices that are connected to `/calls/v1`: who is there, and what each is told.
//!
//! `door` lets devices in, `socket` is one connection, `registry` knows who is there and keeps a `log` for each device,
//! from which its socket reads. `messages` turns words into JSON, `requests` JSON into requests.
//!
//! **Telling never waits:** the desk appends to logs and rings bells; views and JSON are made by the sockets' own tasks.
//!
//! A device's token opens the door and bounds the stay: when it expires, the connection is closed, and the device comes
//! back with a new token and its cursor. Why a connection was closed stands in its close code; see [`Ending`].
mod door;
mod log;
mod messages;
mod registry;
mod requests;
mod settings;
mod socket;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures_util::StreamExt;
use futures_util::stream;
use metrics::{describe_counter, describe_gauge};
use sluice_calls::{Call, DeviceId, DeviceOffer, Notice, NoticeKind, UserId};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::log::Word;
use self::registry::Registry;
use self::requests::{Operator, Service};
use super::desk::Desk;
use super::front::Front;
use crate::token::Keys;

pub use self::settings::DeviceSettings;

/// Devices that vanished at once are told of so many at a time: the desk's queue is for requests too.
const TOLD_AT_ONCE: usize = 32;
/// How often the registry is swept, at most.
const SWEEP: Duration = Duration::from_secs(1);

/// Clones share it.
#[derive(Clone)]
pub(crate) struct Hub(Arc<Inner>);

struct Inner {
    registry: Registry,
    settings: DeviceSettings,
    /// Tells cursors of this process from those of others.
    boot: u64,
    places: Arc<Semaphore>,
}

impl Hub {
    /// Without devices.
    pub(crate) fn new(settings: DeviceSettings) -> Self {
        let places = Arc::new(Semaphore::new(settings.connections.min(Semaphore::MAX_PERMITS)));
        let registry = Registry::new(settings.clone());
        Self(Arc::new(Inner { registry, settings, boot: rand::random(), places }))
    }

    /// The devices of `user` that have a socket now.
    pub(crate) fn devices(&self, user: &UserId) -> Vec<DeviceOffer> {
        self.0.registry.offers(user)
    }

    /// Tells devices; never waits. `call` is the call after the transition. Called by the desk, in order.
    pub(crate) fn deliver(&self, notice: &Notice, call: &Arc<Call>) {
        let word = match &notice.kind {
            NoticeKind::Ring(ring) => Word::Ring(ring.clone()),
            NoticeKind::RingStopped(reason) => Word::Stopped { call: call.id.clone(), reason: *reason },
            NoticeKind::Changed => Word::Changed(call.clone()),
            NoticeKind::Over { reason, duration_ms } => {
                Word::Over { call: call.id.clone(), reason: *reason, duration_ms: *duration_ms }
            }
        };
        self.0.registry.say(&notice.user, notice.device.as_ref(), &word, Instant::now());
    }

    /// The routes of `/calls/v1`, and the task that tells the desk who vanished; until `stop`.
    pub(crate) fn open(&self, front: Front, desk: Desk, keys: Keys, stop: CancellationToken) -> Router {
        self.open_with(Arc::new(Service { front, desk }), keys, stop)
    }

    fn open_with(&self, operator: Arc<dyn Operator>, keys: Keys, stop: CancellationToken) -> Router {
        tokio::spawn(self.clone().watch(operator.clone(), stop.clone()));
        door::routes(door::Door { hub: self.clone(), operator, keys, stop })
    }

    /// Waits until every socket is closed; for a stop, which closes them, and no longer than `patience`.
    pub(crate) async fn emptied(&self, patience: Duration) {
        let all = u32::try_from(self.0.settings.connections.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        if tokio::time::timeout(patience, self.0.places.acquire_many(all)).await.is_err() {
            tracing::info!("some devices did not close their connections in time");
        }
    }

    /// Sweeps the registry, and tells the desk of devices that are gone.
    async fn watch(self, operator: Arc<dyn Operator>, stop: CancellationToken) {
        let every = SWEEP.min(self.0.settings.grace() / 2).max(Duration::from_millis(10));
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                now = ticks.tick() => {
                    let vanished = self.0.registry.sweep(now);
                    metrics::gauge!("sluice_calls_devices_kept_messages").set(self.0.registry.kept() as f64);
                    let told = stream::iter(vanished).for_each_concurrent(TOLD_AT_ONCE, |(user, device)| {
                        self.tell(operator.as_ref(), user, device)
                    });
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = told => {}
                    }
                }
            }
        }
    }

    async fn tell(&self, operator: &dyn Operator, user: UserId, device: DeviceId) {
        if let Err(error) = operator.vanished(&user, &device).await {
            // The next sweep names it again.
            tracing::debug!(%error, "the desk does not hear that a device is gone");
            return;
        }
        if self.0.registry.told(&user, &device) {
            return;
        }
        let offers = self.devices(&user);
        let Some(offer) = offers.into_iter().find(|offer| offer.device == device) else { return };
        if let Err(error) = operator.appeared(&user, &device, offer.call_waiting).await {
            tracing::warn!(%error, "the desk does not hear that a device is back: it rings with the next call");
        }
    }
}

/// Why a connection ends. The close code tells the client, the label the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The client said goodbye.
    Client,
    /// The connection broke.
    Lost,
    /// 1001: this process stops. Come back.
    Stopping,
    /// 1002: no WebSocket frames.
    Broken,
    /// 1003: messages are JSON in text frames.
    Binary,
    /// 1008: too many messages.
    Flood,
    /// 1009: a message is too large.
    Large,
    /// 1013: the calls cannot be looked at, or too many devices of the user came at once. Come back later.
    Unready,
    /// 4001: another connection of the same device has come. Do not come back.
    Replaced,
    /// 4002: the device did not read in time, and something is no longer kept. Come back with the cursor.
    Behind,
    /// 4003: the token has expired. Come back with a new one and the cursor.
    Expired,
    /// 4004: no sign of life. Come back.
    Silent,
}

impl Ending {
    fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Lost => "lost",
            Self::Stopping => "stopping",
            Self::Broken => "broken",
            Self::Binary => "binary",
            Self::Flood => "flood",
            Self::Large => "large",
            Self::Unready => "unready",
            Self::Replaced => "replaced",
            Self::Behind => "behind",
            Self::Expired => "expired",
            Self::Silent => "silent",
        }
    }

    /// Code and reason; `None`: nobody is there to read them.
    fn farewell(self) -> Option<(u16, &'static str)> {
        match self {
            Self::Client | Self::Lost => None,
            Self::Stopping => Some((1001, "the server stops: come back")),
            Self::Broken => Some((1002, "broken frames")),
            Self::Binary => Some((1003, "text frames only")),
            Self::Flood => Some((1008, "too many messages")),
            Self::Large => Some((1009, "the message is too large")),
            Self::Unready => Some((1013, "try again later")),
            Self::Replaced => Some((4001, "replaced")),
            Self::Behind => Some((4002, "behind: come back with the cursor")),
            Self::Expired => Some((4003, "the token has expired: come back with a new one")),
            Self::Silent => Some((4004, "no sign of life")),
        }
    }
}

/// Tells the recorder what each metric means.
pub(crate) fn describe() {
    describe_gauge!("sluice_calls_devices", "Devices connected to /calls/v1");
    describe_gauge!("sluice_calls_devices_kept_messages", "Messages kept for devices and their cursors");
    describe_counter!(
        "sluice_calls_device_connects_total",
        "Attempts to connect, by result: snapshot, resumed, or HTTP status"
    );
    describe_counter!("sluice_calls_device_closes_total", "Connections that ended, by reason");
    describe_counter!("sluice_calls_device_messages_total", "Messages, by direction");
}
