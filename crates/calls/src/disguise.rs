//! Makes a leg that does not ring look like one that nobody answers: when its "ringing" would have been seen.
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// Outcomes remembered per class. More would follow a change of networks more slowly; fewer would repeat themselves.
const REMEMBERED: usize = 256;
/// With fewer outcomes than this, invented ones fill up, so that a lone sample does not give itself away.
const ENOUGH: usize = 16;
/// How soon a device with a socket acknowledges, in milliseconds, as long as nothing better is known.
const TYPICAL_MS: std::ops::RangeInclusive<u64> = 80..=400;

/// What real legs did, and chance.
#[derive(Debug)]
pub(crate) struct Disguise {
    rng: StdRng,
    connected: Outcomes,
    asleep: Outcomes,
}

/// The newest outcomes: milliseconds from invitation to acknowledgement, or never.
#[derive(Debug, Default)]
struct Outcomes {
    delays: Vec<Option<u64>>,
    oldest: usize,
}

impl Disguise {
    pub(crate) fn new(seed: u64) -> Self {
        let (connected, asleep) = (Outcomes::default(), Outcomes::default());
        Self { rng: StdRng::seed_from_u64(seed), connected, asleep }
    }

    /// A real leg was acknowledged after this long, or never. `connected`: a device had a socket.
    pub(crate) fn learn(&mut self, connected: bool, delay_ms: Option<u64>) {
        let outcomes = if connected { &mut self.connected } else { &mut self.asleep };
        if outcomes.delays.len() < REMEMBERED {
            outcomes.delays.push(delay_ms);
        } else {
            outcomes.delays[outcomes.oldest] = delay_ms;
            outcomes.oldest = (outcomes.oldest + 1) % REMEMBERED;
        }
    }

    /// When a leg of this class would be acknowledged.
    pub(crate) fn draw(&mut self, connected: bool) -> Option<u64> {
        let outcomes = if connected { &self.connected } else { &self.asleep };
        let choice = self.rng.random_range(0..outcomes.delays.len().max(ENOUGH));
        match outcomes.delays.get(choice) {
            Some(delay) => *delay,
            None => connected.then(|| self.rng.random_range(TYPICAL_MS)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_experience_a_connected_device_takes_a_moment_and_a_sleeping_one_says_nothing() {
        let mut disguise = Disguise::new(1);
        assert!((0..500).all(|_| disguise.draw(true).is_some_and(|delay| TYPICAL_MS.contains(&delay))));
        assert!((0..500).all(|_| disguise.draw(false).is_none()));
    }

    #[test]
    fn old_outcomes_are_forgotten() {
        let mut disguise = Disguise::new(1);
        (0..REMEMBERED).for_each(|_| disguise.learn(true, Some(9)));
        (0..REMEMBERED).for_each(|_| disguise.learn(true, None));
        assert!((0..500).all(|_| disguise.draw(true).is_none()));
    }
}
