//! What gRPC and WebSocket have in common: checks, the permission, the desk, and a token for the call's room.
mod again;
pub(crate) use again::fingerprint;

use std::sync::Arc;

use sluice_api::calls::v1 as api;
use sluice_calls::{
    Action, Answer, Call, CallId, CallKind, ConversationId, Create, DeviceId, Limits, LinkEntry, Media,
    Party, Reason, Refusal, Request, RequestId, Seat, Time, UserId,
};

use super::access::AccessDesk;
use super::authority::{Authority, Question};
use super::convert::limits;
use super::desk::{Desk, Trouble};
use super::documents::{Documents, Remember};

/// A request that was done.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    pub(crate) call: Option<Arc<Call>>,
    /// For the device that asked, to enter the call's room.
    pub(crate) media: Option<api::MediaAccess>,
    pub(crate) merged: bool,
}

/// A call to be made, as it was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) request: RequestId,
    pub(crate) caller: Party,
    /// With the handle that the asker gave, perhaps empty.
    pub(crate) callees: Vec<(UserId, String)>,
    pub(crate) kind: CallKind,
    pub(crate) media: Media,
    pub(crate) conversation: Option<ConversationId>,
    pub(crate) ring_ms: Option<u64>,
    pub(crate) silent: bool,
    pub(crate) app_data: Vec<u8>,
    pub(crate) limits: Limits,
}

/// Clones share it.
#[derive(Clone)]
pub(crate) struct Front(Arc<Inner>);

struct Inner {
    desk: Desk,
    documents: Documents,
    authority: Authority,
    access: AccessDesk,
    clock: fn() -> Time,
}

/// The id of a creation stands for another one.
pub(super) fn reused() -> Trouble {
    Refusal::new(
        Reason::RequestIdReused,
        "`request_id` was used for something else: choose a new one per intent",
    )
    .into()
}

impl Front {
    pub(crate) fn new(
        desk: Desk,
        documents: Documents,
        authority: Authority,
        access: AccessDesk,
        clock: fn() -> Time,
    ) -> Self {
        Self(Arc::new(Inner { desk, documents, authority, access, clock }))
    }

    /// Asks for permission, then calls.
    pub(crate) async fn create(&self, wanted: Wanted) -> Result<Done, Trouble> {
        let remember = Remember {
            by: wanted.caller.user.clone(),
            request: wanted.request.clone(),
            fingerprint: again::fingerprint(&(
                &wanted.callees,
                wanted.kind,
                wanted.media,
                &wanted.conversation,
                wanted.silent,
            )),
        };
        if let Some(done) = self.creation_again(&remember, &wanted.caller).await? {
            return Ok(done);
        }
        let question = Question {
            caller: wanted.caller.clone(),
            callees: wanted.callees,
            conversation: wanted.conversation.clone(),
            media: wanted.media,
            kind: wanted.kind,
            call: None,
        };
        let permission = self.0.authority.authorize(question).await?;
        let create = Create {
            call: CallId::new(crate::id::call()),
            caller: wanted.caller,
            invitees: permission.invitees,
            kind: wanted.kind,
            media: wanted.media,
            conversation: wanted.conversation,
            ring_ms: wanted.ring_ms,
            silent: wanted.silent,
            app_data: wanted.app_data,
            limits: limits::stricter(&permission.limits, &wanted.limits),
        };
        let request = Request { id: Some(wanted.request), action: Action::Create(Box::new(create)) };
        let answer = self.0.desk.ask_and_remember(request, Some(remember)).await?;
        self.done(answer)
    }

    /// Asks for permission, then rings more people.
    pub(crate) async fn invite(
        &self,
        request: RequestId,
        call: CallId,
        by: UserId,
        callees: Vec<(UserId, String)>,
        ring_ms: Option<u64>,
    ) -> Result<Done, Trouble> {
        let Some(present) = self.0.desk.call(&call).await? else {
            return self.over(&call, Some(&request), Some(&by)).await;
        };
        if again::is_done(&present, &request, Some(&by)) {
            // Nobody is rung again, so nobody need be asked; the model tells a retry from another use of the id.
            let invitees = callees.into_iter().map(again::unasked).collect();
            return self.act(Some(request), Action::Invite { call, by, invitees, ring_ms }).await;
        }
        let leg = present.legs.iter().find(|leg| leg.user == by);
        let device = leg.and_then(|leg| leg.seat.as_ref()).map(|seat| seat.device.clone());
        let question = Question {
            caller: Party {
                user: by.clone(),
                device: device.unwrap_or_else(|| DeviceId::new("")),
                handle: leg.map(|leg| leg.handle.clone()).unwrap_or_default(),
            },
            callees,
            conversation: present.conversation.clone(),
            media: present.media,
            kind: present.kind,
            call: Some(call.clone()),
        };
        let permission = self.0.authority.authorize(question).await?;
        self.act(Some(request), Action::Invite { call, by, invitees: permission.invitees, ring_ms }).await
    }

    /// Comes in through a link.
    pub(crate) async fn join_link(
        &self,
        request: RequestId,
        slug: &str,
        party: Party,
        transfer: bool,
    ) -> Result<Done, Trouble> {
        let remember = Remember {
            by: party.user.clone(),
            request: request.clone(),
            fingerprint: again::fingerprint(&(slug, transfer)),
        };
        if let Some(done) = self.creation_again(&remember, &party).await? {
            return Ok(done);
        }
        let Some(link) = self.0.documents.link_by_slug(slug).await? else {
            return Err(Trouble::NotFound { field: "link_slug", text: "there is no such link".into() });
        };
        if link.revoked {
            return Err(Trouble::LinkOver("the link was revoked".into()));
        }
        if link.expires_at.is_some_and(|at| at <= (self.0.clock)()) {
            return Err(Trouble::LinkOver("the link has expired".into()));
        }
        let entry = LinkEntry {
            call: CallId::new(crate::id::call()),
            link: link.id,
            creator: link.creator,
            lobby: link.lobby,
            media: link.media,
            conversation: link.conversation,
            limits: link.limits,
            party,
            transfer,
        };
        let request = Request { id: Some(request), action: Action::JoinLink(Box::new(entry)) };
        let answer = self.0.desk.ask_and_remember(request, Some(remember)).await?;
        self.done(answer)
    }

    /// Everything else: straight to the desk.
    pub(crate) async fn act(&self, request: Option<RequestId>, action: Action) -> Result<Done, Trouble> {
        let about = again::about(&action);
        let late = again::Late::of(&action);
        let refusal = match self.0.desk.ask(Request { id: request.clone(), action }).await {
            Ok(answer) => return self.done(answer),
            Err(Trouble::Refused(refusal)) => refusal,
            Err(trouble) => return Err(trouble),
        };
        if matches!(late, again::Late::Ack) && again::is_harmless(refusal.reason) {
            return Ok(Done { call: None, media: None, merged: false });
        }
        match (refusal.reason, about) {
            (Reason::UnknownCall | Reason::CallEnded, Some((call, by))) => match late {
                again::Late::Rate { user, stars } => self.rate_ended(&call, user, stars, refusal).await,
                again::Late::Ack => {
                    let ended = self.0.documents.ended(&call).await?;
                    ended.map(|_| Done { call: None, media: None, merged: false }).ok_or(refusal.into())
                }
                again::Late::Other => self.over(&call, request.as_ref(), by.as_ref()).await,
            },
            _ => Err(refusal.into()),
        }
    }

    /// A fresh token for a device that is in the call.
    pub(crate) async fn refresh_media(&self, call: &CallId, party: &Party) -> Result<Done, Trouble> {
        let Some(present) = self.0.desk.call(call).await? else { return self.over(call, None, None).await };
        let Some(seat) = seat(&present, party) else {
            return Err(Refusal::new(Reason::NotInCall, "this device is not in the call").into());
        };
        let media = Some(self.0.access.issue(call, &seat)?);
        Ok(Done { call: Some(present), media, merged: false })
    }

    fn done(&self, answer: Answer) -> Result<Done, Trouble> {
        let media = match (&answer.call, &answer.seat) {
            (Some(call), Some(seat)) => Some(self.0.access.issue(&call.id, seat)?),
            _ => None,
        };
        Ok(Done { call: answer.call, media, merged: answer.merged })
    }
}

/// The seat of a device that is in the call.
fn seat(call: &Call, party: &Party) -> Option<Seat> {
    let leg = call.legs.iter().find(|leg| leg.user == party.user && leg.state.is_in_call())?;
    let taken = leg.seat.as_ref().filter(|seat| seat.device == party.device)?;
    Some(Seat {
        identity: taken.identity.clone(),
        handle: leg.handle.clone(),
        video: leg.video_allowed && !call.limits.no_video,
        screen_share: !call.limits.no_screen_share,
    })
}
