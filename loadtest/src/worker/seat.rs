//! One seat: somebody joins, stays, leaves, and perhaps comes again.
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rand::RngExt as _;
use sluice_client::{Client, Opened, Options, Plane, SharedSockets};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::floor::{Event, News};
use super::participant::{Participant, Sends};
use super::receiver::Receiver;
use super::tally::Tally;
use crate::door::{Door, room_name};
use crate::scenario::{Group, Media, Scenario, Seat};
use crate::server::PathChoice;

/// A client that outlives the load by this ends by itself.
const SPARE: Duration = Duration::from_secs(600);

/// What all seats of a worker share.
pub(crate) struct Context {
    pub(crate) door: Door,
    pub(crate) path: PathChoice,
    pub(crate) scenario: Scenario,
    pub(crate) run: String,
    pub(crate) plane: Plane,
    pub(crate) sockets: SharedSockets,
    pub(crate) epoch: Instant,
    pub(crate) tally: Arc<Tally>,
    pub(crate) floor: mpsc::Sender<Event>,
    pub(crate) news: News,
    pub(crate) stop: CancellationToken,
}

impl Context {
    /// Fills a seat until the load stops.
    pub(crate) async fn fill(self: Arc<Self>, seat: Seat, id: usize) {
        let group = &self.scenario.groups[seat.group];
        self.wait_until(self.epoch + seat.join_at).await;
        let mut visit = 0;
        while !self.stop.is_cancelled() {
            let joined = self.join(&seat, id, visit).await;
            let failed = joined.is_err();
            let event = match joined {
                Ok((participant, took)) => Event::Entered(Box::new(participant), took),
                Err(error) => Event::Failed(format!("{error:#}")),
            };
            self.tell(event).await;
            if visit == 0 {
                self.tell(Event::Attempted).await;
            }
            if !failed {
                match group.stay {
                    Some(stay) => self.wait_until(Instant::now() + about(stay)).await,
                    None => self.stop.cancelled().await,
                }
                self.leave(id).await;
            }
            if group.stay.is_none() {
                return;
            }
            visit += 1;
            self.wait_until(Instant::now() + group.away).await;
        }
    }

    async fn join(&self, seat: &Seat, id: usize, visit: u32) -> anyhow::Result<(Participant, Duration)> {
        let group = &self.scenario.groups[seat.group];
        let room = room_name(&self.run, seat.room);
        let identity = match visit {
            0 => format!("{}-{}", group.name, seat.member),
            visit => format!("{}-{}-again-{visit}", group.name, seat.member),
        };
        let who = format!("{identity} of {room}");
        let joining = |options| self.door.join(&room, &identity, options);
        self.enter(seat, id, visit, joining).await.with_context(|| who)
    }

    /// Joins by whatever way, and sends what the group sends.
    pub(super) async fn enter(
        &self,
        seat: &Seat,
        id: usize,
        visit: u32,
        join: impl AsyncFnOnce(Options) -> anyhow::Result<Client>,
    ) -> anyhow::Result<(Participant, Duration)> {
        let group = &self.scenario.groups[seat.group];
        let network = group.network.as_ref().map(|network| network.impairment(seed(seat, visit, "network")));
        let sampled = self.plane == Plane::Light(Opened::Sample);
        let receiver = Receiver::new(self.tally.clone(), id, sampled);
        let options = Options {
            path: self.path.of(id),
            auto_subscribe: group.receive == Media::All,
            // Who asks for sizes begins with the lowest layer, as players do.
            adaptive_stream: !group.sizes.is_empty(),
            lifetime: self.scenario.ramp + self.scenario.duration + SPARE,
            plane: self.plane,
            impairment: network.unwrap_or_default(),
            observer: Some(receiver.observer()),
            shared_sockets: Some(self.sockets.clone()),
            noticed: Some(self.news.of(id)),
            ..Options::default()
        };
        let client = join(options).await?;
        let took = client.with_stats(|stats| stats.joined_after);
        let sends = publish(&client, group, seed(seat, visit, "talk"), seat.phase(group)).await?;
        Ok((Participant::new(id, client, receiver, group.clone(), sends), took))
    }

    /// Takes a participant off the floor, if it is there.
    pub(super) async fn take(&self, id: usize) -> Option<Box<Participant>> {
        let (reply, answer) = oneshot::channel();
        self.tell(Event::Leaving(id, reply)).await;
        answer.await.ok().flatten()
    }

    pub(super) async fn leave(&self, id: usize) {
        if let Some(participant) = self.take(id).await
            && let Err(error) = participant.client.leave().await
        {
            self.tell(Event::Failed(format!("{error:#}"))).await;
        }
    }

    pub(super) async fn tell(&self, event: Event) {
        // The floor outlives the seats; without it the worker ends anyway.
        let _gone = self.floor.send(event).await;
    }

    pub(super) async fn wait_until(&self, at: Instant) {
        tokio::select! {
            () = tokio::time::sleep_until(at.into()) => {}
            () = self.stop.cancelled() => {}
        }
    }
}

/// Half to one and a half of a time.
pub(super) fn about(time: Duration) -> Duration {
    time.mul_f64(rand::rng().random_range(0.5..1.5))
}

/// Each draws its own talk and losses, and the same in every run.
fn seed(seat: &Seat, visit: u32, what: &str) -> u64 {
    rustc_hash::FxBuildHasher.hash_one((seat.room, seat.group, seat.member, visit, what))
}

async fn publish(client: &Client, group: &Group, seed: u64, phase: f64) -> anyhow::Result<Sends> {
    let mut sends = Sends::default();
    if let Some(audio) = &group.audio {
        sends.audio =
            Some(client.publish_audio(audio.shape(seed, phase)).await.context("cannot publish audio")?);
    }
    if let Some(video) = &group.video {
        let sid = client.publish_video(video.shape(phase)).await.context("cannot publish video")?;
        sends.video = Some((sid, (video.layers == 1).then_some(video.bitrate.0)));
    }
    Ok(sends)
}
