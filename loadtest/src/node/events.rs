//! The node's events: one stream for all participants of this process, sorted by room.
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use sluice_api::sfu::v1 as sfu;
use sluice_api::sfu::v1::event::Kind;
use sluice_api::sfu::v1::watch_events_response::Message;
use tokio::sync::{OnceCell, mpsc, watch};
use tonic::{Status, Streaming};

use super::api::{Node, refused};
use super::tracks::{self, Tracks};

/// Notes that may wait for a participant; a session has one of each kind at most until it is heeded.
const NOTES: usize = 16;
/// Before the stream is opened again.
const PAUSE: Duration = Duration::from_millis(200);

/// What one participant must know.
#[derive(Debug)]
pub(crate) enum Note {
    /// A session needs an offer/answer round.
    NegotiationNeeded(sfu::NegotiationNeeded),
    /// It is over.
    Ended(String),
}

/// The rooms of the run, as the node's events tell of them.
pub(crate) struct Rooms {
    /// How the names of the run's rooms begin; those of others do not matter.
    prefix: String,
    rooms: Mutex<HashMap<String, Arc<Room>>>,
}

pub(crate) struct Room {
    pub(crate) id: String,
    /// This process has had the node create it.
    pub(crate) created: OnceCell<()>,
    /// What is published. A state, not a queue: who is slow sees the newest.
    tracks: watch::Sender<Tracks>,
    /// Events up to this one are part of a snapshot.
    known: AtomicU64,
    /// By session.
    members: Mutex<HashMap<String, mpsc::Sender<Note>>>,
}

/// A participant's place in a room; it is given back when dropped.
pub(crate) struct Member {
    pub(crate) tracks: watch::Receiver<Tracks>,
    pub(crate) notes: mpsc::Receiver<Note>,
    pub(crate) room: Arc<Room>,
    sessions: Vec<String>,
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut members = lock(&self.room.members);
        self.sessions.iter().for_each(|session| drop(members.remove(session)));
    }
}

impl Rooms {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into(), rooms: Mutex::default() }
    }

    pub(crate) fn room(&self, id: &str) -> Arc<Room> {
        let mut rooms = lock(&self.rooms);
        rooms.entry(id.to_owned()).or_insert_with(|| Arc::new(Room::new(id))).clone()
    }

    fn all(&self) -> Vec<Arc<Room>> {
        lock(&self.rooms).values().cloned().collect()
    }

    fn take(&self, event: sfu::Event) {
        // Also rooms that nobody of this process is in yet: whoever comes must know what is published.
        if !event.room_id.starts_with(&self.prefix) {
            return;
        }
        if let Some(kind) = event.kind {
            self.room(&event.room_id).take(event.sequence, kind);
        }
    }
}

impl Room {
    fn new(id: &str) -> Self {
        Self {
            id: id.into(),
            created: OnceCell::new(),
            tracks: watch::Sender::default(),
            known: AtomicU64::new(0),
            members: Mutex::default(),
        }
    }

    pub(crate) fn enter(self: &Arc<Self>, sessions: Vec<String>) -> Member {
        let (sender, notes) = mpsc::channel(NOTES);
        lock(&self.members).extend(sessions.iter().map(|session| (session.clone(), sender.clone())));
        Member { tracks: self.tracks.subscribe(), notes, room: self.clone(), sessions }
    }

    fn take(&self, sequence: u64, kind: Kind) {
        if sequence <= self.known.load(Ordering::Relaxed) {
            return;
        }
        match kind {
            Kind::PublicationChanged(sfu::PublicationChanged { publication: Some(publication), .. })
                if !publication.mid.is_empty() =>
            {
                let info = tracks::info(&publication);
                self.tracks.send_if_modified(|tracks| {
                    let before = tracks.insert(info.sid.clone(), info.clone());
                    before.as_ref() != Some(&info)
                });
            }
            Kind::PublicationEnded(ended) => {
                self.tracks.send_if_modified(|tracks| tracks.remove(&ended.publication_id).is_some());
            }
            Kind::NegotiationNeeded(needed) => {
                self.note(&needed.session_id.clone(), Note::NegotiationNeeded(needed));
            }
            Kind::SessionChanged(changed) if changed.state() == sfu::SessionState::Closed => {
                let why = format!("the node closed {}: {:?}", changed.session_id, changed.reason());
                self.note(&changed.session_id, Note::Ended(why));
            }
            Kind::RoomEnded(ended) => self.ended(&format!("the node ended the room: {:?}", ended.reason())),
            _ => {}
        }
    }

    fn ended(&self, why: &str) {
        self.tracks.send_if_modified(|tracks| !std::mem::take(tracks).is_empty());
        let sessions: Vec<String> = lock(&self.members).keys().cloned().collect();
        sessions.iter().for_each(|session| self.note(session, Note::Ended(why.into())));
    }

    fn note(&self, session: &str, note: Note) {
        let mut members = lock(&self.members);
        let Some(member) = members.get(session) else { return };
        if let Err(error) = member.try_send(note) {
            // Its notes end then, and it with them: it would miss something.
            tracing::warn!(room = self.id, session, %error, "a participant does not heed its notes");
            let slow = member.clone();
            members.retain(|_, other| !other.same_channel(&slow));
        }
    }

    /// Events were lost: takes the room as the node has it now, and has every session negotiated in case it
    /// needs it.
    fn replace(&self, snapshot: sfu::Room) {
        self.known.store(snapshot.event_sequence, Ordering::Relaxed);
        let publications = snapshot.sessions.iter().flat_map(|session| &session.publications);
        let bound = publications.filter(|publication| !publication.mid.is_empty());
        let now: Tracks = bound.map(tracks::info).map(|info| (info.sid.clone(), info)).collect();
        self.tracks.send_if_modified(|tracks| std::mem::replace(tracks, now.clone()) != now);
        let here: Vec<String> = lock(&self.members).keys().cloned().collect();
        for session_id in here {
            let there = snapshot.sessions.iter().any(|session| session.session_id == session_id);
            // One that is not there yet is one that joins at this moment.
            if there {
                let needed = sfu::NegotiationNeeded { session_id: session_id.clone(), missing: None };
                self.note(&session_id, Note::NegotiationNeeded(needed));
            }
        }
    }
}

/// Where in the node's events we are.
pub(crate) struct Position {
    boot_id: String,
    sequence: u64,
}

/// Opens the stream: from here on no event is missed.
///
/// # Errors
/// If the node does not open it.
pub(crate) async fn open(node: &Node) -> anyhow::Result<(Position, Streaming<sfu::WatchEventsResponse>)> {
    let opened = node.watch("", 0).await;
    let mut stream = opened.map_err(|status| refused("no events", &status))?;
    let first = stream.message().await.map_err(|status| refused("no events", &status))?;
    match first.and_then(|first| first.message).context("the node ended its events")? {
        Message::Hello(hello) => Ok((Position { boot_id: hello.boot_id, sequence: hello.sequence }, stream)),
        Message::Event(_) => bail!("the node's events begin without a hello"),
    }
}

/// For ever: hands each event to its room, and resumes after a break.
pub(crate) async fn follow(
    node: Node,
    rooms: Arc<Rooms>,
    mut position: Position,
    mut stream: Streaming<sfu::WatchEventsResponse>,
) {
    loop {
        let end = heed(&node, &rooms, &mut position, &mut stream).await;
        tracing::warn!(?end, "the node's events broke off");
        stream = loop {
            tokio::time::sleep(PAUSE).await;
            match node.watch(&position.boot_id, position.sequence).await {
                Ok(stream) => break stream,
                Err(status) => {
                    tracing::warn!(code = ?status.code(), message = status.message(), "no events, trying again");
                }
            }
        };
    }
}

async fn heed(
    node: &Node,
    rooms: &Rooms,
    position: &mut Position,
    stream: &mut Streaming<sfu::WatchEventsResponse>,
) -> Result<(), Status> {
    while let Some(answer) = stream.message().await? {
        match answer.message {
            Some(Message::Hello(hello)) => {
                if hello.reset {
                    compare(node, rooms).await?;
                }
                // Only now: if comparing failed, the next stream resets again.
                *position = Position { boot_id: hello.boot_id, sequence: hello.sequence };
            }
            Some(Message::Event(event)) => {
                position.sequence = event.sequence;
                rooms.take(event);
            }
            None => {}
        }
    }
    Ok(())
}

async fn compare(node: &Node, rooms: &Rooms) -> Result<(), Status> {
    for room in rooms.all() {
        // Another boot counts anew.
        room.known.store(0, Ordering::Relaxed);
        match node.get_room(&room.id).await? {
            Some(snapshot) => room.replace(snapshot),
            None if room.created.initialized() => room.ended("the node no longer has the room"),
            None => {}
        }
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(sequence: u64, id: &str) -> sfu::Event {
        let publication =
            sfu::Publication { publication_id: id.into(), mid: "0".into(), ..Default::default() };
        let changed = sfu::PublicationChanged { publication: Some(publication), ..Default::default() };
        event(sequence, Kind::PublicationChanged(changed))
    }

    fn event(sequence: u64, kind: Kind) -> sfu::Event {
        sfu::Event { sequence, room_id: "load-1-0".into(), kind: Some(kind), ..Default::default() }
    }

    #[test]
    fn a_room_is_known_before_anybody_enters_and_others_rooms_are_not() {
        let rooms = Rooms::new("load-1-");
        rooms.take(published(1, "ann.0"));
        rooms.take(sfu::Event { room_id: "demo".into(), ..published(2, "bob.0") });
        assert_eq!(rooms.all().len(), 1);
        let member = rooms.room("load-1-0").enter(vec!["cid".into()]);
        assert!(member.tracks.borrow().contains_key("ann.0"));
        let ended = sfu::PublicationEnded { publication_id: "ann.0".into(), ..Default::default() };
        rooms.take(event(3, Kind::PublicationEnded(ended)));
        assert!(member.tracks.borrow().is_empty());
    }

    #[test]
    fn after_a_snapshot_what_it_includes_is_passed_over() {
        let rooms = Rooms::new("load-1-");
        rooms.take(published(1, "ann.0"));
        let room = rooms.room("load-1-0");
        let mut member = room.enter(vec!["cid".into()]);
        let session = sfu::Session { session_id: "cid".into(), ..Default::default() };
        room.replace(sfu::Room { sessions: vec![session], event_sequence: 9, ..Default::default() });
        rooms.take(published(9, "late.0"));
        assert!(member.tracks.borrow().is_empty());
        assert!(matches!(member.notes.try_recv(), Ok(Note::NegotiationNeeded(_))), "in case it was missed");
        rooms.take(published(10, "new.0"));
        assert!(member.tracks.borrow().contains_key("new.0"));
    }

    #[test]
    fn who_does_not_heed_its_notes_is_given_up() {
        let rooms = Rooms::new("load-1-");
        let mut member = rooms.room("load-1-0").enter(vec!["cid.pub".into(), "cid.sub".into()]);
        for sequence in 1..=NOTES as u64 + 1 {
            let needed = sfu::NegotiationNeeded { session_id: "cid.sub".into(), missing: None };
            rooms.take(event(sequence, Kind::NegotiationNeeded(needed)));
        }
        let mut notes = 0;
        while member.notes.try_recv().is_ok() {
            notes += 1;
        }
        assert_eq!(notes, NOTES);
        assert_eq!(member.notes.try_recv().unwrap_err(), mpsc::error::TryRecvError::Disconnected);
    }
}
