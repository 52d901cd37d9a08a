//! Who may subscribe to whose tracks, and who may publish what.
use crate::model::{Access, Participant, Permissions, Source};

/// Whether `access`, a publisher's rules, let `subscriber` have the track. Without rules everybody may.
pub(crate) fn may_subscribe(access: Option<&Access>, subscriber: &Participant, track_id: &str) -> bool {
    let Some(access) = access else { return true };
    access.rules.iter().any(|rule| {
        let meant = (!rule.participant_id.is_empty() && rule.participant_id == subscriber.participant_id)
            || (!rule.identity.is_empty() && rule.identity == subscriber.identity);
        meant && (rule.all_tracks || rule.track_ids.iter().any(|id| id == track_id))
    })
}

/// Whether a track of this source may be published.
pub(crate) fn may_publish(permissions: &Permissions, source: Source) -> bool {
    permissions.can_publish
        && (permissions.sources.is_empty() || permissions.sources.contains(&source.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AccessRule;

    fn bob() -> Participant {
        Participant { participant_id: "PA_b".into(), identity: "bob".into(), ..Default::default() }
    }

    #[test]
    fn without_rules_everybody_may_subscribe_and_with_none_matching_nobody() {
        assert!(may_subscribe(None, &bob(), "TR_1"));
        assert!(!may_subscribe(Some(&Access::default()), &bob(), "TR_1"));
    }

    #[test]
    fn a_rule_names_the_subscriber_and_the_tracks() {
        let by_identity =
            AccessRule { identity: "bob".into(), track_ids: vec!["TR_1".into()], ..Default::default() };
        let access = Access { rules: vec![by_identity] };
        assert!(may_subscribe(Some(&access), &bob(), "TR_1"));
        assert!(!may_subscribe(Some(&access), &bob(), "TR_2"));
        let all = AccessRule { participant_id: "PA_b".into(), all_tracks: true, ..Default::default() };
        assert!(may_subscribe(Some(&Access { rules: vec![all] }), &bob(), "TR_2"));
    }

    #[test]
    fn a_rule_that_names_nobody_means_nobody() {
        let nobody = Participant::default();
        let access = Access { rules: vec![AccessRule { all_tracks: true, ..Default::default() }] };
        assert!(!may_subscribe(Some(&access), &nobody, "TR_1"));
    }

    #[test]
    fn sources_narrow_what_may_be_published() {
        let permissions =
            Permissions { can_publish: true, sources: vec![Source::Microphone.into()], ..Default::default() };
        assert!(may_publish(&permissions, Source::Microphone));
        assert!(!may_publish(&permissions, Source::Camera));
        assert!(!may_publish(&permissions, Source::Unspecified));
        assert!(!may_publish(&Permissions::default(), Source::Microphone));
    }
}
