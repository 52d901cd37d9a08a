//! One participant at the node: hears its client, who speaks the client protocol, and does what it says by
//! the node's API.
use std::sync::Arc;

use anyhow::{Context as _, bail};
use sluice_api::sfu::v1 as sfu;
use sluice_api::sfu::v1::negotiate_request::Step;
use sluice_client::{Options, Path};
use sluice_livekit_proto as proto;
use sluice_livekit_proto::participant_info::State;
use sluice_livekit_proto::signal_request::Message as Request;
use sluice_livekit_proto::signal_response::Message as Response;
use tokio::sync::mpsc;

use super::api::{Node, Place, refused};
use super::events::{Member, Note, Room};
use super::rounds::{Offers, Requests};
use super::tracks::{self, Tracks, Wishes};

/// Channels that the node opens, as room management has it do: their names, and whether they are reliable.
const CHANNELS: [(&str, bool); 3] = [("_reliable", true), ("_lossy", false), ("_data_track", false)];

pub(crate) struct Guest {
    node: Node,
    member: Member,
    identity: String,
    /// Where the client offers.
    publisher: String,
    /// Where the node offers; without it subscriptions live on the publisher's session.
    subscriber: Option<String>,
    publications: Vec<sfu::Publication>,
    /// What the client knows of the others.
    told: Tracks,
    wishes: Wishes,
    declared: Vec<sfu::Subscription>,
    offers: Offers,
    requests: Requests,
    outbox: mpsc::Sender<anyhow::Result<Response>>,
}

impl Guest {
    pub(crate) fn new(
        node: Node,
        room: &Arc<Room>,
        identity: &str,
        options: &Options,
        outbox: mpsc::Sender<anyhow::Result<Response>>,
    ) -> Self {
        let (publisher, subscriber) = match options.path {
            Path::V0 => (format!("{identity}.pub"), Some(format!("{identity}.sub"))),
            Path::V1 => (identity.to_owned(), None),
        };
        let sessions = [&publisher].into_iter().chain(&subscriber).cloned().collect();
        Self {
            node,
            member: room.enter(sessions),
            identity: identity.into(),
            publisher,
            subscriber,
            publications: Vec::new(),
            told: Tracks::new(),
            wishes: Wishes::new(options.auto_subscribe, options.adaptive_stream),
            declared: Vec::new(),
            offers: Offers::default(),
            requests: Requests::new(),
            outbox,
        }
    }

    /// Creates the sessions. What a server would say first.
    pub(crate) async fn arrive(&mut self) -> anyhow::Result<proto::JoinResponse> {
        for session in [Some(&self.publisher), self.subscriber.as_ref()].into_iter().flatten() {
            let settings = self.settings(session);
            let put = self.node.put_session(self.place(session), &self.identity, settings).await;
            put.map_err(|status| refused("no session", &status))?;
        }
        let others = tracks::news(&mut self.told, &self.member.tracks.borrow_and_update(), &self.identity);
        self.declare().await?;
        Ok(proto::JoinResponse {
            participant: Some(tracks::participant(&self.identity, State::Active)),
            other_participants: others,
            subscriber_primary: self.subscriber.is_some(),
            ..Default::default()
        })
    }

    /// Until the client leaves or something fails; then the sessions end.
    pub(crate) async fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        if let Err(error) = self.serve(&mut inbox).await {
            tracing::debug!(identity = self.identity, error = format!("{error:#}"), "a guest ends");
            // The client may be gone; then nobody wants to know.
            let _gone = self.outbox.send(Err(error)).await;
        }
        self.leave().await;
    }

    /// Ends the sessions. If the node does not take it, they end with the room.
    pub(crate) async fn leave(self) {
        for session in [Some(&self.publisher), self.subscriber.as_ref()].into_iter().flatten() {
            if let Err(status) = self.node.delete_session(self.place(session)).await {
                tracing::warn!(session, code = ?status.code(), message = status.message(), "a session was not ended");
            }
        }
    }

    async fn serve(&mut self, inbox: &mut mpsc::Receiver<Request>) -> anyhow::Result<()> {
        if self.subscriber.is_some() {
            self.offer().await?;
        }
        loop {
            tokio::select! {
                request = inbox.recv() => {
                    let mut next = request;
                    // What was said at once is declared at once.
                    loop {
                        match next {
                            None | Some(Request::Leave(_)) => return Ok(()),
                            Some(request) => self.take(request).await?,
                        }
                        match inbox.try_recv() {
                            Ok(request) => next = Some(request),
                            Err(_) => break,
                        }
                    }
                }
                changed = self.member.tracks.changed() => {
                    changed.context("the node's events ended")?;
                    self.look().await?;
                }
                note = self.member.notes.recv() => match note {
                    Some(Note::NegotiationNeeded(needed)) => self.negotiation_needed(needed).await?,
                    Some(Note::Ended(why)) => bail!(why),
                    None => bail!("notes of the node came faster than they were heeded"),
                },
            }
            self.declare().await?;
        }
    }

    /// The client says something.
    async fn take(&mut self, request: Request) -> anyhow::Result<()> {
        match request {
            Request::Offer(offer) => self.take_offer(offer).await?,
            Request::Answer(answer) => {
                let session = self.subscriber.as_ref().context("an answer on a path without offers")?;
                let taken = self.node.negotiate(self.place(session), Step::RemoteAnswer(answer.sdp)).await;
                taken.map_err(|status| refused("the answer was not taken", &status))?;
                if self.offers.answered() {
                    self.offer().await?;
                }
            }
            Request::AddTrack(request) => {
                let id = tracks::id(&self.identity, self.publications.len());
                self.publications.push(tracks::publication(&request, id));
                let all = self.publications.clone();
                let published = self.node.set_publications(self.place(&self.publisher), all).await;
                published.map_err(|status| refused("publishing was refused", &status))?;
                let track = self.publications.last().map(tracks::info);
                let published = proto::TrackPublishedResponse { cid: request.cid, track };
                self.tell(Response::TrackPublished(published)).await?;
            }
            Request::Mute(proto::MuteTrackRequest { sid, muted }) => {
                for publication in self.publications.iter_mut().filter(|one| one.publication_id == sid) {
                    publication.muted = muted;
                }
                let done = self.node.set_muted(&self.member.room.id, &sid, muted).await;
                done.map_err(|status| refused("not muted", &status))?;
            }
            Request::Subscription(update) => self.wishes.choose(&update),
            Request::TrackSetting(update) => self.wishes.size(&update),
            other => tracing::debug!(?other, "of no concern to a node"),
        }
        Ok(())
    }

    async fn take_offer(&mut self, offer: proto::SessionDescription) -> anyhow::Result<()> {
        self.requests.offered();
        let step = Step::RemoteOffer(offer.sdp);
        let answer = self.node.negotiate(self.place(&self.publisher), step).await;
        let answer = answer.map_err(|status| refused("the offer was not taken", &status))?;
        self.tell(Response::Answer(proto::SessionDescription {
            r#type: "answer".into(),
            sdp: answer.sdp,
            id: offer.id,
            mid_to_track_id: tracks::by_section(answer.bindings),
        }))
        .await?;
        match answer.missing {
            Some(missing) if missing != sfu::MissingSections::default() => self.ask(missing).await,
            _ => Ok(()),
        }
    }

    async fn negotiation_needed(&mut self, needed: sfu::NegotiationNeeded) -> anyhow::Result<()> {
        match &self.subscriber {
            Some(subscriber) if *subscriber != needed.session_id => Ok(()),
            Some(_) if self.offers.needed() => self.offer().await,
            Some(_) => Ok(()),
            None => self.ask(needed.missing.unwrap_or_default()).await,
        }
    }

    /// Has the client offer.
    async fn ask(&mut self, missing: sfu::MissingSections) -> anyhow::Result<()> {
        if !self.requests.needed() {
            return Ok(());
        }
        let (num_audios, num_videos) = (missing.audio, missing.video);
        let missing = proto::MediaSectionsRequirement { num_audios, num_videos };
        self.tell(Response::MediaSectionsRequirement(missing)).await
    }

    /// Has the node offer.
    async fn offer(&mut self) -> anyhow::Result<()> {
        let Some(session) = &self.subscriber else { return Ok(()) };
        let step = Step::CreateOffer(sfu::CreateOffer { ice_restart: false });
        let offer = self.node.negotiate(self.place(session), step).await;
        let offer = offer.map_err(|status| refused("the node makes no offer", &status))?;
        let Some(id) = self.offers.made(&offer.sdp) else { return Ok(()) };
        self.tell(Response::Offer(proto::SessionDescription {
            r#type: "offer".into(),
            sdp: offer.sdp,
            id,
            mid_to_track_id: tracks::by_section(offer.bindings),
        }))
        .await
    }

    /// Tells the client what is new of the others.
    async fn look(&mut self) -> anyhow::Result<()> {
        let participants =
            tracks::news(&mut self.told, &self.member.tracks.borrow_and_update(), &self.identity);
        if participants.is_empty() {
            return Ok(());
        }
        self.wishes.keep(&self.told);
        self.tell(Response::Update(proto::ParticipantUpdate { participants })).await
    }

    /// Tells the node what the client wants, if that changed.
    async fn declare(&mut self) -> anyhow::Result<()> {
        let wanted = self.wishes.subscriptions(&self.told);
        if wanted == self.declared {
            return Ok(());
        }
        let session = self.subscriber.as_ref().unwrap_or(&self.publisher);
        let declared = self.node.set_subscriptions(self.place(session), wanted.clone()).await;
        declared.map_err(|status| refused("the subscriptions were not taken", &status))?;
        self.declared = wanted;
        Ok(())
    }

    async fn tell(&self, response: Response) -> anyhow::Result<()> {
        self.outbox.send(Ok(response)).await.context("the client hears no more")
    }

    fn place<'a>(&'a self, session: &'a str) -> Place<'a> {
        Place { room: &self.member.room.id, session }
    }

    fn settings(&self, session: &str) -> sfu::SessionSettings {
        let node_offers = self.subscriber.as_deref() == Some(session);
        let channel = |(label, reliable): (&str, bool)| sfu::DataChannel {
            label: label.into(),
            ordered: reliable,
            max_retransmits: (!reliable).then_some(0),
        };
        let data = sfu::DataPolicy {
            may_send: !node_offers,
            receives: node_offers || self.subscriber.is_none(),
            address: self.identity.clone(),
            open: if node_offers { CHANNELS.map(channel).to_vec() } else { Vec::new() },
            ..Default::default()
        };
        let offerer = if node_offers { sfu::Offerer::Node } else { sfu::Offerer::Peer };
        sfu::SessionSettings { offerer: offerer.into(), data: Some(data), ..Default::default() }
    }
}
