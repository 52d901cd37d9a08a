//! Blocked looks like no answer: the caller cannot tell, the callee hears nothing.
use sluice_calls::*;

use crate::world::*;

/// All that alice's devices heard: when, what, how the call looked.
fn heard_by_caller(w: &World, id: &CallId) -> Vec<Heard> {
    w.heard.iter().filter(|heard| heard.user == u("alice") && heard.call == *id).cloned().collect()
}

/// One call by alice, at whose end all that she heard is returned.
fn lived(bob: Invitee, story: impl FnOnce(&mut World, &CallId)) -> Vec<Heard> {
    let mut w = World::new();
    let id = w.dial("alice", bob);
    w.media(&id, "alice", MediaState::Up);
    story(&mut w, &id);
    w.pass(60_000);
    w.watch.all_over();
    heard_by_caller(&w, &id)
}

/// When the disguise of the world's seed shows "ringing".
fn drawn_ms() -> u64 {
    let mut w = World::new();
    let start = w.now;
    let id = w.dial("alice", verdict("bob", Verdict::DenyHidden));
    w.leg(&id, "bob").inner.pretend_ringing_at.expect("a connected device would ring").ms_since(start)
}

#[test]
fn blocked_looks_like_ignored() {
    let ms = drawn_ms();
    let ignored = lived(rings("bob"), |w, id| {
        w.pass(ms);
        w.ack(id, "bob").unwrap();
    });
    let blocked = lived(verdict("bob", Verdict::DenyHidden), |_, _| {});
    let silent = lived(verdict("bob", Verdict::Silent), |_, _| {});
    assert_eq!(ignored, blocked);
    assert_eq!(ignored, silent);
    let last = ignored.last().unwrap();
    assert_eq!(last.kind, NoticeKind::Over { reason: ShownReason::NoAnswer, duration_ms: 0 });
}

#[test]
fn a_hidden_no_looks_like_ignored() {
    let ms = drawn_ms();
    let hides = || Invitee { hide_busy: true, ..rings("bob") };
    let ignored = lived(hides(), |w, id| {
        w.pass(ms);
        w.ack(id, "bob").unwrap();
    });
    let declined = lived(hides(), |w, id| {
        w.pass(ms);
        w.ack(id, "bob").unwrap();
        w.pass(5_000);
        w.decline(id, "bob").unwrap();
        assert_eq!(w.ringing(id, "bob"), [""; 0], "for the callee it is over at once");
        assert_eq!(reason(w.accept(id, "bob")), Reason::RingOver);
    });
    let declined_at_once = lived(hides(), |w, id| {
        w.pass(ms);
        w.decline(id, "bob").unwrap();
    });
    assert_eq!(ignored, declined);
    assert_eq!(ignored, declined_at_once);
}

#[test]
fn blocked_and_asleep_looks_like_asleep() {
    let asleep_bob = lived(asleep("bob"), |_, _| {});
    let blocked = lived(Invitee { verdict: Verdict::DenyHidden, ..asleep("bob") }, |_, _| {});
    assert_eq!(asleep_bob, blocked);
}

#[test]
fn blocked_and_busy_looks_like_busy() {
    for hide_busy in [false, true] {
        let seen = |verdict| {
            let mut w = World::new();
            w.talk("bob", "carol");
            let id = w.dial("alice", Invitee { verdict, hide_busy, ..rings("bob") });
            w.pass(46_000);
            heard_by_caller(&w, &id)
        };
        assert_eq!(seen(Verdict::Ring), seen(Verdict::DenyHidden));
        assert_eq!(seen(Verdict::Ring), seen(Verdict::Silent));
    }
}

#[test]
fn blocked_and_then_busy_looks_the_same() {
    let seen = |verdict, waits: bool| {
        let mut w = World::new();
        let bob = if waits { with_waiting(rings("bob"), &["phone"]) } else { rings("bob") };
        let id = w.dial("alice", Invitee { verdict, push: false, ..bob });
        w.now = w.now.after_ms(10);
        let other = w.dial("carol", rings("bob"));
        w.accept(&other, "bob").unwrap();
        heard_by_caller(&w, &id)
    };
    for waits in [false, true] {
        assert_eq!(seen(Verdict::Ring, waits), seen(Verdict::DenyHidden, waits));
    }
}

#[test]
fn what_the_caller_does_works_the_same() {
    for verdict in [Verdict::Ring, Verdict::Silent, Verdict::DenyHidden] {
        let mut w = World::new();
        let id = w.dial("alice", Invitee { verdict, ..rings("bob") });
        let again = w.direct("alice", rings("bob"));
        assert!(w.ask(Action::Create(Box::new(again))).unwrap().answer.merged);
        w.invite(&id, "alice", Invitee { verdict, ..rings("bob") }).unwrap();
        assert_eq!(reason(w.moderate(&id, "alice", "bob", Moderation::Mute)), Reason::NotInCall);
        w.cancel(&id, "alice").unwrap();
        assert_eq!(w.over(&id, "alice"), Some(ShownReason::Cancelled));

        let create = w.group("alice", vec![Invitee { verdict, ..rings("bob") }, rings("carol")]);
        let id = w.create(create);
        w.ask(Action::CancelInvite { call: id.clone(), by: u("alice"), callee: u("bob") }).unwrap();
        assert_eq!(w.shown(&id, "alice", "bob"), Shown::Cancelled);
        w.invite(&id, "alice", Invitee { verdict, ..rings("bob") }).unwrap();
        assert_eq!(w.shown(&id, "alice", "bob"), Shown::Calling);
        w.moderate(&id, "alice", "bob", Moderation::Remove).unwrap();
        assert_eq!(w.shown(&id, "alice", "bob"), Shown::Cancelled);
    }
}

#[test]
fn the_callee_hears_nothing_and_is_a_stranger() {
    let mut w = World::new();
    let id = w.dial("alice", verdict("bob", Verdict::DenyHidden));
    w.ask(Action::DeviceAppeared { user: u("bob"), device: d("phone"), call_waiting: false }).unwrap();
    for result in [
        w.ack(&id, "bob"),
        w.accept(&id, "bob"),
        w.decline(&id, "bob"),
        w.join(&id, "bob"),
        w.leave(&id, "bob"),
        w.transfer(&id, "bob"),
        w.cancel(&id, "bob"),
        w.accept(&id, "stranger"),
    ] {
        assert_eq!(reason(result), Reason::UnknownUser);
    }
    assert_eq!(w.board.calls_of(&u("bob")).count(), 0);
    assert!(w.call(&id).view(&u("bob"), &d("phone")).is_none());
    assert!(w.heard.iter().all(|heard| heard.user == u("alice")));
    assert!(w.pushes("bob").is_empty());
}

#[test]
fn a_callee_who_has_blocked_may_call() {
    let mut w = World::new();
    let blocked = w.dial("alice", verdict("bob", Verdict::DenyHidden));
    let create = w.direct("bob", with_waiting(rings("alice"), &["phone"]));
    let outcome = w.ask(Action::Create(Box::new(create))).unwrap();
    assert!(!outcome.answer.merged, "it is another call");
    let id = outcome.answer.call.unwrap().id.clone();
    w.accept(&id, "alice").unwrap();
    assert_eq!(
        w.over(&blocked, "alice"),
        Some(ShownReason::Busy),
        "bob calls somebody, like any busy callee"
    );
}

#[test]
fn a_blocked_member_of_a_group_is_missing_like_anybody() {
    let mut w = World::new();
    let create = w.group("alice", vec![verdict("bob", Verdict::DenyHidden), rings("carol")]);
    let id = w.create(create);
    w.decline(&id, "carol").unwrap();
    assert_eq!(w.call(&id).state, CallState::Ringing, "bob seems to ring");
    w.pass(1_000);
    assert_eq!(w.shown(&id, "alice", "bob"), Shown::Ringing);
    w.pass(44_000);
    assert_eq!(w.over(&id, "alice"), Some(ShownReason::NoAnswer));
}

#[test]
fn a_blocked_user_who_comes_online_seems_to_ring() {
    let mut w = World::new();
    let id = w.dial("alice", Invitee { verdict: Verdict::DenyHidden, ..asleep("bob") });
    w.pass(10_000);
    assert_eq!(w.shown(&id, "alice", "bob"), Shown::Calling);
    w.ask(Action::DeviceAppeared { user: u("bob"), device: d("phone"), call_waiting: false }).unwrap();
    w.pass(1_000);
    assert_eq!(w.shown(&id, "alice", "bob"), Shown::Ringing);
}

#[test]
fn nobody_is_locked_out_by_somebody_whom_they_have_blocked() {
    let mut w = World::new();
    let create = w.group("alice", vec![rings("bob"), rings("mallory")]);
    let id = w.create(create);
    w.accept(&id, "bob").unwrap();
    w.accept(&id, "mallory").unwrap();
    w.media(&id, "alice", MediaState::Up);
    w.media(&id, "mallory", MediaState::Up);
    w.leave(&id, "bob").unwrap();
    let heard = w.heard.iter().filter(|heard| heard.user == u("bob")).count();
    w.invite(&id, "mallory", verdict("bob", Verdict::DenyHidden)).unwrap();
    w.pass(1_000);
    assert_eq!(w.shown(&id, "mallory", "bob"), Shown::Ringing);
    assert_eq!(w.shown(&id, "bob", "bob"), Shown::Left);
    assert_eq!(w.heard.iter().filter(|heard| heard.user == u("bob")).count(), heard, "bob hears nothing");
    w.join(&id, "bob").unwrap();
    assert_eq!(w.shown(&id, "mallory", "bob"), Shown::Connecting);
    w.leave(&id, "bob").unwrap();
    w.invite(&id, "mallory", verdict("bob", Verdict::Deny)).unwrap_err();
    w.invite(&id, "mallory", verdict("bob", Verdict::DenyHidden)).unwrap();
    w.pass(45_000);
    assert_eq!(w.shown(&id, "mallory", "bob"), Shown::NoAnswer);
}
