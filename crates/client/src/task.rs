//! The task behind a client: one loop over socket, WebSocket, commands and clock.
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow};
use prost::Message as _;
use sluice_livekit_proto as proto;
use str0m::Event;
use str0m::media::{MediaKind, Mid, Rid};
use tokio::sync::{mpsc, oneshot, watch};

use crate::impair::Network;
use crate::media::{AudioShape, VideoShape};
use crate::peer::{Change, Peer, Said};
use crate::receive::{self, News};
use crate::send::{Publication, announcement};
use crate::signal::{Request, Response, Signal};
use crate::stats::{DataSeen, Ended, Stats};
use crate::{Observer, Options, Path};

/// Data messages that wait for their channel to open.
const WAITING_DATA: usize = 64;
/// Sections to receive in that a v1 client offers from the start, as browsers' SDKs do.
const FIRST_SECTIONS: u32 = 3;
/// When nothing is due.
const FAR: Duration = Duration::from_secs(10);
/// Pings without an answer for this many intervals mean that the server is gone.
const PINGS_MISSED: u32 = 4;

pub(crate) enum Command {
    Publish(Publish, oneshot::Sender<anyhow::Result<String>>),
    Size(String, u32, u32),
    Mute(String, bool),
    Subscribe(String, bool),
    Data { payload: Vec<u8>, reliable: bool, to: Vec<String>, reply: oneshot::Sender<anyhow::Result<()>> },
    Leave,
}

pub(crate) enum Publish {
    Audio(AudioShape),
    Video(VideoShape),
}

impl Publish {
    fn kind(&self) -> MediaKind {
        match self {
            Self::Audio(_) => MediaKind::Audio,
            Self::Video(_) => MediaKind::Video,
        }
    }
}

/// A publication on its way: announced, then named by the server, then negotiated.
struct Pending {
    what: Publish,
    sid: Option<String>,
    reply: oneshot::Sender<anyhow::Result<String>>,
}

struct WaitingData {
    label: &'static str,
    bytes: Vec<u8>,
    reply: oneshot::Sender<anyhow::Result<()>>,
}

pub(crate) struct Task {
    signal: Option<Signal>,
    options: Options,
    me: proto::ParticipantInfo,
    peers: Vec<Peer>,
    /// Between the connections and their sockets, if it is impaired.
    network: Option<Network>,
    publications: Vec<Publication>,
    pending: HashMap<String, Pending>,
    waiting: VecDeque<WaitingData>,
    next_cid: u32,
    data_sequence: u32,
    ping_interval: Duration,
    next_ping: Instant,
    heard: Instant,
    stats: watch::Sender<Stats>,
    inbox: mpsc::Receiver<Command>,
}

/// Why the loop ends.
type Flow = Result<(), Ended>;

impl Task {
    pub(crate) async fn new(
        signal: Signal,
        bind: IpAddr,
        join: &proto::JoinResponse,
        options: Options,
        stats: watch::Sender<Stats>,
        inbox: mpsc::Receiver<Command>,
    ) -> anyhow::Result<Self> {
        let now = Instant::now();
        let network = Network::new(&options.impairment, now);
        let peer = |target| Peer::new(target, bind, &options, network.as_ref(), &stats, now);
        let mut publisher = peer(proto::SignalTarget::Publisher).await?;
        publisher.want(Change::Channels);
        let mut peers = Vec::new();
        match options.path {
            Path::V0 if join.subscriber_primary => {
                peers = vec![publisher, peer(proto::SignalTarget::Subscriber).await?];
            }
            Path::V0 => peers.push(publisher),
            Path::V1 => {
                publisher.want(Change::Receive { audio: FIRST_SECTIONS, video: FIRST_SECTIONS });
                peers.push(publisher);
            }
        }
        let ping_interval = Duration::from_secs(u64::try_from(join.ping_interval).unwrap_or(0));
        Ok(Self {
            signal: Some(signal),
            me: join.participant.clone().context("no participant")?,
            peers,
            network,
            publications: Vec::new(),
            pending: HashMap::new(),
            waiting: VecDeque::new(),
            next_cid: 0,
            data_sequence: 0,
            ping_interval,
            next_ping: now + ping_interval,
            heard: now,
            options,
            stats,
            inbox,
        })
    }

    /// Runs until something ends the client, and says what.
    pub(crate) async fn run(mut self) {
        let end = Instant::now() + self.options.lifetime;
        let ended = loop {
            if let Err(ended) = self.turn(end).await {
                break ended;
            }
        };
        tracing::debug!(identity = self.me.identity, ?ended, "client ends");
        let politely = matches!(ended, Ended::Left | Ended::Lifetime);
        if let Some(mut signal) = self.signal.take() {
            if politely {
                let leave = proto::LeaveRequest {
                    reason: proto::DisconnectReason::ClientInitiated.into(),
                    ..Default::default()
                };
                if let Err(error) = signal.send(Request::Leave(leave)).await {
                    tracing::debug!(%error, "the server was gone before our goodbye");
                }
            }
            signal.close().await;
        }
        for peer in &mut self.peers {
            peer.rtc.disconnect();
        }
        self.change(|stats| stats.ended = Some(ended));
    }

    /// One round: let the connections speak, wait for something, take it in.
    async fn turn(&mut self, end: Instant) -> Flow {
        self.offer().await?;
        self.poll(Instant::now())?;
        let wake = self.next_wake()?.min(end);
        let signal = self.signal.as_mut().ok_or_else(|| Ended::Signal("no WebSocket".into()))?;
        tokio::select! {
            index = readable(&self.peers) => {
                self.hear(index?, Peer::receive)?;
            }
            message = signal.next() => {
                let message = message.map_err(|error| Ended::Signal(format!("{error:#}")))?;
                self.heard = Instant::now();
                self.take(message).await?;
            }
            command = self.inbox.recv() => {
                self.obey(command.unwrap_or(Command::Leave)).await?;
            }
            () = tokio::time::sleep_until(wake.into()) => {}
        }
        let now = Instant::now();
        if now >= end {
            return Err(Ended::Lifetime);
        }
        self.tick(now).await
    }

    fn next_wake(&mut self) -> Result<Instant, Ended> {
        // What is due and cannot leave yet must not wake us over and over: the end of the handshake will.
        let can_send = self.can_send()?;
        let media = self.publications.iter().filter(|_| can_send).filter_map(Publication::due);
        let peers = self.peers.iter().map(Peer::due);
        let ping = (!self.ping_interval.is_zero()).then_some(self.next_ping);
        let far = Instant::now() + FAR;
        Ok(media.chain(peers).chain(ping).fold(far, Instant::min))
    }

    /// Whether there is something to publish, and a connection that takes it.
    fn can_send(&mut self) -> Result<bool, Ended> {
        match self.peers.first_mut() {
            Some(publisher) if !self.publications.is_empty() => publisher.can_send().map_err(media_failed),
            _ => Ok(false),
        }
    }

    async fn tick(&mut self, now: Instant) -> Flow {
        let due = |publication: &Publication| publication.due().is_some_and(|due| due <= now);
        if self.publications.iter().any(due)
            && self.can_send()?
            && let Some(publisher) = self.peers.first_mut()
        {
            self.stats.send_if_modified(|stats| {
                for publication in self.publications.iter_mut().filter(|one| due(one)) {
                    let counters = stats.published.entry(publication.sid.clone()).or_default();
                    publication.send(publisher, now, counters);
                }
                false
            });
        }
        if !self.ping_interval.is_zero() && now >= self.next_ping {
            if now.duration_since(self.heard) > self.ping_interval * PINGS_MISSED {
                return Err(Ended::Signal("the server answers no pings".into()));
            }
            self.next_ping = now + self.ping_interval;
            let timestamp =
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
            self.say(Request::PingReq(proto::Ping { timestamp, rtt: 0 })).await?;
        }
        Ok(())
    }

    /// Lets every connection speak that has something to say.
    fn poll(&mut self, now: Instant) -> Flow {
        for index in 0..self.peers.len() {
            if self.peers[index].is_quiet(now) {
                continue;
            }
            self.hear(index, |peer, say| peer.poll(now, say))?;
        }
        Ok(())
    }

    /// Takes something else than packets into the counters.
    fn change(&self, change: impl FnOnce(&mut Stats)) {
        self.stats.send_modify(change);
        self.notice();
    }

    fn notice(&self) {
        if let Some(noticed) = &self.options.noticed {
            noticed();
        }
    }

    /// Has a connection speak, and heeds what it says. Packets are counted at once, under one lock of the counters; the rest
    /// afterwards, for it may concern the connection itself.
    fn hear(
        &mut self,
        index: usize,
        speak: impl FnOnce(&mut Peer, &mut dyn FnMut(Said<'_>)) -> anyhow::Result<()>,
    ) -> Flow {
        let Some(peer) = self.peers.get_mut(index) else { return Ok(()) };
        let mut heard = Heard::default();
        let observer = self.options.observer.as_ref();
        let mut spoken = Ok(());
        self.stats.send_if_modified(|stats| {
            spoken = speak(peer, &mut |said| heard.take(stats, observer, said));
            if let Some(network) = &self.network {
                stats.impaired = network.counted();
            }
            heard.packets
        });
        if heard.news.first {
            self.notice();
        }
        spoken.map_err(media_failed)?;
        for (mid, rid) in heard.key_frames {
            self.key_frame(mid, rid);
        }
        for event in heard.events {
            self.event(index, event)?;
        }
        Ok(())
    }

    fn key_frame(&mut self, mid: Mid, rid: Option<Rid>) {
        for publication in self.publications.iter_mut().filter(|one| one.mid == mid) {
            publication.want_key_frame(rid);
            self.stats.send_if_modified(|stats| {
                stats.published.entry(publication.sid.clone()).or_default().key_frame_requests += 1;
                false
            });
        }
    }

    fn event(&mut self, index: usize, event: Event) -> Flow {
        match event {
            Event::Connected => {
                self.peers[index].connected = true;
                if self.peers.iter().all(|peer| peer.connected) {
                    self.change(|stats| {
                        let since = stats.began.elapsed();
                        stats.connected_after.get_or_insert(since);
                    });
                }
            }
            Event::ChannelOpen(id, label) => {
                self.peers[index].channels.insert(label, id);
                self.flush_data();
            }
            Event::ChannelData(data) => self.take_data(index, &data),
            Event::Closed => return Err(Ended::Media("the server closed the transport".into())),
            _ => {}
        }
        Ok(())
    }

    fn take_data(&mut self, index: usize, data: &str0m::channel::ChannelData) {
        let peer = &self.peers[index];
        let reliable = peer.channels.get("_reliable") == Some(&data.id);
        let packet = proto::DataPacket::decode(&*data.data);
        let (from, payload) = match packet {
            Ok(proto::DataPacket {
                participant_identity,
                value: Some(proto::data_packet::Value::User(user)),
                ..
            }) => (participant_identity, user.payload.to_vec()),
            _ => (String::new(), data.data.clone()),
        };
        self.change(|stats| stats.saw_data(DataSeen { from, reliable, payload }));
    }

    async fn obey(&mut self, command: Command) -> Flow {
        match command {
            Command::Leave => return Err(Ended::Left),
            Command::Publish(what, reply) => {
                self.next_cid += 1;
                let cid = format!("native-{}", self.next_cid);
                let shape = match &what {
                    Publish::Video(shape) => Some(shape),
                    Publish::Audio(_) => None,
                };
                let request = announcement(&cid, what.kind(), shape);
                self.pending.insert(cid, Pending { what, sid: None, reply });
                self.say(Request::AddTrack(request)).await?;
            }
            Command::Size(sid, width, height) => {
                let now = Instant::now();
                self.peers.iter_mut().for_each(|peer| peer.watch(&sid, now));
                let settings =
                    proto::UpdateTrackSettings { track_sids: vec![sid], width, height, ..Default::default() };
                self.say(Request::TrackSetting(settings)).await?;
            }
            Command::Mute(sid, muted) => {
                let now = Instant::now();
                for publication in self.publications.iter_mut().filter(|one| one.sid == sid) {
                    publication.mute(muted, now);
                    publication.want_key_frame(None);
                }
                self.say(Request::Mute(proto::MuteTrackRequest { sid, muted })).await?;
            }
            Command::Subscribe(sid, subscribe) => {
                self.change(|stats| {
                    if let Some(track) = stats.received.get_mut(&sid) {
                        track.pause();
                    }
                });
                let update =
                    proto::UpdateSubscription { track_sids: vec![sid], subscribe, ..Default::default() };
                self.say(Request::Subscription(update)).await?;
            }
            Command::Data { payload, reliable, to, reply } => self.queue_data(payload, reliable, to, reply),
        }
        Ok(())
    }

    fn queue_data(
        &mut self,
        payload: Vec<u8>,
        reliable: bool,
        to: Vec<String>,
        reply: oneshot::Sender<anyhow::Result<()>>,
    ) {
        if self.waiting.len() >= WAITING_DATA {
            answer(reply, Err(anyhow!("{WAITING_DATA} messages wait already for their channel")));
            return;
        }
        self.data_sequence += u32::from(reliable);
        let packet = proto::DataPacket {
            destination_identities: to,
            sequence: if reliable { self.data_sequence } else { 0 },
            value: Some(proto::data_packet::Value::User(proto::UserPacket {
                payload: payload.into(),
                ..Default::default()
            })),
            ..Default::default()
        };
        let label = if reliable { "_reliable" } else { "_lossy" };
        self.waiting.push_back(WaitingData { label, bytes: packet.encode_to_vec(), reply });
        self.flush_data();
    }

    /// Sends what waits and has an open channel. Data always leaves by the publisher's connection.
    fn flush_data(&mut self) {
        let Some(peer) = self.peers.first_mut() else { return };
        peer.touch();
        while let Some(first) = self.waiting.pop_front() {
            let channel = peer.channels.get(first.label).and_then(|id| peer.rtc.channel(*id));
            match channel.map(|mut channel| channel.write(true, &first.bytes)) {
                Some(Ok(true)) => answer(first.reply, Ok(())),
                Some(Err(error)) => answer(first.reply, Err(error.into())),
                // Not open yet, or full.
                Some(Ok(false)) | None => {
                    self.waiting.push_front(first);
                    return;
                }
            }
        }
    }

    async fn take(&mut self, message: Response) -> Flow {
        match message {
            Response::Answer(answer) => self.take_answer(&answer)?,
            Response::Offer(offer) => {
                let peer = self.peers.iter_mut().find(|peer| peer.target == proto::SignalTarget::Subscriber);
                let Some(peer) = peer else {
                    return Err(Ended::Signal("an offer on a path without offers".into()));
                };
                let answer = peer.answer(&offer).map_err(media_failed)?;
                self.change(|stats| stats.negotiations += 1);
                self.say(Request::Answer(answer)).await?;
            }
            Response::Trickle(trickle) => {
                let target = trickle.target();
                if let Some(peer) = self.peers.iter_mut().find(|peer| peer.target == target)
                    && let Err(error) = peer.add_candidate(&trickle.candidate_init)
                {
                    tracing::debug!(%error, "a candidate of no use");
                }
            }
            Response::Update(update) => {
                let me = &self.me.sid;
                self.change(|stats| stats.update(&update.participants, me));
            }
            Response::TrackPublished(published) => self.track_published(published),
            Response::RequestResponse(refusal) => self.refused(&refusal),
            Response::MediaSectionsRequirement(missing) => {
                if let Some(peer) = self.peers.first_mut() {
                    peer.want(Change::Receive { audio: missing.num_audios, video: missing.num_videos });
                }
            }
            Response::SpeakersChanged(changed) => self.change(|stats| {
                for speaker in changed.speakers {
                    stats.speakers.insert(speaker.sid, if speaker.active { speaker.level } else { 0.0 });
                }
            }),
            Response::Leave(leave) => {
                return Err(Ended::ByServer { reason: leave.reason, action: leave.action });
            }
            _ => {}
        }
        Ok(())
    }

    fn track_published(&mut self, published: proto::TrackPublishedResponse) {
        let (Some(pending), Some(track)) = (self.pending.get_mut(&published.cid), published.track) else {
            return;
        };
        if pending.sid.replace(track.sid).is_some() {
            return;
        }
        let rids = match &pending.what {
            Publish::Video(shape) if shape.layers.len() > 1 => {
                shape.layers.iter().map(|layer| layer.rid.clone()).collect()
            }
            _ => Vec::new(),
        };
        if let Some(peer) = self.peers.first_mut() {
            peer.want(Change::Send { cid: published.cid, kind: pending.what.kind(), rids });
        }
    }

    fn refused(&mut self, refusal: &proto::RequestResponse) {
        let Some(proto::request_response::Request::AddTrack(request)) = &refusal.request else { return };
        if let Some(pending) = self.pending.remove(&request.cid) {
            answer(
                pending.reply,
                Err(anyhow!("publishing was refused: {:?} {}", refusal.reason(), refusal.message)),
            );
        }
    }

    fn take_answer(&mut self, description: &proto::SessionDescription) -> Flow {
        let Some(peer) = self.peers.first_mut() else { return Ok(()) };
        if !peer.accept_answer(description).map_err(media_failed)? {
            return Ok(());
        }
        let now = Instant::now();
        let negotiated: Vec<String> =
            self.pending.keys().filter(|cid| peer.sending.contains_key(*cid)).cloned().collect();
        for cid in negotiated {
            let (Some(pending), Some(mid)) = (self.pending.remove(&cid), peer.sending.get(&cid)) else {
                continue;
            };
            let sid = pending.sid.unwrap_or_default();
            self.publications.push(match &pending.what {
                Publish::Audio(shape) => Publication::audio(sid.clone(), *mid, *shape, now),
                Publish::Video(shape) => Publication::video(sid.clone(), *mid, shape, now),
            });
            answer(pending.reply, Ok(sid));
        }
        self.change(|stats| stats.negotiations += 1);
        Ok(())
    }

    /// Makes the offers that are due.
    async fn offer(&mut self) -> Flow {
        let offers: Vec<_> = self.peers.iter_mut().filter_map(Peer::offer).collect();
        for offer in offers {
            self.say(Request::Offer(offer)).await?;
        }
        Ok(())
    }

    async fn say(&mut self, message: Request) -> Flow {
        let signal = self.signal.as_mut().ok_or_else(|| Ended::Signal("no WebSocket".into()))?;
        signal.send(message).await.map_err(|error| Ended::Signal(format!("{error:#}")))
    }
}

/// What a connection said, beyond the packets that are counted already.
#[derive(Default)]
struct Heard {
    /// Whether anybody who waits for the counters has something to see.
    packets: bool,
    /// What the packets brought.
    news: News,
    events: Vec<Event>,
    key_frames: Vec<(Mid, Option<Rid>)>,
}

impl Heard {
    fn take(&mut self, stats: &mut Stats, observer: Option<&Observer>, said: Said<'_>) {
        match said {
            Said::Packet(track, packet) => {
                self.packets = true;
                self.news |= receive::take(stats, observer, track, &packet);
            }
            Said::KeyFrame(mid, rid) => self.key_frames.push((mid, rid)),
            Said::Event(event) => self.events.push(event),
            Said::Unsent(datagrams) => stats.unsent_datagrams += datagrams,
            Said::Dropped(datagrams) => stats.dropped_datagrams += datagrams,
        }
    }
}

/// Waits until a socket has something; which.
async fn readable(peers: &[Peer]) -> Result<usize, Ended> {
    std::future::poll_fn(|context| {
        for (index, peer) in peers.iter().enumerate() {
            if let std::task::Poll::Ready(result) = peer.socket.poll_readable(context) {
                return std::task::Poll::Ready(result.map(|()| index).map_err(media_failed));
            }
        }
        std::task::Poll::Pending
    })
    .await
}

fn media_failed(error: impl Into<anyhow::Error>) -> Ended {
    Ended::Media(format!("{:#}", error.into()))
}

/// A caller that no longer waits needs no answer.
fn answer<T>(reply: oneshot::Sender<T>, value: T) {
    if reply.send(value).is_err() {
        tracing::debug!("nobody waits for the answer any more");
    }
}

#[cfg(test)]
mod tests;
