//! Retries, ids that are used twice, requests that come late, nonsense; a new owner.
use sluice_calls::*;

use crate::world::*;

#[test]
fn a_retry_of_a_creation_changes_nothing() {
    let mut w = World::new();
    let create = w.direct("alice", rings("bob"));
    let first = w.ask_as("r1", Action::Create(Box::new(create.clone()))).unwrap();
    let mut again = create;
    again.call = w.fresh_call();
    again.invitees[0].devices.clear();
    let second = w.ask_as("r1", Action::Create(Box::new(again.clone()))).unwrap();
    assert!(second.transitions.is_empty());
    assert_eq!(second.answer, first.answer);
    let id = first.answer.call.unwrap().id.clone();
    w.accept(&id, "bob").unwrap();
    w.leave(&id, "bob").unwrap();
    let third = w.ask_as("r1", Action::Create(Box::new(again.clone()))).unwrap().answer;
    assert_eq!(
        (third.call.unwrap().id.clone(), third.seat),
        (id, None),
        "the call has ended, and stays that call"
    );
    w.pass(60_000);
    assert!(w.ask_as("r1", Action::Create(Box::new(again))).unwrap().answer.seat.is_some(), "forgotten");
}

#[test]
fn the_same_id_of_another_user_is_another_request() {
    let mut w = World::new();
    let one = w.direct("alice", rings("bob"));
    let other = w.direct("carol", rings("dave"));
    let one = w.ask_as("r1", Action::Create(Box::new(one))).unwrap();
    let other = w.ask_as("r1", Action::Create(Box::new(other))).unwrap();
    assert_ne!(one.answer.call.unwrap().id, other.answer.call.unwrap().id);
}

#[test]
fn an_id_used_for_something_else() {
    let mut w = World::new();
    let create = w.direct("alice", rings("bob"));
    let id = w.ask_as("r1", Action::Create(Box::new(create))).unwrap().answer.call.unwrap().id.clone();
    let other = w.direct("alice", rings("carol"));
    assert_eq!(reason(w.ask_as("r1", Action::Create(Box::new(other)))), Reason::RequestIdReused);
    let cancel = Action::Cancel { call: id, party: p("alice") };
    assert_eq!(reason(w.ask_as("r1", cancel.clone())), Reason::RequestIdReused);
    w.ask_as("r2", cancel).unwrap();
}

#[test]
fn a_retry_of_an_accept_gets_its_seat() {
    let mut w = World::new();
    let id = w.dial("alice", rings("bob"));
    let accept = Action::Accept { call: id.clone(), party: p("bob"), audio_only: false };
    let first = w.ask_as("r1", accept.clone()).unwrap();
    w.media(&id, "bob", MediaState::Up);
    w.restart();
    let second = w.ask_as("r1", accept).unwrap();
    assert!(second.transitions.is_empty());
    assert_eq!(second.answer.seat, first.answer.seat);
}

#[test]
fn a_retry_does_not_undo_what_came_after() {
    let mut w = World::new();
    let id = w.talk("alice", "bob");
    let hold = |on_hold| Action::Hold { call: id.clone(), user: u("bob"), on_hold };
    w.ask_as("r1", hold(false)).unwrap();
    w.ask_as("r2", hold(true)).unwrap();
    assert!(w.ask_as("r1", hold(false)).unwrap().transitions.is_empty());
    assert!(w.leg(&id, "bob").on_hold);
}

#[test]
fn merged_stays_merged() {
    let mut w = World::new();
    w.dial("alice", rings("bob"));
    let create = w.direct("bob", rings("alice"));
    assert!(w.ask_as("r1", Action::Create(Box::new(create.clone()))).unwrap().answer.merged);
    assert!(w.ask_as("r1", Action::Create(Box::new(create))).unwrap().answer.merged);
}

#[test]
fn old_requests_are_forgotten_but_not_the_creation() {
    let mut w = World::with(Settings { max_requests: 4, ..Settings::default() }, 7);
    let create = w.direct("alice", rings("bob"));
    let create = Action::Create(Box::new(create));
    let id = w.ask_as("create", create.clone()).unwrap().answer.call.unwrap().id.clone();
    w.accept(&id, "bob").unwrap();
    for n in 0..20 {
        let hold = Action::Hold { call: id.clone(), user: u("bob"), on_hold: n % 2 == 0 };
        w.ask_as(&format!("r{n}"), hold).unwrap();
    }
    assert_eq!(w.call(&id).requests.len(), 4);
    assert!(w.ask_as("create", create).unwrap().transitions.is_empty());
}

#[test]
fn late_requests_get_their_own_refusal() {
    let mut w = World::new();
    let id = w.talk("alice", "bob");
    w.leave(&id, "bob").unwrap();
    assert_eq!(reason(w.leave(&id, "alice")), Reason::CallEnded);
    assert_eq!(reason(w.join(&id, "bob")), Reason::CallEnded);
    assert_eq!(reason(w.accept(&id, "bob")), Reason::CallEnded);
    w.pass(60_000);
    assert_eq!(reason(w.join(&id, "bob")), Reason::UnknownCall);
    assert!(w.board.call(&id).is_none());
    assert_eq!(w.board.next_deadline(), None);
}

#[test]
fn nonsense_is_refused() {
    let mut w = World::new();
    let nowhere = CallId::new("CL_nowhere");
    assert_eq!(reason(w.accept(&nowhere, "bob")), Reason::UnknownCall);
    let myself = w.direct("alice", rings("alice"));
    assert_eq!(reason(w.ask(Action::Create(Box::new(myself)))), Reason::Invalid);
    let mut many = w.direct("alice", rings("bob"));
    many.invitees.push(rings("carol"));
    assert_eq!(reason(w.ask(Action::Create(Box::new(many)))), Reason::Invalid);
    let mut silent = w.direct("alice", rings("bob"));
    silent.silent = true;
    assert_eq!(reason(w.ask(Action::Create(Box::new(silent)))), Reason::Invalid);
    let nobody = w.group("alice", vec![]);
    assert_eq!(reason(w.ask(Action::Create(Box::new(nobody)))), Reason::Invalid);
    let twice = w.group("alice", vec![rings("bob"), rings("bob")]);
    assert_eq!(reason(w.ask(Action::Create(Box::new(twice)))), Reason::Invalid);
    let id = w.dial("alice", rings("bob"));
    let mut taken = w.direct("carol", rings("dave"));
    taken.call = id;
    assert_eq!(reason(w.ask(Action::Create(Box::new(taken)))), Reason::Invalid);
}

#[test]
fn bounds_on_calls() {
    let mut w = World::with(Settings { max_calls: 3, max_calls_per_user: 2, ..Settings::default() }, 7);
    w.dial("alice", rings("bob"));
    w.dial("alice", rings("carol"));
    let third = w.direct("alice", rings("dave"));
    assert_eq!(reason(w.ask(Action::Create(Box::new(third)))), Reason::TooManyCalls);
    w.dial("erin", rings("frank"));
    let fourth = w.direct("grace", rings("heidi"));
    assert_eq!(reason(w.ask(Action::Create(Box::new(fourth)))), Reason::TooManyCalls);
}

#[test]
fn a_new_owner_lets_the_deadline_fire() {
    let mut w = World::new();
    let id = w.dial("alice", rings("bob"));
    w.ack(&id, "bob").unwrap();
    let due = w.board.next_deadline();
    w.pass(10_000);
    w.restart();
    assert_eq!(w.board.next_deadline(), due);
    w.pass(35_000);
    assert_eq!(w.record(&id).end_reason, EndReason::NoAnswer);
}

#[test]
fn a_new_owner_that_comes_very_late_ends_it_in_one_step() {
    let mut w = World::new();
    let id = w.dial("alice", asleep("bob"));
    let revision = w.call(&id).revision;
    w.now = w.now.after_ms(3_600_000);
    w.restart();
    w.tick();
    assert_eq!(w.call(&id).revision, revision + 1);
    assert_eq!(w.record(&id).end_reason, EndReason::Unreachable);
    assert_eq!(
        w.pushes("bob").iter().filter(|push| push.attempt > 1).count(),
        0,
        "nobody is woken for nothing"
    );
}

#[test]
fn calls_are_found() {
    let mut w = World::new();
    let one = w.dial("alice", rings("bob"));
    let two = w.dial("carol", rings("bob"));
    let found: Vec<_> = w.board.calls(None).map(|call| call.id.clone()).collect();
    assert_eq!(found, [one.clone(), two.clone()]);
    assert_eq!(
        w.board.calls(Some(&one)).map(|call| call.id.clone()).collect::<Vec<_>>(),
        std::slice::from_ref(&two)
    );
    assert_eq!(w.board.calls_of(&u("bob")).count(), 2);
    w.cancel(&one, "alice").unwrap();
    assert_eq!(w.board.calls_of(&u("bob")).map(|call| call.id.clone()).collect::<Vec<_>>(), [two]);
}
