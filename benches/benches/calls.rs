//! What the model costs: one call from creation to its record, among few and among many other live calls.

#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use sluice_calls::{
    Action, CallId, CallKind, Create, DeviceId, DeviceOffer, Invitee, Limits, Media, MediaState, Party, Refusal,
    Request, RequestId, Settings, Switchboard, Time, UserId, Verdict,
};

const NOW: Time = Time(1_000_000);

fn party(user: &str) -> Party {
    Party { user: UserId::new(user), device: DeviceId::new("phone"), handle: format!("@{user}") }
}

fn create(call: &CallId, caller: &str, callee: &str) -> Action {
    let offer = DeviceOffer { device: DeviceId::new("phone"), call_waiting: false, connected: true };
    let callee = Invitee {
        user: UserId::new(callee),
        handle: format!("@{callee}"),
        verdict: Verdict::Ring,
        hide_busy: false,
        devices: vec![offer],
        push: false,
    };
    Action::Create(Box::new(Create {
        call: call.clone(),
        caller: party(caller),
        invitees: vec![callee],
        kind: CallKind::Direct,
        media: Media::Audio,
        conversation: None,
        ring_ms: None,
        silent: false,
        app_data: Vec::new(),
        limits: Limits::default(),
    }))
}

/// Create, acknowledge, accept, media up on both sides, leave: six requests. Returns the transitions.
fn one_call(board: &mut Switchboard, n: u64) -> Result<usize, Refusal> {
    let call = CallId::new(format!("CL_bench_{n}"));
    let (alice, bob) = (party("alice"), party("bob"));
    let media =
        |identity: &str| Action::Media { call: call.clone(), identity: identity.into(), state: MediaState::Up };
    let actions = [
        create(&call, "alice", "bob"),
        Action::Ack { call: call.clone(), user: bob.user.clone(), device: bob.device.clone() },
        Action::Accept { call: call.clone(), party: bob.clone(), audio_only: false },
        media("alice#1"),
        media("bob#2"),
        Action::Leave { call: call.clone(), party: alice },
    ];
    let mut transitions = 0;
    for (step, action) in actions.into_iter().enumerate() {
        let id = Some(RequestId::new(format!("r-{n}-{step}")));
        transitions += board.handle(NOW, Request { id, action })?.transitions.len();
    }
    Ok(transitions)
}

/// A switchboard with this many calls that ring.
fn board(calls: u64) -> Result<Switchboard, Refusal> {
    let mut board = Switchboard::new(Settings { linger_ms: 0, ..Settings::default() }, 1);
    for n in 0..calls {
        let call = CallId::new(format!("CL_other_{n}"));
        let action = create(&call, &format!("a{n}"), &format!("b{n}"));
        board.handle(NOW, Request { id: None, action })?;
    }
    Ok(board)
}

fn whole_call(bench: &mut Criterion) {
    let mut group = bench.benchmark_group("a whole call");
    let mut n = 0;
    for others in [0, 10_000, 100_000] {
        let Ok(mut board) = board(others) else { return };
        group.bench_function(format!("among {others} others"), |bench| {
            bench.iter(|| {
                n += 1;
                assert_eq!(one_call(&mut board, n).ok(), Some(6), "each request is a transition");
                // Forgets the ended call.
                black_box(board.tick(NOW, 1))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, whole_call);
criterion_main!(benches);
