//! What a shard publishes of itself once a second.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sluice_engine::Counters;
use sluice_net::SendCounters;

/// How often.
const PERIOD: Duration = Duration::from_secs(1);

/// A shard's figures, at most about a second old.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Report {
    /// When it was published; `None` for a shard that has not reported yet.
    pub(crate) at: Option<Instant>,
    /// Of the engine.
    pub(crate) counters: Counters,
    /// Of all its UDP sockets.
    pub(crate) sends: SendCounters,
    /// Of everything else that the thread does.
    pub(crate) io: IoCounters,
    /// Share of the last second that the thread was busy, 0 to 1.
    pub(crate) busy: f32,
    /// Media packets per second.
    pub(crate) packets_in_per_second: u64,
    /// Media packets per second.
    pub(crate) packets_out_per_second: u64,
}

/// Totals of the thread.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct IoCounters {
    /// Receive calls that failed otherwise than for want of datagrams.
    pub(crate) receive_errors: u64,
    /// Datagrams from an address that no socket stands behind.
    pub(crate) unroutable: u64,
    /// Frames dropped because the TCP peer was slow or gone.
    pub(crate) tcp_dropped: u64,
    /// TCP connections closed because the peer stayed slow.
    pub(crate) tcp_stuck: u64,
    /// Media for other shards dropped because they were behind.
    pub(crate) link_dropped: u64,
    /// Data messages for other shards dropped because too many waited.
    pub(crate) link_data_dropped: u64,
    /// Anything else for other shards that was lost: they stand still, or there is no such shard.
    pub(crate) link_lost: u64,
    /// TCP connections now.
    pub(crate) tcp_connections: u64,
    /// Bytes that wait for the kernel now.
    pub(crate) queued_bytes: u64,
    /// Commands withdrawn by their callers before they began.
    pub(crate) commands_withdrawn: u64,
}

/// Where a shard leaves its report. The shard never waits for a reader: it tries again a second later.
#[derive(Default)]
pub(crate) struct ReportCell(Mutex<Report>);

impl ReportCell {
    pub(crate) fn read(&self) -> Report {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, report: Report) {
        if let Ok(mut cell) = self.0.try_lock() {
            *cell = report;
        }
    }
}

/// Measures how busy the thread is, and says when a report is due.
pub(super) struct Meter {
    cell: Arc<ReportCell>,
    since: Instant,
    busy: Duration,
    packets: (u64, u64),
}

impl Meter {
    pub(super) fn new(now: Instant, cell: Arc<ReportCell>) -> Self {
        Meter { cell, since: now, busy: Duration::ZERO, packets: (0, 0) }
    }

    /// The thread worked for so long.
    pub(super) fn worked(&mut self, time: Duration) {
        self.busy += time;
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= PERIOD
    }

    /// Publishes a report. Answers what share of the period the thread was busy, 0 to 1.
    pub(super) fn publish(
        &mut self,
        now: Instant,
        counters: Counters,
        sends: SendCounters,
        io: IoCounters,
    ) -> f32 {
        let period = now.saturating_duration_since(self.since).as_secs_f64();
        let rate = |now: u64, before: u64| (now.saturating_sub(before) as f64 / period).round() as u64;
        let busy = (self.busy.as_secs_f64() / period).min(1.0) as f32;
        self.cell.publish(Report {
            at: Some(now),
            counters,
            sends,
            io,
            busy,
            packets_in_per_second: rate(counters.packets_in, self.packets.0),
            packets_out_per_second: rate(counters.packets_out, self.packets.1),
        });
        self.since = now;
        self.busy = Duration::ZERO;
        self.packets = (counters.packets_in, counters.packets_out);
        busy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_last_period() {
        let start = Instant::now();
        let cell = Arc::<ReportCell>::default();
        let mut meter = Meter::new(start, cell.clone());
        let mut counters = Counters { packets_in: 1_000, ..Counters::default() };
        let second = start + PERIOD;
        assert!(!meter.is_due(start + PERIOD / 2));
        assert!(meter.is_due(second));
        meter.worked(PERIOD / 4);
        meter.publish(second, counters, SendCounters::default(), IoCounters::default());
        assert_eq!((cell.read().packets_in_per_second, cell.read().busy), (1_000, 0.25));

        counters.packets_in = 1_600;
        counters.packets_out = 400;
        meter.publish(second + 2 * PERIOD, counters, SendCounters::default(), IoCounters::default());
        let report = cell.read();
        assert_eq!((report.packets_in_per_second, report.packets_out_per_second), (300, 200));
        assert_eq!(report.busy, 0.0);
    }
}
