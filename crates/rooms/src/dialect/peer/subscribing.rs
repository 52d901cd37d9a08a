//! What a participant gets of the others' tracks, and at which size.
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sluice_api::sfu::v1 as sfu;
use sluice_livekit_proto as livekit;

use crate::model::{Layer, Source, Track};

/// Settings may come before their track, but a client must not fill our memory with them.
const MOST_SETTINGS: usize = 10_000;

#[derive(Debug)]
pub(super) struct Subscribing {
    /// The client reports sizes: until it does, the lowest layer is enough.
    adaptive: bool,
    /// Ordered by id.
    wanted: Arc<[String]>,
    settings: HashMap<String, livekit::UpdateTrackSettings>,
    /// Tracks of which the client knows that they are paused for want of bandwidth.
    paused: HashSet<String>,
}

impl Subscribing {
    pub(super) fn new(adaptive: bool) -> Self {
        Self { adaptive, wanted: Arc::from([]), settings: HashMap::new(), paused: HashSet::new() }
    }

    /// What was wanted before a restart, and how.
    pub(super) fn restore(&mut self, subscriptions: &[sfu::Subscription]) {
        for subscription in subscriptions {
            let Some(wish) = &subscription.wish else { continue };
            if let Some(settings) = settings(wish) {
                self.settings.insert(subscription.publication_id.clone(), settings);
            }
        }
    }

    pub(super) fn want(&mut self, wanted: Arc<[String]>) {
        self.paused.retain(|track_id| wanted.binary_search(track_id).is_ok());
        self.wanted = wanted;
    }

    pub(super) fn wants(&self, track_id: &str) -> bool {
        self.wanted.binary_search_by(|wanted| wanted.as_str().cmp(track_id)).is_ok()
    }

    /// Takes the client's settings; true if they concern a wanted track.
    pub(super) fn set(&mut self, update: &livekit::UpdateTrackSettings) -> bool {
        for track_id in &update.track_sids {
            if self.settings.len() < MOST_SETTINGS || self.settings.contains_key(track_id) {
                let settings = livekit::UpdateTrackSettings { track_sids: Vec::new(), ..update.clone() };
                self.settings.insert(track_id.clone(), settings);
            }
        }
        update.track_sids.iter().any(|track_id| self.wants(track_id))
    }

    pub(super) fn forget(&mut self, track_id: &str) {
        self.settings.remove(track_id);
    }

    /// All subscriptions, as the node shall have them, `most` of them at most: sound first, which costs little and is
    /// missed most.
    pub(super) fn declare<'a>(
        &self,
        most: usize,
        track: impl Fn(&str) -> Option<&'a Track>,
    ) -> Vec<sfu::Subscription> {
        let subscription = |track_id: &String| sfu::Subscription {
            publication_id: track_id.clone(),
            wish: Some(wish(self.settings.get(track_id), track(track_id), self.adaptive)),
            ..Default::default()
        };
        if self.wanted.len() <= most {
            return self.wanted.iter().map(subscription).collect();
        }
        let is_video = |track_id: &&String| track(track_id).is_some_and(|track| track.video);
        let (video, sound): (Vec<&String>, Vec<&String>) = self.wanted.iter().partition(is_video);
        sound.into_iter().chain(video).take(most).map(subscription).collect()
    }

    /// The node reports on a subscription: what the client must be told, if anything.
    pub(super) fn reported(&mut self, subscription: &sfu::Subscription) -> Option<livekit::StreamState> {
        let track_id = &subscription.publication_id;
        if subscription.pause_reason() == sfu::PauseReason::Bandwidth {
            return self.paused.insert(track_id.clone()).then_some(livekit::StreamState::Paused);
        }
        self.paused.remove(track_id).then_some(livekit::StreamState::Active)
    }
}

fn wish(settings: Option<&livekit::UpdateTrackSettings>, track: Option<&Track>, adaptive: bool) -> sfu::Wish {
    let video = track.is_none_or(|track| track.video);
    let Some(settings) = settings else {
        let max_layer = (adaptive && video).then_some(0);
        return sfu::Wish { max_layer, priority: priority(0, track), ..Default::default() };
    };
    let sized = settings.width > 0 && settings.height > 0;
    let layers = track.map_or(&[][..], |track| &track.layers);
    sfu::Wish {
        width: if sized { settings.width } else { 0 },
        height: if sized { settings.height } else { 0 },
        frame_rate: settings.fps,
        priority: priority(settings.priority, track),
        paused: settings.disabled || settings.quality() == livekit::VideoQuality::Off,
        max_layer: if sized || !video { None } else { highest_layer(layers, settings.quality()) },
    }
}

/// The client's priority leads; without one, a screen is served before faces.
fn priority(stated: u32, track: Option<&Track>) -> u32 {
    let screen = track.is_some_and(|track| track.source() == Source::ScreenShare);
    if stated == 0 && screen { 1 } else { stated }
}

/// The index of the best layer of at most this quality; `None`: no limit.
fn highest_layer(layers: &[Layer], quality: livekit::VideoQuality) -> Option<u32> {
    if quality == livekit::VideoQuality::High {
        return None;
    }
    if layers.is_empty() {
        return u32::try_from(i32::from(quality)).ok();
    }
    let index = layers.iter().rposition(|layer| layer.quality <= i32::from(quality)).unwrap_or(0);
    u32::try_from(index).ok()
}

/// The settings that lead to this wish, as far as they can be told from it.
fn settings(wish: &sfu::Wish) -> Option<livekit::UpdateTrackSettings> {
    let quality = match wish.max_layer {
        Some(0) => livekit::VideoQuality::Low,
        Some(1) => livekit::VideoQuality::Medium,
        _ => livekit::VideoQuality::High,
    };
    let default = *wish == sfu::Wish { priority: wish.priority, ..Default::default() };
    (!default).then(|| livekit::UpdateTrackSettings {
        track_sids: Vec::new(),
        disabled: wish.paused,
        quality: quality.into(),
        width: wish.width,
        height: wish.height,
        fps: wish.frame_rate,
        priority: wish.priority,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(quality: i32) -> Layer {
        Layer { quality, ..Default::default() }
    }

    fn camera() -> Track {
        Track { video: true, layers: vec![layer(0), layer(1), layer(2)], ..Default::default() }
    }

    fn subscribing(adaptive: bool) -> Subscribing {
        let mut subscribing = Subscribing::new(adaptive);
        subscribing.want(Arc::from(["TR_1".to_owned()]));
        subscribing
    }

    fn only_wish(subscribing: &Subscribing) -> sfu::Wish {
        let camera = camera();
        subscribing.declare(9, |_| Some(&camera)).remove(0).wish.unwrap()
    }

    fn update(change: impl FnOnce(&mut livekit::UpdateTrackSettings)) -> livekit::UpdateTrackSettings {
        let mut update =
            livekit::UpdateTrackSettings { track_sids: vec!["TR_1".into()], ..Default::default() };
        change(&mut update);
        update
    }

    #[test]
    fn an_adaptive_client_starts_low_and_others_high() {
        assert_eq!(only_wish(&subscribing(true)).max_layer, Some(0));
        assert_eq!(only_wish(&subscribing(false)).max_layer, None);
    }

    #[test]
    fn sizes_go_before_quality() {
        let mut subscribing = subscribing(true);
        assert!(subscribing.set(&update(|settings| (settings.width, settings.height) = (640, 360))));
        let wish = only_wish(&subscribing);
        assert_eq!((wish.width, wish.height, wish.max_layer), (640, 360, None));
        subscribing.set(&update(|settings| settings.quality = livekit::VideoQuality::Medium.into()));
        assert_eq!(only_wish(&subscribing).max_layer, Some(1));
        subscribing.set(&update(|settings| settings.quality = livekit::VideoQuality::High.into()));
        assert_eq!(only_wish(&subscribing).max_layer, None);
        subscribing.set(&update(|settings| settings.disabled = true));
        assert!(only_wish(&subscribing).paused);
    }

    #[test]
    fn settings_may_come_before_their_track() {
        let mut subscribing = Subscribing::new(true);
        assert!(!subscribing.set(&update(|settings| settings.disabled = true)));
        subscribing.want(Arc::from(["TR_1".to_owned()]));
        assert!(only_wish(&subscribing).paused);
    }

    #[test]
    fn quality_means_the_best_layer_that_is_not_better() {
        let two = [layer(0), layer(2)];
        assert_eq!(highest_layer(&two, livekit::VideoQuality::Medium), Some(0));
        assert_eq!(highest_layer(&[layer(2)], livekit::VideoQuality::Low), Some(0));
        assert_eq!(highest_layer(&[], livekit::VideoQuality::Medium), Some(1));
    }

    #[test]
    fn wishes_survive_a_restart() {
        let mut before = subscribing(true);
        before.set(&update(|settings| (settings.width, settings.height, settings.fps) = (320, 180, 15)));
        let camera = camera();
        let declared = before.declare(9, |_| Some(&camera));
        let mut after = subscribing(true);
        after.restore(&declared);
        assert_eq!(after.declare(9, |_| Some(&camera)), declared);
    }

    #[test]
    fn of_too_many_tracks_sound_goes_first() {
        let mut subscribing = Subscribing::new(false);
        subscribing.want(Arc::from(["TR_a".to_owned(), "TR_b".to_owned(), "TR_c".to_owned()]));
        let (camera, voice) = (camera(), Track::default());
        let declared =
            subscribing.declare(2, |track_id| Some(if track_id == "TR_c" { &voice } else { &camera }));
        let ids: Vec<_> = declared.iter().map(|one| one.publication_id.as_str()).collect();
        assert_eq!(ids, ["TR_c", "TR_a"]);
    }

    #[test]
    fn a_pause_for_bandwidth_is_told_once_and_its_end_too() {
        let mut subscribing = subscribing(false);
        let mut report = sfu::Subscription { publication_id: "TR_1".into(), ..Default::default() };
        report.set_pause_reason(sfu::PauseReason::Muted);
        assert_eq!(subscribing.reported(&report), None);
        report.set_pause_reason(sfu::PauseReason::Bandwidth);
        assert_eq!(subscribing.reported(&report), Some(livekit::StreamState::Paused));
        assert_eq!(subscribing.reported(&report), None);
        report.set_pause_reason(sfu::PauseReason::None);
        assert_eq!(subscribing.reported(&report), Some(livekit::StreamState::Active));
        assert_eq!(subscribing.reported(&report), None);
    }
}
