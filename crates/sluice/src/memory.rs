//! Memory that calls leave behind goes back to the operating system.
//!
//! mimalloc gives free pages back after a second, but only looks whether one is due when another becomes free. When the last
//! call of an evening ends none does, and the pages of a thousand sessions would stay until morning. So one becomes free now
//! and then.
use std::hint::black_box;
use std::time::Duration;

/// Shorter would cost more than it gives back; longer than half a minute would be noticed.
const EVERY: Duration = Duration::from_secs(2);

/// Larger than mimalloc keeps for reuse (512 KiB), so that it is a page of its own. Nothing is written to it, so it costs no
/// memory.
const PAGE: usize = 1 << 20;

/// Gives memory back for as long as it runs.
pub(crate) async fn give_back() {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        drop(black_box(Vec::<u8>::with_capacity(PAGE)));
    }
}
