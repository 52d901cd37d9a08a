//! The model by scenario: one story each.
mod world;

use sluice_calls::*;
use world::*;

#[test]
fn two_people_talk() {
    let mut w = World::new();
    let id = w.dial("alice", rings("bob"));
    assert_eq!(w.call(&id).state, CallState::Ringing);
    assert_eq!(w.shown(&id, "alice", "bob"), Shown::Calling);
    assert_eq!(w.ringing(&id, "bob"), ["phone"]);
    w.pass(200);
    w.ack(&id, "bob").unwrap();
    assert_eq!(w.shown(&id, "alice", "bob"), Shown::Ringing);
    w.pass(3_000);
    let seat = w.accept(&id, "bob").unwrap().answer.seat.expect("a seat");
    assert_eq!(
        seat,
        Seat { identity: "bob#2".into(), handle: "@bob".into(), video: false, screen_share: false }
    );
    assert_eq!(w.call(&id).state, CallState::Active);
    assert_eq!(w.shown(&id, "alice", "bob"), Shown::Connecting);
    w.media(&id, "alice", MediaState::Up);
    w.media(&id, "bob", MediaState::Up);
    assert_eq!(w.shown(&id, "alice", "bob"), Shown::Joined);
    w.pass(60_000);
    w.leave(&id, "alice").unwrap();
    assert_eq!(w.over(&id, "alice"), Some(ShownReason::Ended));
    assert_eq!(w.over(&id, "bob"), Some(ShownReason::Ended));
    let record = w.record(&id);
    assert_eq!((record.end_reason, record.duration_ms), (EndReason::Completed, 60_000));
    assert_eq!(w.shown_in_list(&id, "alice"), RecordOutcome::Answered);
    assert_eq!(w.shown_in_list(&id, "bob"), RecordOutcome::Answered);
}
