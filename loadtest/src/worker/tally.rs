//! What all participants of a worker see within a second.
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::second::CallTimes;
use crate::distribution::Distribution;

/// Seen since it was last taken.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) audio_latency: Distribution,
    pub(crate) video_latency: Distribution,
    pub(crate) key_frame_wait: Distribution,
    pub(crate) layer_switch: Distribution,
    pub(crate) calls: CallTimes,
}

impl Seen {
    pub(crate) fn latency(&mut self, is_video: bool, us: u64) {
        let of = if is_video { &mut self.video_latency } else { &mut self.audio_latency };
        of.record_us(us);
    }

    pub(crate) fn key_frame_wait(&mut self, time: Duration) {
        self.key_frame_wait.record(time);
    }

    pub(crate) fn layer_switch(&mut self, time: Duration) {
        self.layer_switch.record(time);
    }

    fn add(&mut self, other: &Self) {
        self.audio_latency.add(&other.audio_latency);
        self.video_latency.add(&other.video_latency);
        self.key_frame_wait.add(&other.key_frame_wait);
        self.layer_switch.add(&other.layer_switch);
        self.calls.add(&other.calls);
    }
}

/// One part for each thread or so: participants must not wait for each other.
pub(crate) struct Tally(Vec<Mutex<Seen>>);

impl Tally {
    pub(crate) fn new(parts: usize) -> Self {
        Self((0..parts.max(1)).map(|_| Mutex::default()).collect())
    }

    pub(crate) fn part(&self, index: usize) -> MutexGuard<'_, Seen> {
        // Counters stay meaningful wherever a panic left them.
        self.0[index % self.0.len()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what was seen, and begins anew.
    pub(crate) fn take(&self) -> Seen {
        let mut sum = Seen::default();
        for index in 0..self.0.len() {
            let seen = std::mem::take(&mut *self.part(index));
            sum.add(&seen);
        }
        sum
    }
}
