//! One participant: a task from its join to its end, across WebSockets that come and go.
//!
//! It holds the participant's node sessions. Whatever comes in (a request, a notice of the room, the end of a node
//! call, a deadline) is handled at once, without waiting; what must wait stands in a bounded queue.
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::ws::close_code;
use prost::Message as _;
use sluice_api::sfu::v1 as sfu;
use sluice_livekit_proto as livekit;
use sluice_livekit_proto::signal_response::Message as Response;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::socket::{Deaf, Heard, Socket};
use super::{Arrival, Context, convert};
use crate::model;
use crate::node::now_ms;
use crate::node::steps::{Step, Steps};
use crate::recovery::VERSION_LEAP;
use crate::room::{Change, Command, Handle, Joined, Notice, Presence, Reason};
use crate::settings::seconds;
use crate::token::Claims;

mod arrive;
mod enter;
mod negotiate;
mod notices;
mod outside;
mod publishing;
mod qualities;
mod requests;
mod rounds;
mod sessions;
mod speakers;
mod subscribing;

pub(crate) use enter::{Restored, enter, restore, tracks};

use publishing::Publishing;
use qualities::Qualities;
use rounds::{Offers, Requests};
use sessions::Sessions;
use speakers::Speakers;
use subscribing::Subscribing;

/// Everything that a participant's task holds.
pub(crate) struct Peer {
    context: Arc<Context>,
    /// Sending into the room's mailbox; the room's record is for messages to the client.
    room: Handle,
    record: model::Room,
    people: People,
    signal: Signal,
    sessions: Sessions,
    steps: Steps,
    publishing: Publishing,
    subscribing: Subscribing,
    rounds: Rounds,
    qualities: Qualities,
    /// Set when it is over.
    ended: Option<Reason>,
}

/// Who is there, oneself included.
struct People {
    me: Arc<Presence>,
    others: BTreeMap<String, Arc<Presence>>,
    /// What the node keeps for a process that starts anew; without the participant if its record is of before a restart.
    memory: model::Member,
    speakers: Speakers,
    /// Who speaks, as the node last said.
    speaking: Arc<[sfu::Speaker]>,
    qualities: BTreeMap<String, sfu::Quality>,
    /// Who left while the client was away: it must hear of it when it comes back.
    missed: Vec<livekit::ParticipantInfo>,
}

/// The client's connection, and its times.
struct Signal {
    socket: Option<Socket>,
    /// `None` after a restart, until the client comes back.
    claims: Option<Claims>,
    heard_at: Instant,
    /// When a participant without a connection is removed.
    gone_at: Option<Instant>,
    refresh_at: Instant,
    /// Replies that this client asked us to withhold, to test its recovery.
    drop_next_resume: bool,
}

struct Rounds {
    offers: Offers,
    requests: Requests,
    /// Ids of the client's offers that the node has not answered yet, oldest first; `None` if the answer is not wanted.
    offer_ids: std::collections::VecDeque<Option<u32>>,
}

/// The channels into a peer's task.
pub(super) struct Mailboxes {
    pub(super) notices: mpsc::Receiver<Notice>,
    pub(super) arrivals: mpsc::Receiver<Box<Arrival>>,
}

impl Peer {
    fn new(context: Arc<Context>, room: Handle, joined: Joined, memory: model::Member) -> Self {
        let client = memory.client.clone().unwrap_or_default();
        let timings = &context.settings.timings;
        let now = Instant::now();
        let mut subscribing = Subscribing::new(client.adaptive_stream);
        subscribing.want(joined.wanted);
        let patience = seconds(timings.answer);
        let offers = Offers::new(patience, offers_before(&joined.me.participant));
        let rounds = Rounds { offers, requests: Requests::new(patience), offer_ids: Default::default() };
        let signal = Signal {
            socket: None,
            claims: None,
            heard_at: now,
            gone_at: Some(now + seconds(timings.resume)),
            refresh_at: now + seconds(timings.refresh_token),
            drop_next_resume: false,
        };
        let others = joined.others.into_iter().map(|other| (other.id().to_owned(), other)).collect();
        let (speakers, speaking, qualities, missed) = Default::default();
        Self {
            sessions: Sessions::new(&joined.me, &client),
            steps: Steps::new(context.node.clone()),
            qualities: Qualities::new(seconds(timings.quality_lowering)),
            publishing: Publishing::default(),
            people: People { me: joined.me, others, memory, speakers, speaking, qualities, missed },
            record: joined.room,
            ended: None,
            context,
            room,
            signal,
            subscribing,
            rounds,
        }
    }

    fn id(&self) -> &str {
        self.people.me.id()
    }

    fn client(&self) -> &model::Client {
        // A member without a client is one of an older record: its defaults are those of a client that says nothing.
        static DEFAULT: std::sync::LazyLock<model::Client> = std::sync::LazyLock::new(model::Client::default);
        self.people.memory.client.as_ref().unwrap_or(&DEFAULT)
    }

    pub(super) async fn run(mut self, mut mailboxes: Mailboxes) {
        let stop = self.context.stop.clone();
        loop {
            let deadline = self.deadline();
            tokio::select! {
                // In this order: when the process goes, the room's task goes too, which must not look like being given up.
                biased;
                () = stop.cancelled() => {
                    // The process goes, the participant stays: its client comes back to the next process.
                    if let Some(socket) = self.signal.socket.take() {
                        socket.close(close_code::AWAY, "the server restarts");
                    }
                    return;
                }
                notice = mailboxes.notices.recv() => match notice {
                    Some(notice) => self.notice(notice).await,
                    // The room gave us up.
                    None => self.end(Reason::Overloaded),
                },
                Some(arrival) = mailboxes.arrivals.recv() => self.arrive(*arrival).await,
                heard = hear(&mut self.signal.socket) => self.heard(heard).await,
                done = self.steps.next() => self.done(done).await,
                () = tokio::time::sleep_until(deadline) => self.time_passed(Instant::now()),
            }
            if let Some(reason) = self.ended {
                return self.finish(reason).await;
            }
        }
    }

    async fn heard(&mut self, heard: Heard) {
        self.signal.heard_at = Instant::now();
        match heard {
            Heard::Request(request) => self.request(*request).await,
            Heard::Noise => {}
            Heard::Closed(why) => self.detach(why),
        }
    }

    /// Says something to the client, if it is there.
    fn tell(&mut self, message: Response) {
        let Some(socket) = &self.signal.socket else { return };
        match socket.tell(message) {
            Ok(()) => {
                metrics::counter!("sluice_rooms_signal_messages_total", "direction" => "out").increment(1)
            }
            Err(Deaf::Full) => self.detach("slow"),
            Err(Deaf::Gone) => self.detach("lost"),
        }
    }

    /// The connection is gone; the participant stays for a while.
    fn detach(&mut self, why: &'static str) {
        let Some(socket) = self.signal.socket.take() else { return };
        socket.part();
        tracing::info!(why, "signal connection lost");
        metrics::counter!("sluice_rooms_signal_losses_total", "why" => why).increment(1);
        self.signal.gone_at = Some(Instant::now() + seconds(self.context.settings.timings.resume));
    }

    /// It is over, for this reason unless there is one already.
    fn end(&mut self, reason: Reason) {
        self.ended.get_or_insert(reason);
    }

    fn deadline(&self) -> Instant {
        let timings = &self.context.settings.timings;
        let far = Instant::now() + seconds(3600);
        let signal = match &self.signal.socket {
            Some(_) => [
                Some(self.signal.heard_at + seconds(timings.ping_timeout)),
                Some(self.signal.refresh_at),
                self.rounds.offers.deadline(),
                self.rounds.requests.deadline(),
                self.rounds.requests.wake_at(),
            ],
            None => [self.signal.gone_at, None, None, None, None],
        };
        signal.into_iter().chain([self.qualities.wake_at()]).flatten().min().unwrap_or(far)
    }

    fn time_passed(&mut self, now: Instant) {
        for track_id in self.qualities.due(now) {
            self.tell_qualities(&track_id);
        }
        if self.signal.socket.is_none() {
            if self.signal.gone_at.is_some_and(|at| at <= now) {
                self.end(Reason::SignalLost);
            }
            return;
        }
        let timings = &self.context.settings.timings;
        if self.signal.heard_at + seconds(timings.ping_timeout) <= now {
            return self.detach("silent");
        }
        if self.signal.refresh_at <= now {
            self.refresh_token();
        }
        let due = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= now);
        if due(self.rounds.offers.deadline()) || due(self.rounds.requests.deadline()) {
            tracing::warn!("no answer from the client");
            return self.end(Reason::NoAnswer);
        }
        if let Some(missing) = self.rounds.requests.ask(now) {
            self.tell_missing(missing);
        }
    }

    fn refresh_token(&mut self) {
        let timings = &self.context.settings.timings;
        self.signal.refresh_at = Instant::now() + seconds(timings.refresh_token);
        let Some(claims) = &self.signal.claims else { return };
        match self.context.keys.renew(claims, seconds(timings.token_validity)) {
            Ok(token) => self.tell(Response::RefreshToken(token)),
            Err(error) => tracing::warn!(%error, "no fresh token"),
        }
    }

    fn tell_qualities(&mut self, track_id: &str) {
        if let Some(message) = self.publishing.get(track_id).and_then(|track| self.qualities.message(track)) {
            self.tell(Response::SubscribedQualityUpdate(message));
        }
    }

    fn say(&self, change: Change) -> impl Future<Output = ()> + Send + use<> {
        let (room, id) = (self.room.clone(), self.id().to_owned());
        async move { room.say(&id, change).await }
    }

    fn push(&mut self, step: Step) {
        if self.steps.push(step).is_err() {
            tracing::warn!("the node does not keep up with this participant");
            self.end(Reason::Overloaded);
        }
    }

    /// Writes down at the node what the next process must know.
    fn remember(&mut self) {
        self.people.memory.participant = Some(self.people.me.participant.clone());
        let request =
            self.sessions.put_primary(self.scope(), &self.people.me, self.client(), &self.people.memory);
        self.push(Step::PutSession(request));
    }

    /// Whether a process that starts anew would find something wrong. That media is up it learns from the session, tracks
    /// from publications, and it leaps over versions: so joining needs no second record, and publishing none.
    fn record_is_outdated(&self) -> bool {
        let Some(recorded) = &self.people.memory.participant else { return true };
        let me = &self.people.me.participant;
        let grown = me.version.saturating_sub(recorded.version);
        let like_it = model::Participant { version: recorded.version, active: recorded.active, ..me.clone() };
        like_it != *recorded || grown >= VERSION_LEAP / 2
    }

    fn scope(&self) -> sessions::Scope {
        sessions::Scope { room_id: self.record.room_id.clone(), epoch: self.context.node.epoch }
    }

    /// The track `track_id` of somebody else, and whose it is.
    fn find_track(&self, track_id: &str) -> Option<(&Arc<Presence>, &Arc<model::Track>)> {
        self.people.others.values().find_map(|other| other.track(track_id).map(|track| (other, track)))
    }

    /// The last words: to the client, to the room, to the node.
    async fn finish(mut self, reason: Reason) {
        tracing::info!(reason = reason.as_str(), "participant leaves");
        if let Some(leave) = convert::leave(reason) {
            self.tell(Response::Leave(leave));
        }
        if let Some(socket) = self.signal.socket.take() {
            socket.close(close_code::NORMAL, reason.as_str());
        }
        let leave = Command::Leave { participant_id: self.id().to_owned(), reason };
        if self.room.commands.send(leave).await.is_err() {
            tracing::debug!("the room ended first");
        }
        let (node, scope) = (self.context.node.clone(), self.scope());
        self.sessions.delete(node, scope).await;
    }
}

/// More offers than a participant of this age can have had, so that numbers go on growing after a restart: a round takes
/// at least a round trip, and rounds do not follow each other for long.
fn offers_before(participant: &model::Participant) -> u32 {
    let age_ms = (now_ms() - participant.joined_at_ms).max(0);
    u32::try_from(age_ms / 100).unwrap_or(u32::MAX / 2)
}

async fn hear(socket: &mut Option<Socket>) -> Heard {
    match socket {
        Some(socket) => socket.hear().await,
        None => std::future::pending().await,
    }
}

/// What the node stores of a participant, less than its limit of 64 KiB.
const LARGEST_RECORD: usize = 60 * 1024;

/// `app_state` of a participant's first session. Rules that do not fit turn into "nobody": after a restart nobody may
/// get more than was allowed.
fn encode(memory: &model::Member) -> bytes::Bytes {
    let bytes = memory.encode_to_vec();
    if bytes.len() <= LARGEST_RECORD {
        return bytes.into();
    }
    let access = memory.access.as_ref().map(|_| model::Access::default());
    let short = model::Member {
        participant: memory.participant.clone(),
        client: memory.client.clone(),
        access,
        ..Default::default()
    };
    short.encode_to_vec().into()
}
