//! The way to the node's other shards: bounded queues of theirs, and what waits for a place in them.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sluice_engine::{LinkMessage, ShardNumber};

use super::mailbox::Mailbox;
use super::report::IoCounters;

/// How soon it is tried again when a shard had no place.
pub(super) const AGAIN: Duration = Duration::from_millis(2);

/// Messages that may wait for one shard, media not among them: a room of two thousand tells of some ten thousand things when
/// it spreads at once. A shard that is further behind than that has been standing for seconds.
const WAITING: usize = 65_536;

/// Bytes of data messages among them. More are dropped: their senders are bounded, but there may be many.
const WAITING_DATA: usize = 8 << 20;

/// All shards of the node, known once all were started.
pub(crate) type Neighbours = Arc<OnceLock<Vec<Mailbox>>>;

#[derive(Default)]
struct Waiting {
    messages: VecDeque<LinkMessage>,
    /// Of data messages.
    bytes: usize,
}

/// A shard's ends of its links.
pub(super) struct Links {
    own: ShardNumber,
    neighbours: Neighbours,
    /// For each shard, in order.
    waiting: Vec<Waiting>,
}

impl Links {
    pub(super) fn new(own: ShardNumber, neighbours: Neighbours) -> Self {
        Links { own, neighbours, waiting: Vec::new() }
    }

    /// Whether something waits for a place.
    pub(super) fn wait(&self) -> bool {
        self.waiting.iter().any(|waiting| !waiting.messages.is_empty())
    }

    /// Hands a message over. If there is no place, media is dropped and the rest waits.
    pub(super) fn send(&mut self, to: ShardNumber, message: LinkMessage, counters: &mut IoCounters) {
        let index = usize::from(to);
        let Some(neighbour) = self.neighbours.get().and_then(|all| all.get(index)) else {
            counters.link_lost += 1;
            return;
        };
        if self.waiting.len() <= index {
            self.waiting.resize_with(index + 1, Waiting::default);
        }
        let waiting = &mut self.waiting[index];
        // Media passes what waits: it is worth something now or never.
        let refused = if waiting.messages.is_empty() || message.is_media() {
            neighbour.link(self.own, message).err()
        } else {
            Some(message)
        };
        let Some(message) = refused else { return };
        let data = message.data_bytes();
        if message.is_media() {
            counters.link_dropped += 1;
        } else if data > 0 && waiting.bytes + data > WAITING_DATA {
            counters.link_data_dropped += 1;
        } else if waiting.messages.len() >= WAITING {
            counters.link_lost += 1;
            tracing::error!(to, ?message, "a shard stands still: it does not hear of this");
        } else {
            waiting.bytes += data;
            waiting.messages.push_back(message);
        }
    }

    /// Hands over what waits, as far as there is a place now.
    pub(super) fn flush(&mut self) {
        let Some(neighbours) = self.neighbours.get() else { return };
        for (waiting, neighbour) in self.waiting.iter_mut().zip(neighbours) {
            while let Some(message) = waiting.messages.pop_front() {
                let data = message.data_bytes();
                if let Err(message) = neighbour.link(self.own, message) {
                    waiting.messages.push_front(message);
                    break;
                }
                waiting.bytes -= data;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use sluice_engine::id::{ParticipantId, PublicationId, RoomId, SessionId};
    use sluice_engine::model::*;
    use sluice_engine::{Command, Config, Input, Output, RoomAction, Shard, Ticket};

    use super::super::mailbox::mailbox;
    use super::*;

    /// What a shard says to another when its session declares so many publications.
    fn said(publications: usize) -> Vec<LinkMessage> {
        let now = Instant::now();
        let mut config = Config::default();
        config.limits.publications_per_session = publications;
        let mut shard = Shard::new(now, config).unwrap();
        let session = SessionId::new("s").unwrap();
        let settings = SessionSettings::new(Offerer::Peer);
        let spec = |number: usize| PublicationSpec {
            id: PublicationId::new(&format!("p{number}")).unwrap(),
            client_track_id: String::new(),
            kind: sluice_rtp::MediaKind::Audio,
            stream_label: "s".into(),
            track_label: "t".into(),
            muted: false,
            codecs: Vec::new(),
            opus_dtx: false,
            opus_stereo: false,
            layers: Vec::new(),
            screen_share: false,
            app_state: bytes::Bytes::new(),
        };
        let mut messages = Vec::new();
        for action in [
            RoomAction::Put { app_state: None, settings: None },
            RoomAction::Host { home: true, shards: vec![1], greet: None },
            RoomAction::PutSession {
                session: session.clone(),
                participant: ParticipantId::new("p").unwrap(),
                settings,
                app_state: None,
                elsewhere: 0,
            },
            RoomAction::SetPublications { session, publications: (0..publications).map(spec).collect() },
        ] {
            let room = RoomId::new("r").unwrap();
            shard.handle(now, Input::Command(Ticket(0), Command::Room { room, owner_epoch: 1, action }));
            loop {
                match shard.poll(now) {
                    Output::Link(1, message) => messages.push(message),
                    Output::Timeout(_) => break,
                    _ => {}
                }
            }
        }
        messages
    }

    #[test]
    fn what_finds_no_place_waits_and_comes_in_order() {
        let poll = mio::Poll::new().unwrap();
        let (neighbour, inbox) = mailbox(poll.registry(), 1).unwrap();
        let neighbours = Neighbours::default();
        neighbours.set(vec![neighbour.clone(), neighbour]).ok().unwrap();
        let (mut links, mut counters) = (Links::new(0, neighbours), IoCounters::default());
        let messages = said(10_000);
        let spoken: Vec<_> = messages.iter().map(|message| format!("{message:?}")).collect();
        for message in messages {
            links.send(1, message, &mut counters);
        }
        assert!(links.wait(), "the queue is shorter than that");
        let mut heard = Vec::new();
        while let Some((from, message)) = inbox.link() {
            assert_eq!(from, 0);
            heard.push(format!("{message:?}"));
            links.flush();
        }
        assert!(!links.wait() && heard == spoken, "{} of {}", heard.len(), spoken.len());
        assert_eq!((counters.link_lost, counters.link_dropped), (0, 0));
    }

    #[test]
    fn a_shard_that_is_not_there_hears_nothing() {
        let (mut links, mut counters) = (Links::new(0, Neighbours::default()), IoCounters::default());
        for message in said(3) {
            links.send(1, message, &mut counters);
        }
        assert_eq!(counters.link_lost, 3);
    }
}
