//! What was sent lately, to send it again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::packet::Rewritten;

/// How old a packet may be that is still sent again. A longer time would serve round trips above half a second twice.
const MOST_AGE: Duration = Duration::from_secs(1);
/// A packet is not sent again within this time, or one round trip: the request was made before the answer could be there.
const LEAST_PAUSE: Duration = Duration::from_millis(10);
/// Share of repair in what is sent, 1/n: a broken path must not double the load.
const SHARE: usize = 4;
/// Bytes of repair that may be saved up: a burst of losses is repaired at once.
const MOST_CREDIT: usize = 64 << 10;
const FIRST_CREDIT: usize = 16 << 10;

/// A packet as it was sent. Its payload is shared with everybody who got it.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) rewritten: Rewritten,
    pub(crate) payload: Arc<[u8]>,
    pub(crate) payload_type: u8,
    pub(crate) marker: bool,
    pub(crate) level: Option<u8>,
    pub(crate) orientation: Option<u8>,
    sent: Instant,
    again: Option<Instant>,
}

/// A second of video is a hundred of them for each subscriber.
const _: () = assert!(size_of::<Kept>() <= 96);

impl Kept {
    pub(crate) fn new(
        rewritten: Rewritten,
        payload_type: u8,
        packet: &crate::packet::Packet,
        now: Instant,
    ) -> Self {
        Kept {
            rewritten,
            payload: packet.payload.clone(),
            payload_type,
            marker: packet.marker,
            level: packet.extensions.level,
            orientation: packet.extensions.orientation,
            sent: now,
            again: None,
        }
    }
}

/// The newest packets of a stream, by number.
#[derive(Debug)]
pub(crate) struct History {
    kept: VecDeque<Kept>,
    most: usize,
    credit: usize,
}

impl History {
    /// Holds `most` packets at most; room is made as they come.
    pub(crate) fn new(most: usize) -> Self {
        History { kept: VecDeque::new(), most, credit: FIRST_CREDIT }
    }

    pub(crate) fn push(&mut self, packet: Kept) {
        self.credit = (self.credit + packet.payload.len() / SHARE).min(MOST_CREDIT);
        while let Some(first) = self.kept.front()
            && (self.kept.len() >= self.most || packet.sent.saturating_duration_since(first.sent) > MOST_AGE)
        {
            self.kept.pop_front();
        }
        let number = packet.rewritten.sequence;
        match self.kept.back() {
            // One that fills a hole.
            Some(last) if last.rewritten.sequence > number => {
                let at = self.kept.partition_point(|kept| kept.rewritten.sequence < number);
                self.kept.insert(at, packet);
            }
            _ => self.kept.push_back(packet),
        }
    }

    /// The packet with this number on the wire, if it is to be sent again now.
    pub(crate) fn again(&mut self, number: u16, now: Instant, rtt: Duration) -> Option<&Kept> {
        let newest = self.kept.back()?.rewritten.sequence;
        let number = crate::arrivals::extend(number, newest);
        let at = self.kept.binary_search_by_key(&number, |kept| kept.rewritten.sequence).ok()?;
        let kept = self.kept.get_mut(at)?;
        let pause = rtt.clamp(LEAST_PAUSE, MOST_AGE);
        let lately = kept.again.is_some_and(|at| now.saturating_duration_since(at) < pause);
        if lately || now.saturating_duration_since(kept.sent) > MOST_AGE {
            return None;
        }
        self.credit = self.credit.checked_sub(kept.payload.len())?;
        kept.again = Some(now);
        Some(kept)
    }

    /// Forgets all but the newest, after which padding is modelled.
    pub(crate) fn forget(&mut self) {
        if self.kept.len() > 1 {
            let newest = self.kept.pop_back();
            self.kept = newest.into_iter().collect();
        }
    }

    /// The packet before this number, or the newest: what is sent to fill a probe.
    pub(crate) fn before(&self, number: Option<u64>) -> Option<&Kept> {
        let end = match number {
            Some(number) => self.kept.partition_point(|kept| kept.rewritten.sequence < number),
            None => self.kept.len(),
        };
        self.kept.get(end.checked_sub(1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(40);

    fn packet(sequence: u64, size: usize, sent: Instant) -> Kept {
        Kept {
            rewritten: Rewritten { sequence, timestamp: 0, vp8: None },
            payload: vec![0; size].into(),
            payload_type: 96,
            marker: false,
            level: None,
            orientation: None,
            sent,
            again: None,
        }
    }

    fn number(kept: Option<&Kept>) -> Option<u64> {
        kept.map(|kept| kept.rewritten.sequence)
    }

    #[test]
    fn a_packet_is_found_by_its_number_though_it_came_late() {
        let now = Instant::now();
        let mut history = History::new(10);
        for sequence in [65_534, 65_535, 65_537, 65_536] {
            history.push(packet(sequence, 100, now));
        }
        assert_eq!(number(history.again(0, now, RTT)), Some(65_536));
        assert_eq!(number(history.again(0, now + RTT / 2, RTT)), None, "it is under way");
        assert_eq!(number(history.again(0, now + RTT, RTT)), Some(65_536));
        assert_eq!(number(history.again(65_533, now, RTT)), None);
        assert_eq!(number(history.before(None)), Some(65_537));
        assert_eq!(number(history.before(Some(65_536))), Some(65_535));
        assert_eq!(number(history.before(Some(65_534))), None);
    }

    #[test]
    fn packets_are_forgotten_by_number_and_by_age() {
        let start = Instant::now();
        let mut history = History::new(3);
        for sequence in 1..=5 {
            history.push(packet(sequence, 100, start));
        }
        assert_eq!(number(history.again(2, start, RTT)), None);
        assert_eq!(number(history.again(3, start, RTT)), Some(3));
        let later = start + MOST_AGE + RTT;
        assert_eq!(number(history.again(4, later, RTT)), None);
        history.push(packet(6, 100, later));
        assert_eq!(history.kept.len(), 1);
    }

    #[test]
    fn repair_is_a_share_of_what_is_sent() {
        let now = Instant::now();
        let mut history = History::new(1_000);
        for sequence in 1..=400 {
            history.push(packet(sequence, 1_000, now));
        }
        let again = (1..=400).filter(|n| history.again(*n, now, RTT).is_some()).count();
        assert_eq!(again, MOST_CREDIT / 1_000);
    }
}
