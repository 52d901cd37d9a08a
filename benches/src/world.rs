//! A shard and its clients in one process: no socket, no sleep, time by hand.
//!
//! Only what a shard's thread would do is counted, and only while [`World::count`] is on: everything that the shard does
//! happens inside [`turn`], which is called through [`counted_turn`] then. Benchmarks have callgrind collect inside that
//! function alone, so that neither the clients nor this file are in the figures.
#![allow(clippy::expect_used, clippy::panic, reason = "a panic is a benchmark's report")]

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sluice_engine::command::NegotiationStep;
use sluice_engine::id::{ParticipantId, PublicationId, RoomId, SessionId};
use sluice_engine::model::{LayerSpec, Offerer, PublicationSpec, SessionSettings, SubscriptionSpec, Wish};
use sluice_engine::{
    Command, Config, Counters, Datagram, Input, LocalAddress, Output, Protocol, Reply, RoomAction, Shard,
    Ticket, Transmit,
};
use sluice_rtp::{Codec, MediaKind};
use str0m::media::{Direction, MediaKind as Kind};

use crate::client::{Client, Sent};

/// As the shard's thread has it: deadlines this close are due now.
const SOON: Duration = Duration::from_micros(50);
/// Each way between shard and client.
const DELAY: Duration = Duration::from_millis(10);
/// Clients' paths differ by up to this much, so that their feedback does not come all at once.
const SPREAD_MS: u64 = 20;
/// What arrives within this time arrives together.
const GRID: Duration = Duration::from_millis(1);
const PUBLICATION: &str = "track";

/// A shard with one room, its clients, and the packets between them.
pub struct World {
    shard: Shard,
    started: Instant,
    now: Instant,
    /// When the shard wants to be called again.
    deadline: Instant,
    clients: Vec<Client>,
    by_address: HashMap<SocketAddr, usize>,
    /// To the shard and to the clients, by arrival and order of sending.
    upward: BTreeMap<(Instant, u64), (SocketAddr, Vec<u8>)>,
    downward: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
    packets: u64,
    inputs: Vec<Arrived>,
    outputs: Given,
    counting: bool,
}

/// What comes to the shard.
enum Arrived {
    Datagram(SocketAddr, Vec<u8>),
    Command(Box<Command>),
}

/// What a turn gave out, back to back as `sluice_net::Sender` has it: that copy is part of what a packet costs.
#[derive(Default)]
struct Given {
    bytes: Vec<u8>,
    datagrams: Vec<(SocketAddr, usize)>,
    replies: Vec<Reply>,
}

impl Given {
    fn transmit(&mut self, transmit: &Transmit) {
        self.bytes.extend_from_slice(&transmit.contents);
        self.datagrams.push((transmit.destination, transmit.contents.len()));
    }
}

fn server() -> SocketAddr {
    ([192, 0, 2, 1], 7882).into()
}

/// One turn of a shard's thread, without its system calls: takes in what came, gives out what follows.
fn turn(shard: &mut Shard, now: Instant, inputs: &mut Vec<Arrived>, out: &mut Given) -> Instant {
    for input in inputs.drain(..) {
        match input {
            Arrived::Datagram(source, contents) => {
                let contents = &contents[..];
                let datagram = Datagram { protocol: Protocol::Udp, source, destination: server(), contents };
                shard.handle(now, Input::Datagram(datagram));
            }
            Arrived::Command(command) => shard.handle(now, Input::Command(Ticket(0), *command)),
        }
    }
    let mut deadline = drain(shard, now, out);
    if deadline <= now + SOON {
        let now = now.max(deadline);
        shard.handle(now, Input::Timeout);
        deadline = drain(shard, now, out);
    }
    deadline
}

fn drain(shard: &mut Shard, now: Instant, out: &mut Given) -> Instant {
    loop {
        match shard.poll(now) {
            Output::Transmit(transmit) => out.transmit(&transmit),
            Output::Reply(_, reply) => out.replies.push(reply.expect("the command is valid")),
            Output::Event(event) => drop(event),
            Output::Link(..) => unreachable!("one shard has nobody to tell"),
            Output::Timeout(deadline) => return deadline,
        }
    }
}

/// [`turn`] under a name of its own, in which callgrind collects.
#[inline(never)]
fn counted_turn(shard: &mut Shard, now: Instant, inputs: &mut Vec<Arrived>, out: &mut Given) -> Instant {
    // The result passes through a black box, so that this is never the same function as `turn`.
    std::hint::black_box(turn(shard, now, inputs, out))
}

impl World {
    /// A room without anybody.
    #[must_use]
    pub fn new() -> Self {
        let now = Instant::now();
        let config = Config {
            seed: 1,
            addresses: vec![LocalAddress { protocol: Protocol::Udp, advertised: server() }],
            ..Config::default()
        };
        let mut world = World {
            shard: Shard::new(now, config).expect("a certificate"),
            started: now,
            now,
            deadline: now,
            clients: Vec::new(),
            by_address: HashMap::new(),
            upward: BTreeMap::new(),
            downward: BTreeMap::new(),
            packets: 0,
            inputs: Vec::new(),
            outputs: Given::default(),
            counting: false,
        };
        world.command(RoomAction::Put { app_state: None, settings: None });
        world
    }

    /// Has what follows counted, or no longer.
    pub fn count(&mut self, counting: bool) {
        self.counting = counting;
    }

    /// The shard's totals.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shard.counters()
    }

    /// Media packets that clients got, all together.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.clients.iter().map(|client| client.received).sum()
    }

    /// Forgets the clients and what is under way: what remains is the shard.
    #[must_use]
    pub fn into_shard(self) -> Shard {
        self.shard
    }

    /// A client that publishes one track.
    pub fn join_publisher(&mut self, kind: MediaKind) {
        let session = self.join();
        let (codec, layers) = match kind {
            MediaKind::Audio => (Codec::Opus, Vec::new()),
            MediaKind::Video => {
                let layer = LayerSpec { width: 1_280, height: 720, ..LayerSpec::default() };
                (Codec::Vp8, vec![layer])
            }
        };
        let publication = PublicationSpec {
            id: PublicationId::new(PUBLICATION).expect("a valid id"),
            client_track_id: String::new(),
            kind,
            stream_label: "stream".into(),
            track_label: "track".into(),
            muted: false,
            codecs: vec![codec],
            opus_dtx: false,
            opus_stereo: false,
            layers,
            screen_share: false,
            app_state: Default::default(),
        };
        self.command(RoomAction::SetPublications { session, publications: vec![publication] });
        self.negotiate(kind, Direction::SendOnly);
    }

    /// A client that watches or listens to the track.
    pub fn join_subscriber(&mut self, kind: MediaKind) {
        let session = self.join();
        let publication = PublicationId::new(PUBLICATION).expect("a valid id");
        let subscriptions = vec![SubscriptionSpec { publication, wish: Wish::default() }];
        self.command(RoomAction::SetSubscriptions { session, subscriptions });
        self.negotiate(kind, Direction::RecvOnly);
    }

    /// A client that is connected and has nothing to send or to receive.
    pub fn join_idle(&mut self) {
        self.join();
        self.negotiate(MediaKind::Audio, Direction::RecvOnly);
    }

    fn join(&mut self) -> SessionId {
        let number = self.clients.len();
        let name = format!("session-{number}");
        let session = SessionId::new(&name).expect("a valid id");
        let settings = SessionSettings::new(Offerer::Peer);
        self.command(RoomAction::PutSession {
            session: session.clone(),
            participant: ParticipantId::new(&name).expect("a valid id"),
            settings,
            app_state: None,
            elsewhere: 0,
        });
        let [high, low] = (number as u16).to_be_bytes();
        let address: SocketAddr = ([10, 0, high, low], 5_000).into();
        self.by_address.insert(address, number);
        self.clients.push(Client::new(session.clone(), address, self.now));
        session
    }

    fn negotiate(&mut self, kind: MediaKind, direction: Direction) {
        let kind = match kind {
            MediaKind::Audio => Kind::Audio,
            MediaKind::Video => Kind::Video,
        };
        let index = self.clients.len() - 1;
        let (offer, pending) = self.clients[index].offer(kind, direction);
        let session = self.clients[index].session.clone();
        let step = NegotiationStep::RemoteOffer(offer);
        let Reply::Negotiated(result) = self.command(RoomAction::Negotiate { session, step }) else {
            panic!("an offer is answered")
        };
        self.clients[index].accept(pending, &result.sdp);
        self.poll_client(index);
    }

    fn command(&mut self, action: RoomAction) -> Reply {
        let room = RoomId::new("room").expect("a valid id");
        let command = Command::Room { room, owner_epoch: 1, action };
        self.inputs.push(Arrived::Command(Box::new(command)));
        self.turn();
        self.outputs.replies.pop().expect("a reply to each command")
    }

    /// Runs until everybody who joined is connected.
    pub fn connect(&mut self) {
        let patience = self.now + Duration::from_secs(20);
        while !self.clients.iter().all(|client| client.connected) {
            assert!(self.now < patience, "somebody is never connected");
            self.step(patience);
        }
    }

    /// Runs for a while.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step(end);
        }
    }

    /// The publisher, who is the first client, sends these; they arrive together.
    pub(crate) fn publish(&mut self, packets: impl IntoIterator<Item = Sent>) {
        for packet in packets {
            self.clients[0].send(self.now, packet);
        }
        self.clients[0].advance(self.now);
        self.poll_client(0);
    }

    /// Whether a key frame was asked for since the last time.
    pub(crate) fn take_key_frame_request(&mut self) -> bool {
        std::mem::take(&mut self.clients[0].key_frame_wanted)
    }

    /// Goes on to the next thing that happens, but not beyond `end`.
    fn step(&mut self, end: Instant) {
        let clients = self.clients.iter().map(|client| client.deadline).min();
        let upward = self.upward.first_key_value().map(|((at, _), _)| *at);
        let downward = self.downward.first_key_value().map(|((at, _), _)| *at);
        let next = [clients, upward, downward, Some(self.deadline)].into_iter().flatten().min();
        self.now = next.map_or(end, |next| next.clamp(self.now, end));

        while let Some(entry) = self.downward.first_entry()
            && entry.key().0 <= self.now
        {
            let (client, contents) = entry.remove();
            self.clients[client].receive(self.now, server(), &contents);
            self.poll_client(client);
        }
        for index in 0..self.clients.len() {
            if self.clients[index].deadline <= self.now {
                self.clients[index].advance(self.now);
                self.poll_client(index);
                // A client may ask for a time that is past; the next grid point will do.
                let client = &mut self.clients[index];
                client.deadline = client.deadline.max(self.now + GRID);
            }
        }
        while let Some(entry) = self.upward.first_entry()
            && entry.key().0 <= self.now
        {
            let (source, contents) = entry.remove();
            self.inputs.push(Arrived::Datagram(source, contents));
        }
        if !self.inputs.is_empty() || self.deadline <= self.now + SOON {
            self.turn();
        }
    }

    fn poll_client(&mut self, index: usize) {
        let arrival = self.arrival(index);
        let client = &mut self.clients[index];
        let source = client.address;
        let (upward, packets) = (&mut self.upward, &mut self.packets);
        client.poll(|_, contents| {
            *packets += 1;
            upward.insert((arrival, *packets), (source, contents));
        });
    }

    /// When something that is sent now from or to a client arrives, on the grid.
    fn arrival(&self, client: usize) -> Instant {
        let at = self.now - self.started + DELAY + Duration::from_millis(client as u64 * 7 % SPREAD_MS);
        let grid = GRID.as_micros() as u64;
        self.started + Duration::from_micros((at.as_micros() as u64).next_multiple_of(grid))
    }

    fn turn(&mut self) {
        let (inputs, outputs) = (&mut self.inputs, &mut self.outputs);
        self.deadline = if self.counting {
            counted_turn(&mut self.shard, self.now, inputs, outputs)
        } else {
            turn(&mut self.shard, self.now, inputs, outputs)
        };
        let mut given = std::mem::take(&mut self.outputs);
        let mut rest = &given.bytes[..];
        for (destination, length) in given.datagrams.drain(..) {
            let (contents, after) = rest.split_at(length);
            rest = after;
            let Some(client) = self.by_address.get(&destination).copied() else { continue };
            self.packets += 1;
            self.downward.insert((self.arrival(client), self.packets), (client, contents.to_vec()));
        }
        given.bytes.clear();
        self.outputs = given;
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}
