//! Seconds of several workers, added up to seconds of all.
use std::collections::BTreeMap;

use crate::worker::second::Second;

#[derive(Debug)]
pub(crate) struct Merge {
    /// The newest second of each worker; `None` before its first, the end of time once it is done.
    newest: Vec<Option<u64>>,
    seconds: BTreeMap<u64, Second>,
    /// The next that was not looked at.
    next: u64,
}

impl Merge {
    pub(crate) fn new(workers: usize) -> Self {
        Self { newest: vec![None; workers], seconds: BTreeMap::new(), next: 0 }
    }

    pub(crate) fn take(&mut self, worker: usize, second: Second) {
        self.newest[worker] = Some(second.index);
        match self.seconds.entry(second.index) {
            std::collections::btree_map::Entry::Vacant(vacant) => {
                vacant.insert(second);
            }
            std::collections::btree_map::Entry::Occupied(mut there) => there.get_mut().add(&second),
        }
    }

    pub(crate) fn done(&mut self, worker: usize) {
        self.newest[worker] = Some(u64::MAX);
    }

    /// The next second that all workers have told. A worker that was held up may have left one out.
    pub(crate) fn next_complete(&mut self) -> Option<&Second> {
        let told = self.newest.iter().copied().min().flatten().filter(|told| *told >= self.next)?;
        let (index, second) = self.seconds.range(self.next..=told).next()?;
        self.next = index + 1;
        Some(second)
    }

    /// The second in which so many seats had tried to join.
    pub(crate) fn tried_at(&self, total: u64) -> u64 {
        let tried = |second: &&Second| second.people.attempted >= total;
        self.seconds.values().find(tried).map_or(0, |second| second.index)
    }

    pub(crate) fn first_failure(&self) -> Option<&str> {
        self.seconds.values().flat_map(|second| &second.failures).map(String::as_str).next()
    }

    pub(crate) fn finish(self) -> Vec<Second> {
        self.seconds.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn second(index: u64, packets: u64, latency_ms: u64) -> Second {
        let mut second = Second { index, ..Second::default() };
        second.media.received_packets = packets;
        second.people.present = 2;
        second.times.video_latency.record(Duration::from_millis(latency_ms));
        second
    }

    #[test]
    fn a_second_is_complete_when_the_slowest_worker_has_told_it() {
        let mut merge = Merge::new(2);
        merge.take(0, second(0, 10, 1));
        assert!(merge.next_complete().is_none());
        merge.take(0, second(1, 10, 1));
        merge.take(1, second(0, 5, 9));
        let whole = merge.next_complete().unwrap();
        assert_eq!((whole.index, whole.media.received_packets, whole.people.present), (0, 15, 4));
        let latency = whole.times.latency().summary();
        assert_eq!(latency.count, 2);
        assert!(latency.max_ms > 8.9 && latency.p50_ms < 1.1);
        assert!(merge.next_complete().is_none());
        merge.done(1);
        assert_eq!(merge.next_complete().unwrap().media.received_packets, 10);
    }

    #[test]
    fn a_worker_that_was_held_up_holds_up_nobody_for_ever() {
        let mut merge = Merge::new(2);
        merge.take(0, second(0, 1, 1));
        merge.take(0, second(1, 1, 1));
        merge.take(1, second(0, 1, 1));
        merge.take(0, second(2, 1, 1));
        merge.take(1, second(2, 2, 1));
        let seen: Vec<u64> =
            std::iter::from_fn(|| merge.next_complete().map(|second| second.media.received_packets))
                .collect();
        assert_eq!(seen, [2, 1, 3]);
    }
}
