//! What to ask for again (RFC 4585 section 6.2.1).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What came out of order is not lost yet. Longer would delay every repair; shorter would ask in vain.
const REORDERED: Duration = Duration::from_millis(5);
/// A request is repeated after a round trip and a half, but not sooner: answers are queued too.
const LEAST_PAUSE: Duration = Duration::from_millis(30);
/// A packet that is missing for longer comes too late for any decoder.
const MOST_AGE: Duration = Duration::from_millis(1_500);
/// Requests for one packet.
const MOST_TRIES: u8 = 10;
/// Missing packets of a stream. A hole that is larger is a pause, or a path that is down: a key frame mends that better.
const MOST: u64 = 300;

#[derive(Debug, Clone, Copy)]
struct Hole {
    index: u64,
    tries: u8,
    since: Instant,
    next: Instant,
}

/// The missing packets of one stream.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    highest: Option<u64>,
    /// In the order of their numbers.
    holes: VecDeque<Hole>,
}

impl Missing {
    /// A packet came, by whatever way.
    pub(crate) fn came(&mut self, index: u64, now: Instant) {
        let Some(highest) = self.highest else {
            self.highest = Some(index);
            return;
        };
        if index <= highest {
            if let Ok(at) = self.holes.binary_search_by_key(&index, |hole| hole.index) {
                self.holes.remove(at);
            }
            return;
        }
        self.highest = Some(index);
        let missing = index - highest - 1;
        if missing > MOST {
            self.holes.clear();
            return;
        }
        let due = now + REORDERED;
        self.holes.extend((highest + 1..index).map(|index| Hole { index, tries: 0, since: now, next: due }));
        while self.holes.len() as u64 > MOST {
            self.holes.pop_front();
        }
    }

    /// Adds the numbers to ask for now, in order.
    pub(crate) fn due(&mut self, now: Instant, rtt: Duration, numbers: &mut Vec<u16>) {
        let pause = (rtt + rtt / 2).clamp(LEAST_PAUSE, MOST_AGE);
        self.holes.retain_mut(|hole| {
            if hole.next > now {
                return true;
            }
            if hole.tries >= MOST_TRIES || now.saturating_duration_since(hole.since) > MOST_AGE {
                return false;
            }
            // The wire has the low 16 bits.
            numbers.push(hole.index as u16);
            hole.tries += 1;
            hole.next = now + pause;
            true
        });
    }

    /// When to ask next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.holes.iter().map(|hole| hole.next).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(50);

    fn due(missing: &mut Missing, now: Instant) -> Vec<u16> {
        let mut numbers = Vec::new();
        missing.due(now, RTT, &mut numbers);
        numbers
    }

    #[test]
    fn a_hole_is_asked_for_until_it_is_filled() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut missing = Missing::default();
        missing.came(65_534, at(0));
        missing.came(65_539, at(1));
        assert_eq!(due(&mut missing, at(2)), [], "it may have been overtaken");
        missing.came(65_536, at(3));
        assert_eq!(due(&mut missing, at(6)), [65_535, 1, 2]);
        assert_eq!(missing.deadline(), Some(at(81)));
        missing.came(65_537, at(60));
        assert_eq!(due(&mut missing, at(80)), []);
        assert_eq!(due(&mut missing, at(81)), [65_535, 2]);
        missing.came(65_535, at(90));
        missing.came(65_538, at(90));
        assert_eq!(missing.deadline(), None);
    }

    #[test]
    fn nothing_is_asked_for_for_ever() {
        let start = Instant::now();
        let mut missing = Missing::default();
        missing.came(1, start);
        missing.came(3, start);
        let mut asked = 0;
        let mut now = start;
        while let Some(at) = missing.deadline() {
            now = at;
            asked += due(&mut missing, now).len();
        }
        assert_eq!(asked, usize::from(MOST_TRIES));
        assert!(now <= start + MOST_AGE + RTT * 2);
    }

    #[test]
    fn a_large_hole_is_a_pause() {
        let now = Instant::now();
        let mut missing = Missing::default();
        missing.came(1, now);
        missing.came(3, now);
        missing.came(4 + MOST + 1, now);
        assert_eq!(missing.deadline(), None);
        missing.came(4 + MOST + 1 + MOST + 1, now);
        assert_eq!(due(&mut missing, now + REORDERED).len() as u64, MOST);
    }
}
