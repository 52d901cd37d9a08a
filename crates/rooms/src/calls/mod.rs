//! The calls service: ringing and consent for the product's backend (gRPC) and for devices (WebSocket).
//!
//! The way of a request: `service` (gRPC) or `hub` (WebSocket) -> [`front`] (limits, permission, tokens) -> [`desk`] (one
//! task: the pure model of `sluice-calls`, then one write to the store for all that waited) -> answer. What a transition
//! has to tell leaves only after it was written: events through the store's log to `outbox` (gRPC streams) and `webhook`,
//! notices to `hub`, effects to `media` (the call's room). Pushes are events too; `push` brings them to a gateway.
mod access;
pub(crate) mod authority;
mod convert;
pub(crate) mod desk;
mod documents;
pub(crate) mod front;
pub(crate) mod hub;
mod links;
pub(crate) mod media;
mod outbox;
mod pruning;
pub(crate) mod push;
mod records;
mod service;
pub mod settings;
mod telemetry;
pub(crate) mod unusable;
pub(crate) mod webhook;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use sluice_calls::{CallId, Effect};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::directory::Directory;
use crate::room::Report;
use crate::store::{Position, Store};
use crate::token::Keys;
use desk::{Desk, Parts, Task, wall_clock};
use documents::{Documents, Retention};
use service::Service;
pub(crate) use webhook::StartError;

/// What waits to be done to rooms, or to be told of them: more than happens while a room's task is stuck.
const ROOM_QUEUE: usize = 16_384;

const HOUR_MS: u64 = 3_600_000;

/// The service, loaded and ready to run.
pub(crate) struct Calls {
    pub(crate) desk: Desk,
    /// Where devices connect.
    pub(crate) routes: Router,
    pub(crate) hub: hub::Hub,
    task: Task,
    service: Service,
    effects: mpsc::Receiver<(CallId, Effect)>,
    reports: mpsc::Receiver<Report>,
    /// Webhooks and pushes.
    sinks: Vec<JoinHandle<()>>,
    log: pruning::LogRetention,
    stop: CancellationToken,
}

impl Calls {
    /// Loads live calls from the store. The sender is for the rooms' reports.
    ///
    /// # Errors
    /// If the store cannot be read or written, or a setting is unusable.
    pub(crate) async fn load(
        settings: &crate::Settings,
        keys: &Keys,
        store: Arc<dyn Store>,
        stop: &CancellationToken,
    ) -> Result<(Self, mpsc::Sender<Report>), StartError> {
        telemetry::describe();
        hub::describe();
        let calls = &settings.calls;
        let kept = &calls.retention;
        let retention = Retention {
            records_ms: u64::from(kept.record_days) * 24 * HOUR_MS,
            requests_ms: u64::from(kept.request_hours) * HOUR_MS,
        };
        let documents = Documents::new(store.clone(), retention);
        let (desk, mailbox) = Desk::new(calls.service.queue);
        let (effects_in, effects) = mpsc::channel(ROOM_QUEUE);
        let (reports_in, reports) = mpsc::channel(ROOM_QUEUE);
        let (last, position) = watch::channel(Position::default());
        let hub = hub::Hub::new(calls.devices.clone());
        let authority = authority::Authority::new(&calls.permission, store.clone(), Arc::new(hub.clone()))?;
        let parts = Parts {
            settings: calls.model.clone(),
            documents: documents.clone(),
            hub: hub.clone(),
            authority: authority.clone(),
            effects: effects_in,
            last,
            clock: wall_clock,
        };
        let task = Task::load(parts, mailbox).await?;
        let mut sinks = webhook::start(&calls.webhooks, &store, &position, stop).await?;
        if let Some(gateway) = push::gateway(&calls.push)? {
            sinks.push(push::start(&calls.push, gateway, &store, &position, stop).await?);
        }
        let outbox = outbox::Outbox::open(store, position).await?;
        // Without keys nobody could join; that was checked.
        let (key, secret) =
            settings.keys.first_key_value().map(|(k, s)| (k.as_str(), s.as_str())).unwrap_or_default();
        let validity = Duration::from_secs(calls.service.media_token_s.into());
        let access = access::AccessDesk::new(key, secret, &calls.url, validity);
        let policies = authority.clone();
        let front = front::Front::new(desk.clone(), documents.clone(), authority, access, wall_clock);
        let service = Service {
            front,
            desk: desk.clone(),
            documents,
            authority: policies,
            outbox,
            keys: service::Signer { key: key.into(), secret: secret.into() },
            clock: wall_clock,
            followers: Arc::new(Semaphore::new(calls.service.followers)),
            stop: stop.clone(),
        };
        let routes = hub.open(service.front.clone(), desk.clone(), keys.clone(), stop.clone());
        let log =
            pruning::LogRetention { age_ms: u64::from(kept.event_hours) * HOUR_MS, events: kept.events };
        let stop = stop.clone();
        let this = Self { desk, routes, hub, task, service, effects, reports, sinks, log, stop };
        Ok((this, reports_in))
    }

    /// Runs until the stop. The handle is the gRPC server's, which ends when all RPCs are answered.
    pub(crate) fn run(
        self,
        settings: &settings::Settings,
        directory: Directory,
        listener: TcpListener,
    ) -> JoinHandle<Result<(), tonic::transport::Error>> {
        let Self { desk, task, service, effects, reports, sinks, log, stop, .. } = self;
        tokio::spawn(task.run(stop.clone()));
        tokio::spawn(media::obey(directory.clone(), effects));
        tokio::spawn(media::follow(desk, directory, reports));
        tokio::spawn(pruning::run(service.documents.clone(), log, wall_clock, stop.clone()));
        let (token, most) = (settings.grpc_token.clone(), settings.service.rpcs_per_connection);
        tokio::spawn(async move {
            let served = service::server::serve(service, listener, &token, most, stop).await;
            // What was delivered is remembered before the process ends.
            for sink in sinks {
                if let Err(error) = sink.await {
                    tracing::error!(%error, "a sink of events failed");
                }
            }
            served
        })
    }
}
