//! Data messages: who may send, who receives, how much may wait.
//!
//! Bounded in every direction: message size and rate per sender, bytes waiting per receiver. A full queue drops
//! (lossy channels) or closes the session (reliable ones), never grows.

mod scan;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

pub(crate) use self::scan::{Fields, scan};
use crate::config::Limits;
use crate::model::{DataPolicy, WhenFull};
use crate::stats::DataStats;
use crate::transport::{Channel, Transport};

/// How long a message waits for a channel that is not open yet: a participant who is still joining gets it.
const WAIT_FOR_CHANNEL: Duration = Duration::from_secs(5);

/// The data messages of one session.
pub(crate) struct DataPlane {
    channels: Vec<OpenChannel>,
    queue: VecDeque<Queued>,
    queued_bytes: usize,
    bucket: Bucket,
    seen: Seen,
    pub(crate) stats: DataStats,
}

struct OpenChannel {
    channel: Channel,
    label: String,
    reliable: bool,
}

struct Queued {
    label: String,
    binary: bool,
    payload: Bytes,
    since: Instant,
}

/// A queue was full and the policy is to close.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overflow;

impl DataPlane {
    pub(crate) fn new(now: Instant) -> Self {
        DataPlane {
            channels: Vec::new(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            bucket: Bucket { tokens: 0.0, at: now, filled: false },
            seen: Seen::default(),
            stats: DataStats::default(),
        }
    }

    /// A channel opened; false if there are too many.
    pub(crate) fn opened(
        &mut self,
        channel: Channel,
        label: String,
        reliable: bool,
        limits: &Limits,
    ) -> bool {
        if self.channels.len() >= limits.channels {
            return false;
        }
        self.channels.push(OpenChannel { channel, label, reliable });
        true
    }

    /// A channel closed.
    pub(crate) fn closed(&mut self, channel: Channel) {
        self.channels.retain(|c| c.channel != channel);
    }

    /// The label of a channel.
    pub(crate) fn label(&self, channel: Channel) -> Option<&str> {
        self.channels.iter().find(|c| c.channel == channel).map(|c| c.label.as_str())
    }

    /// Judges a message from the peer: permission, size, rate.
    pub(crate) fn admit(&mut self, now: Instant, size: usize, policy: &DataPolicy, limits: &Limits) -> bool {
        self.stats.received += 1;
        let largest = policy.max_message_bytes.unwrap_or(limits.message_bytes).min(limits.message_bytes);
        let rate = policy.max_messages_per_second.unwrap_or(limits.messages_per_second);
        let admitted = policy.may_send && size <= largest && self.bucket.take(now, f64::from(rate));
        if !admitted {
            self.stats.refused += 1;
        }
        admitted
    }

    /// Whether the sender's number is new; it counts as seen then.
    pub(crate) fn is_new(&mut self, sequence: u64) -> bool {
        let new = self.seen.insert(sequence);
        if !new {
            self.stats.refused += 1;
        }
        new
    }

    /// Sends a message to the peer, or queues it.
    pub(crate) fn send(
        &mut self,
        now: Instant,
        transport: &mut Transport,
        message: (&str, bool, &Bytes),
        policy: &DataPolicy,
        limits: &Limits,
    ) -> Result<(), Overflow> {
        let (label, binary, payload) = message;
        if self.queue.is_empty() && self.write(transport, label, binary, payload) == Written::Yes {
            return Ok(());
        }
        let room = policy.queue_bytes.unwrap_or(limits.data_queue_bytes).min(limits.data_queue_bytes);
        if self.queued_bytes + payload.len() > room {
            self.stats.dropped += 1;
            let reliable = self.channels.iter().find(|c| c.label == label).is_none_or(|c| c.reliable);
            let close = match policy.when_full {
                Some(WhenFull::Close) => true,
                Some(WhenFull::Drop) => false,
                None => reliable,
            };
            return if close { Err(Overflow) } else { Ok(()) };
        }
        self.queued_bytes += payload.len();
        self.queue.push_back(Queued {
            label: label.to_owned(),
            binary,
            payload: payload.clone(),
            since: now,
        });
        Ok(())
    }

    /// Sends what waits, as far as the transport takes it.
    pub(crate) fn drain(&mut self, now: Instant, transport: &mut Transport) {
        for _ in 0..self.queue.len() {
            let Some(next) = self.queue.pop_front() else { return };
            match self.write(transport, &next.label, next.binary, &next.payload) {
                Written::Yes => self.queued_bytes -= next.payload.len(),
                Written::Full => {
                    self.queue.push_front(next);
                    return;
                }
                Written::NoChannel if now.saturating_duration_since(next.since) < WAIT_FOR_CHANNEL => {
                    // Others may pass: order holds within a channel only (RFC 8831 section 6.4).
                    self.queue.push_back(next);
                }
                Written::NoChannel | Written::Failed => {
                    self.queued_bytes -= next.payload.len();
                    self.stats.dropped += 1;
                }
            }
        }
    }

    /// Messages wait.
    pub(crate) fn waits(&self) -> bool {
        !self.queue.is_empty()
    }

    fn write(&mut self, transport: &mut Transport, label: &str, binary: bool, payload: &[u8]) -> Written {
        let Some(open) = self.channels.iter().find(|c| c.label == label) else { return Written::NoChannel };
        match transport.send_data(open.channel, binary, payload) {
            Ok(true) => {
                self.stats.sent += 1;
                Written::Yes
            }
            Ok(false) => Written::Full,
            Err(error) => {
                tracing::debug!(%error, label, "sending a data message");
                Written::Failed
            }
        }
    }
}

#[derive(PartialEq, Eq)]
enum Written {
    Yes,
    Full,
    NoChannel,
    Failed,
}

/// A token bucket that holds one second's worth.
struct Bucket {
    tokens: f64,
    at: Instant,
    filled: bool,
}

impl Bucket {
    fn take(&mut self, now: Instant, rate: f64) -> bool {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = if self.filled { (self.tokens + elapsed * rate).min(rate) } else { rate };
        self.filled = true;
        self.at = now;
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

/// The newest numbers of a sender, 64 of them back from the highest.
#[derive(Default)]
struct Seen {
    highest: u64,
    /// Bit n: `highest - n` was seen.
    window: u64,
}

impl Seen {
    fn insert(&mut self, number: u64) -> bool {
        if number > self.highest {
            let step = number - self.highest;
            self.window = if step >= 64 { 0 } else { self.window << step } | 1;
            self.highest = number;
            return true;
        }
        let back = self.highest - number;
        if back >= 64 || self.window >> back & 1 == 1 {
            return false;
        }
        self.window |= 1 << back;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_numbers_are_noticed_late_ones_are_not() {
        let mut seen = Seen::default();
        assert!(seen.insert(1) && seen.insert(2) && seen.insert(5));
        assert!(!seen.insert(2) && !seen.insert(5));
        assert!(seen.insert(4) && !seen.insert(4));
        assert!(seen.insert(u64::MAX) && !seen.insert(6));
    }

    #[test]
    fn a_flood_is_cut_to_the_rate() {
        let start = Instant::now();
        let mut data = DataPlane::new(start);
        let policy = DataPolicy { may_send: true, max_messages_per_second: Some(10), ..Default::default() };
        let limits = Limits::default();
        let admitted = |data: &mut DataPlane, at: Instant, count: usize| {
            (0..count).filter(|_| data.admit(at, 100, &policy, &limits)).count()
        };
        assert_eq!(admitted(&mut data, start, 1_000), 10);
        assert_eq!(admitted(&mut data, start + Duration::from_millis(500), 1_000), 5);
        assert!(!data.admit(start + Duration::from_secs(9), 65_536, &policy, &limits), "too large");
        assert_eq!(data.stats.refused, 990 + 995 + 1);
    }

    #[test]
    fn somebody_without_permission_is_refused() {
        let start = Instant::now();
        let mut data = DataPlane::new(start);
        assert!(!data.admit(start, 1, &DataPolicy::default(), &Limits::default()));
    }
}
