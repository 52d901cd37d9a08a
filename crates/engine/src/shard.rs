//! One thread's worth of rooms. Start reading here.
//!
//! The way of a packet, all of it on one thread, without lock, channel or await:
//!
//! 1. [`Shard::handle`] gives a datagram to the session that owns its address (`demux`) and drains that session at once;
//! 2. a media packet goes to its publication, which reads its frame (`publication`), and from there to every
//!    subscription (`forwarding`), which queues it on its own session's transport and marks that session dirty;
//! 3. [`Shard::poll`] flushes dirty sessions one after the other, so that one subscriber's datagrams leave together.
//!
//! The way of a command: `commands` finds the room and its owner, changes what is declared, and whatever follows from it
//! (negotiation, allocation, events) is worked out before the reply goes out.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rustc_hash::FxHashMap;
use slab::Slab;

use crate::command::{Command, CommandError, Reply};
use crate::config::Config;
use crate::counters::Counters;
use crate::demux::{Demux, SessionKey, stun_ufrag};
use crate::id::RoomId;
use crate::io::{Datagram, Input, Output, Protocol};
use crate::link::ShardNumber;
use crate::model::{CloseReason, RoomEndReason};
use crate::room::{Room, RoomKey};
use crate::section::PublicationKey;
use crate::session::Session;
use crate::timers::{Timer, Timers};
use crate::transport::{Credentials, EXACT, Polled, SOON, Shared};

/// The shard could not be made: no certificate for DTLS.
#[derive(Debug, thiserror::Error)]
#[error("no DTLS certificate could be made")]
pub struct NoCertificate;

/// Rooms, their sessions, and what is to be sent.
pub struct Shard {
    pub(crate) config: Config,
    pub(crate) shared: Shared,
    pub(crate) rng: SmallRng,
    pub(crate) rooms: Slab<Room>,
    pub(crate) rooms_by_id: FxHashMap<RoomId, RoomKey>,
    /// Boxed: a session is several kilobytes, and the slab never shrinks.
    pub(crate) sessions: Slab<Box<Session>>,
    pub(crate) demux: Demux,
    pub(crate) timers: Timers,
    /// Sessions with something to send, in the order in which they were touched.
    dirty: VecDeque<SessionKey>,
    pub(crate) out: VecDeque<Output>,
    pub(crate) counters: Counters,
    /// Publications of other shards, by that shard and its number for them.
    pub(crate) linked: FxHashMap<(ShardNumber, u64), (RoomKey, PublicationKey)>,
    /// Publications of this shard that others know, by number.
    pub(crate) numbered: FxHashMap<u64, (RoomKey, PublicationKey)>,
    pub(crate) last_number: u64,
}

impl Shard {
    /// An empty shard.
    pub fn new(now: Instant, config: Config) -> Result<Self, NoCertificate> {
        let mut rng = SmallRng::seed_from_u64(config.seed);
        Ok(Shard {
            shared: Shared::new(now).ok_or(NoCertificate)?,
            rooms: Slab::new(),
            rooms_by_id: FxHashMap::default(),
            sessions: Slab::new(),
            demux: Demux::default(),
            timers: Timers::default(),
            dirty: VecDeque::new(),
            out: VecDeque::new(),
            counters: Counters::default(),
            linked: FxHashMap::default(),
            numbered: FxHashMap::default(),
            // Numbers of an engine that faulted must not come again.
            last_number: u64::from(rng.random::<u32>()) << 32,
            rng,
            config,
        })
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Datagram(datagram) => self.on_datagram(now, &datagram),
            Input::Command(ticket, command) => {
                let reply = self.execute_guarded(now, command);
                self.out.push_back(Output::Reply(ticket, reply));
            }
            Input::ConnectionClosed { source, .. } => {
                if let Some(key) = self.demux.owner(Protocol::Tcp, source) {
                    self.demux.release((Protocol::Tcp, source), key);
                    self.sessions[key].addresses.retain(|a| *a != (Protocol::Tcp, source));
                }
            }
            Input::Link(from, message) => {
                let room = self.room_of(from, &message);
                self.guard_room(room, |shard| shard.on_link(now, from, message));
            }
            Input::Timeout => {}
        }
    }

    /// The next thing to do. Call until it is [`Output::Timeout`].
    pub fn poll(&mut self, now: Instant) -> Output {
        loop {
            if let Some(output) = self.out.pop_front() {
                if let Output::Transmit(transmit) = &output {
                    self.counters.datagrams_out += 1;
                    self.counters.bytes_out += transmit.contents.len() as u64;
                }
                return output;
            }
            if let Some(key) = self.dirty.pop_front() {
                if self.sessions.contains(key) {
                    self.sessions[key].dirty = false;
                    self.guard(key, |shard| shard.flush(now, key));
                }
                continue;
            }
            match self.timers.pop(now + SOON) {
                Some(Timer::Session(key)) => self.touch(key),
                Some(Timer::Room(key)) => self.keep_house(now, key),
                None => break,
            }
        }
        Output::Timeout(self.timers.next().unwrap_or(now + Duration::from_secs(3_600)))
    }

    /// Totals since the start, and what there is now.
    pub fn counters(&self) -> Counters {
        Counters {
            rooms: self.rooms.len() as u64,
            sessions: self.sessions.len() as u64,
            publications: self
                .rooms
                .iter()
                .flat_map(|(_, room)| room.publications.iter())
                .filter(|(_, publication)| publication.session().is_some())
                .count() as u64,
            subscriptions: self.sessions.iter().map(|(_, s)| s.subscriptions.len() as u64).sum(),
            ..self.counters
        }
    }

    fn on_datagram(&mut self, now: Instant, datagram: &Datagram<'_>) {
        let ufrag = stun_ufrag(datagram.contents);
        let owner = self.demux.owner(datagram.protocol, datagram.source);
        // A check names its session; anything else belongs to the address.
        let Some(key) = ufrag.and_then(|name| self.demux.by_ufrag(name)).or(owner) else {
            self.counters.datagrams_unknown += 1;
            return;
        };
        self.counters.datagrams_in += 1;
        self.counters.bytes_in += datagram.contents.len() as u64;
        self.guard(key, |shard| {
            let session = &mut shard.sessions[key];
            if let Err(error) = session.transport.receive(now, datagram, &mut shard.shared) {
                shard.counters.datagrams_refused += 1;
                tracing::debug!(session = %session.id, %error, "datagram refused");
            }
            if ufrag.is_some() && owner != Some(key) && session.transport.owns(now, datagram) {
                let session = &mut shard.sessions[key];
                shard.demux.claim(datagram.protocol, datagram.source, key, &mut session.addresses);
            }
            if shard.sessions.get(key).is_some_and(|session| session.transport.is_fed()) {
                // The handshake's stack holds few datagrams: they must be taken out before the next go in.
                shard.drain(now, key);
            } else {
                shard.take_events(now, key);
            }
            shard.touch(key);
        });
    }

    /// Has a session told the time and flushed with the next [`Self::poll`].
    pub(crate) fn touch(&mut self, key: SessionKey) {
        if let Some(session) = self.sessions.get_mut(key)
            && !session.dirty
        {
            session.dirty = true;
            self.dirty.push_back(key);
        }
    }

    /// Moves a session's time on and sends what it has.
    fn flush(&mut self, now: Instant, key: SessionKey) {
        let session = &mut self.sessions[key];
        if session.data.waits() {
            session.data.drain(now, &mut session.transport);
        }
        if let Err(error) = session.transport.advance(now) {
            tracing::info!(session = %session.id, %error, "transport failed");
            return self.close_session(key, CloseReason::Fault);
        }
        self.drain(now, key);
    }

    /// Takes everything out of a session's transport.
    fn drain(&mut self, now: Instant, key: SessionKey) {
        loop {
            let Some(session) = self.sessions.get_mut(key) else { return };
            match session.transport.poll() {
                Ok(Polled::Transmit(transmit)) => self.out.push_back(Output::Transmit(transmit)),
                Ok(Polled::Event(event)) => self.on_transport_event(now, key, event),
                Ok(Polled::Idle(at)) => {
                    // Whoever is served now is not due again in this turn.
                    self.timers.set(Timer::Session(key), at.max(now + EXACT));
                    if !session.transport.is_alive() {
                        self.close_session(key, CloseReason::Peer);
                    }
                    return;
                }
                Err(error) => {
                    tracing::info!(session = %session.id, %error, "transport failed");
                    return self.close_session(key, CloseReason::Fault);
                }
            }
        }
    }

    /// Takes media that has just come to its subscribers. Everything else waits for the turn's flush, so that a train of packets
    /// asks only once what else there is.
    fn take_events(&mut self, now: Instant, key: SessionKey) {
        while let Some(session) = self.sessions.get_mut(key)
            && let Some(event) = session.transport.pop_media_event()
        {
            self.on_media_event(now, key, event);
        }
    }

    /// Runs something for a session. A panic ends the session's room, never the shard.
    fn guard(&mut self, key: SessionKey, run: impl FnOnce(&mut Self)) {
        self.guard_room(Some(self.sessions[key].room), run);
    }

    /// Runs something for a room, if it is known for which. A panic ends the room, never the shard.
    fn guard_room(&mut self, room: Option<RoomKey>, run: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| run(self))).is_err() {
            self.counters.faults += 1;
            if let Some(room) = room.filter(|room| self.rooms.contains(*room)) {
                tracing::error!(room = %self.rooms[room].id, "a panic ends the room");
                self.end_room(room, RoomEndReason::Fault);
            }
        }
    }

    /// Runs a command. A panic ends the room that it was for.
    fn execute_guarded(&mut self, now: Instant, command: Command) -> Result<Reply, CommandError> {
        let room = match &command {
            Command::Room { room, .. } => Some(room.clone()),
            _ => None,
        };
        catch_unwind(AssertUnwindSafe(|| self.execute(now, command))).unwrap_or_else(|_| {
            self.counters.faults += 1;
            if let Some(key) = room.and_then(|id| self.rooms_by_id.get(&id).copied()) {
                tracing::error!(room = %self.rooms[key].id, "a panic in a command ends the room");
                self.end_room(key, RoomEndReason::Fault);
            }
            Err(CommandError::Fault)
        })
    }

    /// New ICE credentials. The first two characters of the ufrag name the shard in hexadecimal.
    pub(crate) fn credentials(&mut self) -> Credentials {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = |length: usize| -> String {
            (0..length).map(|_| char::from(ALPHABET[self.rng.random_range(0..64)])).collect()
        };
        // RFC 8445 section 5.3: at least 24 bits of randomness in the ufrag, 128 in the password.
        let ufrag = format!("{:02x}{}", self.config.shard & 0xff, text(8));
        Credentials { ufrag, password: text(24) }
    }

    /// Has datagrams that name this ufrag find the session.
    pub(crate) fn name_session(&mut self, key: SessionKey, ufrag: String) {
        /// The present one and that of the last restart, whose checks may still be under way.
        const KEPT: usize = 2;
        let session = &mut self.sessions[key];
        if session.ufrags.contains(&ufrag) {
            return;
        }
        session.ufrags.push(ufrag.clone());
        if session.ufrags.len() > KEPT {
            let old = session.ufrags.remove(0);
            self.demux.remove(key, &[], &[old]);
        }
        self.demux.add_ufrag(ufrag, key);
    }
}
