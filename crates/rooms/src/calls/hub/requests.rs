//! What a device says, checked field by field and carried out. User and device are those of its token, whatever it says.
use async_trait::async_trait;
use sluice_api::calls::v1::client_message as said;
use sluice_api::calls::v1::client_message::Request;
use sluice_api::calls::v1::client_message::moderate::Action as Asked;
use sluice_calls::{Action, CallId, DeviceId, EndReason, Limits, Moderation, Party, RequestId, UserId};

use crate::calls::convert::check;
use crate::calls::desk::{Desk, Picture, Trouble};
use crate::calls::front::{Done, Front, Wanted};

/// Callees of one request; the call's own limit comes on top.
const MOST_CALLEES: usize = 256;

/// Called by the desk at the moment of a picture; says where the device's log ends.
pub(super) type Mark = Box<dyn FnOnce() -> Option<u64> + Send>;

/// What sockets need of the rest of the calls service.
#[async_trait]
pub(super) trait Operator: Send + Sync + 'static {
    /// Does what a device asks. `id` is the device's own.
    async fn serve(&self, party: &Party, id: &str, request: Request) -> Result<Done, Trouble>;

    /// All that the device may know, and the end of its log at that moment.
    async fn picture(
        &self,
        user: &UserId,
        device: &DeviceId,
        mark: Mark,
    ) -> Result<(Picture, Option<u64>), Trouble>;

    /// A device has come, or come back.
    async fn appeared(&self, user: &UserId, device: &DeviceId, call_waiting: bool) -> Result<(), Trouble>;

    /// A device is gone.
    async fn vanished(&self, user: &UserId, device: &DeviceId) -> Result<(), Trouble>;
}

/// The real one.
pub(super) struct Service {
    pub(super) front: Front,
    pub(super) desk: Desk,
}

#[async_trait]
impl Operator for Service {
    async fn serve(&self, party: &Party, id: &str, request: Request) -> Result<Done, Trouble> {
        match request {
            Request::Call(call) => self.front.create(wanted(party, id, &call)?).await,
            Request::Invite(invite) => {
                let (request, call) = (intent(party, id)?, check::call(&invite.call_id)?);
                let callees = callees("user_ids", &invite.user_ids)?;
                let ring_ms = check::ring_ms(invite.ring_s)?;
                self.front.invite(request, call, party.user.clone(), callees, ring_ms).await
            }
            Request::Join(join) if !join.link_slug.is_empty() => {
                if !join.call_id.is_empty() {
                    return check::invalid("link_slug", "stands beside a `call_id`: give one of them");
                }
                check::slug(&join.link_slug)?;
                self.front.join_link(intent(party, id)?, &join.link_slug, party.clone(), join.transfer).await
            }
            Request::RefreshMedia(one) => self.front.refresh_media(&check::call(&one.call_id)?, party).await,
            // Acknowledging twice is harmless: it needs no id.
            Request::Ack(_) if id.is_empty() => self.front.act(None, action(party, request)?).await,
            other => self.front.act(Some(intent(party, id)?), action(party, other)?).await,
        }
    }

    async fn picture(
        &self,
        user: &UserId,
        device: &DeviceId,
        mark: Mark,
    ) -> Result<(Picture, Option<u64>), Trouble> {
        self.desk.picture(user, device, mark).await
    }

    async fn appeared(&self, user: &UserId, device: &DeviceId, call_waiting: bool) -> Result<(), Trouble> {
        let (user, device) = (user.clone(), device.clone());
        self.front.act(None, Action::DeviceAppeared { user, device, call_waiting }).await.map(drop)
    }

    async fn vanished(&self, user: &UserId, device: &DeviceId) -> Result<(), Trouble> {
        let (user, device) = (user.clone(), device.clone());
        self.front.act(None, Action::DeviceVanished { user, device }).await.map(drop)
    }
}

/// Devices of one user choose ids without knowing of each other, so the device is part of it.
fn intent(party: &Party, id: &str) -> Result<RequestId, Trouble> {
    check::request(id).map_err(|trouble| match trouble {
        Trouble::Invalid { text, .. } => Trouble::Invalid { field: "id", text },
        other => other,
    })?;
    Ok(RequestId::new(format!("{}/{id}", party.device)))
}

fn wanted(party: &Party, id: &str, call: &said::Call) -> Result<Wanted, Trouble> {
    Ok(Wanted {
        request: intent(party, id)?,
        caller: party.clone(),
        callees: callees("callee_user_ids", &call.callee_user_ids)?,
        kind: check::kind(call.kind)?,
        media: check::media(call.media)?,
        conversation: check::conversation(&call.conversation_id)?,
        ring_ms: check::ring_ms(call.ring_s)?,
        silent: call.silent,
        app_data: Vec::new(),
        limits: Limits::default(),
    })
}

/// Their handles are not the caller's to say.
fn callees(field: &'static str, ids: &[String]) -> Result<Vec<(UserId, String)>, Trouble> {
    if ids.is_empty() {
        return check::invalid(field, "names nobody");
    }
    if ids.len() > MOST_CALLEES {
        return check::invalid(
            field,
            format!("has {} entries, at most {MOST_CALLEES} are allowed", ids.len()),
        );
    }
    let mut callees: Vec<(UserId, String)> = Vec::with_capacity(ids.len());
    for id in ids {
        let user = check::user(field, id)?;
        if callees.iter().any(|(known, _)| *known == user) {
            return check::invalid(field, format!("names {user} twice"));
        }
        callees.push((user, String::new()));
    }
    Ok(callees)
}

fn action(party: &Party, request: Request) -> Result<Action, Trouble> {
    let (user, party) = (party.user.clone(), party.clone());
    let call = |id: &str| -> Result<CallId, Trouble> { check::call(id) };
    Ok(match request {
        Request::Ack(ring) => Action::Ack { call: call(&ring.call_id)?, user, device: party.device },
        Request::Accept(accept) => {
            Action::Accept { call: call(&accept.call_id)?, party, audio_only: accept.audio_only }
        }
        Request::Decline(one) => Action::Decline { call: call(&one.call_id)?, party },
        Request::Cancel(one) => Action::Cancel { call: call(&one.call_id)?, party },
        Request::Join(join) => Action::Join { call: call(&join.call_id)?, party, transfer: join.transfer },
        Request::Leave(one) => Action::Leave { call: call(&one.call_id)?, party },
        Request::End(one) => {
            Action::End { call: call(&one.call_id)?, by: Some(user), reason: EndReason::EndedByHost }
        }
        Request::CancelInvite(invite) => Action::CancelInvite {
            call: call(&invite.call_id)?,
            by: user,
            callee: check::user("user_id", &invite.user_id)?,
        },
        Request::RequestUpgrade(one) => Action::RequestUpgrade { call: call(&one.call_id)?, user },
        Request::RespondUpgrade(choice) => {
            Action::RespondUpgrade { call: call(&choice.call_id)?, user, accept: choice.yes }
        }
        Request::Hold(choice) => Action::Hold { call: call(&choice.call_id)?, user, on_hold: choice.yes },
        Request::Transfer(one) => Action::Transfer { call: call(&one.call_id)?, party },
        Request::Moderate(moderate) => Action::Moderate {
            call: call(&moderate.call_id)?,
            by: Some(user),
            target: check::user("user_id", &moderate.user_id)?,
            what: moderation(moderate.action)?,
        },
        Request::Admit(admit) => Action::Admit {
            call: call(&admit.call_id)?,
            by: user,
            waiting: check::user("user_id", &admit.user_id)?,
            admit: admit.admit,
        },
        Request::Rate(rate) => {
            Action::Rate { call: call(&rate.call_id)?, user, stars: check::stars(rate.stars)? }
        }
        // Each has a way of its own, which does not lead here.
        Request::Call(_) | Request::Invite(_) | Request::Ping(_) | Request::RefreshMedia(_) => {
            return check::invalid("request", "is not an action on a call");
        }
    })
}

fn moderation(asked: Option<Asked>) -> Result<Moderation, Trouble> {
    match asked {
        Some(Asked::Remove(true)) => Ok(Moderation::Remove),
        Some(Asked::Host(host)) => Ok(Moderation::Host(host)),
        Some(Asked::Mute(true)) => Ok(Moderation::Mute),
        Some(Asked::AllowVideo(allow)) => Ok(Moderation::AllowVideo(allow)),
        Some(Asked::Mute(false)) => {
            check::invalid("mute", "must be true: only its owner can unmute a microphone")
        }
        Some(Asked::Remove(false)) => {
            check::invalid("remove", "must be true; to bring somebody back, invite")
        }
        None => check::invalid("action", "is missing: remove, host, mute or allow_video"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party() -> Party {
        Party { user: UserId::new("ann"), device: DeviceId::new("phone"), handle: "Ann".into() }
    }

    fn field<T: std::fmt::Debug>(result: Result<T, Trouble>) -> &'static str {
        match result {
            Err(Trouble::Invalid { field, .. }) => field,
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn two_devices_may_choose_the_same_id() {
        let tablet = Party { device: DeviceId::new("tablet"), ..party() };
        assert_ne!(intent(&party(), "1").unwrap(), intent(&tablet, "1").unwrap());
        assert_eq!(field(intent(&party(), "")), "id");
        assert_eq!(field(intent(&party(), &"x".repeat(65))), "id");
    }

    #[test]
    fn who_acts_is_who_holds_the_token() {
        let one = said::One { call_id: "CL_1".into() };
        let call = CallId::new("CL_1");
        let action = |request| action(&party(), request).unwrap();
        assert_eq!(
            action(Request::Decline(one.clone())),
            Action::Decline { call: call.clone(), party: party() }
        );
        let by = Some(UserId::new("ann"));
        assert_eq!(action(Request::End(one)), Action::End { call, by, reason: EndReason::EndedByHost });
    }

    #[test]
    fn a_wrong_field_is_named() {
        let moderate = |action| {
            let request = said::Moderate { call_id: "CL_1".into(), user_id: "ben".into(), action };
            super::action(&party(), Request::Moderate(request))
        };
        assert!(moderate(Some(Asked::Mute(true))).is_ok());
        assert_eq!(field(moderate(Some(Asked::Mute(false)))), "mute");
        assert_eq!(field(moderate(None)), "action");
        let rate = said::Rate { call_id: "CL_1".into(), stars: 6 };
        assert_eq!(field(action(&party(), Request::Rate(rate))), "stars");
        let leave = Request::Leave(said::One { call_id: String::new() });
        assert_eq!(field(action(&party(), leave)), "call_id");
        assert_eq!(field(callees("user_ids", &["ben".into(), "ben".into()])), "user_ids");
        assert_eq!(field(wanted(&party(), "1", &said::Call::default())), "callee_user_ids");
    }
}
