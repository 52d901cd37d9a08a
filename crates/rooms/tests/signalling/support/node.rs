//! A node without media: it keeps what is declared, as the real one does, and writes down what it is told.
//!
//! Its session descriptions are words. An offer of a client says `audio=N video=N` for its receiving sections; an
//! answer, or an offer of the node, says `tracks=TR_x,TR_y` for what the session subscribes to.
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use sluice_api::sfu::v1::binding::Carries;
use sluice_api::sfu::v1::event::Kind;
use sluice_api::sfu::v1::negotiate_request::Step;
use sluice_api::sfu::v1::sfu_server::{Sfu, SfuServer};
use sluice_api::sfu::v1::watch_events_response::Message;
use sluice_api::sfu::v1::*;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};

#[derive(Clone)]
pub struct FakeNode(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    events: broadcast::Sender<Event>,
}

#[derive(Default)]
struct State {
    boot_id: String,
    rooms: BTreeMap<String, Room>,
    calls: Vec<String>,
    log: Vec<Event>,
    /// Fail calls of this name with UNAVAILABLE.
    failing: Option<&'static str>,
    receiving: BTreeMap<String, (u32, u32)>,
}

impl FakeNode {
    /// Starts at a free port.
    pub async fn start() -> (Self, SocketAddr) {
        let (events, _) = broadcast::channel(1024);
        let state = State { boot_id: "boot-1".into(), ..State::default() };
        let node = Self(Arc::new(Inner { state: Mutex::new(state), changed: watch::Sender::new(0), events }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tonic::transport::Server::builder().add_service(SfuServer::new(node.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        (node, address)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    fn note(&self, call: String) -> Result<(), Status> {
        let mut state = self.state();
        let name = call.split(' ').next().unwrap_or_default();
        if state.failing.is_some_and(|failing| failing == name) {
            return Err(Status::unavailable("told to fail"));
        }
        state.calls.push(call);
        drop(state);
        self.0.changed.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Waits until `condition` holds of the calls so far.
    pub async fn wait_for(&self, what: &str, condition: impl Fn(&[String]) -> bool) {
        let mut changed = self.0.changed.subscribe();
        let waiting = async {
            while !condition(&self.state().calls) {
                changed.changed().await.unwrap();
            }
        };
        if tokio::time::timeout(Duration::from_secs(10), waiting).await.is_err() {
            panic!("not seen at the node: {what}; calls: {:#?}", self.state().calls);
        }
    }

    pub async fn wait_for_call(&self, call: &str) {
        self.wait_for(call, |calls| calls.iter().any(|seen| seen.starts_with(call))).await;
    }

    pub fn calls(&self) -> Vec<String> {
        self.state().calls.clone()
    }

    pub fn room(&self) -> Room {
        self.state().rooms.values().next().cloned().unwrap()
    }

    pub fn session(&self, suffix: &str) -> Session {
        let sessions = self.room().sessions;
        sessions.into_iter().find(|session| session.session_id.ends_with(suffix)).unwrap()
    }

    /// The session's media comes up.
    pub fn connect(&self, session_id: &str) {
        for room in self.state().rooms.values_mut() {
            for session in room.sessions.iter_mut().filter(|session| session.session_id == session_id) {
                session.set_state(SessionState::Connected);
            }
        }
        self.emit(Kind::SessionChanged(SessionChanged {
            session_id: session_id.into(),
            state: SessionState::Connected.into(),
            ..Default::default()
        }));
    }

    pub fn fail(&self, call: Option<&'static str>) {
        self.state().failing = call;
    }

    /// As after a restart of the node: everything is gone, and it is another boot.
    pub fn forget_everything(&self) {
        let mut state = self.state();
        state.rooms.clear();
        state.log.clear();
        state.boot_id = "boot-2".into();
        drop(state);
        // Ends the streams: their watchers come back and see the other boot.
        self.emit_to_all("", None);
    }

    /// As if the node had dropped the events that we have not seen; rooms stay.
    pub fn lose_events(&self) {
        let mut state = self.state();
        state.log.clear();
        state.boot_id = "boot-2".into();
        drop(state);
        self.emit_to_all("", None);
    }

    pub fn emit(&self, kind: Kind) {
        let room_id = self.room().room_id;
        self.emit_to_all(&room_id, Some(kind));
    }

    fn emit_to_all(&self, room_id: &str, kind: Option<Kind>) {
        let mut state = self.state();
        let sequence = state.log.len() as u64 + 1;
        let event = Event { sequence, at_ms: 0, room_id: room_id.into(), kind };
        if event.kind.is_some() {
            state.log.push(event.clone());
        }
        drop(state);
        // Without a watcher it stays in the log.
        drop(self.0.events.send(event));
    }

    fn emit_in(&self, room_id: &str, kind: Kind) {
        self.emit_to_all(room_id, Some(kind));
    }

    fn mutate<T>(
        &self,
        room_id: &str,
        epoch: u64,
        session_id: &str,
        change: impl FnOnce(&mut Session) -> T,
    ) -> Result<T, Status> {
        let mut state = self.state();
        let room = state.rooms.get_mut(room_id).ok_or_else(|| Status::not_found("room"))?;
        check_epoch(room, epoch)?;
        let sessions = &mut room.sessions;
        let session = sessions.iter_mut().find(|session| session.session_id == session_id);
        Ok(change(session.ok_or_else(|| Status::not_found("session"))?))
    }

    /// Binds what is declared: publications at once, subscriptions as far as there are sections.
    fn bind(&self, room_id: &str, session_id: &str) -> NegotiateResponse {
        let mut state = self.state();
        let (mut audio, mut video) = state.receiving.get(session_id).copied().unwrap_or((99, 99));
        let room = state.rooms.get_mut(room_id).unwrap();
        let kinds: BTreeMap<String, i32> = room
            .sessions
            .iter()
            .flat_map(|session| &session.publications)
            .map(|publication| (publication.publication_id.clone(), publication.kind))
            .collect();
        let session = room.sessions.iter_mut().find(|session| session.session_id == session_id).unwrap();
        let mut response = NegotiateResponse::default();
        let mut missing = MissingSections::default();
        for (index, publication) in session.publications.iter_mut().enumerate() {
            publication.mid = format!("p{index}");
            let carries = Some(Carries::PublicationId(publication.publication_id.clone()));
            response.bindings.push(Binding { mid: publication.mid.clone(), carries });
        }
        let mut tracks = Vec::new();
        for (index, subscription) in session.subscriptions.iter().enumerate() {
            let Some(kind) = kinds.get(&subscription.publication_id) else { continue };
            let (free, lacking) = match *kind {
                kind if kind == i32::from(sluice_api::sfu::v1::Kind::Audio) => {
                    (&mut audio, &mut missing.audio)
                }
                _ => (&mut video, &mut missing.video),
            };
            if *free == 0 {
                *lacking += 1;
                continue;
            }
            *free -= 1;
            tracks.push(subscription.publication_id.clone());
            let carries = Some(Carries::SubscriptionPublicationId(subscription.publication_id.clone()));
            response.bindings.push(Binding { mid: format!("s{index}"), carries });
        }
        response.sdp = format!("tracks={}", tracks.join(","));
        response.missing = Some(missing);
        response
    }
}

fn check_epoch(room: &mut Room, epoch: u64) -> Result<(), Status> {
    if epoch != 0 && epoch < room.owner_epoch {
        return Err(Status::failed_precondition("stale epoch"));
    }
    room.owner_epoch = room.owner_epoch.max(epoch);
    Ok(())
}

fn ids(publications: &[Publication]) -> String {
    publications.iter().map(|publication| publication.publication_id.as_str()).collect::<Vec<_>>().join(",")
}

fn number(text: &str, name: &str) -> u32 {
    let mut words = text.split_whitespace();
    words.find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok()).unwrap_or(0)
}

#[tonic::async_trait]
impl Sfu for FakeNode {
    async fn get_node(&self, _: Request<GetNodeRequest>) -> Result<Response<GetNodeResponse>, Status> {
        self.note("GetNode".into())?;
        let node = Node { boot_id: self.state().boot_id.clone(), ..Node::default() };
        Ok(Response::new(GetNodeResponse { node: Some(node) }))
    }

    async fn drain(&self, _: Request<DrainRequest>) -> Result<Response<DrainResponse>, Status> {
        Err(Status::unimplemented("drain"))
    }

    async fn put_room(&self, request: Request<PutRoomRequest>) -> Result<Response<PutRoomResponse>, Status> {
        let request = request.into_inner();
        self.note("PutRoom".into())?;
        let mut state = self.state();
        let created = !state.rooms.contains_key(&request.room_id);
        let room = state.rooms.entry(request.room_id.clone()).or_default();
        room.room_id = request.room_id;
        check_epoch(room, request.owner_epoch)?;
        room.app_state = request.app_state.unwrap_or_else(|| room.app_state.clone());
        Ok(Response::new(PutRoomResponse { created }))
    }

    async fn delete_room(
        &self,
        request: Request<DeleteRoomRequest>,
    ) -> Result<Response<DeleteRoomResponse>, Status> {
        self.state().rooms.remove(&request.into_inner().room_id);
        self.note("DeleteRoom".into())?;
        Ok(Response::new(DeleteRoomResponse {}))
    }

    async fn list_rooms(&self, _: Request<ListRoomsRequest>) -> Result<Response<ListRoomsResponse>, Status> {
        self.note("ListRooms".into())?;
        let state = self.state();
        let rooms = state.rooms.values();
        let summary = |room: &Room| RoomSummary {
            room_id: room.room_id.clone(),
            owner_epoch: room.owner_epoch,
            ..RoomSummary::default()
        };
        let rooms = rooms.map(summary).collect();
        Ok(Response::new(ListRoomsResponse { rooms, next_page_token: String::new() }))
    }

    async fn get_room(&self, request: Request<GetRoomRequest>) -> Result<Response<GetRoomResponse>, Status> {
        self.note("GetRoom".into())?;
        let state = self.state();
        let room = state.rooms.get(&request.into_inner().room_id).cloned();
        let room = room.ok_or_else(|| Status::not_found("room"))?;
        let room = Some(Room { event_sequence: state.log.len() as u64, ..room });
        Ok(Response::new(GetRoomResponse { room }))
    }

    async fn keep_alive(&self, _: Request<KeepAliveRequest>) -> Result<Response<KeepAliveResponse>, Status> {
        self.note("KeepAlive".into())?;
        Ok(Response::new(KeepAliveResponse { rooms: 0 }))
    }

    async fn put_session(
        &self,
        request: Request<PutSessionRequest>,
    ) -> Result<Response<PutSessionResponse>, Status> {
        let request = request.into_inner();
        self.note(format!("PutSession {}", request.session_id))?;
        let mut state = self.state();
        let room = state.rooms.get_mut(&request.room_id).ok_or_else(|| Status::not_found("room"))?;
        check_epoch(room, request.owner_epoch)?;
        let known = room.sessions.iter().position(|session| session.session_id == request.session_id);
        let index = known.unwrap_or_else(|| {
            room.sessions.push(Session { session_id: request.session_id, ..Session::default() });
            room.sessions.len() - 1
        });
        let session = &mut room.sessions[index];
        session.participant_id = request.participant_id;
        session.settings = request.settings;
        session.app_state = request.app_state.unwrap_or_else(|| session.app_state.clone());
        Ok(Response::new(PutSessionResponse { created: known.is_none() }))
    }

    async fn delete_session(
        &self,
        request: Request<DeleteSessionRequest>,
    ) -> Result<Response<DeleteSessionResponse>, Status> {
        let request = request.into_inner();
        if let Some(room) = self.state().rooms.get_mut(&request.room_id) {
            check_epoch(room, request.owner_epoch)?;
            room.sessions.retain(|session| session.session_id != request.session_id);
        }
        self.note(format!("DeleteSession {}", request.session_id))?;
        Ok(Response::new(DeleteSessionResponse {}))
    }

    async fn set_publications(
        &self,
        request: Request<SetPublicationsRequest>,
    ) -> Result<Response<SetPublicationsResponse>, Status> {
        let request = request.into_inner();
        let call = format!("SetPublications {} {}", request.session_id, ids(&request.publications));
        self.mutate(&request.room_id, request.owner_epoch, &request.session_id, |session| {
            session.publications = request.publications;
        })?;
        self.note(call)?;
        Ok(Response::new(SetPublicationsResponse {}))
    }

    async fn set_subscriptions(
        &self,
        request: Request<SetSubscriptionsRequest>,
    ) -> Result<Response<SetSubscriptionsResponse>, Status> {
        let request = request.into_inner();
        let ids: Vec<_> = request.subscriptions.iter().map(|one| one.publication_id.clone()).collect();
        let call = format!("SetSubscriptions {} {}", request.session_id, ids.join(","));
        let changed = self.mutate(&request.room_id, request.owner_epoch, &request.session_id, |session| {
            let before: Vec<_> = session.subscriptions.iter().map(|one| one.publication_id.clone()).collect();
            session.subscriptions = request.subscriptions;
            before != ids
        })?;
        self.note(call)?;
        if changed {
            let missing = self.bind(&request.room_id, &request.session_id).missing;
            let needed = NegotiationNeeded { session_id: request.session_id, missing };
            self.emit_in(&request.room_id, Kind::NegotiationNeeded(needed));
        }
        Ok(Response::new(SetSubscriptionsResponse {}))
    }

    async fn set_muted(
        &self,
        request: Request<SetMutedRequest>,
    ) -> Result<Response<SetMutedResponse>, Status> {
        let request = request.into_inner();
        self.note(format!("SetMuted {} {}", request.publication_id, request.muted))?;
        Ok(Response::new(SetMutedResponse {}))
    }

    async fn negotiate(
        &self,
        request: Request<NegotiateRequest>,
    ) -> Result<Response<NegotiateResponse>, Status> {
        let request = request.into_inner();
        let (room_id, session_id) = (request.room_id, request.session_id);
        self.mutate(&room_id, request.owner_epoch, &session_id, |_| ())?;
        let mut response = NegotiateResponse::default();
        match request.step {
            Some(Step::RemoteOffer(sdp)) if sdp == "nonsense" => {
                return Err(Status::invalid_argument("remote_offer"));
            }
            Some(Step::RemoteOffer(sdp)) => {
                self.note(format!("Offer {session_id} {sdp}"))?;
                let receiving = (number(&sdp, "audio"), number(&sdp, "video"));
                self.state().receiving.insert(session_id.clone(), receiving);
                response = self.bind(&room_id, &session_id);
                if sdp.contains("stopped") {
                    response
                        .bindings
                        .retain(|binding| !matches!(binding.carries, Some(Carries::PublicationId(_))));
                }
            }
            Some(Step::CreateOffer(create)) => {
                self.note(format!("CreateOffer {session_id} restart={}", create.ice_restart))?;
                response = self.bind(&room_id, &session_id);
                response.sdp = format!("{} restart={}", response.sdp, create.ice_restart);
            }
            Some(Step::RemoteAnswer(_)) => self.note(format!("Answer {session_id}"))?,
            None => return Err(Status::invalid_argument("step")),
        }
        Ok(Response::new(response))
    }

    async fn add_candidates(
        &self,
        request: Request<AddCandidatesRequest>,
    ) -> Result<Response<AddCandidatesResponse>, Status> {
        let request = request.into_inner();
        self.note(format!("AddCandidates {} {}", request.session_id, request.candidates.join(",")))?;
        Ok(Response::new(AddCandidatesResponse {}))
    }

    async fn send_data(&self, _: Request<SendDataRequest>) -> Result<Response<SendDataResponse>, Status> {
        Err(Status::unimplemented("data"))
    }

    async fn request_key_frame(
        &self,
        _: Request<RequestKeyFrameRequest>,
    ) -> Result<Response<RequestKeyFrameResponse>, Status> {
        Err(Status::unimplemented("key frames"))
    }

    async fn get_stats(&self, _: Request<GetStatsRequest>) -> Result<Response<GetStatsResponse>, Status> {
        Err(Status::unimplemented("statistics"))
    }

    type WatchEventsStream =
        std::pin::Pin<Box<dyn Stream<Item = Result<WatchEventsResponse, Status>> + Send>>;

    async fn watch_events(
        &self,
        request: Request<WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        let request = request.into_inner();
        let live = tokio_stream::wrappers::BroadcastStream::new(self.0.events.subscribe());
        let (hello, missed) = {
            let state = self.state();
            let known = request.boot_id == state.boot_id;
            let newest = state.log.len() as u64;
            let sequence = if known { request.after_sequence } else { newest };
            let missed: Vec<_> =
                state.log.iter().filter(|event| event.sequence > sequence).cloned().collect();
            let reset = !request.boot_id.is_empty() && !known;
            (Hello { boot_id: state.boot_id.clone(), sequence, reset }, missed)
        };
        let answer = |message| Ok(WatchEventsResponse { message: Some(message) });
        let first = std::iter::once(answer(Message::Hello(hello)));
        let missed = missed.into_iter().map(move |event| answer(Message::Event(event)));
        let live = live.map(move |event| match event {
            // An event without a kind is the end of all streams.
            Ok(Event { kind: None, .. }) | Err(_) => Err(Status::unavailable("the node restarts")),
            Ok(event) => Ok(WatchEventsResponse { message: Some(Message::Event(event)) }),
        });
        self.note("WatchEvents".into())?;
        Ok(Response::new(Box::pin(tokio_stream::iter(first.chain(missed)).chain(live))))
    }
}
