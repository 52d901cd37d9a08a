//! Media that fails, is lost and comes back; video by consent; hold and moderation.
use sluice_calls::*;

use crate::world::*;

#[test]
fn media_is_lost_and_comes_back() {
    let mut w = World::new();
    let id = w.talk("alice", "bob");
    w.media(&id, "bob", MediaState::Lost);
    assert_eq!(w.shown(&id, "alice", "bob"), Shown::Reconnecting);
    w.pass(29_000);
    w.media(&id, "bob", MediaState::Up);
    assert_eq!(w.shown(&id, "alice", "bob"), Shown::Joined);
    w.pass(60_000);
    assert_eq!(w.call(&id).state, CallState::Active);
}

#[test]
fn media_is_lost_for_good() {
    let mut w = World::new();
    let id = w.talk("alice", "bob");
    w.media(&id, "bob", MediaState::Lost);
    w.pass(30_000);
    assert_eq!(w.leg(&id, "bob").state, LegState::Left);
    assert_eq!(w.call(&id).state, CallState::Active, "the other waits a while");
    w.pass(30_000);
    assert_eq!(w.record(&id).end_reason, EndReason::ConnectionLost);
    assert_eq!(w.over(&id, "alice"), Some(ShownReason::ConnectionLost));
    assert_eq!(w.shown_in_list(&id, "bob"), RecordOutcome::Answered);
}

#[test]
fn whoever_was_lost_comes_back_late() {
    let mut w = World::new();
    let id = w.talk("alice", "bob");
    w.media(&id, "bob", MediaState::Lost);
    w.pass(40_000);
    w.join(&id, "bob").unwrap();
    w.media(&id, "bob", MediaState::Up);
    w.pass(60_000);
    assert_eq!(w.call(&id).state, CallState::Active);
}

#[test]
fn both_are_lost() {
    let mut w = World::new();
    let id = w.talk("alice", "bob");
    w.media(&id, "bob", MediaState::Lost);
    w.media(&id, "alice", MediaState::Lost);
    w.pass(30_000);
    assert_eq!(w.record(&id).end_reason, EndReason::ConnectionLost);
}

#[test]
fn accepted_in_vain() {
    let mut w = World::new();
    let id = w.dial("alice", rings("bob"));
    w.media(&id, "alice", MediaState::Up);
    w.accept(&id, "bob").unwrap();
    w.pass(15_000);
    assert_eq!(w.leg(&id, "bob").state, LegState::Failed);
    assert_eq!(w.shown(&id, "alice", "bob"), Shown::Failed);
    w.pass(30_000);
    assert_eq!(w.record(&id).end_reason, EndReason::ConnectFailed);
    assert_eq!(w.over(&id, "alice"), Some(ShownReason::Failed));
    assert_eq!(w.over(&id, "bob"), Some(ShownReason::Failed));
    assert_eq!(w.shown_in_list(&id, "bob"), RecordOutcome::Failed);
    assert_eq!(w.shown_in_list(&id, "alice"), RecordOutcome::Failed);
}

#[test]
fn accepting_once_more_after_a_failure() {
    let mut w = World::new();
    let id = w.dial("alice", rings("bob"));
    w.media(&id, "alice", MediaState::Up);
    w.accept(&id, "bob").unwrap();
    w.pass(20_000);
    assert_eq!(w.accept(&id, "bob").unwrap().answer.seat.unwrap().identity, "bob#3");
    w.media(&id, "bob", MediaState::Up);
    w.pass(100_000);
    assert_eq!(w.call(&id).state, CallState::Active);
}

#[test]
fn a_caller_without_media_may_ring() {
    let mut w = World::new();
    let id = w.dial("alice", rings("bob"));
    w.pass(40_000);
    assert_eq!(w.leg(&id, "alice").state, LegState::Accepted);
    w.accept(&id, "bob").unwrap();
    w.media(&id, "bob", MediaState::Up);
    w.pass(14_999);
    assert_eq!(w.leg(&id, "alice").state, LegState::Accepted, "its clock starts with the answer");
    w.pass(1);
    assert_eq!(w.leg(&id, "alice").state, LegState::Failed);
}

#[test]
fn a_callers_media_comes_and_goes_while_it_rings() {
    let mut w = World::new();
    let id = w.dial("alice", rings("bob"));
    w.media(&id, "alice", MediaState::Up);
    w.media(&id, "alice", MediaState::Lost);
    w.pass(40_000);
    assert_eq!(w.call(&id).state, CallState::Ringing);
    w.accept(&id, "bob").unwrap();
    w.media(&id, "bob", MediaState::Up);
    w.pass(30_000);
    assert_eq!(w.leg(&id, "alice").state, LegState::Left);
}

#[test]
fn strangers_in_the_room_are_nobody() {
    let mut w = World::new();
    let id = w.talk("alice", "bob");
    let revision = w.call(&id).revision;
    w.media_of(&id, "mallory#1", MediaState::Up);
    w.media_of(&id, "bob#1", MediaState::Left);
    assert_eq!(w.call(&id).revision, revision);
    assert!(!w.call(&id).admits("bob#1"));
}

#[test]
fn the_longest_call() {
    let mut w = World::new();
    let mut create = w.direct("alice", rings("bob"));
    create.limits.max_duration_ms = Some(600_000);
    let id = w.create(create);
    w.pass(10_000);
    w.accept(&id, "bob").unwrap();
    w.media(&id, "alice", MediaState::Up);
    w.media(&id, "bob", MediaState::Up);
    w.pass(600_000);
    let record = w.record(&id);
    assert_eq!((record.end_reason, record.duration_ms), (EndReason::EndedByServer, 600_000));
    assert_eq!(w.over(&id, "bob"), Some(ShownReason::Ended));
}

fn ask_video(w: &mut World, id: &CallId, user: &str) -> Result<Outcome, Refusal> {
    w.ask(Action::RequestUpgrade { call: id.clone(), user: u(user) })
}

fn answer_video(w: &mut World, id: &CallId, user: &str, accept: bool) -> Result<Outcome, Refusal> {
    w.ask(Action::RespondUpgrade { call: id.clone(), user: u(user), accept })
}

#[test]
fn video_by_consent() {
    let mut w = World::new();
    let id = w.talk("alice", "bob");
    assert_eq!(reason(answer_video(&mut w, &id, "bob", true)), Reason::NoUpgrade);
    ask_video(&mut w, &id, "alice").unwrap();
    assert_eq!(w.view(&id, "bob").upgrade_requested_by, Some(u("alice")));
    assert!(w.effects.is_empty(), "nobody sends pictures before the other agrees");
    answer_video(&mut w, &id, "bob", true).unwrap();
    assert_eq!(w.call(&id).media, Media::Video);
    assert_eq!(w.call(&id).upgrade, None);
    for identity in ["alice#1", "bob#2"] {
        let permit = Effect::Permit { identity: identity.into(), video: true, screen_share: true };
        assert!(w.effects.contains(&permit));
    }
    assert_eq!(w.happened(&EventKind::UpgradeRequested), 1);
    assert_eq!(w.happened(&EventKind::UpgradeAccepted), 1);
}

#[test]
fn video_declined_or_not_answered() {
    let mut w = World::new();
    let id = w.talk("alice", "bob");
    ask_video(&mut w, &id, "alice").unwrap();
    answer_video(&mut w, &id, "bob", false).unwrap();
    assert_eq!((w.call(&id).media, w.call(&id).upgrade.clone()), (Media::Audio, None));
    ask_video(&mut w, &id, "bob").unwrap();
    w.pass(60_000);
    assert_eq!(w.call(&id).upgrade, None);
    assert_eq!(w.happened(&EventKind::UpgradeDeclined), 2);
    assert!(w.effects.is_empty());
}

#[test]
fn who_asks_takes_the_wish_back() {
    let mut w = World::new();
    let id = w.talk("alice", "bob");
    ask_video(&mut w, &id, "alice").unwrap();
    answer_video(&mut w, &id, "alice", false).unwrap();
    assert_eq!(w.call(&id).upgrade, None);
}

#[test]
fn both_ask_for_video() {
    let mut w = World::new();
    let id = w.talk("alice", "bob");
    ask_video(&mut w, &id, "alice").unwrap();
    ask_video(&mut w, &id, "bob").unwrap();
    assert_eq!(w.call(&id).media, Media::Video);
}

#[test]
fn each_consents_alone() {
    let mut w = World::new();
    let create = w.group("alice", vec![rings("bob"), rings("carol")]);
    let id = w.create(create);
    w.accept(&id, "bob").unwrap();
    w.accept(&id, "carol").unwrap();
    ask_video(&mut w, &id, "alice").unwrap();
    answer_video(&mut w, &id, "bob", true).unwrap();
    assert!(w.call(&id).upgrade.is_some(), "carol has not answered");
    assert_eq!(w.call(&id).media, Media::Video);
    answer_video(&mut w, &id, "carol", false).unwrap();
    assert_eq!(w.call(&id).upgrade, None);
    let allowed = |user| w.leg(&id, user).video_allowed;
    assert_eq!([allowed("alice"), allowed("bob"), allowed("carol")], [true, true, false]);
}

#[test]
fn no_video_where_it_is_not_allowed() {
    let mut w = World::new();
    let mut create = w.direct("alice", rings("bob"));
    create.media = Media::Video;
    create.limits.no_video = true;
    let id = w.create(create);
    assert_eq!(w.call(&id).media, Media::Audio);
    w.accept(&id, "bob").unwrap();
    assert_eq!(reason(ask_video(&mut w, &id, "bob")), Reason::NotAllowed);
}

#[test]
fn accepting_a_video_call_without_the_camera() {
    let mut w = World::new();
    let mut create = w.direct("alice", rings("bob"));
    create.media = Media::Video;
    let id = w.create(create);
    let accept = Action::Accept { call: id.clone(), party: p("bob"), audio_only: true };
    assert!(!w.ask(accept).unwrap().answer.seat.unwrap().video);
    ask_video(&mut w, &id, "bob").unwrap();
    assert!(w.leg(&id, "bob").video_allowed, "the others have agreed to pictures already");
}

#[test]
fn hold_is_seen_by_the_others() {
    let mut w = World::new();
    let id = w.talk("alice", "bob");
    w.ask(Action::Hold { call: id.clone(), user: u("bob"), on_hold: true }).unwrap();
    assert!(w.view(&id, "alice").members[1].on_hold && w.view(&id, "bob").on_hold);
    assert_eq!(w.happened(&EventKind::LegChanged(u("bob"))), 1);
    assert_eq!(
        reason(w.ask(Action::Hold { call: id, user: u("carol"), on_hold: true })),
        Reason::UnknownUser
    );
}

#[test]
fn a_host_moderates() {
    let mut w = World::new();
    let create = w.group("alice", vec![rings("bob"), rings("carol")]);
    let id = w.create(create);
    w.accept(&id, "bob").unwrap();
    w.accept(&id, "carol").unwrap();
    assert_eq!(reason(w.moderate(&id, "bob", "carol", Moderation::Mute)), Reason::NotAllowed);
    w.moderate(&id, "alice", "bob", Moderation::Host(true)).unwrap();
    w.moderate(&id, "bob", "carol", Moderation::Mute).unwrap();
    assert!(w.effects.contains(&Effect::Mute { identity: "carol#3".into() }));
    w.moderate(&id, "bob", "carol", Moderation::Remove).unwrap();
    assert!(w.effects.contains(&Effect::Remove { identity: "carol#3".into(), moved: false }));
    assert_eq!(w.over(&id, "carol"), Some(ShownReason::Ended));
    assert!(w.call(&id).view(&u("carol"), &d("phone")).is_none());
    assert_eq!(reason(w.join(&id, "carol")), Reason::NotAllowed);
    w.invite(&id, "bob", rings("carol")).unwrap();
    w.accept(&id, "carol").unwrap();
    assert_eq!(w.leg(&id, "carol").state, LegState::Accepted, "invited again, removed no more");
}

#[test]
fn a_host_takes_video_away() {
    let mut w = World::new();
    let mut create = w.direct("alice", rings("bob"));
    create.media = Media::Video;
    let id = w.create(create);
    w.accept(&id, "bob").unwrap();
    w.moderate(&id, "alice", "bob", Moderation::AllowVideo(false)).unwrap();
    assert!(w.effects.contains(&Effect::Permit {
        identity: "bob#2".into(),
        video: false,
        screen_share: false
    }));
    assert_eq!(reason(ask_video(&mut w, &id, "bob")), Reason::NotAllowed);
    w.moderate(&id, "alice", "bob", Moderation::AllowVideo(true)).unwrap();
    assert!(w.leg(&id, "bob").video_allowed);
}

#[test]
fn what_was_measured_stays_in_the_record() {
    let mut w = World::new();
    let id = w.talk("alice", "bob");
    let quality = Quality { loss: 0.02, round_trip_ms: 40, frozen_ms_per_minute: 7 };
    w.ask(Action::Quality { call: id.clone(), identity: "bob#2".into(), quality }).unwrap();
    w.ask(Action::Rate { call: id.clone(), user: u("bob"), stars: 4 }).unwrap();
    assert_eq!(reason(w.ask(Action::Rate { call: id.clone(), user: u("bob"), stars: 6 })), Reason::Invalid);
    w.leave(&id, "bob").unwrap();
    assert_eq!(w.record(&id).legs[1].quality, quality);
    assert_eq!(w.record(&id).ratings, [Rating { user: u("bob"), stars: 4 }]);
    assert_eq!(reason(w.ask(Action::Rate { call: id, user: u("alice"), stars: 5 })), Reason::CallEnded);
}
