//! One probe: a short train of packets at a rate, and what the receiver got of it.

use std::time::Duration;

use crate::history::Sent;
use crate::{MILLI, Micros, SECOND};

/// Bytes at least. Fewer packets of usual size than five measure the path's jitter instead of its rate.
const FEWEST_BYTES: f64 = 5_000.0;

/// Packets at least, for the same reason.
const FEWEST_PACKETS: u32 = 5;

/// Bytes of a burst at least. Smaller wakes the caller for packets of a few bytes; larger is no pacing.
const BURST: f64 = 500.0;

/// The shortest time between bursts; timers are not finer.
const SHORTEST: Micros = MILLI;

/// How much of a late caller's debt is paid at once. More would turn a stall of the caller into a burst on the path.
const DEBT: f64 = 0.005;

/// A caller that has not sent the train after so long (and thrice its length) has no padding to send.
const UNSENT: Micros = SECOND / 5;

/// How long, beyond the round trip, feedback about the last packets is waited for.
const UNTOLD: Micros = SECOND;

/// The share that must arrive for a result. Less, and the rate of what arrived is anybody's guess.
const ARRIVED: f64 = 0.8;

/// Arriving slower than this share of the sending rate means that the path was full.
const FULL: f64 = 0.9;

/// The shortest train that is divided by, in seconds: arrivals are in ticks of 250 us.
const SHORTEST_TRAIN: f64 = 0.001;

/// What became of a probe.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// It all came at the rate that it was sent at: so many bit/s at least.
    Through(f64),
    /// It came slower: the path carries so many bit/s.
    Full(f64),
    /// Too little came or was sent.
    Nothing,
}

/// The train and its measures.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    id: u8,
    rate: f64,
    target: u32,
    began: Micros,
    next_burst: Micros,
    expires: Micros,
    packets: u32,
    bytes: u32,
    told: u32,
    arrived: u32,
    arrived_bytes: u32,
    /// Time and size of the ends of what arrived: by sending, and by arrival.
    sent_ends: Option<(Micros, (Micros, u16))>,
    arrival_ends: Option<((i64, u16), i64)>,
}

impl Cluster {
    /// A train at `rate` bit/s that lasts about `length`, longer if it takes longer to be measurable.
    pub(crate) fn new(id: u8, now: Micros, rate: f64, length: Micros) -> Self {
        let bytes = (rate / 8.0 * length as f64 / SECOND as f64).max(FEWEST_BYTES);
        let lasts = (bytes * 8.0 / rate.max(1.0) * SECOND as f64) as Micros;
        Cluster {
            id,
            rate,
            target: bytes as u32,
            began: now,
            next_burst: now,
            expires: now + UNSENT + 3 * lasts.min(SECOND),
            packets: 0,
            bytes: 0,
            told: 0,
            arrived: 0,
            arrived_bytes: 0,
            sent_ends: None,
            arrival_ends: None,
        }
    }

    /// When `burst` or `outcome` has something to say even if nothing happens.
    pub(crate) fn deadline(&self) -> Micros {
        if self.is_sent() { self.expires } else { self.next_burst.min(self.expires) }
    }

    /// How many bytes to send now; `None`: none.
    pub(crate) fn burst(&mut self, now: Micros) -> Option<usize> {
        if self.is_sent() || now < self.next_burst {
            return None;
        }
        let per_second = self.rate / 8.0;
        let size = BURST.max(per_second * SHORTEST as f64 / SECOND as f64);
        let gap = (size / per_second.max(1.0) * SECOND as f64) as Micros;
        self.next_burst = now + gap.clamp(SHORTEST, SECOND);
        let passed = now.saturating_sub(self.began) as f64 / SECOND as f64;
        // Media that leaves meanwhile is part of the train, so less padding is due.
        let due = passed * per_second + size - f64::from(self.bytes);
        let left = (f64::from(self.target) - f64::from(self.bytes)).max(BURST);
        (due >= size / 2.0).then(|| due.min(size + per_second * DEBT).min(left) as usize)
    }

    /// A packet leaves while the train does. Returns the mark that makes it part of it; 0: it is not.
    pub(crate) fn on_sent(&mut self, now: Micros, size: u16, rtt: Duration) -> u8 {
        if self.is_sent() {
            return 0;
        }
        self.packets += 1;
        self.bytes = self.bytes.saturating_add(u32::from(size));
        if self.is_sent() {
            self.expires = now + UNTOLD + rtt.as_micros() as Micros;
        }
        self.id
    }

    /// One of its packets arrived.
    pub(crate) fn on_arrived(&mut self, sent: Sent, at: i64) {
        if sent.cluster != self.id {
            return;
        }
        self.told += u32::from(!sent.was_lost);
        self.arrived += 1;
        self.arrived_bytes = self.arrived_bytes.saturating_add(u32::from(sent.size));
        let (first, last) = self.sent_ends.unwrap_or((sent.at, (sent.at, sent.size)));
        self.sent_ends = Some((first.min(sent.at), last.max((sent.at, sent.size))));
        let (first, last) = self.arrival_ends.unwrap_or(((at, sent.size), at));
        self.arrival_ends = Some((first.min((at, sent.size)), last.max(at)));
    }

    /// One of its packets was lost.
    pub(crate) fn on_lost(&mut self, sent: Sent) {
        self.told += u32::from(sent.cluster == self.id);
    }

    /// What became of it; `None`: too early to say.
    pub(crate) fn outcome(&self, now: Micros) -> Option<Outcome> {
        if now < self.expires && !(self.is_sent() && self.told >= self.packets) {
            return None;
        }
        Some(if self.is_sent() { self.measure() } else { Outcome::Nothing })
    }

    fn is_sent(&self) -> bool {
        self.bytes >= self.target && self.packets >= FEWEST_PACKETS
    }

    fn measure(&self) -> Outcome {
        let enough = f64::from(self.arrived) >= ARRIVED * f64::from(self.packets);
        let (Some(sent), Some(arrived), true) = (self.sent_ends, self.arrival_ends, enough) else {
            return Outcome::Nothing;
        };
        let (first_sent, (last_sent, last_size)) = sent;
        let ((first_arrived, first_size), last_arrived) = arrived;
        // Between the ends lie all packets but one: the last sent, the first arrived.
        let sent_rate = self.rate_of(last_size, last_sent.saturating_sub(first_sent) as f64);
        let arrived_rate = self.rate_of(first_size, last_arrived.saturating_sub(first_arrived) as f64);
        // No more was asked for; a faster arrival says only that something held the train up.
        let measured = sent_rate.min(arrived_rate).min(self.rate);
        if arrived_rate < FULL * sent_rate.min(self.rate) {
            Outcome::Full(measured)
        } else {
            Outcome::Through(measured)
        }
    }

    fn rate_of(&self, without: u16, micros: f64) -> f64 {
        let bytes = self.arrived_bytes.saturating_sub(u32::from(without));
        f64::from(bytes) * 8.0 / (micros / SECOND as f64).max(SHORTEST_TRAIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a train at 2 Mbit/s of packets of 250 bytes and delivers it at `carried` bit/s, without each `lost`th packet.
    fn train(carried: f64, lost: usize) -> Option<Outcome> {
        let mut cluster = Cluster::new(1, 0, 2_000_000.0, 20 * MILLI);
        let mut sent = Vec::new();
        for now in 0..100 * MILLI {
            let mut bytes = cluster.burst(now).unwrap_or(0);
            while bytes > 0 {
                let cluster = cluster.on_sent(now, 250, Duration::ZERO);
                sent.push(Sent { at: now, size: 250, probe: true, cluster, was_lost: false });
                bytes = bytes.saturating_sub(250);
            }
        }
        let mut at = 0.0f64;
        for (index, packet) in sent.iter().enumerate() {
            at = at.max(packet.at as f64) + 2_000.0 / carried * SECOND as f64;
            if lost > 0 && index % lost == 0 {
                cluster.on_lost(*packet);
            } else {
                cluster.on_arrived(*packet, at as i64);
            }
        }
        cluster.outcome(100 * MILLI)
    }

    #[test]
    fn a_wide_path_lets_it_through_and_a_narrow_one_shows_its_rate() {
        assert!(matches!(train(50e6, 0), Some(Outcome::Through(rate)) if rate > 1.9e6 && rate <= 2.0e6));
        assert!(matches!(train(1e6, 0), Some(Outcome::Full(rate)) if rate > 0.95e6 && rate < 1.05e6));
        assert_eq!(train(50e6, 4), Some(Outcome::Nothing), "a quarter is missing");
        assert!(matches!(train(50e6, 8), Some(Outcome::Through(_))));
    }

    #[test]
    fn a_caller_without_padding_is_not_asked_for_ever() {
        let mut cluster = Cluster::new(1, 0, 2_000_000.0, 20 * MILLI);
        let mut now = 0;
        while cluster.outcome(now).is_none() {
            cluster.burst(now);
            assert!(cluster.deadline() > now);
            now = cluster.deadline();
        }
        assert_eq!(cluster.outcome(now), Some(Outcome::Nothing));
        assert!(now < SECOND / 2);
    }
}
