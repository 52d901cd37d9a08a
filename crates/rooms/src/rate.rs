//! How fast one client may speak: a token bucket.
use tokio::time::Instant;

/// Seconds' worth of messages that may come at once: a client that joins announces and asks a lot.
const BURST_SECONDS: f64 = 5.0;

/// A token bucket.
pub(crate) struct Rate {
    per_second: f64,
    tokens: f64,
    last: Instant,
}

impl Rate {
    pub(crate) fn new(per_second: u32, now: Instant) -> Self {
        let per_second = f64::from(per_second.max(1));
        Self { per_second, tokens: per_second * BURST_SECONDS, last: now }
    }

    /// False: too fast.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let gained = now.duration_since(self.last).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + gained).min(self.per_second * BURST_SECONDS);
        self.last = now;
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_and_a_flood_does_not() {
        let start = Instant::now();
        let mut rate = Rate::new(10, start);
        assert!((0..50).all(|_| rate.take(start)));
        assert!(!rate.take(start));
        assert!(rate.take(start + Duration::from_millis(100)));
        assert!(!rate.take(start + Duration::from_millis(100)));
    }
}
