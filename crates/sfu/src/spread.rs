//! Rooms that live on several shards, from the outside: which shards a command goes to, and what their answers are together.

use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use sluice_engine::id::{RoomId, SessionId};
use sluice_engine::model::RoomSummary;
use sluice_engine::{Command, Reply, RoomAction, ShardNumber};
use tonic::Status;

use crate::control::Control;
use crate::convert;
use crate::shard::CallError;

/// Rest before a shard whose queue is full is told again.
pub(crate) const RETRY: Duration = Duration::from_millis(100);

/// A reply, and the number of the last event before it.
type Answer = (Reply, u64);

impl Control {
    /// Has the shards of a room act on it.
    pub(crate) async fn act(
        &self,
        room: RoomId,
        owner_epoch: u64,
        action: RoomAction,
    ) -> Result<Answer, Status> {
        let shards = self.directory.shards(&room);
        let shards = shards.ok_or_else(|| Status::not_found(format!("room {room} not found")))?;
        if let [shard] = shards[..] {
            return self.act_on(shard, room, owner_epoch, action).await.map_err(convert::status);
        }
        self.declare(&room, owner_epoch, None).await?;
        let only = match (action.session(), &action) {
            (Some(session), _) => self.directory.find_session(&room, session),
            // Its end there ends the others.
            (None, RoomAction::Delete) => shards.first().copied(),
            _ => None,
        };
        if let Some(shard) = only {
            return self.act_on(shard, room, owner_epoch, action).await.map_err(convert::status);
        }
        let calls = shards.iter().map(|&shard| self.act_on(shard, room.clone(), owner_epoch, action.clone()));
        merge(&action, join_all(calls).await).map_err(convert::status)
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

    /// Tells a room's branches of a newer owner or of other settings.
    pub(crate) async fn declare(
        &self,
        room: &RoomId,
        owner_epoch: u64,
        settings: Option<&sluice_engine::model::RoomSettings>,
    ) -> Result<(), Status> {
        let branches = self.directory.declare(room, owner_epoch, settings);
        let action = RoomAction::Put { app_state: None, settings: settings.cloned() };
        let calls =
            branches.iter().map(|&shard| self.act_on(shard, room.clone(), owner_epoch, action.clone()));
        try_join_all(calls).await.map_err(convert::status).map(|_| ())
    }

    /// Puts a session on a shard of its room, or on one that the room spreads to for it.
    pub(crate) async fn put_session(
        &self,
        room: RoomId,
        owner_epoch: u64,
        session: SessionId,
        mut action: RoomAction,
    ) -> Result<Reply, Status> {
        if self.shards.len() == 1 {
            return Ok(self.act(room, owner_epoch, action).await?.0);
        }
        self.declare(&room, owner_epoch, None).await?;
        let choose = |taken: &[usize]| {
            let sessions = |&shard: &usize| self.shards[shard].report.read().counters.sessions;
            (0..self.shards.len()).filter(|shard| !taken.contains(shard)).min_by_key(sessions)
        };
        let place = self.directory.seat(&room, &session, self.room_sessions_per_shard, choose);
        let place = place.ok_or_else(|| Status::not_found(format!("room {room} not found")))?;
        let settle = || self.directory.settle_session(&room, &session, false);
        if place.closed {
            self.open_branch(&room, place.shard).await.inspect_err(|_| settle())?;
        }
        if let RoomAction::PutSession { elsewhere, .. } = &mut action {
            *elsewhere = place.elsewhere;
        }
        let mailbox = &self.shards[place.shard].mailbox;
        let posted = mailbox.post(Command::Room { room: room.clone(), owner_epoch, action });
        let posted = posted.inspect_err(|_| settle()).map_err(convert::status)?;
        Ok(mailbox.answer(posted).await.map_err(convert::status)?.0)
    }

    /// Has a shard take part in a room, and all shards of the room know of each other.
    async fn open_branch(&self, room: &RoomId, branch: usize) -> Result<(), Status> {
        // One after the other: each must know of those before it.
        let _turn = self.spreading.lock().await;
        let Some(opening) = self.directory.opening(room, branch) else { return Ok(()) };
        let epoch = opening.owner_epoch;
        let act = |shard: usize, action: RoomAction| {
            let acting = self.act_on(shard, room.clone(), epoch, action);
            async { acting.await.map_err(convert::status) }
        };
        act(branch, RoomAction::Put { app_state: None, settings: opening.settings }).await?;
        // The new one first: what the others tell it must find the room.
        for &shard in opening.shards.iter().rev() {
            let others = opening.shards.iter().filter(|&&other| other != shard);
            let shards = others.filter_map(|&other| ShardNumber::try_from(other).ok()).collect();
            act(shard, RoomAction::Host { home: opening.shards.first() == Some(&shard), shards }).await?;
        }
        if self.directory.opened(room, branch) {
            tracing::info!(%room, shard = branch, "the room spreads to another shard");
            Ok(())
        } else {
            self.end_on(room, branch).await;
            Err(Status::not_found(format!("room {room} not found")))
        }
    }

    /// Ends a room on one shard, as soon as the shard has a place for the command.
    pub(crate) async fn end_on(&self, room: &RoomId, shard: usize) {
        while let Err(CallError::Full | CallError::Timeout) =
            self.act_on(shard, room.clone(), 0, RoomAction::Delete).await
        {
            tokio::time::sleep(RETRY).await;
        }
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
