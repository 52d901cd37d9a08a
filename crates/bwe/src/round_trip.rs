//! The round trip: as receiver reports measure it, else from how late feedback comes.

use std::time::Duration;

use crate::{MILLI, Micros, SECOND};

/// How much a new value counts. Less follows a path that changed too late; more follows each report's jitter.
const WEIGHT: f64 = 0.125;

/// What is believed at all. Reports are the receiver's word: zero would make reductions too frequent, an hour stop them.
const BOUNDS: (Micros, Micros) = (MILLI, 2 * SECOND);

/// What is assumed until something was measured.
const UNKNOWN: Duration = Duration::from_millis(100);

/// Both measures, smoothed, in microseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct RoundTrip {
    reported: Option<f64>,
    own: Option<f64>,
}

impl RoundTrip {
    /// A receiver report was evaluated.
    pub(crate) fn on_report(&mut self, rtt: Duration) {
        take(&mut self.reported, Micros::try_from(rtt.as_micros()).unwrap_or(Micros::MAX));
    }

    /// Feedback came so long after the newest packet that it tells of. It includes the time that the receiver waits.
    pub(crate) fn on_feedback(&mut self, delay: Micros) {
        take(&mut self.own, delay);
    }

    /// The best that is known.
    pub(crate) fn known(&self) -> Option<Duration> {
        self.reported.or(self.own).map(|micros| Duration::from_micros(micros as u64))
    }

    /// The same, or a guess.
    pub(crate) fn guess(&self) -> Duration {
        self.known().unwrap_or(UNKNOWN)
    }
}

fn take(smoothed: &mut Option<f64>, micros: Micros) {
    let micros = micros.clamp(BOUNDS.0, BOUNDS.1) as f64;
    *smoothed = Some(smoothed.map_or(micros, |before| before + WEIGHT * (micros - before)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_win_over_the_own_measure() {
        let mut rtt = RoundTrip::default();
        assert_eq!((rtt.known(), rtt.guess()), (None, UNKNOWN));
        rtt.on_feedback(80 * MILLI);
        assert_eq!(rtt.known(), Some(Duration::from_millis(80)));
        rtt.on_report(Duration::from_millis(20));
        rtt.on_report(Duration::from_secs(3_600));
        assert_eq!(rtt.known(), Some(Duration::from_micros(267_500)));
    }
}
