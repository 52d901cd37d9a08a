//! Gives each session's subscriptions their layers, and publishers the news of what is wanted.

use std::time::Instant;

use sluice_forward::{Claim, Grant, Ladder, Layer, Pause, Quality, Rung, Standing, Wish};
use sluice_rtp::{Bitrate, MediaKind};

use crate::demux::SessionKey;
use crate::model::{PauseReason, SessionState};
use crate::publication::{Publication, Subscriber};
use crate::room::RoomKey;
use crate::section::{PublicationKey, SubscriptionKey};
use crate::session::{Session, Subscription};
use crate::shard::Shard;

/// So much of the path is kept known for everybody who can watch anything: a viewer who enlarges a tile shall not wait for
/// the estimator. Larger probes more than most viewers ever need; smaller delays the first sharp picture by seconds.
const HEADROOM: Bitrate = Bitrate::kbps(2_500);

/// A lower estimate is never believed: no call works below it.
const LEAST: Bitrate = Bitrate::kbps(100);

/// An estimate below this is believed only where packets were lost too: with little on the way it measures the scheduler of a
/// busy machine rather than the path. Larger would flood a narrow path until it loses; smaller would pause small pictures.
const LEAST_UNPROVEN: Bitrate = Bitrate::kbps(500);

/// Nor does it pause pictures whose lowest layers together cost up to this: there is nothing smaller to send, a picture that
/// stands still for seconds is worse than one that is late for a moment, and if the path is narrow it will lose packets.
const MOST_UNPROVEN: Bitrate = Bitrate::kbps(2_500);

/// What the lowest layer is taken to cost until it was measured.
const UNMEASURED: Bitrate = Bitrate::kbps(100);

/// A video subscription that takes part in the division.
struct Contender {
    subscription: SubscriptionKey,
    publication: PublicationKey,
    ladder: Ladder,
    wish: Wish,
    standing: Standing,
    rank: u32,
    present: Option<(u8, u8)>,
}

impl Shard {
    /// Divides what the path to a session carries among its subscriptions.
    pub(crate) fn allocate(&mut self, now: Instant, key: SessionKey) {
        let session = &mut self.sessions[key];
        let room_key = session.room;
        let room = &self.rooms[room_key];
        let connected = session.state == SessionState::Connected;
        session.path.allocated_at = now;

        let mut audio = Bitrate::ZERO;
        let mut contenders = Vec::new();
        let dominant = room.dominant.current();
        for (index, subscription) in session.subscriptions.iter_mut() {
            let publication = subscription.publication.and_then(|p| Some((p, room.publications.get(p)?)));
            let paused = hindrance(subscription, publication.map(|(_, p)| p), connected);
            subscription.paused = paused;
            let Some(egress) = &mut subscription.egress else { continue };
            let Some((publication_key, publication)) = publication else { continue };
            if publication.spec.kind == MediaKind::Audio {
                egress.switcher.set_target(paused.is_none().then_some(0));
                audio += egress.meter.cost(now);
                continue;
            }
            if !matches!(paused, None | Some(PauseReason::NoMedia | PauseReason::Wish)) {
                egress.switcher.set_target(None);
                continue;
            }
            let speaks = room
                .publications
                .get(dominant.unwrap_or(usize::MAX))
                .is_some_and(|voice| publication.is_beside(voice));
            contenders.push(Contender {
                subscription: index,
                publication: publication_key,
                ladder: ladder(publication, subscription.spec.wish.max_layer, now),
                wish: wish(&subscription.spec.wish),
                standing: standing(publication, speaks),
                rank: subscription.spec.wish.priority,
                present: egress.switcher.current().map(|layer| (layer, Rung::ALL_FRAMES)),
            });
        }

        let mut budget = session.path.window.budget(now, audio);
        let lowest = contenders.iter().filter_map(Contender::lowest).sum::<Bitrate>() + audio;
        let least = least_believed(session.path.is_proven(now), lowest);
        budget.estimate = budget.estimate.max(least);
        budget.floor = budget.floor.max(least);
        if let Some(most) = session.settings.max_send_bitrate {
            budget.estimate = budget.estimate.min(most);
            budget.floor = budget.floor.min(most);
        }
        let claims: Vec<_> = contenders.iter().map(Contender::claim).collect();
        let plan = sluice_forward::allocate(&budget, &claims);
        session.path.allocated = plan.cost;
        let watches = session.sections.iter().any(|s| s.kind == MediaKind::Video && s.peer_receives);
        let desired = if watches { plan.desired.max(HEADROOM) } else { plan.desired };
        let desired = session.settings.max_send_bitrate.map_or(desired, |most| desired.min(most));
        session.transport.set_desired(now, plan.cost, desired);
        tracing::trace!(
            session = %session.id,
            estimate = %budget.estimate,
            floor = %budget.floor,
            %desired,
            cost = %plan.cost,
            grants = ?plan.grants,
            "allocated"
        );
        let mut touched = Vec::with_capacity(contenders.len());
        for (contender, grant) in contenders.iter().zip(&plan.grants) {
            if grant_to(session, contender, grant) {
                touched.push(contender.publication);
            }
        }
        for publication in touched {
            self.collect_waiters(room_key, publication);
            self.ask_for_key_frames(now, room_key, publication);
            self.report_wanted(room_key, publication);
        }
        let keys: Vec<_> = self.sessions[key].subscriptions.iter().map(|(k, _)| k).collect();
        for subscription in keys {
            self.emit_subscription(key, subscription);
        }
    }

    /// Tells the publisher which layers anybody wants, if that changed. All up to the highest: the lower ones stand in when a
    /// path narrows.
    pub(crate) fn report_wanted(&mut self, room: RoomKey, key: PublicationKey) {
        let Some(publication) = self.rooms[room].publications.get(key) else { return };
        if publication.session().is_none() {
            return self.report_link_wish(room, key);
        }
        if publication.spec.kind != MediaKind::Video || publication.mid.is_none() {
            return;
        }
        let over_links = publication.links.iter().map(|link| link.highest).max();
        let highest = self.highest_wanted(publication).max(over_links);
        let layers: Vec<u8> = highest.map(|highest| (0..=highest).collect()).unwrap_or_default();
        if publication.wanted.as_ref() == Some(&layers) {
            return;
        }
        self.rooms[room].publications[key].wanted = Some(layers.clone());
        self.emit_wanted(room, key, layers);
    }

    /// The highest layer that a subscriber of this shard wants.
    pub(crate) fn highest_wanted(&self, publication: &Publication) -> Option<u8> {
        let subscribers = publication.subscribers.iter();
        let wanted = |s: &Subscriber| self.sessions.get(s.session)?.subscriptions.get(s.subscription)?.wanted;
        subscribers.filter_map(wanted).max()
    }

    /// Notes who waits for a key frame of which layer.
    pub(crate) fn collect_waiters(&mut self, room: RoomKey, key: PublicationKey) {
        let Some(publication) = self.rooms[room].publications.get_mut(key) else { return };
        let Publication { subscribers, layers, .. } = publication;
        for subscriber in subscribers.iter() {
            let awaited = awaited_layer(&self.sessions, *subscriber);
            for (index, layer) in layers.iter_mut().enumerate() {
                if awaited == Some(index as u8) {
                    layer.key_frames.wait(*subscriber);
                } else {
                    layer.key_frames.give_up(*subscriber);
                }
            }
        }
    }
}

/// The layer whose key frame a subscriber waits for.
pub(crate) fn awaited_layer(sessions: &slab::Slab<Box<Session>>, subscriber: Subscriber) -> Option<u8> {
    let subscription = sessions.get(subscriber.session)?.subscriptions.get(subscriber.subscription)?;
    subscription.egress.as_ref()?.awaits_key_frame()
}

impl Contender {
    /// What its lowest layer costs, if it wishes for any.
    fn lowest(&self) -> Option<Bitrate> {
        self.ladder.rungs().first().filter(|_| !self.wish.paused).map(|rung| rung.cost)
    }

    fn claim(&self) -> Claim<'_> {
        Claim {
            ladder: &self.ladder,
            wish: self.wish,
            standing: self.standing,
            rank: self.rank,
            present: self.present,
            max_temporal: Rung::ALL_FRAMES,
        }
    }
}

/// The least estimate that is believed, where the lowest layers of what is watched cost `lowest`.
fn least_believed(proven: bool, lowest: Bitrate) -> Bitrate {
    if proven { LEAST } else { lowest.clamp(LEAST_UNPROVEN, MOST_UNPROVEN) }
}

/// Puts a grant into effect; true if the layer to show or to want is another.
fn grant_to(session: &mut Session, contender: &Contender, grant: &Grant) -> bool {
    let Some(subscription) = session.subscriptions.get_mut(contender.subscription) else { return false };
    let Some(egress) = &mut subscription.egress else { return false };
    let target = grant.rung.ok().map(|rung| rung.layer);
    subscription.paused = match grant.rung {
        Ok(_) => None,
        Err(Pause::Wished) => Some(PauseReason::Wish),
        Err(Pause::NoLayer) => Some(PauseReason::NoMedia),
        Err(Pause::Bandwidth { .. }) => Some(PauseReason::Bandwidth),
    };
    let changed = egress.switcher.target() != target || subscription.wanted != grant.wanted;
    egress.switcher.set_target(target);
    subscription.wanted = grant.wanted;
    changed
}

/// Why nothing can be forwarded, whatever the bandwidth.
fn hindrance(
    subscription: &Subscription,
    publication: Option<&Publication>,
    connected: bool,
) -> Option<PauseReason> {
    let Some(publication) = publication else { return Some(PauseReason::NoMedia) };
    let Some(egress) = subscription.egress.as_ref().filter(|_| connected) else {
        return Some(PauseReason::NotNegotiated);
    };
    if subscription.spec.wish.paused {
        return Some(PauseReason::Wish);
    }
    if publication.spec.muted {
        return Some(PauseReason::Muted);
    }
    if egress.payload_generation == publication.payload_generation
        && publication.payload.is_some()
        && egress.payload_type.is_none()
    {
        return Some(PauseReason::Codec);
    }
    None
}

fn ladder(publication: &Publication, max_layer: Option<u8>, now: Instant) -> Ladder {
    let mut layers: Vec<Layer> = publication
        .layers
        .iter()
        .enumerate()
        .map(|(index, layer)| Layer {
            index: index as u8,
            width: u16::try_from(layer.spec.width).unwrap_or(u16::MAX),
            height: u16::try_from(layer.spec.height).unwrap_or(u16::MAX),
            bitrate: layer.meter.clone().cost(now),
            active: layer.active,
        })
        .filter(|layer| max_layer.is_none_or(|most| layer.index <= most))
        .collect();
    // The lowest layer begins before it was measured: a picture one second earlier is worth a second's excess.
    if let Some(lowest) = layers.iter_mut().find(|layer| layer.active)
        && lowest.bitrate == Bitrate::ZERO
    {
        lowest.bitrate = UNMEASURED;
    }
    Ladder::new(&layers)
}

fn wish(wish: &crate::model::Wish) -> Wish {
    Wish {
        width: u16::try_from(wish.width).unwrap_or(u16::MAX),
        height: u16::try_from(wish.height).unwrap_or(u16::MAX),
        frame_rate: u8::try_from(wish.frame_rate).unwrap_or(u8::MAX),
        quality: Quality::High,
        paused: wish.paused,
    }
}

fn standing(publication: &Publication, speaks: bool) -> Standing {
    match (publication.spec.screen_share, speaks) {
        (true, _) => Standing::ScreenShare,
        (false, true) => Standing::Speaker,
        (false, false) => Standing::Tile,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_losses_pause_the_lowest_layers() {
        let lowest = Bitrate::kbps(1_200);
        assert_eq!(least_believed(false, lowest), lowest);
        assert_eq!(least_believed(true, lowest), LEAST);
        assert_eq!(
            least_believed(false, Bitrate::kbps(150)),
            LEAST_UNPROVEN,
            "a low estimate of a small picture"
        );
        assert_eq!(
            least_believed(false, Bitrate::kbps(9_000)),
            MOST_UNPROVEN,
            "no flood, whatever is watched"
        );
    }
}
