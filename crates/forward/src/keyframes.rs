//! Asking a publisher for key frames: as often as needed, as rarely as possible.
//!
//! Who waits is state, not a message: as long as somebody waits, the request is made again, so that a lost one heals itself.

use std::time::{Duration, Instant};

use crate::quota::Allowance;

/// The shortest time between two requests. Shorter asks again before the first answer can be here, and each answer costs
/// ten times a common frame; longer leaves a new viewer in the dark.
const SHORTEST: Duration = Duration::from_millis(200);

/// The longest time between two requests that go unanswered: a muted camera must not be asked five times a second for ever.
const LONGEST: Duration = Duration::from_secs(2);

/// The key-frame requests of one layer of one publication. `K` names a waiting receiver.
#[derive(Clone, Debug)]
pub struct KeyFrameRequests<K> {
    waiting: Vec<K>,
    last: Option<Instant>,
    interval: Duration,
}

impl<K: Copy + PartialEq> Default for KeyFrameRequests<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Copy + PartialEq> KeyFrameRequests<K> {
    /// Nobody waits.
    pub fn new() -> Self {
        KeyFrameRequests { waiting: Vec::new(), last: None, interval: SHORTEST }
    }

    /// `receiver` waits for a key frame, until one comes or it gives up.
    pub fn wait(&mut self, receiver: K) {
        if !self.waiting.contains(&receiver) {
            self.waiting.push(receiver);
        }
    }

    /// `receiver` waits no longer.
    pub fn give_up(&mut self, receiver: K) {
        self.waiting.retain(|waiting| *waiting != receiver);
    }

    /// Whether anybody waits.
    pub fn is_waited_for(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// A key frame begins: all have what they waited for. Who could not use it (it came late, it was lost) waits anew.
    pub fn on_key_frame(&mut self) {
        self.waiting.clear();
        self.interval = SHORTEST;
    }

    /// When the next request is due; `None` while nobody waits. `rtt` is the round trip to the publisher.
    pub fn due_at(&self, now: Instant, rtt: Duration) -> Option<Instant> {
        if self.waiting.is_empty() {
            return None;
        }
        let pause = self.interval.max(rtt.min(LONGEST));
        Some(self.last.map_or(now, |last| last + pause))
    }

    /// Whether to send a request now. Each request without an answer doubles the time to the next one, up to two seconds.
    pub fn poll(&mut self, now: Instant, rtt: Duration) -> bool {
        if self.due_at(now, rtt).is_none_or(|due| due > now) {
            return false;
        }
        // A first request after a quiet time begins a new series.
        let series = self.last.is_some_and(|last| now.saturating_duration_since(last) < 2 * LONGEST);
        self.interval = if series { (self.interval * 2).min(LONGEST) } else { SHORTEST };
        self.last = Some(now);
        true
    }
}

/// How many key frames one receiver may ask for. A broken receiver that asks for ever would make all others pay.
///
/// At once as many as a page of tiles that appear together needs, then one each half second: shorter spares nobody, longer
/// would leave a receiver on a bad link with a frozen picture.
pub const KEY_FRAME_QUOTA: Allowance = Allowance { burst: 16, refill: Duration::from_millis(500) };

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const NEAR: Duration = Duration::from_millis(30);

    #[test]
    fn ten_viewers_who_come_together_cost_one_request() {
        let now = Instant::now();
        let mut requests = KeyFrameRequests::new();
        assert_eq!(requests.due_at(now, NEAR), None);
        (0..10).for_each(|viewer| requests.wait(viewer));
        assert!(requests.poll(now, NEAR));
        assert!(!requests.poll(now + 199 * MS, NEAR));
        requests.on_key_frame();
        assert!(!requests.is_waited_for());
        assert!(!requests.poll(now + 300 * MS, NEAR));
    }

    #[test]
    fn a_lost_request_is_made_again_ever_more_slowly() {
        let start = Instant::now();
        let mut requests = KeyFrameRequests::new();
        requests.wait('a');
        let sent: Vec<u64> =
            (0..10_000).filter(|ms| requests.poll(start + MS * *ms, NEAR)).map(u64::from).collect();
        assert_eq!(sent, [0, 200, 600, 1_400, 3_000, 5_000, 7_000, 9_000]);
    }

    #[test]
    fn a_far_publisher_is_given_the_time_to_answer() {
        let start = Instant::now();
        let mut requests = KeyFrameRequests::new();
        requests.wait('a');
        assert!(requests.poll(start, 350 * MS));
        assert_eq!(requests.due_at(start, 350 * MS), Some(start + 350 * MS));
    }

    #[test]
    fn who_leaves_no_longer_asks() {
        let now = Instant::now();
        let mut requests = KeyFrameRequests::new();
        requests.wait('a');
        requests.wait('b');
        requests.give_up('a');
        assert!(requests.is_waited_for());
        requests.give_up('b');
        assert!(!requests.poll(now, NEAR));
    }
}
