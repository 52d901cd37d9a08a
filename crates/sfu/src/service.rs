//! The gRPC service: each call is checked, becomes a command, and its reply becomes the answer.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::Stream;
use sluice_api::sfu::v1 as api;
use sluice_api::sfu::v1::sfu_server::Sfu;
use sluice_engine::command::NegotiationStep;
use sluice_engine::id::RoomId;
use sluice_engine::{Command, Reply, RoomAction};
use tonic::{Request, Response, Status};
use tracing::{Instrument, Span, debug_span};

use crate::control::Control;
use crate::convert;
use crate::spread::whole_rooms;
use crate::telemetry;

/// Rooms in a page of ListRooms, by default and at most.
const PAGE: usize = 100;
const MAX_PAGE: u32 = 1_000;

/// Remote candidates in a call at most.
const MAX_CANDIDATES: usize = 64;

pub(crate) struct SfuService {
    control: Arc<Control>,
}

impl SfuService {
    pub(crate) fn new(control: Arc<Control>) -> Self {
        SfuService { control }
    }

    async fn room(&self, room: &str, owner_epoch: u64, action: RoomAction) -> Result<Reply, Status> {
        Ok(self.control.act(convert::room_id(room)?, owner_epoch, action).await?.0)
    }

    /// An action that has nothing to say.
    async fn act(&self, room: &str, owner_epoch: u64, action: RoomAction) -> Result<(), Status> {
        match self.room(room, owner_epoch, action).await? {
            Reply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }
}

/// Runs a call within its span, and counts it.
async fn observe<T>(
    name: &'static str,
    span: Span,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<Response<T>, Status> {
    let began = Instant::now();
    let result = async {
        let result = call.await;
        match &result {
            Ok(_) => tracing::debug!("done"),
            Err(status) => tracing::info!(code = ?status.code(), message = status.message(), "refused"),
        }
        result
    }
    .instrument(span)
    .await;
    let code = result.as_ref().err().map_or(tonic::Code::Ok, Status::code);
    telemetry::command(name, code, began.elapsed());
    result.map(Response::new)
}

/// A shard answered a command with another command's reply: a fault of ours.
fn unexpected(reply: &Reply) -> Status {
    tracing::error!(?reply, "a shard's reply does not fit its command");
    Status::internal("the shard's reply does not fit the command")
}

#[tonic::async_trait]
impl Sfu for SfuService {
    async fn get_node(
        &self,
        _: Request<api::GetNodeRequest>,
    ) -> Result<Response<api::GetNodeResponse>, Status> {
        let call = async { Ok(api::GetNodeResponse { node: Some(self.control.node()) }) };
        observe("GetNode", debug_span!("GetNode"), call).await
    }

    async fn drain(
        &self,
        request: Request<api::DrainRequest>,
    ) -> Result<Response<api::DrainResponse>, Status> {
        let deadline_ms = request.into_inner().deadline_ms;
        let call = async {
            let deadline = Some(Duration::from_millis(deadline_ms.into())).filter(|time| !time.is_zero());
            let rooms = self.control.drain(deadline);
            Ok(api::DrainResponse { rooms: u32::try_from(rooms).unwrap_or(u32::MAX) })
        };
        observe("Drain", debug_span!("Drain", deadline_ms), call).await
    }

    async fn put_room(
        &self,
        request: Request<api::PutRoomRequest>,
    ) -> Result<Response<api::PutRoomResponse>, Status> {
        let request = request.into_inner();
        let span = debug_span!("PutRoom", room = request.room_id);
        let call = async {
            let room = convert::room_id(&request.room_id)?;
            let settings = request.settings.map(convert::room_settings);
            let app_state = request.app_state.as_ref().map(convert::kept);
            match self.control.put_room(room, request.owner_epoch, app_state, settings).await? {
                Reply::Created(created) => Ok(api::PutRoomResponse { created }),
                other => Err(unexpected(&other)),
            }
        };
        observe("PutRoom", span, call).await
    }

    async fn delete_room(
        &self,
        request: Request<api::DeleteRoomRequest>,
    ) -> Result<Response<api::DeleteRoomResponse>, Status> {
        let request = request.into_inner();
        let span = debug_span!("DeleteRoom", room = request.room_id);
        let call = async {
            match self.act(&request.room_id, request.owner_epoch, RoomAction::Delete).await {
                // What does not exist is deleted.
                Err(status) if status.code() != tonic::Code::NotFound => Err(status),
                _ => Ok(api::DeleteRoomResponse {}),
            }
        };
        observe("DeleteRoom", span, call).await
    }

    async fn list_rooms(
        &self,
        request: Request<api::ListRoomsRequest>,
    ) -> Result<Response<api::ListRoomsResponse>, Status> {
        let request = request.into_inner();
        let call = async {
            let size = match request.page_size {
                0 => PAGE,
                size @ 1..=MAX_PAGE => size as usize,
                _ => return Err(convert::invalid("page_size", "1 to 1000 are possible")),
            };
            let after = match request.page_token.as_str() {
                "" => None,
                token => Some(
                    RoomId::new(token)
                        .map_err(|_| convert::invalid("page_token", "is not from an answer of ListRooms"))?,
                ),
            };
            let mut rooms = Vec::new();
            for reply in self.control.every_shard(&Command::ListRooms).await? {
                match reply {
                    Reply::Rooms(of_shard) => rooms.extend(of_shard),
                    other => return Err(unexpected(&other)),
                }
            }
            let mut rooms = whole_rooms(rooms);
            rooms.retain(|room| after.as_ref().is_none_or(|after| room.room > *after));
            let is_last = rooms.len() <= size;
            rooms.truncate(size);
            // The token is the last room's id: pages stay right while rooms come and go.
            let last = rooms.last().filter(|_| !is_last);
            let next_page_token = last.map(|room| room.room.to_string()).unwrap_or_default();
            let rooms = rooms.iter().map(convert::summary).collect();
            Ok(api::ListRoomsResponse { rooms, next_page_token })
        };
        observe("ListRooms", debug_span!("ListRooms"), call).await
    }

    async fn get_room(
        &self,
        request: Request<api::GetRoomRequest>,
    ) -> Result<Response<api::GetRoomResponse>, Status> {
        let request = request.into_inner();
        let span = debug_span!("GetRoom", room = request.room_id);
        let call = async {
            let room = convert::room_id(&request.room_id)?;
            match self.control.act(room, 0, RoomAction::Get).await? {
                (Reply::Room(room), event_sequence) => {
                    Ok(api::GetRoomResponse { room: Some(convert::room(&room, event_sequence)) })
                }
                (other, _) => Err(unexpected(&other)),
            }
        };
        observe("GetRoom", span, call).await
    }

    async fn keep_alive(
        &self,
        request: Request<api::KeepAliveRequest>,
    ) -> Result<Response<api::KeepAliveResponse>, Status> {
        let owner_epoch = request.into_inner().owner_epoch;
        let call = async {
            let mut rooms = 0;
            for reply in self.control.every_shard(&Command::KeepAlive { owner_epoch }).await? {
                match reply {
                    Reply::Count(count) => rooms += count,
                    other => return Err(unexpected(&other)),
                }
            }
            Ok(api::KeepAliveResponse { rooms: u32::try_from(rooms).unwrap_or(u32::MAX) })
        };
        observe("KeepAlive", debug_span!("KeepAlive", owner_epoch), call).await
    }

    async fn put_session(
        &self,
        request: Request<api::PutSessionRequest>,
    ) -> Result<Response<api::PutSessionResponse>, Status> {
        let request = request.into_inner();
        let span = debug_span!("PutSession", room = request.room_id, session = request.session_id);
        let call = async {
            let (room, session) =
                (convert::room_id(&request.room_id)?, convert::session_id(&request.session_id)?);
            let action = RoomAction::PutSession {
                session: session.clone(),
                participant: convert::participant_id(&request.participant_id)?,
                settings: convert::session_settings(request.settings)?,
                app_state: request.app_state.as_ref().map(convert::kept),
                elsewhere: 0,
            };
            match self.control.put_session(room, request.owner_epoch, session, action).await? {
                Reply::Created(created) => Ok(api::PutSessionResponse { created }),
                other => Err(unexpected(&other)),
            }
        };
        observe("PutSession", span, call).await
    }

    async fn delete_session(
        &self,
        request: Request<api::DeleteSessionRequest>,
    ) -> Result<Response<api::DeleteSessionResponse>, Status> {
        let request = request.into_inner();
        let span = debug_span!("DeleteSession", room = request.room_id, session = request.session_id);
        let call = async {
            let action = RoomAction::DeleteSession { session: convert::session_id(&request.session_id)? };
            match self.act(&request.room_id, request.owner_epoch, action).await {
                Err(status) if status.code() != tonic::Code::NotFound => Err(status),
                _ => Ok(api::DeleteSessionResponse {}),
            }
        };
        observe("DeleteSession", span, call).await
    }

    async fn set_publications(
        &self,
        request: Request<api::SetPublicationsRequest>,
    ) -> Result<Response<api::SetPublicationsResponse>, Status> {
        let request = request.into_inner();
        let span = debug_span!("SetPublications", room = request.room_id, session = request.session_id);
        let call = async {
            let action = RoomAction::SetPublications {
                session: convert::session_id(&request.session_id)?,
                publications: convert::publications(request.publications)?,
            };
            self.act(&request.room_id, request.owner_epoch, action).await?;
            Ok(api::SetPublicationsResponse {})
        };
        observe("SetPublications", span, call).await
    }

    async fn set_subscriptions(
        &self,
        request: Request<api::SetSubscriptionsRequest>,
    ) -> Result<Response<api::SetSubscriptionsResponse>, Status> {
        let request = request.into_inner();
        let span = debug_span!("SetSubscriptions", room = request.room_id, session = request.session_id);
        let call = async {
            let action = RoomAction::SetSubscriptions {
                session: convert::session_id(&request.session_id)?,
                subscriptions: convert::subscriptions(request.subscriptions)?,
            };
            self.act(&request.room_id, request.owner_epoch, action).await?;
            Ok(api::SetSubscriptionsResponse {})
        };
        observe("SetSubscriptions", span, call).await
    }

    async fn set_muted(
        &self,
        request: Request<api::SetMutedRequest>,
    ) -> Result<Response<api::SetMutedResponse>, Status> {
        let request = request.into_inner();
        let span = debug_span!("SetMuted", room = request.room_id, publication = request.publication_id);
        let call = async {
            let publication = convert::publication_id(&request.publication_id)?;
            let action = RoomAction::SetMuted { publication, muted: request.muted };
            self.act(&request.room_id, request.owner_epoch, action).await?;
            Ok(api::SetMutedResponse {})
        };
        observe("SetMuted", span, call).await
    }

    async fn negotiate(
        &self,
        request: Request<api::NegotiateRequest>,
    ) -> Result<Response<api::NegotiateResponse>, Status> {
        use api::negotiate_request::Step;
        let request = request.into_inner();
        let span = debug_span!("Negotiate", room = request.room_id, session = request.session_id);
        let call = async {
            let step = match request.step {
                Some(Step::RemoteOffer(sdp)) => NegotiationStep::RemoteOffer(sdp),
                Some(Step::CreateOffer(offer)) => {
                    NegotiationStep::CreateOffer { ice_restart: offer.ice_restart }
                }
                Some(Step::RemoteAnswer(sdp)) => NegotiationStep::RemoteAnswer(sdp),
                None => return Err(convert::invalid("step", "is missing")),
            };
            let session = convert::session_id(&request.session_id)?;
            let action = RoomAction::Negotiate { session, step };
            match self.room(&request.room_id, request.owner_epoch, action).await? {
                Reply::Negotiated(negotiated) => Ok(api::NegotiateResponse {
                    sdp: negotiated.sdp,
                    bindings: convert::bindings(negotiated.bindings),
                    missing: Some(convert::missing(negotiated.missing)),
                }),
                other => Err(unexpected(&other)),
            }
        };
        observe("Negotiate", span, call).await
    }

    async fn add_candidates(
        &self,
        request: Request<api::AddCandidatesRequest>,
    ) -> Result<Response<api::AddCandidatesResponse>, Status> {
        let request = request.into_inner();
        let span = debug_span!("AddCandidates", room = request.room_id, session = request.session_id);
        let call = async {
            if request.candidates.len() > MAX_CANDIDATES {
                return Err(convert::invalid("candidates", "at most 64 are possible"));
            }
            let session = convert::session_id(&request.session_id)?;
            let action = RoomAction::AddCandidates { session, candidates: request.candidates };
            self.act(&request.room_id, request.owner_epoch, action).await?;
            Ok(api::AddCandidatesResponse {})
        };
        observe("AddCandidates", span, call).await
    }

    async fn send_data(
        &self,
        request: Request<api::SendDataRequest>,
    ) -> Result<Response<api::SendDataResponse>, Status> {
        let request = request.into_inner();
        let span = debug_span!("SendData", room = request.room_id);
        let call = async {
            let action = RoomAction::SendData {
                label: request.label,
                payload: request.payload,
                destinations: request.destinations,
            };
            match self.room(&request.room_id, request.owner_epoch, action).await? {
                Reply::Count(receivers) => {
                    Ok(api::SendDataResponse { receivers: u32::try_from(receivers).unwrap_or(u32::MAX) })
                }
                other => Err(unexpected(&other)),
            }
        };
        observe("SendData", span, call).await
    }

    async fn request_key_frame(
        &self,
        request: Request<api::RequestKeyFrameRequest>,
    ) -> Result<Response<api::RequestKeyFrameResponse>, Status> {
        let request = request.into_inner();
        let span =
            debug_span!("RequestKeyFrame", room = request.room_id, publication = request.publication_id);
        let call = async {
            let publication = convert::publication_id(&request.publication_id)?;
            let action = RoomAction::RequestKeyFrame { publication };
            self.act(&request.room_id, request.owner_epoch, action).await?;
            Ok(api::RequestKeyFrameResponse {})
        };
        observe("RequestKeyFrame", span, call).await
    }

    async fn get_stats(
        &self,
        request: Request<api::GetStatsRequest>,
    ) -> Result<Response<api::GetStatsResponse>, Status> {
        let request = request.into_inner();
        let span = debug_span!("GetStats", room = request.room_id);
        let call = async {
            let session = match request.session_id.as_str() {
                "" => None,
                id => Some(convert::session_id(id)?),
            };
            match self.room(&request.room_id, 0, RoomAction::GetStats { session }).await? {
                Reply::Stats(stats) => {
                    Ok(api::GetStatsResponse { sessions: stats.iter().map(convert::stats).collect() })
                }
                other => Err(unexpected(&other)),
            }
        };
        observe("GetStats", span, call).await
    }

    type WatchEventsStream = Pin<Box<dyn Stream<Item = Result<api::WatchEventsResponse, Status>> + Send>>;

    async fn watch_events(
        &self,
        request: Request<api::WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        let request = request.into_inner();
        let call = async { Ok(Box::pin(self.control.events.watch(&request)?) as Self::WatchEventsStream) };
        observe("WatchEvents", debug_span!("WatchEvents"), call).await
    }
}
