//! Distributions, in milliseconds.
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// What is told of a distribution.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Summary {
    pub(crate) count: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

impl Summary {
    /// Of times that were few enough to keep.
    pub(crate) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        // Nearest rank: the smallest value that at least that share does not exceed.
        let at = |share: f64| {
            let rank = (share * times.len() as f64).ceil() as usize;
            times.get(rank.saturating_sub(1)).map_or(0.0, |time| time.as_secs_f64() * 1e3)
        };
        Self {
            count: times.len() as u64,
            p50_ms: at(0.5),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            max_ms: at(1.0),
        }
    }

    /// Of microseconds.
    pub(crate) fn of_us(histogram: &Histogram<u64>) -> Self {
        let at = |share: f64| histogram.value_at_quantile(share) as f64 / 1e3;
        Self {
            count: histogram.len(),
            p50_ms: at(0.5),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            max_ms: histogram.max() as f64 / 1e3,
        }
    }

    pub(crate) fn line(&self, name: &str) -> String {
        let Self { count, p50_ms, p95_ms, p99_ms, max_ms } = self;
        format!(
            "{name:<22} p50 {p50_ms:>8.2}  p95 {p95_ms:>8.2}  p99 {p99_ms:>8.2}  max {max_ms:>8.2} ms  (of {count})"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_by_nearest_rank() {
        let summary = Summary::of((1..=100).rev().map(Duration::from_millis).collect());
        assert_eq!(
            (summary.p50_ms, summary.p95_ms, summary.p99_ms, summary.max_ms),
            (50.0, 95.0, 99.0, 100.0)
        );
        assert_eq!(Summary::of(vec![Duration::from_millis(7)]).p99_ms, 7.0);
        assert_eq!(Summary::of(Vec::new()).max_ms, 0.0);
    }
}
