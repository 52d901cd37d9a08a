//! A busy event loop lets packets gather, as network cards do with interrupts.
//!
//! A server that sends a frame to hundreds wakes us with the first packet of it, and again with nearly each of the others. Every wake costs
//! the same whatever it finds: a question to the kernel about all sockets, a read that gets one train instead of ten, and code and memory
//! that the kernel has pushed out of the caches in between. So a thread that has been awake a moment ago naps before it looks.
//!
//! A thread whose packets come a millisecond or more apart never naps, and its latencies are exact. Others are longer by up to a nap for
//! each thread that a packet wakes: of the many packets of one frame, too.
use std::cell::Cell;
use std::time::{Duration, Instant};

/// A thread that sleeps for less than this is busy.
const BUSY: Duration = Duration::from_millis(1);
/// Far less than what a loop may be late before the run warns of it.
const NAP: Duration = Duration::from_micros(500);

thread_local! {
    static ASLEEP_SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// To be called when a thread of the runtime falls asleep.
pub(super) fn falls_asleep() {
    ASLEEP_SINCE.set(Some(Instant::now()));
}

/// To be called when it is awoken.
pub(super) fn is_awoken() {
    if let Some(nap) = nap(ASLEEP_SINCE.get(), Instant::now()) {
        std::thread::sleep(nap);
    }
}

/// How long to nap, who has slept since then.
fn nap(asleep_since: Option<Instant>, now: Instant) -> Option<Duration> {
    asleep_since.filter(|since| now.saturating_duration_since(*since) < BUSY).map(|_| NAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_slept_for_a_moment_naps() {
        let since = Instant::now();
        assert_eq!(nap(Some(since), since + BUSY / 2), Some(NAP));
        assert_eq!(nap(Some(since), since + BUSY), None);
        assert_eq!(nap(None, since), None);
    }
}
