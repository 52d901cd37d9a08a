//! How often something may happen: some times at once, then once per stretch of time.

use std::time::{Duration, Instant};

/// What a [`Quota`] allows.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// So often at once.
    pub burst: u32,
    /// And once more per this time; at least a millisecond.
    pub refill: Duration,
}

/// Counts against an [`Allowance`].
#[derive(Clone, Debug)]
pub struct Quota {
    allowance: Allowance,
    left: u32,
    refilled: Instant,
}

impl Quota {
    /// A full quota.
    pub fn new(now: Instant, allowance: Allowance) -> Self {
        Quota { allowance, left: allowance.burst, refilled: now }
    }

    /// Takes one out of the quota; false when it is used up.
    pub fn take(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.refilled).as_millis();
        let refill = self.allowance.refill.as_millis().max(1);
        let earned = elapsed / refill;
        if earned > 0 {
            let earned = u32::try_from(earned).unwrap_or(u32::MAX);
            self.left = self.left.saturating_add(earned).min(self.allowance.burst);
            let rest = Duration::from_millis((elapsed % refill) as u64);
            self.refilled = now.checked_sub(rest).unwrap_or(now);
        }
        let allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_that_asks_for_ever_is_held_to_its_quota() {
        let start = Instant::now();
        let mut quota = Quota::new(start, crate::KEY_FRAME_QUOTA);
        let allowed =
            (0..600u32).filter(|tick| quota.take(start + Duration::from_millis(100) * *tick)).count();
        // 16 at once, and two each second of the minute.
        assert!((130..=136).contains(&allowed), "{allowed}");
        assert!(quota.take(start + Duration::from_secs(120)));
    }
}
