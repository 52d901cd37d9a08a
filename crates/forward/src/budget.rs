//! How much may be sent to one receiver, and when it is time to divide it anew.

use std::time::{Duration, Instant};

use sluice_rtp::Bitrate;

/// What one receiver's link carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// What the estimator says today. Pays for what already flows.
    pub estimate: Bitrate,
    /// The least that it said lately. Pays for anything new: a moment's optimism must not start what the next moment stops.
    pub floor: Bitrate,
    /// What goes out in any case (audio, data) and is taken off both.
    pub reserved: Bitrate,
}

impl Budget {
    /// Everything fits: for a link that nobody has measured.
    pub const UNLIMITED: Budget =
        Budget { estimate: Bitrate::MAX, floor: Bitrate::MAX, reserved: Bitrate::ZERO };

    /// What is left for media that already flows.
    pub fn for_present(&self) -> Bitrate {
        self.estimate - self.reserved
    }

    /// What is left for media that is new.
    pub fn for_new(&self) -> Bitrate {
        self.floor.min(self.estimate) - self.reserved
    }
}

/// Half of the longest time that a low estimate is remembered. Shorter lets layers flap; longer keeps a recovered link poor.
const HALF_WINDOW: Duration = Duration::from_millis(2_500);

/// Keeps the latest estimate and the least of the last 2.5 to 5 seconds.
#[derive(Clone, Debug, Default)]
pub struct EstimateWindow {
    latest: Option<Bitrate>,
    this_half: Option<Bitrate>,
    last_half: Option<Bitrate>,
    began: Option<Instant>,
}

impl EstimateWindow {
    /// No estimate yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what the estimator says.
    pub fn on_estimate(&mut self, now: Instant, estimate: Bitrate) {
        self.turn(now);
        self.latest = Some(estimate);
        self.this_half = Some(self.this_half.map_or(estimate, |least| least.min(estimate)));
    }

    /// The latest estimate.
    pub fn estimate(&self) -> Option<Bitrate> {
        self.latest
    }

    /// The budget at `now`; unlimited (less `reserved`) as long as there was no estimate.
    pub fn budget(&mut self, now: Instant, reserved: Bitrate) -> Budget {
        self.turn(now);
        let Some(estimate) = self.latest else {
            return Budget { reserved, ..Budget::UNLIMITED };
        };
        let halves = [self.this_half, self.last_half].into_iter().flatten();
        Budget { estimate, floor: halves.fold(estimate, Bitrate::min), reserved }
    }

    fn turn(&mut self, now: Instant) {
        let began = *self.began.get_or_insert(now);
        let age = now.saturating_duration_since(began);
        if age < HALF_WINDOW {
            return;
        }
        self.last_half = if age < 2 * HALF_WINDOW { self.this_half } else { None };
        self.this_half = None;
        self.began = Some(now);
    }
}

/// The longest that a division stays unquestioned. Shorter follows each breath of the estimate; longer climbs late.
const PERIOD: Duration = Duration::from_secs(1);

/// When to divide anew: at once when something changed or the link no longer carries it, else once a second.
#[derive(Clone, Debug)]
pub struct Cadence {
    changed: bool,
    last: Option<Instant>,
}

impl Default for Cadence {
    fn default() -> Self {
        Self::new()
    }
}

impl Cadence {
    /// Due at once.
    pub fn new() -> Self {
        Cadence { changed: true, last: None }
    }

    /// A wish, a layer or a publication changed.
    pub fn mark_changed(&mut self) {
        self.changed = true;
    }

    /// Whether to divide now; true is taken for done. `cost` is what the present division takes, `estimate` what the link carries.
    pub fn poll(&mut self, now: Instant, cost: Bitrate, estimate: Option<Bitrate>) -> bool {
        let since = self.last.map(|last| now.saturating_duration_since(last));
        // A tenth over is the estimator's noise. A division may already be the best one, so not for each packet again.
        let over = estimate.is_some_and(|estimate| cost.percent(90) > estimate);
        let due = self.changed
            || since.is_none_or(|since| since >= PERIOD)
            || (over && since.is_some_and(|since| since >= PERIOD / 10));
        if due {
            self.changed = false;
            self.last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_dip_is_remembered_for_some_seconds() {
        let start = Instant::now();
        let mut window = EstimateWindow::new();
        assert_eq!(window.budget(start, Bitrate::kbps(40)).for_new(), Bitrate::MAX - Bitrate::kbps(40));
        let mut floors = Vec::new();
        for second in 0..10 {
            let now = start + SECOND * second;
            window.on_estimate(now, if second == 2 { Bitrate::kbps(300) } else { Bitrate::kbps(2_000) });
            floors.push(window.budget(now, Bitrate::ZERO).floor.as_kbps());
        }
        assert_eq!(floors, [2_000, 2_000, 300, 300, 300, 300, 2_000, 2_000, 2_000, 2_000]);
    }

    #[test]
    fn a_silent_estimator_keeps_its_word() {
        let start = Instant::now();
        let mut window = EstimateWindow::new();
        window.on_estimate(start, Bitrate::kbps(500));
        let budget = window.budget(start + 60 * SECOND, Bitrate::kbps(100));
        assert_eq!((budget.for_present(), budget.for_new()), (Bitrate::kbps(400), Bitrate::kbps(400)));
    }

    #[test]
    fn changes_and_overload_do_not_wait_for_the_second_to_end() {
        let start = Instant::now();
        let mut cadence = Cadence::new();
        let fits = Some(Bitrate::kbps(1_000));
        let cost = Bitrate::kbps(1_050);
        assert!(cadence.poll(start, cost, fits));
        assert!(!cadence.poll(start + SECOND / 2, cost, fits), "5 % over is noise");
        assert!(cadence.poll(start + SECOND / 2, Bitrate::kbps(1_200), fits));
        assert!(!cadence.poll(start + SECOND / 2, Bitrate::kbps(1_200), fits), "just done");
        cadence.mark_changed();
        assert!(cadence.poll(start + SECOND / 2, cost, fits));
        assert!(!cadence.poll(start + SECOND, cost, None));
        assert!(cadence.poll(start + SECOND * 3 / 2, cost, None));
    }
}
