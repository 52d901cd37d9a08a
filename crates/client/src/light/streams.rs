//! The streams of a connection: whose they are, and what was counted of them.
use std::time::Instant;

use sluice_media::{Reception, Sending, extend};
use str0m::media::{Mid, Rid};

/// A stream that comes in.
pub(crate) struct Incoming {
    pub(crate) mid: Mid,
    pub(crate) reception: Reception,
    /// Of the packet before, whose frame had it.
    timestamp: Option<u32>,
}

impl Incoming {
    pub(crate) fn new(mid: Mid, clock: u32, first: u16, now: Instant) -> Self {
        Self { mid, reception: Reception::new(clock, first.into(), now), timestamp: None }
    }

    /// Counts a packet; gives its extended number, and whether it is of another frame than the one before. A marker would not
    /// tell: where the server switches layers, the frame before may have been cut short.
    pub(crate) fn see(&mut self, sequence: u16, timestamp: u32, now: Instant) -> (u64, bool) {
        let begins_frame = self.timestamp.replace(timestamp) != Some(timestamp);
        let sequence = extend(sequence, self.reception.highest());
        self.reception.see(sequence, timestamp, now);
        (sequence, begins_frame)
    }
}

/// A stream that goes out.
#[derive(Debug, Clone)]
pub(crate) struct OutStream {
    pub(crate) mid: Mid,
    pub(crate) rid: Option<Rid>,
    pub(crate) ssrc: u32,
    pub(crate) clock: u32,
    pub(crate) sending: Sending,
}

impl OutStream {
    pub(crate) fn new(mid: Mid, rid: Option<Rid>, ssrc: u32, clock: u32) -> Self {
        Self { mid, rid, ssrc, clock, sending: Sending::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_begins_with_its_timestamp_though_the_one_before_has_no_end() {
        let now = Instant::now();
        let mut stream = Incoming::new("1".into(), 90_000, 10, now);
        let mut begins = |sequence, timestamp| stream.see(sequence, timestamp, now).1;
        assert_eq!(
            [begins(10, 0), begins(11, 0), begins(13, 3_000), begins(14, 3_000)],
            [true, false, true, false]
        );
    }
}
