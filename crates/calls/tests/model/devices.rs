//! One user, many devices: transfer there and back.
use sluice_calls::*;

use crate::world::*;

#[test]
fn a_call_moves_once_the_new_device_is_there() {
    let mut w = World::new();
    let id = w.talk("alice", "bob");
    let seat = w.transfer(&id, "bob/laptop").unwrap().answer.seat.unwrap();
    assert_eq!(seat.identity, "bob#3");
    assert_eq!(w.leg(&id, "bob").state, LegState::Joined, "the old device still talks");
    assert_eq!(
        w.stopped(&id, "bob", "phone"),
        Some(StopReason::AnsweredHere),
        "from the ring, nothing newer"
    );
    let shown = |w: &World| w.view(&id, "alice").members[1].identity.clone();
    assert_eq!(shown(&w).as_deref(), Some("bob#2"));
    w.media(&id, "bob", MediaState::Up);
    assert_eq!(w.stopped(&id, "bob", "phone"), Some(StopReason::MovedToDevice));
    assert!(w.effects.contains(&Effect::Remove { identity: "bob#2".into(), moved: true }));
    assert_eq!(shown(&w).as_deref(), Some("bob#3"));
    w.media_of(&id, "bob#2", MediaState::Left);
    assert_eq!(w.call(&id).state, CallState::Active, "the old device leaves, the user stays");
    assert_eq!(reason(w.leave(&id, "bob/phone")), Reason::NotInCall);
    assert!(w.call(&id).admits("bob#3") && !w.call(&id).admits("bob#2"));
}

#[test]
fn a_new_device_that_does_not_come_changes_nothing() {
    let mut w = World::new();
    let id = w.talk("alice", "bob");
    w.transfer(&id, "bob/laptop").unwrap();
    w.pass(15_000);
    assert_eq!(w.leg(&id, "bob").seat.unwrap().identity, "bob#2");
    assert!(w.effects.contains(&Effect::Remove { identity: "bob#3".into(), moved: false }));
    assert_eq!(w.leg(&id, "bob").state, LegState::Joined);
    assert_eq!(w.leg(&id, "bob").inner.connect_by, None);
}

#[test]
fn the_old_device_takes_back() {
    let mut w = World::new();
    let id = w.talk("alice", "bob");
    w.transfer(&id, "bob/laptop").unwrap();
    let seat = w.transfer(&id, "bob/phone").unwrap().answer.seat.unwrap();
    assert_eq!(seat.identity, "bob#2");
    assert_eq!(w.leg(&id, "bob").seat.unwrap().replaces, None);
}

#[test]
fn the_old_device_dies_before_the_new_one_is_there() {
    let mut w = World::new();
    let id = w.talk("alice", "bob");
    w.transfer(&id, "bob/laptop").unwrap();
    w.media_of(&id, "bob#2", MediaState::Left);
    assert_eq!(w.leg(&id, "bob").state, LegState::Reconnecting);
    w.media_of(&id, "bob#3", MediaState::Up);
    assert_eq!(w.leg(&id, "bob").state, LegState::Joined);
    assert_eq!(w.call(&id).state, CallState::Active);
}

#[test]
fn a_third_device_takes_over_from_a_second_that_was_on_its_way() {
    let mut w = World::new();
    let id = w.talk("alice", "bob");
    w.transfer(&id, "bob/laptop").unwrap();
    w.transfer(&id, "bob/tablet").unwrap();
    assert_eq!(w.stopped(&id, "bob", "laptop"), Some(StopReason::MovedToDevice));
    w.media(&id, "bob", MediaState::Up);
    assert_eq!(w.leg(&id, "bob").seat.unwrap().device, d("tablet"));
    assert_eq!(w.leg(&id, "bob").seat.unwrap().replaces, None);
}

#[test]
fn joining_with_another_device_needs_a_word_for_it() {
    let mut w = World::new();
    let id = w.talk("alice", "bob");
    assert_eq!(reason(w.join(&id, "bob/laptop")), Reason::InAnotherCall);
    let join = Action::Join { call: id.clone(), party: p("bob/laptop"), transfer: true };
    assert_eq!(w.ask(join).unwrap().answer.seat.unwrap().identity, "bob#3");
    assert_eq!(w.join(&id, "bob/phone").unwrap().answer.seat.unwrap().identity, "bob#2");
}

#[test]
fn only_somebody_in_the_call_can_move_it() {
    let mut w = World::new();
    let id = w.dial("alice", rings("bob"));
    assert_eq!(reason(w.transfer(&id, "bob/laptop")), Reason::NotInCall);
    assert_eq!(reason(w.transfer(&id, "carol")), Reason::UnknownUser);
}

#[test]
fn hanging_up_on_the_new_device_hangs_up() {
    let mut w = World::new();
    let id = w.talk("alice", "bob");
    w.transfer(&id, "bob/laptop").unwrap();
    w.leave(&id, "bob/laptop").unwrap();
    assert_eq!(w.record(&id).end_reason, EndReason::Completed);
}

#[test]
fn more_devices_than_may_ring() {
    let mut w = World::with(Settings { max_devices: 2, ..Settings::default() }, 7);
    let id = w.dial("alice", with_devices(rings("bob"), &["a", "b", "c"]));
    assert_eq!(w.ringing(&id, "bob"), ["a", "b"]);
    w.ask(Action::DeviceAppeared { user: u("bob"), device: d("c"), call_waiting: false }).unwrap();
    assert_eq!(w.ringing(&id, "bob"), ["a", "b"]);
    w.accept(&id, "bob/c").unwrap();
    assert_eq!(w.leg(&id, "bob").seat.unwrap().device, d("c"), "whoever answers may");
}
