//! What a caller can tell from timing: nothing. Many calls, and a test of whether two samples come from one distribution.
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sluice_calls::*;

use crate::world::*;

/// Calls per class. The model remembers 256 outcomes, so that more real ones change nothing.
const REAL: usize = 256;
const BLOCKED: usize = 1_000;

/// Milliseconds after which the caller saw "ringing", and after which "no answer"; in calls that nobody answers.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Seen {
    ringing: Option<u64>,
    over: u64,
    notices: usize,
}

/// One call from alice to bob; `ack_after`: when bob's device acknowledges.
fn seen(w: &mut World, bob: Invitee, ack_after: Option<u64>) -> Seen {
    w.heard.clear();
    let start = w.now;
    let id = w.dial("alice", bob);
    if let Some(ms) = ack_after {
        w.pass(ms);
        w.ack(&id, "bob").unwrap();
    }
    w.pass(45_000 - ack_after.unwrap_or(0));
    let mine: Vec<&Heard> = w.heard.iter().filter(|heard| heard.user == u("alice")).collect();
    let ringing = mine.iter().find(|heard| {
        heard
            .view
            .as_ref()
            .is_some_and(|view| view.members.iter().any(|member| member.state == Shown::Ringing))
    });
    let Some(last) = mine.last() else { panic!("alice hears of the end") };
    assert_eq!(last.kind, NoticeKind::Over { reason: ShownReason::NoAnswer, duration_ms: 0 });
    Seen {
        ringing: ringing.map(|heard| heard.at.ms_since(start)),
        over: last.at.ms_since(start),
        notices: mine.len(),
    }
}

/// The largest distance between two empirical distributions; "never" counts as later than all.
fn distance(one: &[Seen], other: &[Seen]) -> f64 {
    let key = |seen: &Seen| seen.ringing.unwrap_or(u64::MAX);
    let share = |seen: &[Seen], until: u64| {
        seen.iter().filter(|seen| key(seen) <= until).count() as f64 / seen.len() as f64
    };
    let points = one.iter().chain(other).map(key);
    points.map(|at| (share(one, at) - share(other, at)).abs()).fold(0.0, f64::max)
}

/// A pair of samples of one distribution is further apart than this once in a thousand times (Kolmogorov and Smirnov).
fn bound(one: &[Seen], other: &[Seen]) -> f64 {
    1.95 * (1.0 / one.len() as f64 + 1.0 / other.len() as f64).sqrt()
}

fn compare(bob: Invitee, mut ack: impl FnMut(&mut StdRng) -> Option<u64>) {
    let mut w = World::new();
    let mut rng = StdRng::seed_from_u64(5);
    let real: Vec<Seen> = (0..REAL)
        .map(|_| {
            let ack_after = ack(&mut rng);
            seen(&mut w, bob.clone(), ack_after)
        })
        .collect();
    for verdict in [Verdict::DenyHidden, Verdict::Silent] {
        let blocked: Vec<Seen> =
            (0..BLOCKED).map(|_| seen(&mut w, Invitee { verdict, ..bob.clone() }, None)).collect();
        let distance = distance(&real, &blocked);
        assert!(distance < bound(&real, &blocked), "{verdict:?}: {distance}");
        for seen in real.iter().chain(&blocked) {
            assert_eq!(seen.over, 45_000, "no answer at the deadline, not earlier");
            assert_eq!(seen.notices, if seen.ringing.is_some() { 3 } else { 2 });
        }
    }
}

#[test]
fn blocked_is_distributed_like_online_and_ignoring() {
    // Phones in good and in bad networks.
    compare(rings("bob"), |rng| match rng.random_range(0..20) {
        0 => None,
        1..=4 => Some(rng.random_range(600..2_500)),
        _ => Some(rng.random_range(90..260)),
    });
}

#[test]
fn blocked_is_distributed_like_offline() {
    compare(asleep("bob"), |rng| (rng.random_range(0..10) < 4).then(|| rng.random_range(1_500..9_000)));
}

#[test]
fn a_different_distribution_would_be_noticed() {
    let real: Vec<Seen> = (0..256).map(|n| Seen { ringing: Some(100 + n), over: 0, notices: 0 }).collect();
    let late: Vec<Seen> =
        (0..1_000).map(|n| Seen { ringing: Some(150 + n / 4), over: 0, notices: 0 }).collect();
    assert!(distance(&real, &late) > bound(&real, &late));
}

#[test]
fn blocked_and_busy_is_busy_at_the_same_moment() {
    for verdict in [Verdict::Ring, Verdict::DenyHidden, Verdict::Silent] {
        let mut w = World::new();
        w.talk("bob", "carol");
        w.heard.clear();
        let id = w.dial("alice", Invitee { verdict, ..rings("bob") });
        let mine: Vec<_> = w.heard.iter().filter(|heard| heard.user == u("alice")).collect();
        assert_eq!(mine.len(), 1);
        assert_eq!((mine[0].at, w.over(&id, "alice")), (w.now, Some(ShownReason::Busy)));
    }
}
