//! After a start: takes over the rooms that the node still holds, so that their participants never notice.
use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message;
use sluice_api::sfu::v1 as sfu;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::dialect::{Context, peer};
use crate::model;
use crate::node::BackOff;
use crate::node::watch::Position;
use crate::room::Presence;
use crate::room::actor::Beginning;
use crate::room::roster::{Roster, Seat};

/// Versions that may have been told to clients since the record was written: not every change is. A client drops what is
/// older than it knows, so a recovered participant starts well above.
pub(crate) const VERSION_LEAP: u32 = 1_000;

/// Tries until it works or `stop`. Returns from where on events are to be followed.
pub(crate) async fn recover(context: &Arc<Context>, stop: &CancellationToken) -> Option<Position> {
    let mut back_off = BackOff::default();
    loop {
        match try_recover(context).await {
            Ok(position) => return Some(position),
            Err(status) => {
                let wait = back_off.next();
                tracing::warn!(code = ?status.code(), message = status.message(), ?wait, "the node cannot be asked");
                tokio::select! {
                    () = stop.cancelled() => return None,
                    () = tokio::time::sleep(wait) => {}
                }
            }
        }
    }
}

async fn try_recover(context: &Arc<Context>) -> Result<Position, Status> {
    let node = context.node.get_node().await?;
    let mut rooms = Vec::new();
    let mut page = String::new();
    loop {
        let answer = context.node.list_rooms(page).await?;
        for summary in answer.rooms {
            if let Some(room) = take_over(context, &summary).await? {
                rooms.push(room);
            }
        }
        page = answer.next_page_token;
        if page.is_empty() {
            break;
        }
    }
    let mut position = Position { boot_id: String::new(), sequence: 0 };
    for room in rooms {
        if position.boot_id.is_empty() {
            position = Position { boot_id: node.boot_id.clone(), sequence: room.event_sequence };
        }
        position.sequence = position.sequence.min(room.event_sequence);
        resume(context, room);
    }
    Ok(position)
}

/// Makes the room ours before its snapshot is taken, so that nothing of an older process follows. `None`: it is not
/// one of ours, or it ended meanwhile.
async fn take_over(context: &Arc<Context>, summary: &sfu::RoomSummary) -> Result<Option<sfu::Room>, Status> {
    if summary.owner_epoch > context.node.epoch {
        tracing::warn!(room = summary.room_id, "a newer process owns the room: left alone");
        return Ok(None);
    }
    let Some(room) = context.node.get_room(&summary.room_id).await? else { return Ok(None) };
    match model::Room::decode(&room.app_state[..]) {
        Ok(record) if record.room_id == room.room_id && !record.name.is_empty() => {}
        _ => {
            tracing::warn!(room = room.room_id, "not a room of ours: left alone");
            return Ok(None);
        }
    }
    context.node.put_room(&room.room_id, None).await?;
    context.node.get_room(&room.room_id).await
}

fn resume(context: &Arc<Context>, room: sfu::Room) {
    let Ok(record) = model::Room::decode(&room.app_state[..]) else { return };
    let mut by_participant: BTreeMap<String, Vec<sfu::Session>> = BTreeMap::new();
    for session in room.sessions {
        by_participant.entry(session.participant_id.clone()).or_default().push(session);
    }
    let mut roster = Roster::default();
    let mut peers = Vec::new();
    for (participant_id, sessions) in by_participant {
        let Some(restored) = member(&participant_id, sessions) else {
            tracing::warn!(
                room = record.name,
                participant = participant_id,
                "a participant cannot be recovered"
            );
            continue;
        };
        roster.restore(seat(&restored));
        peers.push(restored);
    }
    let participants = peers.len();
    tracing::info!(room = record.name, participants, "room recovered");
    metrics::counter!("sluice_rooms_recovered_rooms_total").increment(1);
    metrics::gauge!("sluice_rooms_participants")
        .increment(f64::from(u32::try_from(participants).unwrap_or(u32::MAX)));
    let beginning = Beginning::Recovered { roster: Box::new(roster), sequence: room.event_sequence };
    let handle = context.directory.resume(record.clone(), beginning);
    for restored in peers {
        peer::restore(context.clone(), handle.clone(), record.clone(), restored);
    }
}

/// The record stands in one of the participant's sessions.
fn member(participant_id: &str, sessions: Vec<sfu::Session>) -> Option<peer::Restored> {
    let mut members = sessions.iter().filter_map(|session| {
        let member = model::Member::decode(&session.app_state[..]).ok()?;
        let is_it = member.participant.as_ref().is_some_and(|p| p.participant_id == participant_id);
        is_it.then(|| (member, session.state()))
    });
    let (mut memory, state) = members.next()?;
    let participant = memory.participant.as_mut()?;
    participant.version = participant.version.saturating_add(VERSION_LEAP);
    // Once its media is up that is not written down: the session itself shows it.
    participant.active |= state == sfu::SessionState::Connected;
    let tracks = peer::tracks(&sessions).into_iter().filter(|track| !track.mid.is_empty()).collect();
    let presence = Arc::new(Presence { participant: participant.clone(), tracks });
    Some(peer::Restored::new(memory, presence, sessions))
}

fn seat(restored: &peer::Restored) -> Seat {
    let memory = &restored.memory;
    let yes = memory.subscribed.iter().map(|track_id| (track_id.clone(), true));
    let no = memory.unsubscribed.iter().map(|track_id| (track_id.clone(), false));
    Seat {
        presence: restored.presence.clone(),
        client: memory.client.clone().unwrap_or_default(),
        choices: yes.chain(no).collect(),
        access: memory.access.clone(),
        door: restored.door.clone(),
        wanted: Arc::from([]),
    }
}
