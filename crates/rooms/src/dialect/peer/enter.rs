//! How a participant's task begins: somebody joins, or a restarted process finds the participant at the node.
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use sluice_api::sfu::v1 as sfu;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::{Code, Status};
use tracing::Instrument;

use super::super::query::Intent;
use super::{Arrival, Context, Mailboxes, Peer, Publishing};
use crate::http::Refusal;
use crate::model;
use crate::node::now_ms;
use crate::node::steps::Step;
use crate::room::{Command, Door, Entrant, Handle, JoinError, Joined, PARTICIPANT_MAILBOX, Presence, Reason};
use crate::settings::seconds;
use crate::token::Claims;

impl From<JoinError> for Refusal {
    fn from(error: JoinError) -> Self {
        let status = match error {
            JoinError::Full => StatusCode::FORBIDDEN,
            JoinError::NoRoom => StatusCode::NOT_FOUND,
            JoinError::TooManyRooms | JoinError::Node(_) | JoinError::Starting => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        Self::new(status, error.to_string())
    }
}

/// A room that the node lost ends as soon as it hears of that.
const ROOM_END: Duration = Duration::from_secs(3);

/// Why a participant could not be created.
enum Failure {
    Refused(Refusal),
    /// The node does not know the room.
    RoomLost(Handle),
}

/// Joins, creates the first session, and starts the task. Its WebSocket follows through the returned sender.
///
/// If the node lost the room (it started anew, and we have not heard of it), the room is over: the next one is joined.
pub(crate) async fn enter(
    context: Arc<Context>,
    claims: &Claims,
    intent: &Intent,
) -> Result<mpsc::Sender<Box<Arrival>>, Refusal> {
    let room = match try_enter(context.clone(), claims, intent).await {
        Ok(arrivals) => return Ok(arrivals),
        Err(Failure::Refused(refusal)) => return Err(refusal),
        Err(Failure::RoomLost(room)) => room,
    };
    let unreachable = || JoinError::Node("it does not know the room".into());
    if room.commands.send(Command::Compare).await.is_err() {
        tracing::debug!("the room has ended already");
    }
    if tokio::time::timeout(ROOM_END, room.commands.closed()).await.is_err() {
        return Err(unreachable().into());
    }
    match try_enter(context, claims, intent).await {
        Ok(arrivals) => Ok(arrivals),
        Err(Failure::Refused(refusal)) => Err(refusal),
        Err(Failure::RoomLost(_)) => Err(unreachable().into()),
    }
}

async fn try_enter(
    context: Arc<Context>,
    claims: &Claims,
    intent: &Intent,
) -> Result<mpsc::Sender<Box<Arrival>>, Failure> {
    let participant = participant(claims, intent);
    let (door, mailboxes) = doors();
    let arrivals = door.arrivals.clone();
    let client = intent.client.clone();
    let entrant = Entrant { participant, client: client.clone(), door };
    let joined = context.directory.join(&claims.video.room, entrant).await;
    let (room, joined) = joined.map_err(|error| Failure::Refused(error.into()))?;
    let memory = model::Member {
        participant: Some(joined.me.participant.clone()),
        client: Some(client.clone()),
        ..Default::default()
    };
    let span = span(&joined);
    let peer = Peer::new(context.clone(), room.clone(), joined, memory);
    let id = peer.id().to_owned();
    if let Err(status) = peer.begin().await {
        tracing::warn!(code = ?status.code(), message = status.message(), "the node created no session");
        give_up(&room, id).await;
        let (node, scope) = (context.node.clone(), peer.scope());
        tokio::spawn(peer.sessions.delete(node, scope));
        return Err(match status.code() {
            Code::NotFound => Failure::RoomLost(room),
            _ => Failure::Refused(JoinError::Node(status.message().to_owned()).into()),
        });
    }
    tokio::spawn(peer.run(mailboxes).instrument(span));
    Ok(arrivals)
}

async fn give_up(room: &Handle, participant_id: String) {
    let leave = Command::Leave { participant_id, reason: Reason::RoomLost };
    if room.commands.send(leave).await.is_err() {
        tracing::debug!("the room ended meanwhile");
    }
}

fn participant(claims: &Claims, intent: &Intent) -> model::Participant {
    let permissions = claims.video.permissions();
    let mut attributes = claims.attributes.clone();
    let mut metadata = claims.metadata.clone();
    if permissions.can_update_metadata {
        attributes.extend(intent.attributes.clone());
        metadata = intent.metadata.clone().unwrap_or(metadata);
    }
    model::Participant {
        participant_id: crate::id::participant(),
        identity: claims.identity().to_owned(),
        name: claims.name.clone(),
        metadata,
        attributes,
        permissions: Some(permissions),
        kind: claims.kind_number(),
        joined_at_ms: now_ms(),
        version: 1,
        active: false,
        client_protocol: intent.client_protocol,
        capabilities: intent.capabilities.clone(),
    }
}

fn doors() -> (Door, Mailboxes) {
    let (notices, notices_in) = mpsc::channel(PARTICIPANT_MAILBOX);
    let (arrivals, arrivals_in) = mpsc::channel(4);
    (Door { notices, arrivals }, Mailboxes { notices: notices_in, arrivals: arrivals_in })
}

fn span(joined: &Joined) -> tracing::Span {
    let participant = &joined.me.participant;
    tracing::info_span!(
        "participant",
        room = joined.room.name,
        id = participant.participant_id,
        identity = participant.identity
    )
}

/// A participant that the node remembers.
pub(crate) struct Restored {
    pub(crate) memory: model::Member,
    pub(crate) presence: Arc<Presence>,
    pub(crate) sessions: Vec<sfu::Session>,
    pub(crate) door: Door,
    mailboxes: Mailboxes,
}

impl Restored {
    pub(crate) fn new(memory: model::Member, presence: Arc<Presence>, sessions: Vec<sfu::Session>) -> Self {
        let (door, mailboxes) = doors();
        Self { memory, presence, sessions, door, mailboxes }
    }
}

/// Goes on with a participant; its client comes back through the door, or never.
pub(crate) fn restore(context: Arc<Context>, room: Handle, record: model::Room, restored: Restored) {
    let joined =
        Joined { room: record, me: restored.presence.clone(), others: Vec::new(), wanted: Arc::from([]) };
    let span = span(&joined);
    // The node's record has an older version than the participant has now.
    let memory = model::Member { participant: None, ..restored.memory };
    let mut peer = Peer::new(context, room, joined, memory);
    for track in &restored.presence.tracks {
        peer.qualities.begun(&track.track_id, Instant::now());
    }
    peer.publishing = Publishing::restore(tracks(&restored.sessions));
    for session in &restored.sessions {
        peer.subscribing.restore(&session.subscriptions);
        peer.sessions.publisher_exists |= session.session_id == peer.sessions.publisher;
    }
    let patience = peer.context.settings.timings.resume_after_restart;
    peer.signal.gone_at = Some(Instant::now() + seconds(patience));
    tokio::spawn(peer.run(restored.mailboxes).instrument(span));
}

/// The tracks that these sessions publish, announced ones included.
pub(crate) fn tracks(sessions: &[sfu::Session]) -> Vec<Arc<model::Track>> {
    use prost::Message;
    let publications = sessions.iter().flat_map(|session| &session.publications);
    let tracks = publications.filter_map(|publication| {
        let mut track = match model::Track::decode(&publication.app_state[..]) {
            Ok(track) => track,
            Err(error) => {
                tracing::warn!(publication = publication.publication_id, %error, "a track cannot be recovered");
                return None;
            }
        };
        track.track_id.clone_from(&publication.publication_id);
        track.mid.clone_from(&publication.mid);
        track.muted = publication.muted;
        Some(Arc::new(track))
    });
    tracks.collect()
}

impl Peer {
    /// Creates the first session, and says what it shall get: before the client can offer, so that the node needs no
    /// second round for it.
    fn begin(&self) -> impl Future<Output = Result<(), Status>> + Send + use<> {
        let node = self.context.node.clone();
        let session =
            self.sessions.put_primary(self.scope(), &self.people.me, self.client(), &self.people.memory);
        let subscriptions = self.subscriptions().filter(|request| !request.subscriptions.is_empty());
        async move {
            node.put_session(session).await?;
            match subscriptions {
                Some(request) => node.set_subscriptions(request).await,
                None => Ok(()),
            }
        }
    }

    /// Declares all subscriptions anew.
    pub(super) fn declare_subscriptions(&mut self) {
        if let Some(request) = self.subscriptions() {
            self.push(Step::SetSubscriptions(request));
        }
    }

    fn subscriptions(&self) -> Option<sfu::SetSubscriptionsRequest> {
        let session_id = self.sessions.subscriber.clone()?;
        let track = |track_id: &str| self.find_track(track_id).map(|(_, track)| &**track);
        let subscriptions = self.subscribing.declare(self.context.settings.limits.subscriptions, track);
        let scope = self.scope();
        Some(sfu::SetSubscriptionsRequest {
            room_id: scope.room_id,
            owner_epoch: scope.epoch,
            session_id,
            subscriptions,
        })
    }

    /// Declares all publications anew.
    pub(super) fn declare_publications(&mut self) {
        let enabled = &self.context.settings.publish_codecs;
        let publications = self.publishing.declare(self.id(), enabled);
        let scope = self.scope();
        self.push(Step::SetPublications(sfu::SetPublicationsRequest {
            room_id: scope.room_id,
            owner_epoch: scope.epoch,
            session_id: self.sessions.publisher.clone(),
            publications,
        }));
    }
}
