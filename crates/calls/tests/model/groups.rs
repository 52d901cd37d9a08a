//! Calls of many: invitations, members who come and go, a conversation's one call.
use sluice_calls::*;

use crate::world::*;

fn trio(w: &mut World) -> CallId {
    let create = w.group("alice", vec![rings("bob"), rings("carol")]);
    w.create(create)
}

fn in_chat(mut create: Create) -> Action {
    create.conversation = Some(ConversationId::new("chat"));
    Action::Create(Box::new(create))
}

#[test]
fn the_call_goes_on_as_people_come_and_go() {
    let mut w = World::new();
    let id = trio(&mut w);
    w.media(&id, "alice", MediaState::Up);
    assert_eq!(w.call(&id).state, CallState::Ringing);
    w.accept(&id, "bob").unwrap();
    assert_eq!(w.call(&id).state, CallState::Active);
    assert_eq!(w.ringing(&id, "carol"), ["phone"], "the others ring on");
    w.media(&id, "bob", MediaState::Up);
    w.pass(45_000);
    assert_eq!(w.shown(&id, "alice", "carol"), Shown::NoAnswer);
    w.join(&id, "carol").unwrap();
    w.media(&id, "carol", MediaState::Up);
    w.leave(&id, "alice").unwrap();
    assert_eq!(w.call(&id).state, CallState::Active);
    assert!(!w.view(&id, "alice").me_in_call);
    w.join(&id, "alice").unwrap();
    assert_eq!(w.leg(&id, "alice").seat.unwrap().identity, "alice#4");
}

#[test]
fn a_group_call_ends_when_nobody_comes() {
    let mut w = World::new();
    let id = trio(&mut w);
    w.media(&id, "alice", MediaState::Up);
    w.decline(&id, "bob").unwrap();
    assert_eq!(w.call(&id).state, CallState::Ringing);
    w.ack(&id, "carol").unwrap();
    w.pass(45_000);
    assert_eq!(w.record(&id).end_reason, EndReason::NoAnswer);
    assert_eq!(w.over(&id, "alice"), Some(ShownReason::NoAnswer));

    let id = trio(&mut w);
    w.decline(&id, "bob").unwrap();
    w.decline(&id, "carol").unwrap();
    assert_eq!(w.over(&id, "alice"), Some(ShownReason::Declined), "all said no");
}

#[test]
fn a_group_call_ends_after_somebody_was_alone() {
    let mut w = World::new();
    let id = trio(&mut w);
    w.media(&id, "alice", MediaState::Up);
    w.accept(&id, "bob").unwrap();
    w.media(&id, "bob", MediaState::Up);
    w.leave(&id, "bob").unwrap();
    w.pass(45_000);
    w.pass(179_999);
    assert_eq!(w.call(&id).state, CallState::Active);
    w.pass(1);
    assert_eq!(w.record(&id).end_reason, EndReason::Completed);
    assert_eq!(w.over(&id, "bob"), Some(ShownReason::Ended), "who has left hears of the end");
    assert_eq!(w.over(&id, "carol"), None);
}

#[test]
fn an_empty_room_closes() {
    let mut w = World::new();
    let id = trio(&mut w);
    w.accept(&id, "bob").unwrap();
    w.leave(&id, "alice").unwrap();
    w.leave(&id, "bob").unwrap();
    w.pass(19_999);
    assert_eq!(w.call(&id).state, CallState::Active);
    w.pass(1);
    assert_eq!(w.record(&id).end_reason, EndReason::Completed);
    assert_eq!(w.stopped(&id, "carol", "phone"), Some(StopReason::Cancelled));
}

#[test]
fn a_third_person_makes_a_group() {
    let mut w = World::new();
    let id = w.talk("alice", "bob");
    assert_eq!(reason(w.invite(&id, "carol", rings("dave"))), Reason::UnknownUser);
    w.invite(&id, "bob", rings("carol")).unwrap();
    assert_eq!(w.call(&id).kind, CallKind::Group);
    assert_eq!(w.happened(&EventKind::CallMigrated), 1);
    assert_eq!(w.call(&id).ring(&u("carol"), &d("phone")).unwrap().caller, u("bob"));
    w.accept(&id, "carol").unwrap();
    w.leave(&id, "alice").unwrap();
    assert_eq!(w.call(&id).state, CallState::Active);
    let again = w.direct("alice", rings("bob"));
    assert!(
        !w.ask(Action::Create(Box::new(again))).unwrap().answer.merged,
        "it is no call of the pair any more"
    );
}

#[test]
fn nobody_of_the_invited_can_be_called() {
    let mut w = World::new();
    let id = w.talk("alice", "bob");
    assert_eq!(reason(w.invite(&id, "alice", verdict("carol", Verdict::Deny))), Reason::CannotCall);
    assert_eq!(w.call(&id).kind, CallKind::Direct);
    let create = w.group("dave", vec![rings("erin"), verdict("frank", Verdict::Deny)]);
    let id = w.create(create);
    assert_eq!(w.shown(&id, "dave", "frank"), Shown::CannotCall);
    assert_eq!(reason(w.accept(&id, "frank")), Reason::UnknownUser);
    w.decline(&id, "erin").unwrap();
    assert_eq!(w.shown_in_list(&id, "frank"), RecordOutcome::Nothing);
}

#[test]
fn an_invitation_is_taken_back() {
    let mut w = World::new();
    let id = trio(&mut w);
    let cancel = |by: &str| Action::CancelInvite { call: id.clone(), by: u(by), callee: u("bob") };
    assert_eq!(reason(w.ask(cancel("carol"))), Reason::NotAllowed);
    w.ask(cancel("alice")).unwrap();
    assert_eq!(w.stopped(&id, "bob", "phone"), Some(StopReason::Cancelled));
    assert_eq!(reason(w.ask(cancel("alice"))), Reason::NotRinging);
    w.accept(&id, "carol").unwrap();
    assert_eq!(reason(w.join(&id, "bob")), Reason::RingOver, "taken back is taken back");
    w.invite(&id, "carol", rings("bob")).unwrap();
    w.join(&id, "bob").unwrap();
    w.leave(&id, "bob").unwrap();
}

#[test]
fn taking_the_only_invitation_back_is_a_cancellation() {
    let mut w = World::new();
    let id = w.dial("alice", rings("bob"));
    w.ask(Action::CancelInvite { call: id.clone(), by: u("alice"), callee: u("bob") }).unwrap();
    assert_eq!(w.over(&id, "alice"), Some(ShownReason::Cancelled));
}

#[test]
fn who_declined_may_be_invited_again() {
    let mut w = World::new();
    let id = trio(&mut w);
    w.decline(&id, "bob").unwrap();
    w.accept(&id, "carol").unwrap();
    w.invite(&id, "carol", rings("bob")).unwrap();
    assert_eq!(w.leg(&id, "bob").state, LegState::Alerting);
    assert_eq!(w.call(&id).legs.len(), 3);
    w.accept(&id, "bob").unwrap();
}

#[test]
fn a_full_call() {
    let mut w = World::new();
    let mut create = w.group("alice", vec![rings("bob"), rings("carol")]);
    create.limits.max_participants = Some(2);
    let id = w.create(create);
    w.accept(&id, "bob").unwrap();
    assert_eq!(reason(w.accept(&id, "carol")), Reason::CallFull);
    w.leave(&id, "bob").unwrap();
    w.accept(&id, "carol").unwrap();
}

#[test]
fn a_silent_start() {
    let mut w = World::new();
    let mut create = w.group("alice", vec![rings("bob"), verdict("carol", Verdict::DenyHidden)]);
    create.silent = true;
    let id = w.ask(in_chat(create)).unwrap().answer.call.unwrap().id.clone();
    assert_eq!(w.call(&id).state, CallState::Open);
    assert!(w.heard.iter().all(|heard| heard.user == u("alice")), "nobody is rung");
    assert_eq!(w.view(&id, "alice").members.len(), 1);
    w.media(&id, "alice", MediaState::Up);
    assert_eq!(reason(w.accept(&id, "bob")), Reason::RingOver);
    assert_eq!(reason(w.join(&id, "carol")), Reason::UnknownUser);
    w.join(&id, "bob").unwrap();
    assert_eq!(w.call(&id).state, CallState::Active);
    w.media(&id, "bob", MediaState::Up);
    w.leave(&id, "bob").unwrap();
    w.pass(180_000);
    assert_eq!(w.record(&id).end_reason, EndReason::Completed);
}

#[test]
fn a_silent_start_to_which_nobody_comes() {
    let mut w = World::new();
    let mut create = w.group("alice", vec![rings("bob")]);
    create.silent = true;
    let id = w.create(create);
    w.media(&id, "alice", MediaState::Up);
    w.pass(180_000);
    assert_eq!(w.record(&id).end_reason, EndReason::NoAnswer);
    assert_eq!(w.shown_in_list(&id, "bob"), RecordOutcome::Nothing, "bob was not called");

    let mut create = w.group("alice", vec![rings("bob")]);
    create.silent = true;
    let id = w.create(create);
    w.pass(35_000);
    assert_eq!(w.record(&id).end_reason, EndReason::ConnectFailed, "not even its creator came");
}

#[test]
fn a_conversation_has_one_call() {
    let mut w = World::new();
    let first = w.group("alice", vec![rings("bob"), rings("carol")]);
    let id = w.ask(in_chat(first)).unwrap().answer.call.unwrap().id.clone();
    let second = w.group("bob", vec![rings("alice")]);
    let outcome = w.ask(in_chat(second)).unwrap();
    assert!(outcome.answer.merged && outcome.answer.seat.is_some(), "that was an accept");
    let third = w.group("dave", vec![rings("alice")]);
    let outcome = w.ask(in_chat(third)).unwrap();
    assert!(outcome.answer.merged && outcome.answer.seat.is_some(), "that was a join");
    assert_eq!(w.leg(&id, "dave").invited_by, None);
    assert_eq!(w.board.call_in(&ConversationId::new("chat")).unwrap().id, id);
    assert_eq!(w.board.calls(None).count(), 1);
}

#[test]
fn nobody_drops_into_a_talk_of_two() {
    let mut w = World::new();
    let first = w.direct("alice", rings("bob"));
    let id = w.ask(in_chat(first)).unwrap().answer.call.unwrap().id.clone();
    w.accept(&id, "bob").unwrap();
    let second = w.direct("carol", with_waiting(rings("bob"), &["phone"]));
    let outcome = w.ask(in_chat(second)).unwrap();
    assert!(!outcome.answer.merged);
    assert!(w.call(&id).leg(&u("carol")).is_none());
}

#[test]
fn the_product_calls_the_whole_conversation() {
    let mut w = World::new();
    let first = w.direct("alice", rings("bob"));
    let id = w.ask(in_chat(first)).unwrap().answer.call.unwrap().id.clone();
    w.accept(&id, "bob").unwrap();
    let second = w.group("carol", vec![rings("alice"), rings("bob")]);
    assert!(w.ask(in_chat(second)).unwrap().answer.merged);
    assert_eq!(w.call(&id).kind, CallKind::Group);
    assert_eq!(w.leg(&id, "carol").state, LegState::Accepted);
}

#[test]
fn who_declined_comes_after_all() {
    let mut w = World::new();
    let id = trio(&mut w);
    w.decline(&id, "bob").unwrap();
    assert_eq!(reason(w.join(&id, "bob")), Reason::RingOver, "nobody talks yet");
    w.accept(&id, "carol").unwrap();
    w.join(&id, "bob").unwrap();
    assert_eq!(w.leg(&id, "bob").state, LegState::Accepted);
}
