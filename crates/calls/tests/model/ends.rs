//! The table of end reasons: what stands inside, what the caller sees, what each list shows.
use sluice_calls::*;

use crate::world::*;

/// Ends a call in one way, and returns it.
type Story = fn(&mut World) -> CallId;

/// Name, story, inside, the caller sees, the callee's record.
const TABLE: &[(&str, Story, EndReason, ShownReason, RecordOutcome)] = &[
    (
        "completed",
        |w| {
            let id = w.talk("alice", "bob");
            w.leave(&id, "bob").unwrap();
            id
        },
        EndReason::Completed,
        ShownReason::Ended,
        RecordOutcome::Answered,
    ),
    (
        "cancelled",
        |w| {
            let id = w.dial("alice", rings("bob"));
            w.cancel(&id, "alice").unwrap();
            id
        },
        EndReason::Cancelled,
        ShownReason::Cancelled,
        RecordOutcome::Missed,
    ),
    (
        "declined",
        |w| {
            let id = w.dial("alice", rings("bob"));
            w.decline(&id, "bob").unwrap();
            id
        },
        EndReason::Declined,
        ShownReason::Declined,
        RecordOutcome::Declined,
    ),
    (
        "declined, hidden",
        |w| {
            let id = w.dial("alice", Invitee { hide_busy: true, ..rings("bob") });
            w.decline(&id, "bob").unwrap();
            w.pass(45_000);
            id
        },
        EndReason::Declined,
        ShownReason::NoAnswer,
        RecordOutcome::Declined,
    ),
    (
        "busy",
        |w| {
            w.talk("bob", "carol");
            w.dial("alice", rings("bob"))
        },
        EndReason::Busy,
        ShownReason::Busy,
        RecordOutcome::Missed,
    ),
    (
        "busy, hidden",
        |w| {
            w.talk("bob", "carol");
            let id = w.dial("alice", Invitee { hide_busy: true, ..rings("bob") });
            w.pass(45_000);
            id
        },
        EndReason::Busy,
        ShownReason::NoAnswer,
        RecordOutcome::Missed,
    ),
    (
        "no answer",
        |w| {
            let id = w.dial("alice", rings("bob"));
            w.ack(&id, "bob").unwrap();
            w.pass(45_000);
            id
        },
        EndReason::NoAnswer,
        ShownReason::NoAnswer,
        RecordOutcome::Missed,
    ),
    (
        "unreachable",
        |w| {
            let id = w.dial("alice", asleep("bob"));
            w.pass(45_000);
            id
        },
        EndReason::Unreachable,
        ShownReason::NoAnswer,
        RecordOutcome::Missed,
    ),
    (
        "silent",
        |w| {
            let id = w.dial("alice", verdict("bob", Verdict::Silent));
            w.pass(45_000);
            id
        },
        EndReason::Suppressed,
        ShownReason::NoAnswer,
        RecordOutcome::Missed,
    ),
    (
        "denied, hidden",
        |w| {
            let id = w.dial("alice", verdict("bob", Verdict::DenyHidden));
            w.pass(45_000);
            id
        },
        EndReason::DeniedHidden,
        ShownReason::NoAnswer,
        RecordOutcome::Nothing,
    ),
    (
        "the backend's reasons",
        |w| {
            let id = w.dial("alice", rings("bob"));
            w.ask(Action::End { call: id.clone(), by: None, reason: EndReason::Capacity }).unwrap();
            id
        },
        EndReason::Capacity,
        ShownReason::CannotCall,
        RecordOutcome::Missed,
    ),
    (
        "connect failed",
        |w| {
            let id = w.dial("alice", rings("bob"));
            w.media(&id, "alice", MediaState::Up);
            w.accept(&id, "bob").unwrap();
            w.pass(45_000);
            id
        },
        EndReason::ConnectFailed,
        ShownReason::Failed,
        RecordOutcome::Failed,
    ),
    (
        "connection lost",
        |w| {
            let id = w.talk("alice", "bob");
            w.media(&id, "bob", MediaState::Lost);
            w.pass(60_000);
            id
        },
        EndReason::ConnectionLost,
        ShownReason::ConnectionLost,
        RecordOutcome::Answered,
    ),
    (
        "removed",
        |w| {
            let id = w.talk("alice", "bob");
            w.moderate(&id, "alice", "bob", Moderation::Remove).unwrap();
            id
        },
        EndReason::Removed,
        ShownReason::Ended,
        RecordOutcome::Answered,
    ),
    (
        "ended by a host",
        |w| {
            let id = w.talk("alice", "bob");
            let end =
                |by: &str| Action::End { call: id.clone(), by: Some(u(by)), reason: EndReason::Completed };
            assert_eq!(reason(w.ask(end("bob"))), Reason::NotAllowed);
            w.ask(end("alice")).unwrap();
            id
        },
        EndReason::EndedByHost,
        ShownReason::Ended,
        RecordOutcome::Answered,
    ),
    (
        "ended by the server",
        |w| {
            let id = w.talk("alice", "bob");
            w.ask(Action::End { call: id.clone(), by: None, reason: EndReason::EndedByServer }).unwrap();
            id
        },
        EndReason::EndedByServer,
        ShownReason::Ended,
        RecordOutcome::Answered,
    ),
];

#[test]
fn every_end_is_told_to_each_side_as_it_may_know_it() {
    for (name, story, inside, caller_sees, callee_list) in TABLE {
        let mut w = World::new();
        let id = story(&mut w);
        assert_eq!(w.call(&id).state, CallState::Ended, "{name}");
        assert_eq!(w.record(&id).end_reason, *inside, "{name}");
        assert_eq!(w.over(&id, "alice"), Some(*caller_sees), "{name}");
        assert_eq!(w.shown_in_list(&id, "bob"), *callee_list, "{name}");
        // The caller's own list says what the caller was told.
        let told = match caller_sees {
            ShownReason::Cancelled => RecordOutcome::Cancelled,
            ShownReason::Declined => RecordOutcome::Declined,
            ShownReason::Busy => RecordOutcome::Busy,
            ShownReason::NoAnswer => RecordOutcome::NoAnswer,
            _ => continue,
        };
        assert_eq!(w.shown_in_list(&id, "alice"), told, "{name}");
    }
}
