//! Which qualities of a participant's own tracks anybody watches, so that its client can stop the others. More is asked
//! for at once, less only after a while: people come and go, and a stopped layer needs time to start.
use std::collections::BTreeMap;
use std::time::Duration;

use sluice_livekit_proto as livekit;
use tokio::time::Instant;

use crate::model::Track;

/// A client takes news of a track only when it has finished publishing it, a moment after the answer to its offer. Until
/// then it sends everything, so waiting costs nothing but a little bandwidth.
const QUIET: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Qualities {
    lowering: Duration,
    tracks: BTreeMap<String, Wanted>,
}

#[derive(Debug, Default)]
struct Wanted {
    /// Told to the client; `None`: nothing yet.
    told: Option<Vec<u32>>,
    now: Vec<u32>,
    /// When what nobody wants any more is given up.
    lower_at: Option<Instant>,
    /// When the client will have finished publishing the track; `None`: it has not been negotiated.
    quiet_until: Option<Instant>,
    /// Something is to be told then.
    pending: bool,
}

impl Qualities {
    pub(super) fn new(lowering: Duration) -> Self {
        Self { lowering, tracks: BTreeMap::new() }
    }

    /// The track is negotiated.
    pub(super) fn begun(&mut self, track_id: &str, now: Instant) {
        self.tracks.entry(track_id.to_owned()).or_default().quiet_until = Some(now + QUIET);
    }

    /// Somebody wants these layers, given by index. True: tell the client.
    pub(super) fn wanted(&mut self, track_id: &str, mut layers: Vec<u32>, now: Instant) -> bool {
        layers.sort_unstable();
        layers.dedup();
        let wanted = self.tracks.entry(track_id.to_owned()).or_default();
        wanted.now = layers;
        let told = wanted.told.get_or_insert_default();
        let more = wanted.now.iter().any(|layer| !told.contains(layer));
        let less = told.iter().any(|layer| !wanted.now.contains(layer));
        if more {
            let added: Vec<_> = wanted.now.iter().filter(|layer| !told.contains(layer)).copied().collect();
            told.extend(added);
            told.sort_unstable();
        }
        match (less, wanted.lower_at) {
            (true, None) => wanted.lower_at = Some(now + self.lowering),
            (false, _) => wanted.lower_at = None,
            (true, Some(_)) => {}
        }
        wanted.pending |= more;
        wanted.take_pending(now)
    }

    /// Tracks of which the client must be told by now.
    pub(super) fn due(&mut self, now: Instant) -> Vec<String> {
        let mut due = Vec::new();
        for (track_id, wanted) in &mut self.tracks {
            if wanted.lower_at.is_some_and(|at| at <= now) {
                wanted.lower_at = None;
                wanted.told = Some(wanted.now.clone());
                wanted.pending = true;
            }
            if wanted.take_pending(now) {
                due.push(track_id.clone());
            }
        }
        due
    }

    pub(super) fn wake_at(&self) -> Option<Instant> {
        let quiet = |wanted: &Wanted| wanted.quiet_until.filter(|_| wanted.pending);
        self.tracks.values().flat_map(|wanted| [wanted.lower_at, quiet(wanted)]).flatten().min()
    }

    pub(super) fn forget(&mut self, track_id: &str) {
        self.tracks.remove(track_id);
    }

    pub(super) fn tracks(&self) -> Vec<String> {
        self.tracks.keys().cloned().collect()
    }

    /// What the client is to be told of a track.
    pub(super) fn message(&self, track: &Track) -> Option<livekit::SubscribedQualityUpdate> {
        let told = self.tracks.get(&track.track_id)?.told.as_ref()?;
        // Layers without names come in one encoding: the node knows them as one, wanted or not.
        let single = track.layers.iter().all(|layer| layer.rid.is_empty());
        let layer = |(index, layer): (usize, &crate::model::Layer)| livekit::SubscribedQuality {
            quality: layer.quality,
            enabled: told.iter().any(|told| single || usize::try_from(*told) == Ok(index)),
        };
        let qualities: Vec<_> = track.layers.iter().enumerate().map(layer).collect();
        let codec = track.mime_type.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
        // Without a name clients take the older field.
        let named =
            (!codec.is_empty()).then(|| livekit::SubscribedCodec { codec, qualities: qualities.clone() });
        let subscribed_codecs = named.into_iter().collect();
        Some(livekit::SubscribedQualityUpdate {
            track_sid: track.track_id.clone(),
            subscribed_qualities: qualities,
            subscribed_codecs,
        })
    }
}

impl Wanted {
    fn take_pending(&mut self, now: Instant) -> bool {
        let ready = self.quiet_until.is_some_and(|until| until <= now);
        ready && std::mem::take(&mut self.pending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Layer;

    const LOWERING: Duration = Duration::from_secs(5);

    fn camera() -> Track {
        let layer = |quality, rid: &str| Layer { quality, rid: rid.into(), ..Default::default() };
        let layers = vec![layer(0, "q"), layer(1, "h"), layer(2, "f")];
        Track { track_id: "TR_1".into(), mime_type: "video/VP8".into(), layers, ..Default::default() }
    }

    /// A track that was published a while ago.
    fn published(now: Instant) -> Qualities {
        let mut qualities = Qualities::new(LOWERING);
        qualities.begun("TR_1", now - QUIET);
        qualities
    }

    fn enabled(qualities: &Qualities) -> Vec<bool> {
        let message = qualities.message(&camera()).unwrap();
        assert_eq!(message.subscribed_codecs[0].codec, "vp8");
        message.subscribed_qualities.iter().map(|quality| quality.enabled).collect()
    }

    #[test]
    fn more_is_told_at_once_and_less_after_a_while() {
        let start = Instant::now() + QUIET;
        let mut qualities = published(start);
        assert!(qualities.wanted("TR_1", vec![0, 2], start));
        assert_eq!(enabled(&qualities), [true, false, true]);
        assert!(!qualities.wanted("TR_1", vec![0], start));
        assert_eq!(enabled(&qualities), [true, false, true]);
        assert_eq!(qualities.wake_at(), Some(start + LOWERING));
        assert!(qualities.due(start).is_empty());
        assert_eq!(qualities.due(start + LOWERING), ["TR_1"]);
        assert_eq!(enabled(&qualities), [true, false, false]);
    }

    #[test]
    fn a_client_that_still_publishes_is_told_when_it_has_finished() {
        let start = Instant::now();
        let mut qualities = Qualities::new(LOWERING);
        assert!(!qualities.wanted("TR_1", vec![0], start), "not negotiated");
        assert!(qualities.due(start + LOWERING).is_empty() && qualities.wake_at().is_none());
        qualities.begun("TR_1", start);
        assert_eq!(qualities.wake_at(), Some(start + QUIET));
        assert!(!qualities.wanted("TR_1", vec![0, 1], start));
        assert_eq!(qualities.due(start + QUIET), ["TR_1"]);
        assert!(qualities.due(start + QUIET).is_empty());
    }

    #[test]
    fn scalable_layers_are_wanted_together() {
        let mut qualities = Qualities::new(LOWERING);
        qualities.wanted("TR_1", vec![0], Instant::now());
        let mut scalable = camera();
        scalable.layers.iter_mut().for_each(|layer| layer.rid.clear());
        let message = qualities.message(&scalable).unwrap();
        assert!(message.subscribed_qualities.iter().all(|quality| quality.enabled));
    }

    #[test]
    fn who_comes_back_in_time_stops_the_lowering() {
        let start = Instant::now() + QUIET;
        let mut qualities = published(start);
        qualities.wanted("TR_1", vec![2], start);
        qualities.wanted("TR_1", vec![], start);
        assert!(!qualities.wanted("TR_1", vec![2], start + LOWERING / 2), "nothing new to tell");
        assert_eq!(qualities.wake_at(), None);
    }
}
