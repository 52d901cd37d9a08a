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

    /// After how many milliseconds a leg of this class would be acknowledged, given that it was not within the first
    /// `silent_ms`.
    pub(crate) fn draw(&mut self, connected: bool, silent_ms: u64) -> Option<u64> {
        let outcomes = if connected { &self.connected } else { &self.asleep };
        let later = |delay: &&Option<u64>| delay.is_none_or(|delay| delay >= silent_ms);
        let known = outcomes.delays.iter().filter(later).count();
        let invented = ENOUGH.saturating_sub(outcomes.delays.len());
        let choice = self.rng.random_range(0..(known + invented).max(1));
        if choice < known {
            return outcomes.delays.iter().filter(later).nth(choice).copied().flatten();
        }
        let typical = silent_ms.max(*TYPICAL_MS.start())..=*TYPICAL_MS.end();
        (connected && !typical.is_empty()).then(|| self.rng.random_range(typical))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_experience_a_connected_device_takes_a_moment_and_a_sleeping_one_says_nothing() {
        let mut disguise = Disguise::new(1);
        assert!((0..500).all(|_| disguise.draw(true, 0).is_some_and(|delay| TYPICAL_MS.contains(&delay))));
        assert!((0..500).all(|_| disguise.draw(false, 0).is_none()));
    }

    #[test]
    fn what_was_silent_for_a_while_is_not_acknowledged_in_the_past() {
        let mut disguise = Disguise::new(1);
        assert!((0..500).all(|_| disguise.draw(true, 300).is_some_and(|delay| (300..=400).contains(&delay))));
        assert!((0..500).all(|_| disguise.draw(true, 401).is_none()));
        (0..100).for_each(|n| disguise.learn(true, Some(n)));
        assert!((0..500).all(|_| disguise.draw(true, 50).is_some_and(|delay| (50..100).contains(&delay))));
    }

    #[test]
    fn old_outcomes_are_forgotten() {
        let mut disguise = Disguise::new(1);
        (0..REMEMBERED).for_each(|_| disguise.learn(true, Some(9)));
        (0..REMEMBERED).for_each(|_| disguise.learn(true, None));
        assert!((0..500).all(|_| disguise.draw(true, 0).is_none()));
    }
}
