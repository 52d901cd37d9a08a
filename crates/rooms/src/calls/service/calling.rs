//! What changes a call.
use sluice_api::calls::v1 as api;
use sluice_calls::{Action, CallKind, EndReason, Moderation, UserId};

use super::Service;
use crate::calls::convert::{check, limits, model};
use crate::calls::desk::Trouble;
use crate::calls::front::{Done, Wanted};

fn call(done: &Done) -> Option<api::Call> {
    done.call.as_deref().map(model::call)
}

impl Service {
    pub(super) async fn do_create_call(
        &self,
        request: api::CreateCallRequest,
    ) -> Result<api::CreateCallResponse, Trouble> {
        let wanted = Wanted {
            request: check::request(&request.request_id)?,
            caller: check::party("caller", request.caller.as_ref())?,
            callees: check::callees(&request.callees)?,
            kind: check::kind(request.kind)?,
            media: check::media(request.media)?,
            conversation: check::conversation(&request.conversation_id)?,
            ring_ms: check::ring_ms(request.ring_s)?,
            silent: request.silent,
            app_data: check::app_data(&request.app_data)?,
            limits: limits::from_api(request.limits.as_ref()),
        };
        if wanted.callees.iter().any(|(callee, _)| *callee == wanted.caller.user) {
            return check::invalid("callees", "names the caller");
        }
        if wanted.kind == CallKind::Direct && wanted.callees.len() != 1 {
            return check::invalid("callees", "a direct call has exactly one; make a group call");
        }
        if wanted.kind == CallKind::Direct && wanted.silent {
            return check::invalid("silent", "a direct call rings; make a group call");
        }
        let done = self.front.create(wanted).await?;
        Ok(api::CreateCallResponse { call: call(&done), media: done.media, merged: done.merged })
    }

    pub(super) async fn do_ack_ring(
        &self,
        request: api::AckRingRequest,
    ) -> Result<api::AckRingResponse, Trouble> {
        let action = Action::Ack {
            call: check::call(&request.call_id)?,
            user: check::user("user_id", &request.user_id)?,
            device: check::device("device_id", &request.device_id)?,
        };
        self.front.act(None, action).await?;
        Ok(api::AckRingResponse {})
    }

    pub(super) async fn do_accept_call(
        &self,
        request: api::AcceptCallRequest,
    ) -> Result<api::AcceptCallResponse, Trouble> {
        let id = check::request(&request.request_id)?;
        let action = Action::Accept {
            call: check::call(&request.call_id)?,
            party: check::party("party", request.party.as_ref())?,
            audio_only: request.audio_only,
        };
        let done = self.front.act(Some(id), action).await?;
        Ok(api::AcceptCallResponse { call: call(&done), media: done.media })
    }

    pub(super) async fn do_decline_call(
        &self,
        request: api::DeclineCallRequest,
    ) -> Result<api::DeclineCallResponse, Trouble> {
        let id = check::request(&request.request_id)?;
        let action = Action::Decline {
            call: check::call(&request.call_id)?,
            party: check::party("party", request.party.as_ref())?,
        };
        let done = self.front.act(Some(id), action).await?;
        Ok(api::DeclineCallResponse { call: call(&done) })
    }

    pub(super) async fn do_cancel_call(
        &self,
        request: api::CancelCallRequest,
    ) -> Result<api::CancelCallResponse, Trouble> {
        let id = check::request(&request.request_id)?;
        let action = Action::Cancel {
            call: check::call(&request.call_id)?,
            party: check::party("party", request.party.as_ref())?,
        };
        let done = self.front.act(Some(id), action).await?;
        Ok(api::CancelCallResponse { call: call(&done) })
    }

    pub(super) async fn do_join_call(
        &self,
        request: api::JoinCallRequest,
    ) -> Result<api::JoinCallResponse, Trouble> {
        let id = check::request(&request.request_id)?;
        let party = check::party("party", request.party.as_ref())?;
        let done = match (request.call_id.as_str(), request.link_slug.as_str()) {
            ("", "") => return check::invalid("call_id", "give it, or `link_slug`"),
            ("", slug) => {
                check::slug(slug)?;
                self.front.join_link(id, slug, party, request.transfer).await?
            }
            (call, "") => {
                let action = Action::Join { call: check::call(call)?, party, transfer: request.transfer };
                self.front.act(Some(id), action).await?
            }
            _ => return check::invalid("link_slug", "give it or `call_id`, not both"),
        };
        Ok(api::JoinCallResponse { call: call(&done), media: done.media })
    }

    pub(super) async fn do_leave_call(
        &self,
        request: api::LeaveCallRequest,
    ) -> Result<api::LeaveCallResponse, Trouble> {
        let id = check::request(&request.request_id)?;
        let action = Action::Leave {
            call: check::call(&request.call_id)?,
            party: check::party("party", request.party.as_ref())?,
        };
        let done = self.front.act(Some(id), action).await?;
        Ok(api::LeaveCallResponse { call: call(&done) })
    }

    pub(super) async fn do_end_call(
        &self,
        request: api::EndCallRequest,
    ) -> Result<api::EndCallResponse, Trouble> {
        let id = check::request(&request.request_id)?;
        let by = check::optional_user("user_id", &request.user_id)?;
        let reason = if by.is_some() { EndReason::EndedByHost } else { EndReason::EndedByServer };
        let action = Action::End { call: check::call(&request.call_id)?, by, reason };
        let done = self.front.act(Some(id), action).await?;
        Ok(api::EndCallResponse { call: call(&done) })
    }

    pub(super) async fn do_invite_to_call(
        &self,
        request: api::InviteToCallRequest,
    ) -> Result<api::InviteToCallResponse, Trouble> {
        let id = check::request(&request.request_id)?;
        let to = check::call(&request.call_id)?;
        let by = check::user("user_id", &request.user_id)?;
        let callees = check::callees(&request.callees)?;
        if callees.iter().any(|(callee, _)| *callee == by) {
            return check::invalid("callees", "names the one who invites");
        }
        let ring_ms = check::ring_ms(request.ring_s)?;
        let done = self.front.invite(id, to, by, callees, ring_ms).await?;
        Ok(api::InviteToCallResponse { call: call(&done) })
    }

    pub(super) async fn do_cancel_invite(
        &self,
        request: api::CancelInviteRequest,
    ) -> Result<api::CancelInviteResponse, Trouble> {
        let id = check::request(&request.request_id)?;
        let action = Action::CancelInvite {
            call: check::call(&request.call_id)?,
            by: check::user("user_id", &request.user_id)?,
            callee: check::user("callee_user_id", &request.callee_user_id)?,
        };
        let done = self.front.act(Some(id), action).await?;
        Ok(api::CancelInviteResponse { call: call(&done) })
    }

    pub(super) async fn do_request_upgrade(
        &self,
        request: api::RequestUpgradeRequest,
    ) -> Result<api::RequestUpgradeResponse, Trouble> {
        let id = check::request(&request.request_id)?;
        let action = Action::RequestUpgrade {
            call: check::call(&request.call_id)?,
            user: check::user("user_id", &request.user_id)?,
        };
        let done = self.front.act(Some(id), action).await?;
        Ok(api::RequestUpgradeResponse { call: call(&done) })
    }

    pub(super) async fn do_respond_upgrade(
        &self,
        request: api::RespondUpgradeRequest,
    ) -> Result<api::RespondUpgradeResponse, Trouble> {
        let id = check::request(&request.request_id)?;
        let action = Action::RespondUpgrade {
            call: check::call(&request.call_id)?,
            user: check::user("user_id", &request.user_id)?,
            accept: request.accept,
        };
        let done = self.front.act(Some(id), action).await?;
        Ok(api::RespondUpgradeResponse { call: call(&done) })
    }

    pub(super) async fn do_set_hold(
        &self,
        request: api::SetHoldRequest,
    ) -> Result<api::SetHoldResponse, Trouble> {
        let id = check::request(&request.request_id)?;
        let action = Action::Hold {
            call: check::call(&request.call_id)?,
            user: check::user("user_id", &request.user_id)?,
            on_hold: request.on_hold,
        };
        let done = self.front.act(Some(id), action).await?;
        Ok(api::SetHoldResponse { call: call(&done) })
    }

    pub(super) async fn do_transfer_device(
        &self,
        request: api::TransferDeviceRequest,
    ) -> Result<api::TransferDeviceResponse, Trouble> {
        let id = check::request(&request.request_id)?;
        let action = Action::Transfer {
            call: check::call(&request.call_id)?,
            party: check::party("party", request.party.as_ref())?,
        };
        let done = self.front.act(Some(id), action).await?;
        Ok(api::TransferDeviceResponse { call: call(&done), media: done.media })
    }

    pub(super) async fn do_moderate_participant(
        &self,
        request: api::ModerateParticipantRequest,
    ) -> Result<api::ModerateParticipantResponse, Trouble> {
        use api::moderate_participant_request::Action as Asked;
        let id = check::request(&request.request_id)?;
        let by: Option<UserId> = check::optional_user("user_id", &request.user_id)?;
        let what = match request.action {
            Some(Asked::Remove(true)) => Moderation::Remove,
            Some(Asked::Mute(true)) => Moderation::Mute,
            Some(Asked::Remove(false)) => return check::invalid("remove", "must be true, or left out"),
            Some(Asked::Mute(false)) => {
                return check::invalid("mute", "must be true: only the owner of a microphone can unmute it");
            }
            Some(Asked::Host(host)) => Moderation::Host(host),
            Some(Asked::AllowVideo(allow)) => Moderation::AllowVideo(allow),
            None => {
                return check::invalid(
                    "action",
                    "is missing: give `remove`, `host`, `mute` or `allow_video`",
                );
            }
        };
        let action = Action::Moderate {
            call: check::call(&request.call_id)?,
            by,
            target: check::user("target_user_id", &request.target_user_id)?,
            what,
        };
        let done = self.front.act(Some(id), action).await?;
        Ok(api::ModerateParticipantResponse { call: call(&done) })
    }

    pub(super) async fn do_admit(&self, request: api::AdmitRequest) -> Result<api::AdmitResponse, Trouble> {
        let id = check::request(&request.request_id)?;
        let action = Action::Admit {
            call: check::call(&request.call_id)?,
            by: check::user("user_id", &request.user_id)?,
            waiting: check::user("waiting_user_id", &request.waiting_user_id)?,
            admit: request.admit,
        };
        let done = self.front.act(Some(id), action).await?;
        Ok(api::AdmitResponse { call: call(&done) })
    }

    pub(super) async fn do_rate_call(
        &self,
        request: api::RateCallRequest,
    ) -> Result<api::RateCallResponse, Trouble> {
        let id = check::request(&request.request_id)?;
        let action = Action::Rate {
            call: check::call(&request.call_id)?,
            user: check::user("user_id", &request.user_id)?,
            stars: check::stars(request.stars)?,
        };
        self.front.act(Some(id), action).await?;
        Ok(api::RateCallResponse {})
    }
}
