//! Requests that come again, or too late: what was done once is answered from memory, also after the call has ended.
use std::fmt::{Debug, Write as _};
use std::sync::Arc;

use sluice_calls::{
    Action, Call, CallId, Invitee, Party, Rating, Reason, Refusal, RequestId, UserId, Verdict,
};

use super::{Done, Front, reused, seat};
use crate::calls::desk::Trouble;
use crate::calls::documents::{Remember, Remembered};

/// Actions that are harmless, or of use, after a call's end.
pub(super) enum Late {
    Ack,
    Rate { user: UserId, stars: u8 },
    Other,
}

impl Late {
    pub(super) fn of(action: &Action) -> Self {
        match action {
            Action::Ack { .. } => Self::Ack,
            Action::Rate { user, stars, .. } => Self::Rate { user: user.clone(), stars: *stars },
            _ => Self::Other,
        }
    }
}

/// An acknowledgement that comes too late changes nothing, and is no fault of the device.
pub(super) fn is_harmless(reason: Reason) -> bool {
    matches!(reason, Reason::RingOver | Reason::NotRinging | Reason::AlreadyAnswered | Reason::CallEnded)
}

/// Which call an action is about, and who acts.
pub(super) fn about(action: &Action) -> Option<(CallId, Option<UserId>)> {
    let (call, by) = match action {
        Action::Create(_) | Action::JoinLink(_) => return None,
        Action::DeviceAppeared { .. } | Action::DeviceVanished { .. } => return None,
        Action::Accept { call, party, .. }
        | Action::Decline { call, party }
        | Action::Cancel { call, party }
        | Action::Join { call, party, .. }
        | Action::Leave { call, party }
        | Action::Transfer { call, party } => (call, Some(&party.user)),
        Action::Ack { call, user, .. }
        | Action::RequestUpgrade { call, user }
        | Action::RespondUpgrade { call, user, .. }
        | Action::Hold { call, user, .. }
        | Action::Rate { call, user, .. } => (call, Some(user)),
        Action::End { call, by, .. } | Action::Moderate { call, by, .. } => (call, by.as_ref()),
        Action::Invite { call, by, .. }
        | Action::CancelInvite { call, by, .. }
        | Action::Admit { call, by, .. } => (call, Some(by)),
        Action::Media { call, .. } | Action::Quality { call, .. } => (call, None),
    };
    Some((call.clone(), by.cloned()))
}

/// Whether the call remembers that `by` asked this before.
pub(super) fn is_done(call: &Call, request: &RequestId, by: Option<&UserId>) -> bool {
    call.requests.iter().any(|done| done.id == *request && done.by.as_ref() == by)
}

/// Somebody of whom it is known that they will not be rung.
pub(super) fn unasked((user, handle): (UserId, String)) -> Invitee {
    Invitee { user, handle, verdict: Verdict::Deny, hide_busy: false, devices: Vec::new(), push: false }
}

/// Of what was asked. Stable across restarts and builds (FNV-1a, 64 bits), as it stands in the store.
pub(crate) fn fingerprint(asked: &impl Debug) -> u64 {
    struct Fnv(u64);
    impl std::fmt::Write for Fnv {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            for byte in text.bytes() {
                self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
            Ok(())
        }
    }
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    // Writing into a number cannot fail.
    let _infallible = write!(hash, "{asked:?}");
    hash.0
}

impl Front {
    /// The call that this very creation made, if it was done before.
    pub(super) async fn creation_again(
        &self,
        asked: &Remember,
        party: &Party,
    ) -> Result<Option<Done>, Trouble> {
        let documents = &self.0.documents;
        let Some(Remembered { made, fingerprint }) = documents.remembered(&asked.by, &asked.request).await?
        else {
            return Ok(None);
        };
        if fingerprint != asked.fingerprint {
            return Err(reused());
        }
        let id = CallId::new(made);
        let call = match self.0.desk.call(&id).await? {
            Some(call) => call,
            None => match documents.ended(&id).await? {
                Some(ended) => Arc::new(ended.call),
                // Its record is gone: as if it had never been.
                None => return Ok(None),
            },
        };
        let media = seat(&call, party).map(|seat| self.0.access.issue(&id, &seat)).transpose()?;
        let merged = call.link.is_none() && call.creator != party.user;
        Ok(Some(Done { call: Some(call), media, merged }))
    }

    /// The call does not live: a retry gets its last state, anything else a refusal.
    pub(super) async fn over(
        &self,
        call: &CallId,
        request: Option<&RequestId>,
        by: Option<&UserId>,
    ) -> Result<Done, Trouble> {
        let Some(ended) = self.0.documents.ended(call).await? else {
            return Err(Trouble::NotFound { field: "call_id", text: "there is no such call".into() });
        };
        if request.is_some_and(|request| is_done(&ended.call, request, by)) {
            return Ok(Done { call: Some(Arc::new(ended.call)), media: None, merged: false });
        }
        Err(Refusal::new(Reason::CallEnded, "the call has ended").into())
    }

    /// People rate a call when it is over: the rating goes into the record.
    pub(super) async fn rate_ended(
        &self,
        call: &CallId,
        user: UserId,
        stars: u8,
        refusal: Refusal,
    ) -> Result<Done, Trouble> {
        let Some(ended) = self.0.documents.ended(call).await? else { return Err(refusal.into()) };
        let Some(leg) = ended.call.legs.iter().find(|leg| leg.user == user) else {
            return Err(Refusal::new(Reason::UnknownUser, "that user has no part in the call").into());
        };
        if leg.accepted_at.is_none() {
            return Err(Refusal::new(Reason::NotInCall, "only who was in the call may rate it").into());
        }
        let rate = |ratings: &mut Vec<Rating>| {
            ratings.retain(|rating| rating.user != user);
            ratings.push(Rating { user: user.clone(), stars });
        };
        self.0.documents.amend(call, |ended| rate(&mut ended.record.ratings)).await?;
        Ok(Done { call: None, media: None, merged: false })
    }
}

#[cfg(test)]
mod tests {
    use super::fingerprint;

    #[test]
    fn a_fingerprint_tells_requests_apart_and_is_the_same_in_every_build() {
        assert_ne!(fingerprint(&("a", 1)), fingerprint(&("a", 2)));
        assert_eq!(fingerprint(&""), 0x07cc_7607_b494_9e25, "of two quotes");
    }
}
