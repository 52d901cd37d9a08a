//! Rooms that live on several shards, from the outside: which shards a command goes to, and what their answers are together.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use sluice_engine::id::{RoomId, SessionId};
use sluice_engine::model::{RoomEndReason, RoomSettings, RoomSummary};
use sluice_engine::{Command, Reply, RoomAction, ShardNumber};
use tonic::Status;

use crate::control::Control;
use crate::convert;
use crate::directory::{Door, Opened, Opening};
use crate::shard::CallError;
use crate::shard::outbox::Put;

/// Rest before a shard whose queue is full is told again.
pub(crate) const RETRY: Duration = Duration::from_millis(100);

/// A reply, and the number of the last event before it.
type Answer = (Reply, u64);

/// How often an opening is tried again because the room changed meanwhile.
const TRIES: usize = 5;

/// A put that the directory expects the end of: unless a shard took it, it ends here, even if its caller goes away.
pub(crate) struct Expected<'a> {
    control: &'a Control,
    shard: usize,
    put: Option<Put>,
}

impl<'a> Expected<'a> {
    pub(crate) fn new(control: &'a Control, shard: usize, put: Put) -> Self {
        Expected { control, shard, put: Some(put) }
    }

    /// The shard took it, and will tell what became of it.
    pub(crate) fn taken(mut self) {
        self.put = None;
    }
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        if let Some(put) = &self.put {
            self.control.settle(self.shard, put, false);
        }
    }
}

impl Control {
    /// Has the shards of a room act on it.
    pub(crate) async fn act(
        self: &Arc<Self>,
        room: RoomId,
        owner_epoch: u64,
        action: RoomAction,
    ) -> Result<Answer, Status> {
        let shards = self.directory.shards(&room);
        let shards = shards.ok_or_else(|| Status::not_found(format!("room {room} not found")))?;
        let only = match (action.session(), &shards[..]) {
            (_, [only]) => Some(*only),
            (Some(session), _) => self.directory.find_session(&room, session),
            (None, _) => None,
        };
        let answer = match only {
            Some(shard) => self.act_on(shard, room.clone(), owner_epoch, action).await,
            None if matches!(action, RoomAction::Delete) => {
                self.end_everywhere(&room, owner_epoch, &shards).await
            }
            None => {
                let act = |&shard| self.act_on(shard, room.clone(), owner_epoch, action.clone());
                merge(&action, join_all(shards.iter().map(act)).await)
            }
        };
        let answer = answer.map_err(convert::status)?;
        self.declare(&room, owner_epoch, None).await?;
        Ok(answer)
    }

    async fn act_on(
        &self,
        shard: usize,
        room: RoomId,
        owner_epoch: u64,
        action: RoomAction,
    ) -> Result<Answer, CallError> {
        self.shards[shard].mailbox.call_with_sequence(Command::Room { room, owner_epoch, action }).await
    }

    /// Ends a room on all its shards, the home last: what it says of the room's end comes after everything else.
    async fn end_everywhere(
        &self,
        room: &RoomId,
        owner_epoch: u64,
        shards: &[usize],
    ) -> Result<Answer, CallError> {
        let mut answer = Err(CallError::Gone);
        for &shard in shards.iter().rev() {
            answer = self.act_on(shard, room.clone(), owner_epoch, RoomAction::Delete).await;
            if answer.is_err() {
                break;
            }
        }
        answer
    }

    /// Tells a room's branches of a newer owner or of other settings, which its home has accepted.
    pub(crate) async fn declare(
        &self,
        room: &RoomId,
        owner_epoch: u64,
        settings: Option<&RoomSettings>,
    ) -> Result<(), Status> {
        if self.shards.len() == 1 {
            return Ok(());
        }
        let branches = self.directory.declare(room, owner_epoch, settings);
        let action = RoomAction::Put { app_state: None, settings: settings.cloned() };
        let calls =
            branches.iter().map(|&shard| self.act_on(shard, room.clone(), owner_epoch, action.clone()));
        try_join_all(calls).await.map_err(convert::status).map(|_| ())
    }

    /// Puts a session on a shard of its room, or on one that the room spreads to for it.
    pub(crate) async fn put_session(
        self: &Arc<Self>,
        room: RoomId,
        owner_epoch: u64,
        session: SessionId,
        mut action: RoomAction,
    ) -> Result<Reply, Status> {
        if self.shards.len() == 1 {
            return Ok(self.act(room, owner_epoch, action).await?.0);
        }
        let choose = |taken: &[usize]| {
            let sessions = |&shard: &usize| self.shards[shard].report.read().counters.sessions;
            (0..self.shards.len()).filter(|shard| !taken.contains(shard)).min_by_key(sessions)
        };
        let place = self.directory.seat(&room, &session, self.room_sessions_per_shard, choose);
        let place = place.ok_or_else(|| Status::not_found(format!("room {room} not found")))?;
        let expected = Expected::new(self, place.shard, Put::Session(room.clone(), session));
        if place.closed {
            self.open_branch(&room, place.shard).await?;
        }
        if let RoomAction::PutSession { elsewhere, .. } = &mut action {
            *elsewhere = place.elsewhere;
        }
        let mailbox = &self.shards[place.shard].mailbox;
        let posted = mailbox.post(Command::Room { room: room.clone(), owner_epoch, action });
        let posted = posted.map_err(convert::status)?;
        expected.taken();
        let (reply, _) = mailbox.answer(posted).await.map_err(convert::status)?;
        self.declare(&room, owner_epoch, None).await?;
        Ok(reply)
    }

    /// Has a shard take part in a room, and all shards of the room know of each other. If that fails the shard takes no part.
    async fn open_branch(self: &Arc<Self>, room: &RoomId, branch: usize) -> Result<(), Status> {
        // One after the other: each must know of those before it.
        let _turn = self.spreading.lock().await;
        let mut opened =
            Err(Status::aborted("the room changed all the time while it was to spread; try again"));
        for _ in 0..TRIES {
            let opening = match self.directory.door(room, branch) {
                Door::Open => return Ok(()),
                Door::Gone => {
                    return Err(Status::unavailable("the room did not spread; try again"));
                }
                Door::Closed(opening) => opening,
            };
            opened = self.introduce(room, branch, &opening).await;
            if opened.is_err() {
                break;
            }
            match self.directory.opened(room, branch, &opening) {
                Opened::Yes => {
                    tracing::info!(%room, shard = branch, "the room spreads to another shard");
                    return Ok(());
                }
                Opened::Outdated => {}
                Opened::Gone => {
                    opened = Err(Status::not_found(format!("room {room} not found")));
                    break;
                }
            }
        }
        self.directory.not_opened(room, branch);
        self.end_on(room, branch, RoomEndReason::Deleted);
        opened
    }

    /// Has a new branch know the room, and the room's shards know the branch.
    async fn introduce(&self, room: &RoomId, branch: usize, opening: &Opening) -> Result<(), Status> {
        let act = |shard: usize, action: RoomAction| {
            let acting = self.act_on(shard, room.clone(), opening.owner_epoch, action);
            async { acting.await.map_err(convert::status) }
        };
        let number = |shard: usize| ShardNumber::try_from(shard).unwrap_or(ShardNumber::MAX);
        act(branch, RoomAction::Put { app_state: None, settings: opening.settings.clone() }).await?;
        // The new one first: what the others tell it must find the room.
        let shards = opening.shards.iter().map(|&shard| number(shard)).collect();
        act(branch, RoomAction::Host { home: false, shards, greet: None }).await?;
        for &shard in &opening.shards {
            let home = opening.shards.first() == Some(&shard);
            let (shards, greet) = (vec![number(branch)], Some(number(branch)));
            act(shard, RoomAction::Host { home, shards, greet }).await?;
        }
        Ok(())
    }

    /// Ends a room on one shard, as soon as the shard has a place for the command.
    pub(crate) fn end_on(self: &Arc<Self>, room: &RoomId, shard: usize, reason: RoomEndReason) {
        let (control, room) = (Arc::clone(self), room.clone());
        tokio::spawn(async move {
            let action = RoomAction::End { reason };
            while let Err(CallError::Full | CallError::Timeout) =
                control.act_on(shard, room.clone(), 0, action.clone()).await
            {
                tokio::time::sleep(RETRY).await;
            }
        });
    }
}

/// Rooms by their ids, each once, from those of all shards.
pub(crate) fn whole_rooms(mut rooms: Vec<RoomSummary>) -> Vec<RoomSummary> {
    rooms.sort_by(|a, b| a.room.cmp(&b.room));
    rooms.dedup_by(|part, whole| {
        let same = part.room == whole.room;
        if same {
            whole.sessions += part.sessions;
            whole.publications += part.publications;
            whole.owner_epoch = whole.owner_epoch.max(part.owner_epoch);
        }
        same
    });
    rooms
}

/// What the answers of all shards of a room are together; the home's is the first.
fn merge(action: &RoomAction, answers: Vec<Result<Answer, CallError>>) -> Result<Answer, CallError> {
    if matches!(action, RoomAction::SetMuted { .. } | RoomAction::RequestKeyFrame { .. }) {
        return the_one(answers);
    }
    let mut answers = answers.into_iter();
    let mut whole = answers.next().unwrap_or(Err(CallError::Gone))?;
    for answer in answers {
        let (reply, sequence) = answer?;
        // Whoever goes on from this event misses nothing, and hears some things twice.
        whole.1 = whole.1.min(sequence);
        match (&mut whole.0, reply) {
            (Reply::Room(room), Reply::Room(part)) => room.sessions.extend(part.sessions),
            (Reply::Stats(stats), Reply::Stats(part)) => stats.extend(part),
            (Reply::Count(count), Reply::Count(part)) => *count += part,
            _ => {}
        }
    }
    if let Reply::Room(room) = &mut whole.0 {
        room.sessions.sort_by(|a, b| a.session.cmp(&b.session));
    }
    Ok(whole)
}

/// The answer of the one shard that has what the command is about: the others have not found it.
fn the_one(answers: Vec<Result<Answer, CallError>>) -> Result<Answer, CallError> {
    use sluice_engine::CommandError::NotFound;
    let mut not_found = CallError::Gone;
    for answer in answers {
        match answer {
            Err(error @ CallError::Refused(NotFound(_))) => not_found = error,
            answer => return answer,
        }
    }
    Err(not_found)
}

#[cfg(test)]
mod tests {
    use sluice_engine::CommandError;
    use sluice_engine::id::PublicationId;

    use super::*;
    use crate::control::Identity;
    use crate::events::EventLog;

    #[test]
    fn a_caller_that_goes_away_leaves_no_seat_taken() {
        let identity = Identity {
            node_id: "n".into(),
            started_at: std::time::SystemTime::UNIX_EPOCH,
            media_addresses: Vec::new(),
        };
        let control = Control::new(identity, Vec::new(), EventLog::new("boot".into(), 16, 1), 1);
        let room = RoomId::new("r").unwrap();
        control.directory.place(&room, 1, |_| Some(0));
        control.directory.settle(&room, 0, true);
        let seat = |name: &str| {
            let session = SessionId::new(name).unwrap();
            let place = control.directory.seat(&room, &session, 1, |_| Some(1)).unwrap();
            (place.shard, Expected::new(&control, place.shard, Put::Session(room.clone(), session)))
        };
        let (shard, gone) = seat("a");
        assert_eq!(shard, 0);
        drop(gone);
        let (shard, stays) = seat("b");
        assert_eq!(shard, 0, "the seat is free again");
        stays.taken();
        assert_eq!(seat("c").0, 1, "now it is not");
    }

    fn not_found() -> Result<Answer, CallError> {
        Err(CommandError::NotFound("publication p".into()).into())
    }

    #[test]
    fn one_shard_has_the_publication() {
        let publication = PublicationId::new("p").unwrap();
        let action = RoomAction::SetMuted { publication, muted: true };
        let merged = merge(&action, vec![not_found(), Ok((Reply::Done, 7))]);
        assert!(matches!(merged, Ok((Reply::Done, 7))));
        assert!(matches!(
            merge(&action, vec![not_found(), not_found()]),
            Err(CallError::Refused(CommandError::NotFound(_)))
        ));
        assert!(matches!(merge(&action, vec![not_found(), Err(CallError::Full)]), Err(CallError::Full)));
    }

    #[test]
    fn a_room_on_two_shards_is_one_room() {
        let part = |name: &str, sessions| RoomSummary {
            room: RoomId::new(name).unwrap(),
            owner_epoch: 1,
            sessions,
            publications: 1,
        };
        let rooms = whole_rooms(vec![part("b", 5), part("a", 3), part("b", 2)]);
        let counted: Vec<_> = rooms.iter().map(|r| (r.room.as_str(), r.sessions, r.publications)).collect();
        assert_eq!(counted, [("a", 3, 1), ("b", 7, 2)]);
    }

    #[test]
    fn counts_add_up_and_the_earliest_event_counts() {
        let action = RoomAction::SendData { label: "x".into(), payload: "y".into(), destinations: vec![] };
        let merged = merge(&action, vec![Ok((Reply::Count(2), 9)), Ok((Reply::Count(3), 8))]);
        assert!(matches!(merged, Ok((Reply::Count(5), 8))));
        assert!(merge(&action, vec![Ok((Reply::Count(2), 9)), Err(CallError::Timeout)]).is_err());
    }
}
