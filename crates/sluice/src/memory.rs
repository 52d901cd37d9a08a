//! Memory that calls leave behind goes back to the operating system (`sluice-memory` says how): the runtime's threads are asked when
//! they go to sleep, and woken now and then so that none sleeps on what it has just freed. Shards' threads are asked by the node.
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// Shorter would cost more than it gives back; longer than half a minute would be noticed.
const EVERY: Duration = Duration::from_secs(2);

/// A runtime whose threads give memory back when they go to sleep.
pub(crate) fn runtime() -> std::io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.enable_all().on_thread_park(sluice_memory::give_back_at_times).build()
}

/// Does the work on this thread, and gives back what it frees here and what the runtime's threads do.
pub(crate) async fn giving_back<T>(work: impl Future<Output = T>) -> T {
    tokio::select! {
        done = work => done,
        never = give_back() => match never {},
    }
}

async fn give_back() -> std::convert::Infallible {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let threads = tokio::runtime::Handle::current().metrics().num_workers();
    loop {
        ticks.tick().await;
        sluice_memory::give_back_at_times();
        // Something for each to do, after which it goes to sleep again.
        for _ in 0..threads {
            tokio::spawn(tokio::task::yield_now());
        }
    }
}
