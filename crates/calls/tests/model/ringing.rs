//! From "it rings" to an answer, or to none.

use crate::world::*;
use sluice_calls::*;

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

#[test]
fn a_second_accept_of_the_same_device_gets_the_same_seat() {
    let mut w = World::new();
    let id = w.dial("alice", with_devices(rings("bob"), &["phone", "laptop"]));
    let first = w.accept(&id, "bob/phone").unwrap().answer;
    let second = w.accept(&id, "bob/phone").unwrap();
    assert_eq!(second.answer.seat, first.seat);
    assert!(second.transitions.is_empty());
    assert_eq!(reason(w.accept(&id, "bob/laptop")), Reason::AlreadyAnswered);
    assert_eq!(w.stopped(&id, "bob", "laptop"), Some(StopReason::AcceptedElsewhere));
    assert_eq!(w.stopped(&id, "bob", "phone"), Some(StopReason::AnsweredHere));
}

#[test]
fn one_decline_declines_for_the_user() {
    let mut w = World::new();
    let id = w.dial("alice", with_devices(rings("bob"), &["phone", "laptop"]));
    w.ack(&id, "bob/phone").unwrap();
    w.decline(&id, "bob/laptop").unwrap();
    assert_eq!(w.stopped(&id, "bob", "phone"), Some(StopReason::DeclinedElsewhere));
    assert_eq!(w.stopped(&id, "bob", "laptop"), Some(StopReason::AnsweredHere));
    assert_eq!(w.over(&id, "alice"), Some(ShownReason::Declined));
    assert_eq!(w.over(&id, "bob"), None, "whoever declined has heard all");
    assert_eq!(w.record(&id).end_reason, EndReason::Declined);
    assert_eq!(w.shown_in_list(&id, "bob"), RecordOutcome::Declined);
    assert_eq!(w.shown_in_list(&id, "alice"), RecordOutcome::Declined);
    assert_eq!(reason(w.accept(&id, "bob/phone")), Reason::RingOver);
}

#[test]
fn the_caller_gives_up() {
    let mut w = World::new();
    let id = w.dial("alice", rings("bob"));
    w.ack(&id, "bob").unwrap();
    assert_eq!(reason(w.cancel(&id, "bob")), Reason::NotAllowed);
    w.cancel(&id, "alice").unwrap();
    assert_eq!(w.stopped(&id, "bob", "phone"), Some(StopReason::Cancelled));
    assert_eq!(w.over(&id, "alice"), Some(ShownReason::Cancelled));
    assert_eq!(w.record(&id).end_reason, EndReason::Cancelled);
    assert_eq!(w.shown_in_list(&id, "bob"), RecordOutcome::Missed);
    assert_eq!(w.shown_in_list(&id, "alice"), RecordOutcome::Cancelled);
    assert_eq!(reason(w.accept(&id, "bob")), Reason::RingOver);
    assert_eq!(reason(w.cancel(&id, "alice")), Reason::CallEnded);
    assert_eq!(reason(w.ack(&id, "bob")), Reason::RingOver);
}

#[test]
fn leaving_before_the_answer_is_giving_up() {
    let mut w = World::new();
    let id = w.dial("alice", rings("bob"));
    w.media(&id, "alice", MediaState::Up);
    w.media(&id, "alice", MediaState::Left);
    assert_eq!(w.record(&id).end_reason, EndReason::Cancelled);
}

#[test]
fn an_answered_call_cannot_be_cancelled() {
    let mut w = World::new();
    let id = w.talk("alice", "bob");
    assert_eq!(reason(w.cancel(&id, "alice")), Reason::NotRinging);
}

#[test]
fn nobody_answers_until_the_deadline() {
    let mut w = World::new();
    let id = w.dial("alice", rings("bob"));
    w.ack(&id, "bob").unwrap();
    w.pass(44_999);
    assert_eq!(w.call(&id).state, CallState::Ringing);
    w.pass(1);
    assert_eq!(w.leg(&id, "bob").state, LegState::Missed);
    assert_eq!(w.stopped(&id, "bob", "phone"), Some(StopReason::Missed));
    assert_eq!(w.over(&id, "alice"), Some(ShownReason::NoAnswer));
    assert_eq!(w.record(&id).end_reason, EndReason::NoAnswer);
    assert_eq!(w.shown_in_list(&id, "bob"), RecordOutcome::Missed);
    assert_eq!(w.shown_in_list(&id, "alice"), RecordOutcome::NoAnswer);
}

#[test]
fn nobody_could_be_reached() {
    let mut w = World::new();
    let id = w.dial("alice", asleep("bob"));
    w.pass(45_000);
    assert_eq!(w.leg(&id, "bob").state, LegState::Unreachable);
    assert_eq!(w.over(&id, "alice"), Some(ShownReason::NoAnswer));
    assert_eq!(w.record(&id).end_reason, EndReason::Unreachable);
    assert_eq!(w.shown_in_list(&id, "bob"), RecordOutcome::Missed);
}

#[test]
fn the_deadline_itself_is_too_late() {
    let mut w = World::new();
    let id = w.dial("alice", rings("bob"));
    w.now = w.now.after_ms(45_000);
    assert_eq!(reason(w.accept(&id, "bob")), Reason::RingOver, "though the timer has not fired yet");
    w.tick();
    assert_eq!(w.record(&id).end_reason, EndReason::Unreachable);

    let id = w.dial("alice", rings("bob"));
    w.now = w.now.after_ms(44_999);
    w.accept(&id, "bob").unwrap();
    w.pass(1);
    assert_eq!(w.call(&id).state, CallState::Active);
}

#[test]
fn an_own_ring_time() {
    let mut w = World::new();
    let mut create = w.direct("alice", rings("bob"));
    create.ring_ms = Some(20_000);
    let id = w.create(create);
    w.pass(20_000);
    assert_eq!(w.call(&id).state, CallState::Ended);
}

#[test]
fn sleeping_devices_are_woken_three_times() {
    let mut w = World::new();
    let start = w.now;
    let id = w.dial("alice", asleep("bob"));
    w.pass(44_000);
    let pushes = w.pushes("bob");
    assert_eq!(pushes.iter().map(|push| push.attempt).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(pushes.iter().all(|push| push.deadline == start.after_ms(45_000) && push.caller == u("alice")));
    w.cancel(&id, "alice").unwrap();
    let last = w.pushes("bob").pop().unwrap();
    assert_eq!(
        (last.attempt, last.stop),
        (0, Some(StopReason::Cancelled)),
        "a push silences what a push has woken"
    );
}

#[test]
fn an_acknowledgement_ends_the_pushes() {
    let mut w = World::new();
    let id = w.dial("alice", asleep("bob"));
    w.pass(2_000);
    w.ask(Action::DeviceAppeared { user: u("bob"), device: d("phone"), call_waiting: false }).unwrap();
    assert_eq!(w.ringing(&id, "bob"), ["phone"], "a device that wakes up rings");
    w.ack(&id, "bob").unwrap();
    w.pass(30_000);
    assert_eq!(w.pushes("bob").len(), 1);
    assert_eq!(w.shown(&id, "alice", "bob"), Shown::Ringing);
}

#[test]
fn a_device_that_was_named_while_it_was_away_rings_when_it_comes() {
    let mut w = World::new();
    let mut bob = rings("bob");
    bob.devices[0].connected = false;
    let id = w.dial("alice", bob);
    let told = |w: &World| {
        w.heard.iter().filter(|heard| heard.call == id && matches!(heard.kind, NoticeKind::Ring(_))).count()
    };
    assert_eq!(told(&w), 0, "nobody would hear it");
    w.ask(Action::DeviceAppeared { user: u("bob"), device: d("phone"), call_waiting: false }).unwrap();
    assert_eq!(told(&w), 1);
    w.ack(&id, "bob").unwrap();
    w.ask(Action::DeviceAppeared { user: u("bob"), device: d("phone"), call_waiting: false }).unwrap();
    assert_eq!(told(&w), 1, "it rings already");
}

#[test]
fn a_device_that_vanishes_is_woken_by_a_push() {
    let mut w = World::new();
    let mut bob = rings("bob");
    bob.push = false;
    let quiet = w.dial("alice", bob.clone());
    w.ask(Action::DeviceVanished { user: u("bob"), device: d("phone") }).unwrap();
    assert!(w.pushes("bob").is_empty(), "the product said that no push may be sent");
    assert_eq!(w.call(&quiet).state, CallState::Ringing, "the ring goes on");
    w.cancel(&quiet, "alice").unwrap();

    bob.push = true;
    bob.devices[0].connected = true;
    let id = w.dial("alice", bob);
    w.ask(Action::DeviceVanished { user: u("bob"), device: d("phone") }).unwrap();
    assert_eq!(w.ringing(&id, "bob"), [""; 0]);
    assert_eq!(w.pushes("bob").len(), 1);
    w.ask(Action::DeviceAppeared { user: u("bob"), device: d("phone"), call_waiting: false }).unwrap();
    assert_eq!(w.ringing(&id, "bob"), ["phone"]);
}

#[test]
fn a_callee_learns_only_the_ring() {
    let mut w = World::new();
    let mut create = w.direct("alice", rings("bob"));
    create.media = Media::Video;
    create.conversation = Some(ConversationId::new("chat"));
    let id = w.create(create);
    assert!(w.call(&id).view(&u("bob"), &d("phone")).is_none());
    let ring = w.call(&id).ring(&u("bob"), &d("phone")).unwrap();
    assert_eq!(
        ring,
        Ring {
            call: id.clone(),
            caller: u("alice"),
            caller_handle: "@alice".into(),
            kind: CallKind::Direct,
            media: Media::Video,
            conversation: Some(ConversationId::new("chat")),
            deadline: w.now.after_ms(45_000),
            waiting: false,
        }
    );
    assert!(w.call(&id).ring(&u("bob"), &d("toaster")).is_none());
    assert!(w.call(&id).ring(&u("alice"), &d("phone")).is_none());
}

#[test]
fn calls_cross() {
    let mut w = World::new();
    let id = w.dial("alice", rings("bob"));
    let create = w.direct("bob", rings("alice"));
    let outcome = w.ask(Action::Create(Box::new(create))).unwrap();
    assert!(outcome.answer.merged);
    assert_eq!(outcome.answer.call.unwrap().id, id);
    assert_eq!(outcome.answer.seat.unwrap().identity, "bob#2");
    assert_eq!(w.call(&id).state, CallState::Active);
    assert_eq!(w.board.calls(None).count(), 1);
}

#[test]
fn calls_cross_though_the_other_may_not_be_called() {
    let mut w = World::new();
    let id = w.dial("alice", rings("bob"));
    let create = w.direct("bob", verdict("alice", Verdict::Deny));
    assert!(w.ask(Action::Create(Box::new(create))).unwrap().answer.merged);
    assert_eq!(w.call(&id).state, CallState::Active);
}

#[test]
fn after_the_deadline_calls_do_not_cross() {
    let mut w = World::new();
    let late = w.dial("alice", rings("bob"));
    w.now = w.now.after_ms(45_000);
    let create = w.direct("bob", with_waiting(rings("alice"), &["phone"]));
    let outcome = w.ask(Action::Create(Box::new(create))).unwrap();
    assert!(!outcome.answer.merged);
    w.tick();
    assert_eq!(w.call(&late).state, CallState::Ended);
    assert_eq!(outcome.answer.call.unwrap().state, CallState::Ringing);
}

#[test]
fn calling_again_from_the_same_device_is_the_same_call() {
    let mut w = World::new();
    let id = w.dial("alice", rings("bob"));
    let again = w.direct("alice", rings("bob"));
    let outcome = w.ask(Action::Create(Box::new(again))).unwrap();
    assert!(outcome.answer.merged && outcome.transitions.is_empty());
    assert_eq!(outcome.answer.seat.unwrap().identity, "alice#1");
    assert_eq!(outcome.answer.call.unwrap().id, id);
}

#[test]
fn calling_again_from_another_device_moves_the_call() {
    let mut w = World::new();
    let id = w.dial("alice/phone", rings("bob"));
    let again = w.direct("alice/laptop", rings("bob"));
    let outcome = w.ask(Action::Create(Box::new(again))).unwrap();
    assert!(outcome.answer.merged);
    assert_eq!(outcome.answer.seat.unwrap().identity, "alice#2");
    assert_eq!(w.stopped(&id, "alice", "phone"), Some(StopReason::MovedToDevice));

    let id = w.talk("carol", "dave");
    let again = w.direct("carol/laptop", rings("dave"));
    assert!(w.ask(Action::Create(Box::new(again))).unwrap().answer.merged);
    assert_eq!(w.leg(&id, "carol").seat.unwrap().replaces.unwrap().identity, "carol#1");
}

#[test]
fn a_user_who_talks_is_busy() {
    let mut w = World::new();
    w.talk("bob", "carol");
    let id = w.dial("alice", rings("bob"));
    assert_eq!(w.over(&id, "alice"), Some(ShownReason::Busy));
    assert_eq!(w.record(&id).end_reason, EndReason::Busy);
    assert_eq!(w.shown_in_list(&id, "bob"), RecordOutcome::Missed);
    assert_eq!(w.shown_in_list(&id, "alice"), RecordOutcome::Busy);
    assert!(w.heard.iter().all(|heard| !(heard.call == id && heard.user == u("bob"))));
}

#[test]
fn whoever_calls_somebody_is_busy_and_whoever_is_called_is_not() {
    let mut w = World::new();
    w.dial("bob", rings("carol"));
    let busy = w.dial("alice", rings("bob"));
    assert_eq!(w.record(&busy).end_reason, EndReason::Busy);
    let both = w.dial("dave", rings("carol"));
    assert_eq!(w.ringing(&both, "carol"), ["phone"]);
}

#[test]
fn a_second_call_waits_on_devices_that_can_show_it() {
    let mut w = World::new();
    let first = w.talk("bob", "carol");
    let mut bob = with_waiting(rings("bob"), &["phone"]);
    bob.devices.extend(with_devices(rings("bob"), &["clock"]).devices);
    let second = w.dial("alice", bob);
    assert_eq!(w.ringing(&second, "bob"), ["phone"]);
    assert!(w.call(&second).ring(&u("bob"), &d("phone")).unwrap().waiting);
    w.ask(Action::Hold { call: first.clone(), user: u("bob"), on_hold: true }).unwrap();
    w.accept(&second, "bob").unwrap();
    assert_eq!(w.call(&first).state, CallState::Active, "the first call is on hold");
    assert!(w.view(&first, "carol").members.iter().any(|member| member.user == u("bob") && member.on_hold));
}

#[test]
fn two_calls_ring_and_one_is_answered() {
    let mut w = World::new();
    let first = w.dial("alice", rings("bob"));
    let second = w.dial("carol", rings("bob"));
    let third = w.dial("dave", with_waiting(rings("bob"), &["phone"]));
    w.ack(&second, "bob").unwrap();
    w.accept(&first, "bob").unwrap();
    assert_eq!(w.stopped(&second, "bob", "phone"), Some(StopReason::BusyElsewhere));
    assert_eq!(w.over(&second, "carol"), Some(ShownReason::Busy));
    assert!(w.call(&third).ring(&u("bob"), &d("phone")).unwrap().waiting, "it goes on softly");
}

#[test]
fn a_caller_who_may_not_call_hears_so_at_once() {
    let mut w = World::new();
    let create = w.direct("alice", verdict("bob", Verdict::Deny));
    assert_eq!(reason(w.ask(Action::Create(Box::new(create)))), Reason::CannotCall);
    assert_eq!(w.board.calls(None).count(), 0);
}
