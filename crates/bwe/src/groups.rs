//! Packets into bursts, and how much further apart two bursts arrived than they were sent (draft-ietf-rmcat-gcc-02, section 5.2).

use crate::{MILLI, Micros, SECOND};

/// Packets sent within this time are one burst. The draft's 5 ms: shorter measures the scheduler, longer blurs the queue.
const BURST: Micros = 5 * MILLI;

/// Packets that arrive this close behind each other, and closer than they were sent, were held up together somewhere.
const HELD_UP: i64 = 5_000;

/// A burst that is held together by [`HELD_UP`] ends here, so that a fast link cannot make one burst of everything.
const LONGEST: i64 = 100_000;

/// Bursts that drift apart by more than this speak of a clock that jumped or of a path that was away, not of a queue.
const JUMP: i64 = 3 * SECOND as i64;

/// A silence after which earlier bursts say nothing about the queue of now.
const SILENCE: Micros = 2 * SECOND;

/// Bursts in a row that arrive before their predecessor: more than this and the receiver's clock went back.
const BACKWARDS: u8 = 3;

/// What one more packet makes of the bursts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Step {
    /// Nothing to say yet.
    Within,
    /// A burst is complete.
    Next(Variation),
    /// What was measured before no longer compares with what comes.
    Restart,
}

/// How two neighbouring bursts differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Variation {
    /// Microseconds between their last packets when they left.
    pub sent: i64,
    /// Microseconds between their last packets when they arrived.
    pub arrived: i64,
    /// The receiver's time of the later one.
    pub at: i64,
}

#[derive(Clone, Copy, Debug)]
struct Burst {
    first_sent: Micros,
    last_sent: Micros,
    first_arrived: i64,
    last_arrived: i64,
}

impl Burst {
    fn takes(&self, sent: Micros, arrived: i64) -> bool {
        if sent.saturating_sub(self.first_sent) <= BURST {
            return true;
        }
        let apart = arrived.saturating_sub(self.last_arrived);
        let held_up = apart < signed(sent.saturating_sub(self.last_sent)) && apart <= HELD_UP;
        held_up && arrived.saturating_sub(self.first_arrived) < LONGEST
    }
}

/// The burst that fills and the one before it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups {
    current: Option<Burst>,
    previous: Option<Burst>,
    backwards: u8,
}

impl Groups {
    /// Takes in an arrival, in the order of sending.
    pub(crate) fn add(&mut self, sent: Micros, arrived: i64) -> Step {
        let fresh =
            Burst { first_sent: sent, last_sent: sent, first_arrived: arrived, last_arrived: arrived };
        let Some(current) = &mut self.current else {
            self.current = Some(fresh);
            return Step::Within;
        };
        if sent < current.first_sent {
            // A straggler of an earlier burst: the comparison with that one is made.
            return Step::Within;
        }
        let queueing =
            arrived.saturating_sub(current.last_arrived).saturating_sub(signed(sent - current.last_sent));
        if sent.saturating_sub(current.last_sent) > SILENCE || queueing.saturating_abs() > JUMP {
            *self = Groups { current: Some(fresh), ..Self::default() };
            return Step::Restart;
        }
        if current.takes(sent, arrived) {
            current.last_sent = current.last_sent.max(sent);
            current.last_arrived = current.last_arrived.max(arrived);
            return Step::Within;
        }
        let complete = *current;
        let previous = self.previous.replace(complete);
        self.current = Some(fresh);
        previous.map_or(Step::Within, |previous| self.compare(previous, complete))
    }

    /// Starts anew.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    fn compare(&mut self, earlier: Burst, later: Burst) -> Step {
        let arrived = later.last_arrived.saturating_sub(earlier.last_arrived);
        if arrived < 0 {
            self.backwards += 1;
            if self.backwards >= BACKWARDS {
                self.reset();
                return Step::Restart;
            }
            return Step::Within;
        }
        self.backwards = 0;
        Step::Next(Variation {
            sent: signed(later.last_sent.saturating_sub(earlier.last_sent)),
            arrived,
            at: later.last_arrived,
        })
    }
}

fn signed(time: Micros) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(packets: &[(Micros, i64)]) -> Vec<Step> {
        let mut groups = Groups::default();
        packets.iter().map(|&(sent, arrived)| groups.add(sent * MILLI, arrived * 1_000)).collect()
    }

    #[test]
    fn bursts_are_compared_by_their_last_packets() {
        let seen = steps(&[(0, 0), (1, 10), (20, 20), (22, 40), (40, 60)]);
        let next = Step::Next(Variation { sent: 21_000, arrived: 30_000, at: 40_000 });
        assert_eq!(seen, [Step::Within, Step::Within, Step::Within, Step::Within, next]);
    }

    #[test]
    fn what_was_held_up_together_is_one_burst() {
        // The last three were sent over 40 ms and came out of some radio within 2 ms.
        let seen = steps(&[(0, 0), (20, 50), (40, 51), (60, 52), (80, 80)]);
        assert_eq!(seen[..4], [Step::Within; 4]);
        assert_eq!(seen[4], Step::Next(Variation { sent: 60_000, arrived: 52_000, at: 52_000 }));
    }

    #[test]
    fn jumps_and_silences_start_anew() {
        assert_eq!(steps(&[(0, 0), (20, 20), (40, 5_000)])[2], Step::Restart);
        assert_eq!(steps(&[(0, 0), (20, 20), (40, -5_000)])[2], Step::Restart);
        assert_eq!(steps(&[(0, 0), (20, 20), (5_000, 5_000)])[2], Step::Restart);
    }
}
