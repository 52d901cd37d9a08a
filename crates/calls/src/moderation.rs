//! What people do to themselves and hosts to others: hold, mute, remove, video, host, end.
use crate::call::{EndReason, LegState, Media};
use crate::change::Change;
use crate::id::UserId;
use crate::outcome::{Effect, EventKind, Reason, Refusal};
use crate::request::Moderation;

impl Change<'_> {
    pub(crate) fn hold(&mut self, user: &UserId, on_hold: bool) -> Result<(), Refusal> {
        let i = self.in_call_part(user)?;
        if self.call.legs[i].on_hold != on_hold {
            self.call.legs[i].on_hold = on_hold;
            self.event(EventKind::LegChanged(user.clone()));
        }
        Ok(())
    }

    /// A host, or the backend, ends it for everybody.
    pub(crate) fn end_by(&mut self, by: Option<&UserId>, reason: EndReason) -> Result<(), Refusal> {
        self.must_host(by)?;
        self.end(if by.is_some() { EndReason::EndedByHost } else { reason });
        Ok(())
    }

    pub(crate) fn moderate(
        &mut self,
        by: Option<&UserId>,
        target: &UserId,
        what: Moderation,
    ) -> Result<(), Refusal> {
        self.must_host(by)?;
        let (i, leg) = self.visible_leg(target)?;
        if what == Moderation::Remove && leg.looks_ringing() {
            self.withdraw(i);
            return Ok(());
        }
        if !leg.state.is_in_call() {
            return Err(Refusal::new(Reason::NotInCall, format!("{target} is not in the call")));
        }
        match what {
            Moderation::Remove => self.depart(i, EndReason::Removed, None),
            Moderation::Host(host) if leg.host != host => {
                self.call.legs[i].host = host;
                self.event(EventKind::LegChanged(target.clone()));
            }
            Moderation::Host(_) => {}
            Moderation::Mute => {
                let seats: Vec<String> = leg.seats().map(|seat| seat.identity.clone()).collect();
                seats.into_iter().for_each(|identity| self.effect(Effect::Mute { identity }));
            }
            Moderation::AllowVideo(allowed) => {
                let leg = &mut self.call.legs[i];
                leg.inner.video_forbidden = !allowed;
                // Allowing is no consent: in an audio call, video stays a question to each.
                let video = allowed && self.call.media == Media::Video && !self.call.limits.no_video;
                if self.call.legs[i].video_allowed != video {
                    self.set_video(i, video);
                }
            }
        }
        Ok(())
    }

    /// A host lets somebody in from the lobby, or not.
    pub(crate) fn admit(&mut self, by: &UserId, waiting: &UserId, admit: bool) -> Result<(), Refusal> {
        self.must_host(Some(by))?;
        let i = self.call.legs.iter().position(|leg| leg.user == *waiting && leg.state == LegState::Lobby);
        let Some(i) = i else {
            return Err(Refusal::new(Reason::NotWaiting, format!("{waiting} does not wait in the lobby")));
        };
        if admit {
            return self.let_in(i);
        }
        self.turn_away(i);
        Ok(())
    }
}
