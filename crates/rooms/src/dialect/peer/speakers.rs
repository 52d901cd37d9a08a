//! Who speaks, as changes against what the client was last told.
use std::collections::BTreeMap;

use sluice_api::sfu::v1 as sfu;
use sluice_livekit_proto as livekit;

/// Levels closer than this to the last told one are not worth a message.
const STEP: f32 = 0.05;

#[derive(Debug, Default)]
pub(super) struct Speakers {
    /// Level of each participant that speaks, as told.
    told: BTreeMap<String, f32>,
}

impl Speakers {
    /// Takes everybody who speaks now, `audible` telling whom this client hears; returns what changed.
    pub(super) fn update(
        &mut self,
        speakers: &[sfu::Speaker],
        audible: impl Fn(&sfu::Speaker) -> bool,
    ) -> Vec<livekit::SpeakerInfo> {
        let mut now: BTreeMap<String, f32> = BTreeMap::new();
        for speaker in speakers.iter().filter(|speaker| audible(speaker)) {
            let level = now.entry(speaker.participant_id.clone()).or_default();
            *level = level.max(speaker.level);
        }
        let silent = self.told.keys().filter(|id| !now.contains_key(*id));
        let mut changes: Vec<_> =
            silent.map(|id| livekit::SpeakerInfo { sid: id.clone(), level: 0.0, active: false }).collect();
        self.told.retain(|id, _| now.contains_key(id));
        for (id, level) in now {
            let told = self.told.get(&id);
            if told.is_none_or(|told| (told - level).abs() >= STEP) {
                changes.push(livekit::SpeakerInfo { sid: id.clone(), level, active: true });
                self.told.insert(id, level);
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speaker(id: &str, level: f32) -> sfu::Speaker {
        sfu::Speaker { participant_id: id.into(), publication_id: format!("TR_{id}"), level }
    }

    fn brief(changes: &[livekit::SpeakerInfo]) -> Vec<(&str, bool)> {
        changes.iter().map(|change| (change.sid.as_str(), change.active)).collect()
    }

    #[test]
    fn only_changes_are_told() {
        let mut speakers = Speakers::default();
        assert_eq!(
            brief(&speakers.update(&[speaker("a", 0.5), speaker("b", 0.2)], |_| true)),
            [("a", true), ("b", true)]
        );
        assert!(speakers.update(&[speaker("a", 0.51), speaker("b", 0.2)], |_| true).is_empty());
        assert_eq!(brief(&speakers.update(&[speaker("a", 0.9)], |_| true)), [("b", false), ("a", true)]);
        assert_eq!(brief(&speakers.update(&[], |_| true)), [("a", false)]);
    }

    #[test]
    fn who_is_not_heard_is_not_told() {
        let mut speakers = Speakers::default();
        assert!(speakers.update(&[speaker("a", 0.5)], |speaker| speaker.participant_id == "me").is_empty());
    }
}
