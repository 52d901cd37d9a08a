//! The thread around an engine that does as it is told.

use std::collections::VecDeque;
use std::net::UdpSocket as Peer;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sluice_engine::id::{PublicationId, RoomId};
use sluice_engine::model::RoomEndReason;
use sluice_engine::{
    Command, CommandError, Counters, Datagram, Event, EventKind, Input, NoCertificate, Output, Reply,
    RoomAction, Transmit,
};
use sluice_net::{BufferSizes, UdpSocket};

use super::links::Neighbours;
use super::outbox::{Note, Notes};
use super::*;
use crate::addresses::{AddressMap, plan};

const PATIENCE: Duration = Duration::from_secs(5);

/// Held by a test that wants ListRooms to take long.
static GATE: Mutex<()> = Mutex::new(());

/// Echoes datagrams three times; has rooms without sessions; panics when asked for statistics (at once) or for key
/// frames (at the next poll); holds still at [`GATE`] when asked for its rooms.
struct Puppet {
    out: VecDeque<Output>,
    deadline: Option<(Instant, Datagram<'static>)>,
    panics_at_poll: bool,
    counters: Counters,
}

impl Puppet {
    fn echo(&mut self, datagram: Datagram<'_>, contents: &[u8]) {
        self.out.push_back(Output::Transmit(Transmit {
            protocol: datagram.protocol,
            source: datagram.destination,
            destination: datagram.source,
            contents: contents.to_vec(),
        }));
    }

    fn command(&mut self, command: Command) -> Result<Reply, CommandError> {
        match command {
            Command::Room { action: RoomAction::Put { .. }, .. } => {
                self.counters.rooms += 1;
                Ok(Reply::Created(true))
            }
            Command::Room { action: RoomAction::GetStats { .. }, .. } => panic!("told to"),
            Command::Room { action: RoomAction::RequestKeyFrame { .. }, .. } => {
                self.panics_at_poll = true;
                Ok(Reply::Done)
            }
            Command::ListRooms => {
                drop(GATE.lock().unwrap_or_else(PoisonError::into_inner));
                Ok(Reply::Rooms(Vec::new()))
            }
            Command::EndAll { reason } => {
                let kind = EventKind::RoomEnded { reason };
                self.out.push_back(Output::Event(Event { room: room("last"), kind }));
                Ok(Reply::Count(1))
            }
            _ => Ok(Reply::Done),
        }
    }
}

impl Engine for Puppet {
    fn start(_: Instant, _: Config) -> Result<Self, NoCertificate> {
        let (out, counters) = (VecDeque::new(), Counters::default());
        Ok(Puppet { out, deadline: None, panics_at_poll: false, counters })
    }

    fn handle(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Datagram(datagram) if datagram.contents == b"later" => {
                let datagram = Datagram { contents: b"now", ..datagram };
                self.deadline = Some((now + Duration::from_millis(30), datagram));
            }
            Input::Datagram(datagram) => {
                self.counters.datagrams_in += 1;
                for _ in 0..3 {
                    self.echo(datagram, datagram.contents);
                }
            }
            Input::Command(ticket, command) => {
                let reply = self.command(command);
                self.out.push_back(Output::Reply(ticket, reply));
            }
            Input::Link(..) => {}
            Input::Timeout => {
                if let Some((deadline, datagram)) = self.deadline.take() {
                    assert!(now >= deadline, "the engine was told a time before its deadline");
                    self.echo(datagram, datagram.contents);
                }
            }
            Input::ConnectionClosed { .. } => self.counters.datagrams_unknown += 1,
        }
    }

    fn poll(&mut self, now: Instant) -> Output {
        assert!(!self.panics_at_poll, "told to");
        let idle = now + Duration::from_secs(60);
        let deadline = self.deadline.map_or(idle, |(deadline, _)| deadline);
        self.out.pop_front().unwrap_or(Output::Timeout(deadline))
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}

/// A shard with a [`Puppet`], on one loopback socket.
pub(crate) struct PuppetShard {
    pub(crate) handle: ShardHandle,
    /// All but replies, which are delivered.
    notes: tokio::sync::mpsc::UnboundedReceiver<Note>,
    thread: JoinHandle<()>,
    reader: JoinHandle<()>,
    address: std::net::SocketAddr,
    ended: CancellationToken,
}

impl PuppetShard {
    pub(crate) fn start() -> Self {
        Self::start_with(64, "127.0.0.1")
    }

    /// A NAT that does not exist stands before it: peers know it as `advertised`.
    fn start_with(command_queue: usize, advertised: &str) -> Self {
        let (ip, buffers) = ("127.0.0.1".parse().unwrap(), BufferSizes { receive: 1 << 20, send: 1 << 20 });
        let socket = UdpSocket::bind((ip, 0).into(), buffers).unwrap();
        let address = socket.local_address();
        let plans = plan(&[ip], &[advertised.parse().unwrap()], &[]).unwrap();
        let sockets = Sockets::new(vec![(socket, AddressMap::new(&plans[0], address))], 1 << 20);
        let (outbox, notes) = outbox::outbox();
        let (sender, forwarded) = tokio::sync::mpsc::unbounded_channel();
        let reader = std::thread::spawn(move || read(notes, &sender));
        let ended = CancellationToken::new();
        let config = Config::default();
        let alive = tokio_util::task::TaskTracker::new().token();
        let parts = Parts {
            config,
            sockets,
            outbox,
            command_queue,
            neighbours: Neighbours::default(),
            sessions_ended: || {},
            ended: ended.clone(),
            alive,
        };
        let (handle, thread) = spawn_with::<Puppet>(parts).unwrap();
        PuppetShard { handle, notes: forwarded, thread, reader, address, ended }
    }

    fn peer(&self) -> Peer {
        let peer = Peer::bind("127.0.0.1:0").unwrap();
        peer.connect(self.address).unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        peer
    }

    async fn note(&mut self) -> Note {
        tokio::time::timeout(PATIENCE, self.notes.recv()).await.unwrap().unwrap()
    }

    pub(crate) fn stop(self) {
        self.handle.mailbox.stop();
        self.thread.join().unwrap();
        self.reader.join().unwrap();
    }
}

/// Delivers replies as if 7 events had been numbered, and passes on everything else.
fn read(mut notes: Notes, others: &tokio::sync::mpsc::UnboundedSender<Note>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    while let Some(note) = runtime.block_on(notes.next()) {
        match note {
            Note::Answer(_, answer) => answer.deliver(7),
            note => drop(others.send(note)),
        }
    }
}

/// Holds [`GATE`], on another thread, since a test cannot hold it across awaits.
struct ClosedGate {
    release: std::sync::mpsc::Sender<()>,
    holder: JoinHandle<()>,
}

impl ClosedGate {
    fn new() -> Self {
        let (release, held) = std::sync::mpsc::channel();
        let (closed, is_closed) = std::sync::mpsc::channel();
        let holder = std::thread::spawn(move || {
            let guard = GATE.lock().unwrap_or_else(PoisonError::into_inner);
            closed.send(()).unwrap();
            let _ = held.recv();
            drop(guard);
        });
        is_closed.recv().unwrap();
        ClosedGate { release, holder }
    }

    fn open(self) {
        drop(self.release);
        self.holder.join().unwrap();
    }
}

fn room(name: &str) -> RoomId {
    RoomId::new(name).unwrap()
}

fn act(name: &str, action: RoomAction) -> Command {
    Command::Room { room: room(name), owner_epoch: 1, action }
}

fn put(name: &str) -> Command {
    act(name, RoomAction::Put { app_state: None, settings: None })
}

fn receive(peer: &Peer) -> Vec<u8> {
    let mut buffer = [0; 2_000];
    let length = peer.recv(&mut buffer).unwrap();
    buffer[..length].to_vec()
}

#[test]
fn a_datagram_goes_in_and_what_follows_comes_out_where_the_peer_expects_it() {
    // The peer is connected, so that answers from elsewhere would not reach it.
    let shard = PuppetShard::start_with(64, "203.0.113.7");
    let peer = shard.peer();
    peer.send(b"hello").unwrap();
    for _ in 0..3 {
        assert_eq!(receive(&peer), b"hello");
    }
    shard.stop();
}

#[test]
fn a_deadline_is_kept() {
    let shard = PuppetShard::start();
    let peer = shard.peer();
    let began = Instant::now();
    peer.send(b"later").unwrap();
    assert_eq!(receive(&peer), b"now");
    assert!(began.elapsed() >= Duration::from_millis(29), "{:?}", began.elapsed());
    shard.stop();
}

#[tokio::test]
async fn a_reply_comes_with_the_number_of_the_last_event() {
    let shard = PuppetShard::start();
    let (reply, sequence) = shard.handle.mailbox.call_with_sequence(put("r")).await.unwrap();
    assert!(matches!(reply, Reply::Created(true)));
    assert_eq!(sequence, 7);
    shard.stop();
}

#[tokio::test]
async fn a_fault_ends_the_rooms_and_not_the_shard() {
    for fault in [
        RoomAction::GetStats { session: None },
        RoomAction::RequestKeyFrame { publication: PublicationId::new("p").unwrap() },
    ] {
        let mut shard = PuppetShard::start();
        shard.handle.mailbox.call(put("r")).await.unwrap();
        let error = shard.handle.mailbox.call(act("r", fault)).await.unwrap_err();
        assert_eq!(error, CallError::Refused(CommandError::Fault));
        let Note::Event(_, event, _) = shard.note().await else { panic!("not an event") };
        assert_eq!(event.room.as_str(), "r");
        assert!(matches!(event.kind, EventKind::RoomEnded { reason: RoomEndReason::Fault }));

        // It serves on, and counts on.
        shard.handle.mailbox.call(put("s")).await.unwrap();
        let peer = shard.peer();
        peer.send(b"still there?").unwrap();
        assert_eq!(receive(&peer), b"still there?");
        let report = shard.handle.report.clone();
        shard.stop();
        assert_eq!((report.read().counters.faults, report.read().counters.rooms), (1, 1));
    }
}

#[tokio::test]
async fn a_full_queue_refuses_and_a_caller_that_left_withdraws() {
    let mut shard = PuppetShard::start_with(4, "127.0.0.1");
    let mailbox = shard.handle.mailbox.clone();
    let gate = ClosedGate::new();
    let slow = mailbox.post(Command::ListRooms).unwrap();
    // The shard holds still with the first; at most one more can be taken from the queue while it gets there.
    let mut waiting = Vec::new();
    let refused = loop {
        match mailbox.post(put("r")) {
            Ok(answer) => waiting.push(answer),
            Err(error) => break error,
        }
        assert!(waiting.len() <= 5);
    };
    assert_eq!(refused, CallError::Full);
    let withdrawn = waiting.len();
    drop(waiting);
    gate.open();
    assert!(matches!(mailbox.answer(slow).await.unwrap().0, Reply::Rooms(_)));
    for _ in 0..withdrawn {
        assert!(matches!(shard.note().await, Note::PutWithdrawn(..)));
    }
    let report = shard.handle.report.clone();
    shard.stop();
    assert_eq!(report.read().io.commands_withdrawn, withdrawn as u64);
}

#[tokio::test]
async fn a_shard_that_does_not_answer_keeps_nobody_waiting_for_long() {
    let shard = PuppetShard::start();
    let gate = ClosedGate::new();
    let mut mailbox = shard.handle.mailbox.clone();
    mailbox.reply_timeout = Duration::from_millis(50);
    assert_eq!(mailbox.call(Command::ListRooms).await.unwrap_err(), CallError::Timeout);
    gate.open();
    assert!(shard.handle.mailbox.call(Command::ListRooms).await.is_ok());
    shard.stop();
}

#[tokio::test]
async fn a_shard_that_stops_ends_its_rooms_first() {
    let mut shard = PuppetShard::start();
    let (ended, mailbox) = (shard.ended.clone(), shard.handle.mailbox.clone());
    mailbox.stop();
    let Note::Event(_, event, _) = shard.note().await else { panic!("not an event") };
    assert!(matches!(event.kind, EventKind::RoomEnded { reason: RoomEndReason::Drained }));
    tokio::time::timeout(PATIENCE, ended.cancelled()).await.unwrap();
    shard.thread.join().unwrap();
    assert!(matches!(mailbox.call(put("r")).await, Err(CallError::Gone)));
    assert!(shard.notes.recv().await.is_none());
}

#[test]
fn tcp_and_udp_are_kept_apart() {
    let shard = PuppetShard::start();
    let (frames, mut to_peer) = tokio::sync::mpsc::channel(8);
    let (source, destination) = ("198.51.100.1:5000".parse().unwrap(), "127.0.0.1:7700".parse().unwrap());
    let given_up = CancellationToken::new();
    let alive = given_up.clone().drop_guard();
    let peer = TcpPeer { connection: 1, source, destination, frames, alive };
    let mailbox = &shard.handle.mailbox;
    mailbox.tcp(TcpInput::Opened(peer)).unwrap();
    let permits = std::sync::Arc::new(tokio::sync::Semaphore::new(1));
    let permit = permits.clone().try_acquire_owned().unwrap();
    let contents = bytes::Bytes::from_static(b"frame");
    mailbox.tcp(TcpInput::Frame { source, destination, contents, permit }).unwrap();
    for _ in 0..3 {
        assert_eq!(to_peer.blocking_recv().unwrap(), b"frame");
    }
    assert_eq!(permits.available_permits(), 1, "the frame is no longer waiting");
    mailbox.tcp(TcpInput::Closed { connection: 1, source, destination }).unwrap();
    assert!(to_peer.blocking_recv().is_none());
    let report = shard.handle.report.clone();
    shard.stop();
    assert!(given_up.is_cancelled());
    assert_eq!(report.read().counters.datagrams_unknown, 1, "the engine knows that the connection is gone");
}

/// The protocol of what is sent decides the way, not the address.
#[test]
fn a_frame_to_an_unknown_connection_does_not_leave_as_a_datagram() {
    let shard = PuppetShard::start();
    let peer = shard.peer();
    let permit = std::sync::Arc::new(tokio::sync::Semaphore::new(1)).try_acquire_owned().unwrap();
    let input = TcpInput::Frame {
        source: peer.local_addr().unwrap(),
        destination: shard.address,
        contents: bytes::Bytes::from_static(b"frame"),
        permit,
    };
    shard.handle.mailbox.tcp(input).unwrap();
    peer.send(b"datagram").unwrap();
    assert_eq!(receive(&peer), b"datagram");
    let report = shard.handle.report.clone();
    shard.stop();
    assert_eq!((report.read().io.tcp_dropped, report.read().counters.datagrams_in), (3, 2));
}
