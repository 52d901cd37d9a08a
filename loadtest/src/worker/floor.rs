//! Everybody of a worker who is there: looked at when there is news, counted every second.
use std::time::{Duration, Instant};

use rustc_hash::{FxHashMap, FxHashSet};
use sluice_client::Noticed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, oneshot};

use super::messages::Told;
use super::participant::{Participant, Wish};
use super::second::Second;
use super::tally::Tally;
use crate::process::Sample;

/// How often participants with news are looked at: what they notice, they notice this much too late at most.
const TICK: Duration = Duration::from_millis(10);
/// Failures told in words each second; the others are only counted.
const TOLD: usize = 5;

/// From the seats.
pub(crate) enum Event {
    Entered(Box<Participant>, Duration),
    /// Hand this participant out; `None` if it has ended by itself.
    Leaving(usize, oneshot::Sender<Option<Box<Participant>>>),
    Failed(String),
    /// A seat's first join succeeded or failed.
    Attempted,
}

/// Participants that have something new to look at.
#[derive(Clone, Default)]
pub(crate) struct News(Arc<Mutex<FxHashSet<usize>>>);

impl News {
    /// What a participant's client calls.
    pub(crate) fn of(&self, id: usize) -> Noticed {
        let news = self.clone();
        Arc::new(move || news.add(id))
    }

    fn add(&self, id: usize) {
        self.lock().insert(id);
    }

    fn lock(&self) -> MutexGuard<'_, FxHashSet<usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Floor {
    inbox: mpsc::Receiver<Event>,
    news: News,
    told: std::sync::mpsc::Sender<Told>,
    tally: Arc<Tally>,
    people: FxHashMap<usize, Box<Participant>>,
    /// Of them, those who do something by the clock.
    clocked: FxHashSet<usize>,
    attempted: u64,
    second: Second,
    ends: Instant,
    own: Option<Sample>,
}

impl Floor {
    pub(crate) fn new(
        inbox: mpsc::Receiver<Event>,
        news: News,
        told: std::sync::mpsc::Sender<Told>,
        tally: Arc<Tally>,
        epoch: Instant,
    ) -> Self {
        Self {
            inbox,
            news,
            told,
            tally,
            people: FxHashMap::default(),
            clocked: FxHashSet::default(),
            attempted: 0,
            second: Second::default(),
            ends: epoch + Duration::from_secs(1),
            own: Sample::of_self().ok(),
        }
    }

    /// Until all seats are done.
    pub(crate) async fn run(mut self) {
        let mut due = Instant::now() + TICK;
        loop {
            tokio::select! {
                event = self.inbox.recv() => match event {
                    Some(event) => self.take(event),
                    None => break,
                },
                () = tokio::time::sleep_until(due.into()) => {
                    let now = Instant::now();
                    self.second.own.lateness.record(now.saturating_duration_since(due));
                    // A clock that was held up does not tick twice at once.
                    due = (due + TICK).max(now);
                    self.tick(now).await;
                }
            }
        }
        self.tell();
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Entered(participant, took) => {
                self.second.people.joined += 1;
                self.second.times.join.record(took);
                if participant.takes_turns() {
                    self.clocked.insert(participant.id);
                }
                // What came before it was here was news to nobody.
                self.news.add(participant.id);
                self.people.insert(participant.id, participant);
            }
            Event::Leaving(id, reply) => {
                let mut leaving = self.people.remove(&id);
                self.clocked.remove(&id);
                if let Some(participant) = &mut leaving {
                    let now = Instant::now();
                    participant.count(now, &mut self.second.media, &mut self.second.own);
                    participant.finish(now, &mut self.second.media);
                    self.second.people.left += 1;
                }
                // A seat that no longer waits is one whose worker ends.
                let _nobody_waits = reply.send(leaving);
            }
            Event::Failed(why) => self.failed(why),
            Event::Attempted => self.attempted += 1,
        }
    }

    fn failed(&mut self, why: String) {
        self.second.people.failed += 1;
        if self.second.failures.len() < TOLD {
            self.second.failures.push(why);
        }
    }

    async fn tick(&mut self, now: Instant) {
        let mut wishes = Vec::new();
        let mut due = std::mem::take(&mut *self.news.lock());
        due.extend(&self.clocked);
        for id in due {
            let Some(participant) = self.people.get_mut(&id) else { continue };
            let wished = participant.poll(now, &mut self.second.times);
            wishes.extend(wished.into_iter().map(|wish| (id, wish)));
        }
        for (id, wish) in wishes {
            let Some(participant) = self.people.get(&id) else { continue };
            let client = &participant.client;
            let said = match wish {
                Wish::Subscribe(sid) => client.subscribe(&sid, true).await,
                Wish::Size(sid, width, height) => client.set_size(&sid, width, height).await,
                Wish::Mute(sid, muted) => client.mute(&sid, muted).await,
            };
            // It fails only if the client has ended, which is noticed below with its reason.
            if let Err(error) = said {
                tracing::debug!(%error, "a wish came too late");
            }
        }
        if now >= self.ends {
            self.close_second(now);
        }
    }

    fn close_second(&mut self, now: Instant) {
        let ended: Vec<(usize, String)> =
            self.people.iter().filter_map(|(id, participant)| Some((*id, participant.ended()?))).collect();
        for (id, why) in ended {
            self.people.remove(&id);
            self.clocked.remove(&id);
            self.failed(why);
        }
        let Self { people, second, .. } = self;
        for participant in people.values_mut() {
            second.people.streams += participant.count(now, &mut second.media, &mut second.own);
            second.people.dark += participant.dark(now);
            second.people.connected += u64::from(participant.is_connected());
        }
        second.people.present = people.len() as u64;
        self.tell();
        while self.ends <= now {
            self.ends += Duration::from_secs(1);
            self.second.index += 1;
        }
    }

    /// Hands the second over and begins the next.
    fn tell(&mut self) {
        let seen = self.tally.take();
        let index = self.second.index;
        let mut second = std::mem::replace(&mut self.second, Second { index, ..Second::default() });
        second.people.attempted = self.attempted;
        second.times.audio_latency = seen.audio_latency;
        second.times.video_latency = seen.video_latency;
        second.times.key_frame_wait = seen.key_frame_wait;
        second.times.layer_switch = seen.layer_switch;
        second.times.calls = seen.calls;
        if let Ok(now) = Sample::of_self() {
            second.own.cores = self.own.replace(now).map_or(0.0, |before| now.cores_since(&before));
            second.own.rss_mib = now.rss_mib;
        }
        // The coordinator is gone: then this process ends as well, when it next reads an order.
        let _nobody_listens = self.told.send(Told::Second(Box::new(second)));
    }
}
