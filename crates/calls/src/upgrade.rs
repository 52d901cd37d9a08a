//! From audio to video, by consent of each.
use crate::call::{Media, Upgrade};
use crate::change::Change;
use crate::id::UserId;
use crate::outcome::{EventKind, Reason, Refusal};

impl Change<'_> {
    /// A user wishes for video. Who asks agrees.
    pub(crate) fn request_upgrade(&mut self, user: &UserId) -> Result<(), Refusal> {
        let i = self.in_call_part(user)?;
        if self.call.limits.no_video || self.call.legs[i].inner.video_forbidden {
            return Err(Refusal::new(Reason::NotAllowed, "video is not allowed in this call"));
        }
        if self.call.media == Media::Video {
            // The others have consented to pictures; this user came without the camera.
            self.allow_video(i);
            return Ok(());
        }
        if self.call.upgrade.is_some() {
            return self.respond_upgrade(user, true);
        }
        let (by, accepted) = (user.clone(), vec![user.clone()]);
        self.call.upgrade = Some(Upgrade { by, at: self.now, accepted, declined: Vec::new() });
        self.event(EventKind::UpgradeRequested);
        Ok(())
    }

    /// An answer to the wish; the asker's own "no" takes it back.
    pub(crate) fn respond_upgrade(&mut self, user: &UserId, accept: bool) -> Result<(), Refusal> {
        let i = self.in_call_part(user)?;
        let Some(upgrade) = &mut self.call.upgrade else {
            return Err(Refusal::new(Reason::NoUpgrade, "nobody asks for video: request it"));
        };
        if upgrade.by == *user {
            if !accept {
                self.close_upgrade();
            }
            return Ok(());
        }
        if self.call.legs[i].inner.video_forbidden && accept {
            return Err(Refusal::new(Reason::NotAllowed, "a host has taken your video away"));
        }
        upgrade.accepted.retain(|known| known != user);
        upgrade.declined.retain(|known| known != user);
        if !accept {
            upgrade.declined.push(user.clone());
            return Ok(());
        }
        upgrade.accepted.push(user.clone());
        let by = upgrade.by.clone();
        if self.call.media == Media::Audio {
            self.call.media = Media::Video;
            if let Some(asker) = self.call.legs.iter().position(|leg| leg.user == by) {
                self.allow_video(asker);
            }
            self.event(EventKind::UpgradeAccepted);
        }
        self.allow_video(i);
        Ok(())
    }

    /// Closes the wish once everybody in the call has answered.
    pub(crate) fn settle_upgrade(&mut self) {
        let Some(upgrade) = &self.call.upgrade else { return };
        let answered = |user: &UserId| upgrade.accepted.contains(user) || upgrade.declined.contains(user);
        let mut here = self.call.legs.iter().filter(|leg| leg.state.is_in_call());
        let asker_left = !self.call.leg(&upgrade.by).is_some_and(|leg| leg.state.is_in_call());
        if asker_left || here.all(|leg| answered(&leg.user)) {
            self.close_upgrade();
        }
    }

    /// Nobody else needs to answer any more.
    pub(crate) fn close_upgrade(&mut self) {
        if self.call.upgrade.take().is_some() && self.call.media == Media::Audio {
            self.event(EventKind::UpgradeDeclined);
        }
    }

    fn allow_video(&mut self, i: usize) {
        if !self.call.legs[i].video_allowed {
            self.set_video(i, true);
        }
    }

    pub(crate) fn set_video(&mut self, i: usize, allowed: bool) {
        let leg = &mut self.call.legs[i];
        leg.video_allowed = allowed;
        let user = leg.user.clone();
        self.event(EventKind::LegChanged(user));
    }

    /// Whether somebody who comes in now may send video.
    pub(crate) fn may_send_video(&self, i: usize) -> bool {
        let forbidden = self.call.limits.no_video || self.call.legs[i].inner.video_forbidden;
        self.call.media == Media::Video && !forbidden
    }
}
