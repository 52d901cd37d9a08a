//! A shard's thread: wait, take in, let the engine think, give out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll};
use rustc_hash::FxHashSet;
use sluice_engine::id::RoomId;
use sluice_engine::model::RoomEndReason;
use sluice_engine::{
    Command, Datagram, Event, EventKind, Input, NoCertificate, Output, Protocol, Ticket, Transmit,
};

use super::connections::{Connections, TcpInput};
use super::departures::Departures;
use super::guard::{Engine, Guarded};
use super::links::{self, Links};
use super::mailbox::{BELL, Inbox};
use super::outbox::Outbox;
use super::pending::Pending;
use super::report::{IoCounters, Meter, ReportCell};
use super::sockets::Sockets;

/// Deadlines this close are due now: pacers ask for times a microsecond apart, and a wait costs more than that.
const SOON: Duration = Duration::from_micros(50);

/// The longest wait, so that reports go on in an idle shard.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// How long commands may take before media gets its turn again. A negotiation takes about a millisecond; when a
/// thousand people join at once, those who are there already must not hear it.
const COMMAND_TIME: Duration = Duration::from_millis(2);

/// Frames of TCP connections taken in before media gets its turn again.
const FRAMES: usize = 512;

/// Messages of other shards taken in before media of this one gets its turn.
const LINK_MESSAGES: usize = 512;

/// Everything that a shard's thread owns.
pub(super) struct ShardThread<E> {
    poll: Poll,
    engine: Guarded<E>,
    sockets: Sockets,
    inbox: Inbox,
    connections: Connections,
    pending: Pending,
    /// What a fault of the whole engine would end.
    rooms: FxHashSet<RoomId>,
    outbox: Outbox,
    links: Links,
    counters: IoCounters,
    meter: Meter,
    deadline: Instant,
    /// The latest time that the engine was told: it must never go back.
    told: Instant,
    departures: Departures,
}

/// The ways into a shard and out of it, its sockets apart.
pub(super) struct Ways {
    pub(super) inbox: Inbox,
    pub(super) outbox: Outbox,
    pub(super) links: Links,
}

impl<E: Engine> ShardThread<E> {
    pub(super) fn new(
        poll: Poll,
        engine: Guarded<E>,
        sockets: Sockets,
        Ways { inbox, outbox, links }: Ways,
        report: Arc<ReportCell>,
        sessions_ended: fn(),
    ) -> Self {
        let now = Instant::now();
        ShardThread {
            poll,
            engine,
            sockets,
            inbox,
            connections: Connections::default(),
            pending: Pending::default(),
            rooms: FxHashSet::default(),
            outbox,
            links,
            counters: IoCounters::default(),
            meter: Meter::new(now, report),
            deadline: now,
            told: now,
            departures: Departures::new(sessions_ended),
        }
    }

    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(64);
        let mut more = false;
        while !self.inbox.bell.stopped() {
            let wait = if more { Duration::ZERO } else { self.wait(Instant::now()) };
            if let Err(error) = self.poll.poll(&mut events, Some(wait))
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                // Nothing but a broken epoll descriptor: without it the thread would spin.
                tracing::error!(%error, "a shard cannot wait for its sockets and ends");
                break;
            }
            let began = Instant::now();
            for event in events.iter().filter(|event| event.token() != BELL) {
                self.sockets.ready(event);
            }
            more = self.turn();
            if self.engine.faulted()
                && let Err(error) = self.recover()
            {
                tracing::error!(%error, "a shard cannot start anew and ends");
                break;
            }
            let ended = Instant::now();
            self.meter.worked(ended - began);
            if self.meter.is_due(ended) {
                self.publish(ended);
            }
        }
        self.end();
    }

    fn wait(&self, now: Instant) -> Duration {
        let wait = self.deadline.saturating_duration_since(now);
        let longest = if self.links.wait() { links::AGAIN } else { LONGEST_WAIT };
        if wait <= SOON { Duration::ZERO } else { wait.min(longest) }
    }

    /// Takes in what is there, and gives out what follows from it. Answers whether more waits.
    fn turn(&mut self) -> bool {
        self.inbox.bell.quieten();
        let now = self.clock();
        let more_commands = self.take_commands(now);
        let frames = self.take_frames(now);
        let messages = self.take_links();
        self.take_datagrams();
        self.think();
        self.links.flush();
        more_commands || frames == FRAMES || messages == LINK_MESSAGES || self.sockets.has_more()
    }

    fn clock(&mut self) -> Instant {
        self.told = self.told.max(Instant::now());
        self.told
    }

    /// Answers whether more commands may wait.
    fn take_commands(&mut self, now: Instant) -> bool {
        while let Ok(envelope) = self.inbox.commands.try_recv() {
            match self.pending.admit(envelope, &self.outbox) {
                Some((ticket, command)) => self.engine.handle(now, Input::Command(ticket, command)),
                None => self.counters.commands_withdrawn += 1,
            }
            if now.elapsed() >= COMMAND_TIME {
                return true;
            }
        }
        false
    }

    fn take_frames(&mut self, now: Instant) -> usize {
        let mut taken = 0;
        while taken < FRAMES
            && let Ok(input) = self.inbox.tcp.try_recv()
        {
            taken += 1;
            match input {
                TcpInput::Opened(peer) => self.connections.open(peer),
                TcpInput::Frame { source, destination, contents, permit } => {
                    let contents = &contents[..];
                    let datagram = Datagram { protocol: Protocol::Tcp, source, destination, contents };
                    self.engine.handle(now, Input::Datagram(datagram));
                    drop(permit);
                }
                TcpInput::Closed { connection, source, destination } => {
                    if self.connections.close(connection, source, destination) {
                        self.engine.handle(now, Input::ConnectionClosed { source, destination });
                    }
                }
            }
        }
        taken
    }

    fn take_links(&mut self) -> usize {
        let mut taken = 0;
        while taken < LINK_MESSAGES
            && let Some((from, message)) = self.inbox.link()
        {
            taken += 1;
            // After whatever the other shard had seen when it sent this.
            let now = self.clock();
            self.engine.handle(now, Input::Link(from, message));
        }
        taken
    }

    fn take_datagrams(&mut self) {
        let (engine, told) = (&mut self.engine, self.told);
        self.sockets.receive(&mut self.counters, |now, received, destination| {
            let (source, contents) = (received.source, received.contents);
            let datagram = Datagram { protocol: Protocol::Udp, source, destination, contents };
            engine.handle(now.max(told), Input::Datagram(datagram));
        });
    }

    /// Has the engine say all that it has to say.
    fn think(&mut self) {
        let now = self.clock();
        self.drain(now);
        if self.deadline <= now + SOON {
            // The engine compares with its own deadline, so a little early must look like in time.
            self.told = now.max(self.deadline);
            self.engine.handle(self.told, Input::Timeout);
            self.drain(self.told);
        }
        self.sockets.flush();
    }

    fn drain(&mut self, now: Instant) {
        loop {
            match self.engine.poll(now) {
                Output::Transmit(transmit) => self.transmit(now, transmit),
                Output::Reply(ticket, result) => {
                    if let Some(room) = self.pending.answer(ticket, result, &self.outbox) {
                        self.rooms.insert(room);
                    }
                }
                Output::Event(event) => {
                    if matches!(event.kind, EventKind::RoomEnded { .. }) {
                        self.rooms.remove(&event.room);
                    }
                    self.outbox.event(event);
                }
                Output::Link(to, message) => self.links.send(to, message, &mut self.counters),
                Output::Timeout(deadline) => {
                    self.deadline = deadline;
                    return;
                }
            }
        }
    }

    fn transmit(&mut self, now: Instant, transmit: Transmit) {
        let Transmit { protocol, source, destination, contents } = transmit;
        match protocol {
            Protocol::Udp => self.sockets.send(source, destination, &contents, &mut self.counters),
            Protocol::Tcp => {
                if self.connections.send(now, destination, source, contents, &mut self.counters) {
                    let closed = Input::ConnectionClosed { source: destination, destination: source };
                    self.engine.handle(now, closed);
                }
            }
        }
    }

    /// Reports what a fault of the engine ended, and starts anew.
    fn recover(&mut self) -> Result<(), NoCertificate> {
        let now = self.clock();
        tracing::error!(rooms = self.rooms.len(), "a fault ended all rooms of a shard; it starts anew");
        self.pending.fail_all(&self.outbox);
        for room in self.rooms.drain() {
            let kind = EventKind::RoomEnded { reason: RoomEndReason::Fault };
            self.outbox.event(Event { room, kind });
        }
        self.engine.rebuild(now)?;
        self.deadline = now;
        Ok(())
    }

    fn publish(&mut self, now: Instant) {
        self.outbox.mend();
        self.counters.tcp_connections = self.connections.len() as u64;
        self.counters.queued_bytes = self.sockets.queued_bytes() as u64;
        let (counters, sends) = (self.engine.counters(), self.sockets.counters());
        let busy = self.meter.publish(now, counters, sends, self.counters);
        self.departures.look(counters.sessions, busy);
    }

    /// Tells peers and callers that it is over.
    fn end(mut self) {
        let now = self.clock();
        let command = Command::EndAll { reason: RoomEndReason::Drained };
        self.engine.handle(now, Input::Command(Ticket(0), command));
        self.drain(now);
        self.sockets.flush();
        self.publish(now);
    }
}
