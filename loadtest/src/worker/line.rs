//! Two people who call each other through the calls API: a ring, an answer or a cancel, a talk, an end, and again.
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rand::RngExt as _;
use sluice_api::calls::v1 as api;
use sluice_api::calls::v1::server_message::Message as Heard;
use sluice_client::Client;
use tonic::{Code, Status};

use super::floor::Event;
use super::seat::{Context, about};
use crate::calls::{Backend, Device, Ringing, ring};
use crate::scenario::{Calls, Seat};

/// After the end of a call its clients hear of it within this.
const GOODBYE: Duration = Duration::from_secs(5);

/// Where calls are made.
pub(crate) struct Exchange {
    pub(crate) backend: Backend,
    /// Where devices and clients connect.
    pub(crate) url: String,
    pub(crate) calls: Calls,
}

/// The two of a room.
pub(crate) struct Line {
    caller: Person,
    callee: Person,
}

#[derive(Clone, Copy)]
struct Person {
    seat: Seat,
    /// Of the participant, on the floor.
    id: usize,
}

impl Line {
    /// Of seats that stand room by room, first the caller's, then the callee's.
    pub(crate) fn all(seats: Vec<Seat>) -> Vec<Self> {
        let people: Vec<Person> =
            seats.into_iter().enumerate().map(|(id, seat)| Person { seat, id }).collect();
        people.as_chunks().0.iter().map(|&[caller, callee]| Self { caller, callee }).collect()
    }
}

impl Context {
    /// They call each other until the load stops.
    pub(crate) async fn use_line(self: Arc<Self>, line: Line, exchange: Arc<Exchange>) {
        self.wait_until(self.epoch + line.caller.seat.join_at).await;
        let mut device = None;
        let mut visit = 0;
        while !self.stop.is_cancelled() {
            let talk = self.set_up(&line, &exchange, &mut device, visit).await;
            if visit == 0 {
                self.tell(Event::Attempted).await;
                self.tell(Event::Attempted).await;
            }
            let over = match talk {
                Ok(Some(call)) => {
                    self.wait_until(Instant::now() + about(exchange.calls.talk)).await;
                    self.hang_up(&line, &exchange, &call).await
                }
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = over {
                self.tell(Event::Failed(format!("a call on line {}: {error:#}", line.caller.seat.room)))
                    .await;
                // It may have heard half of a call.
                device = None;
            }
            visit += 1;
            self.wait_until(Instant::now() + about(exchange.calls.pause)).await;
        }
    }

    /// Creates a call, has it ring, and has it answered or cancelled. The call, if both are in it now.
    async fn set_up(
        &self,
        line: &Line,
        exchange: &Exchange,
        device: &mut Option<Device>,
        visit: u32,
    ) -> anyhow::Result<Option<String>> {
        let backend = &exchange.backend;
        let [caller, callee] = [&line.caller, &line.callee].map(|person| self.user(person));
        let device = match device {
            Some(device) => device,
            None => {
                let token = backend.device_token(&callee).await.context("no device token")?;
                device.insert(Device::connect(&exchange.url, &token).await?)
            }
        };
        let began = Instant::now();
        let name = format!("{}-{visit}", line.caller.seat.room);
        let ringing = ring(backend, device, &name, &caller, &callee).await;
        let Ringing { call, media, rang } = ringing.map_err(not_created)?;
        let going_on = async {
            let ring = rang? - began;
            self.tally.part(line.callee.id).calls.ring.record(ring);
            device.acknowledge(&call).await?;
            self.wait_until(Instant::now() + exchange.calls.ring).await;
            let answers = rand::rng().random_bool(exchange.calls.answered_percent / 100.0);
            if !answers || self.stop.is_cancelled() {
                return self.cancel(line, exchange, device, &call).await.map(|()| false);
            }
            let accepting = Instant::now();
            let (access, accepted_at) = device.accept(&call).await?;
            self.tally.part(line.callee.id).calls.accept.record(accepted_at - accepting);
            let media = media.context("the answer to the caller holds no way into the room")?;
            tokio::try_join!(
                self.pick_up(&line.caller, exchange, &media, visit),
                self.pick_up(&line.callee, exchange, &access, visit)
            )?;
            Ok(true)
        };
        match going_on.await {
            Ok(talks) => Ok(talks.then_some(call)),
            Err(error) => {
                // Nobody may stay behind. That this fails as well, as it will if the server is gone, explains nothing more.
                for person in [&line.caller, &line.callee] {
                    self.take(person.id).await;
                }
                if let Err(status) = backend.end(&call).await {
                    tracing::debug!(%status, "a call that failed could not be ended");
                }
                Err(error)
            }
        }
    }

    async fn cancel(
        &self,
        line: &Line,
        exchange: &Exchange,
        device: &mut Device,
        call: &str,
    ) -> anyhow::Result<()> {
        let cancelling = Instant::now();
        let silence = device.until("the end of a ring", |heard| match heard {
            Heard::RingStopped(stopped) if stopped.call_id == call => Some(()),
            _ => None,
        });
        let caller = self.user(&line.caller);
        let (cancelled, silence) = tokio::join!(exchange.backend.cancel(call, &caller), silence);
        cancelled.context("cannot cancel the call")?;
        let ((), at) = silence?;
        self.tally.part(line.callee.id).calls.cancel.record(at - cancelling);
        Ok(())
    }

    /// Joins the call's room.
    async fn pick_up(
        &self,
        person: &Person,
        exchange: &Exchange,
        access: &api::MediaAccess,
        visit: u32,
    ) -> anyhow::Result<()> {
        let url = if access.url.is_empty() { &exchange.url } else { &access.url };
        let joining = async |options| Client::connect(url, &access.token, options).await;
        let entering = self.enter(&person.seat, person.id, visit, joining).await;
        let (participant, took) = entering.with_context(|| self.user(person))?;
        self.tell(Event::Entered(Box::new(participant), took)).await;
        Ok(())
    }

    /// The backend ends the call; both must hear of it.
    async fn hang_up(&self, line: &Line, exchange: &Exchange, call: &str) -> anyhow::Result<()> {
        // Off the floor first, where those whom the server ends count as failed.
        let (caller, callee) = (self.take(line.caller.id).await, self.take(line.callee.id).await);
        exchange.backend.end(call).await.context("cannot end the call")?;
        for participant in [caller, callee].into_iter().flatten() {
            // By the word of room management or by the transport's end, whichever is faster.
            let ended = participant.client.until(GOODBYE, |stats| stats.ended.is_some()).await;
            ended.with_context(|| {
                format!("{} heard nothing of the call's end", participant.client.identity())
            })?;
        }
        Ok(())
    }

    fn user(&self, person: &Person) -> String {
        let group = &self.scenario.groups[person.seat.group].name;
        format!("{}-{}-{group}", self.run, person.seat.room)
    }
}

fn not_created(status: Status) -> anyhow::Error {
    let about = match status.code() {
        Code::PermissionDenied => {
            "the server's permission hook does not let these people call each other (leave the hook out; `sluice dev --without-messenger`)"
        }
        _ => "cannot create the call",
    };
    anyhow::Error::new(status).context(about)
}
