//! Whether the queue grows: the slope of the delay, against a threshold that learns what this path calls normal
//! (draft-ietf-rmcat-gcc-02, sections 5.3 and 5.4; the slope by least squares instead of a Kalman filter).

use crate::groups::Variation;

/// Bursts that make the slope. Fewer take one late frame for a queue; more see a queue late.
const WINDOW: usize = 20;

/// The share of the old in the smoothed delay. Less follows each packet's jitter.
const SMOOTHING: f64 = 0.9;

/// Makes a slope comparable with the threshold, which is in milliseconds.
const GAIN: f64 = 4.0;

/// Bursts that the slope is multiplied by, at most. It stands for "sure of it"; more would make old paths nervous.
const SUREST: u32 = 60;

/// Overuse must last this long, in milliseconds sent. Shorter reacts to a single large frame.
const OVER_FOR: f64 = 10.0;

/// Where the threshold starts and between what it stays, in milliseconds. The bounds are what keeps the flow from
/// starving beside flows that fill the queue, and from never noticing anything.
const THRESHOLD: f64 = 12.5;
const THRESHOLD_BOUNDS: (f64, f64) = (6.0, 600.0);

/// How fast the threshold follows the slope up and down, per millisecond. Up slowly, or a real queue would be learnt as normal;
/// down (on calm paths) faster than the draft's 0.00018 since the slope here is smoother.
const LEARN_UP: f64 = 0.008_7;
const LEARN_DOWN: f64 = 0.039;

/// A slope this far above the threshold, in milliseconds, is an event and no property of the path: nothing is learnt from it.
const TOO_FAR: f64 = 15.0;

/// The longest time that one burst stands for when the threshold learns, in milliseconds.
const LONGEST_LESSON: f64 = 100.0;

/// Milliseconds from the origin at which it moves: 32 bits hold the points to a few microseconds up to here.
const FAR: f64 = 60_000.0;

/// What the delay says about the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Usage {
    /// It neither grows nor drains.
    #[default]
    Normal,
    /// It grows: more is sent than leaves it.
    Over,
    /// It drains.
    Under,
}

/// The slope over the last bursts and the state that it makes.
#[derive(Clone, Debug)]
pub(crate) struct Trend {
    /// Arrival after the origin and smoothed delay, in milliseconds. In no order: least squares do not ask for one.
    points: [(f32, f32); WINDOW],
    next: u8,
    bursts: u32,
    origin: i64,
    delay: f64,
    smoothed: f64,
    slope: f64,
    threshold: f64,
    last_at: Option<f64>,
    over_for: Option<f64>,
    over_bursts: u32,
    usage: Usage,
}

impl Default for Trend {
    fn default() -> Self {
        Trend {
            points: [(0.0, 0.0); WINDOW],
            next: 0,
            bursts: 0,
            origin: 0,
            delay: 0.0,
            smoothed: 0.0,
            slope: 0.0,
            threshold: THRESHOLD,
            last_at: None,
            over_for: None,
            over_bursts: 0,
            usage: Usage::Normal,
        }
    }
}

impl Trend {
    /// The state now.
    pub(crate) fn usage(&self) -> Usage {
        self.usage
    }

    /// Forgets the delays and keeps the threshold, which says what the path is like.
    pub(crate) fn restart(&mut self) {
        *self = Trend { threshold: self.threshold, ..Self::default() };
    }

    /// Takes in how the latest burst differs from the one before.
    pub(crate) fn add(&mut self, variation: Variation) {
        if self.bursts == 0 {
            self.origin = variation.at;
        }
        let sent = milliseconds(variation.sent);
        let mut at = milliseconds(variation.at.saturating_sub(self.origin));
        if at > FAR {
            self.move_origin(variation.at, at);
            at = 0.0;
        }
        self.delay += milliseconds(variation.arrived) - sent;
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * self.delay;
        self.bursts = self.bursts.saturating_add(1);
        if let Some(point) = self.points.get_mut(usize::from(self.next)) {
            *point = (at as f32, self.smoothed as f32);
        }
        self.next = (self.next + 1) % WINDOW as u8;
        // Until the window is full the last slope stands, which is none.
        let slope =
            if self.bursts >= WINDOW as u32 { slope(&self.points).unwrap_or(self.slope) } else { 0.0 };
        self.judge(slope, sent, at);
    }

    fn move_origin(&mut self, to: i64, by: f64) {
        self.origin = to;
        self.last_at = self.last_at.map(|at| at - by);
        for point in &mut self.points {
            point.0 -= by as f32;
        }
    }

    fn judge(&mut self, slope: f64, sent: f64, at: f64) {
        let signal = f64::from(self.bursts.min(SUREST)) * slope * GAIN;
        if signal > self.threshold {
            let over_for = self.over_for.map_or(sent / 2.0, |before| before + sent);
            self.over_for = Some(over_for);
            self.over_bursts += 1;
            // A slope that flattens is a queue about to drain: reducing further would overshoot.
            if over_for > OVER_FOR && self.over_bursts > 1 && slope >= self.slope {
                self.over_for = Some(0.0);
                self.over_bursts = 0;
                self.usage = Usage::Over;
            }
        } else {
            self.over_for = None;
            self.over_bursts = 0;
            self.usage = if signal < -self.threshold { Usage::Under } else { Usage::Normal };
        }
        self.slope = slope;
        self.learn(signal.abs(), at);
    }

    fn learn(&mut self, signal: f64, at: f64) {
        let passed = (at - self.last_at.unwrap_or(at)).clamp(0.0, LONGEST_LESSON);
        self.last_at = Some(at);
        if signal > self.threshold + TOO_FAR {
            return;
        }
        let speed = if signal < self.threshold { LEARN_DOWN } else { LEARN_UP };
        let (least, most) = THRESHOLD_BOUNDS;
        self.threshold = (self.threshold + speed * (signal - self.threshold) * passed).clamp(least, most);
    }
}

fn milliseconds(micros: i64) -> f64 {
    micros as f64 / 1_000.0
}

/// The slope of the line of least squares; `None` if all points lie above each other.
fn slope(points: &[(f32, f32)]) -> Option<f64> {
    let count = points.len() as f64;
    let wide = || points.iter().map(|(x, y)| (f64::from(*x), f64::from(*y)));
    let (sum_x, sum_y) = wide().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
    let (mean_x, mean_y) = (sum_x / count, sum_y / count);
    let (mut over, mut under) = (0.0, 0.0);
    for (x, y) in wide() {
        over += (x - mean_x) * (y - mean_y);
        under += (x - mean_x) * (x - mean_x);
    }
    (under > 0.0).then(|| over / under)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bursts of each 20 ms that arrive `extra` microseconds further apart.
    fn feed(trend: &mut Trend, from: i64, bursts: i64, extra: i64) -> Vec<Usage> {
        let every = 20_000 + extra;
        let feed =
            (1..=bursts).map(|burst| Variation { sent: 20_000, arrived: every, at: from + burst * every });
        feed.map(|variation| {
            trend.add(variation);
            trend.usage()
        })
        .collect()
    }

    #[test]
    fn a_growing_queue_is_overuse_and_a_draining_one_underuse() {
        let mut trend = Trend::default();
        assert!(feed(&mut trend, 0, 30, 0).iter().all(|usage| *usage == Usage::Normal));
        let growing = feed(&mut trend, 600_000, 30, 3_000);
        let seen = growing.iter().position(|usage| *usage == Usage::Over).unwrap();
        assert!(seen < 15, "after {seen} bursts");
        assert!(feed(&mut trend, 1_290_000, 40, -4_000).contains(&Usage::Under));
    }

    #[test]
    fn one_late_burst_is_no_overuse() {
        let mut trend = Trend::default();
        feed(&mut trend, 0, 30, 0);
        let mut seen = feed(&mut trend, 600_000, 1, 15_000);
        seen.extend(feed(&mut trend, 635_000, 1, -15_000));
        seen.extend(feed(&mut trend, 640_000, 30, 0));
        assert!(!seen.contains(&Usage::Over));
    }
}
