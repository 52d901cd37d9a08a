//! A path in simulated time: a bottleneck with a queue, a delay, jitter and random loss, and a receiver that writes
//! real feedback bytes.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use sluice_bwe::{Action, Estimator};
use sluice_rtp::Bitrate;

/// Microseconds of simulated time.
pub(crate) type Micros = u64;

pub(crate) const MILLI: Micros = 1_000;
pub(crate) const SECOND: Micros = 1_000_000;

/// What the path does to packets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) kbps: u64,
    /// Bytes are dropped that would wait for longer than this.
    pub(crate) queue: Micros,
    /// One way.
    pub(crate) delay: Micros,
    /// At most so much more, uniformly; the order stays.
    pub(crate) jitter: Micros,
    pub(crate) loss: f64,
    pub(crate) feedback_every: Micros,
}

impl Default for Link {
    fn default() -> Self {
        let delay = 25 * MILLI;
        let feedback_every = 100 * MILLI;
        Link { kbps: 10_000, queue: SECOND, delay, jitter: 0, loss: 0.0, feedback_every }
    }
}

/// How the sender makes packets out of a rate.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// 30 frames per second, each cut into packets of at most 1,200 bytes, sent at once.
    Frames,
    /// 50 packets of 100 bytes per second, whatever the rate.
    Audio,
}

/// What was seen each 100 ms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) at: Micros,
    pub(crate) estimate: u64,
    /// Kilobits per second, padding and all.
    pub(crate) sent: u64,
    /// Milliseconds that a packet would wait.
    pub(crate) queue: f64,
}

/// The whole world of one estimator.
pub(crate) struct World {
    start: Instant,
    pub(crate) now: Micros,
    pub(crate) estimator: Estimator,
    pub(crate) link: Link,
    pub(crate) shape: Shape,
    /// What the media would like to have, in kbit/s; it sends no more than the estimate.
    pub(crate) wish: u64,
    pub(crate) desired: u64,
    /// Feedback gets lost, all of it.
    pub(crate) deaf: bool,
    /// The rates that there are to choose from, in kbit/s; none: any.
    pub(crate) layers: &'static [u64],
    /// Each so many frames one is ten times as large; 0: never.
    pub(crate) key_frames: u64,
    frames: u64,
    /// The media does not adapt.
    pub(crate) stubborn: bool,
    pub(crate) padding: u64,
    pub(crate) samples: Vec<Sample>,
    rng: SmallRng,
    busy_until: Micros,
    last_arrival: Micros,
    in_flight: VecDeque<(Micros, u16)>,
    reports: VecDeque<(Micros, Vec<u8>)>,
    received: BTreeMap<u64, Micros>,
    told_up_to: Option<u64>,
    next_feedback: Micros,
    next_media: Micros,
    next_sample: Micros,
    sent_bytes: u64,
}

impl World {
    pub(crate) fn new(link: Link, initial: u64, wish: u64, desired: u64) -> Self {
        let start = Instant::now();
        let mut estimator = Estimator::new(start, Bitrate::kbps(initial));
        estimator.set_wish(start, Bitrate::kbps(wish.min(initial)), Bitrate::kbps(desired));
        World {
            start,
            now: 0,
            estimator,
            link,
            shape: Shape::Frames,
            wish,
            desired,
            deaf: false,
            layers: &[],
            key_frames: 0,
            frames: 0,
            stubborn: false,
            padding: 0,
            samples: Vec::new(),
            rng: SmallRng::seed_from_u64(7),
            busy_until: 0,
            last_arrival: 0,
            in_flight: VecDeque::new(),
            reports: VecDeque::new(),
            received: BTreeMap::new(),
            told_up_to: None,
            next_feedback: link.feedback_every,
            next_media: 0,
            next_sample: 0,
            sent_bytes: 0,
        }
    }

    /// Other luck.
    pub(crate) fn seed(mut self, seed: u64) -> Self {
        self.rng = SmallRng::seed_from_u64(seed);
        self
    }

    pub(crate) fn instant(&self) -> Instant {
        self.start + Duration::from_micros(self.now)
    }

    /// Runs in steps of half a millisecond.
    pub(crate) fn run(&mut self, time: Micros) {
        let end = self.now + time;
        while self.now < end {
            self.deliver();
            self.media();
            while self.estimator.deadline().is_some_and(|deadline| deadline <= self.instant()) {
                let Some(Action::Pad { bytes }) = self.estimator.poll(self.instant()) else { break };
                self.pad(bytes);
            }
            if let Some(deadline) = self.estimator.deadline() {
                assert!(deadline > self.instant(), "poll leaves nothing that is due");
            }
            self.sample();
            self.now += MILLI / 2;
        }
    }

    pub(crate) fn set_desired(&mut self, wish: u64, desired: u64) {
        self.wish = wish;
        self.desired = desired;
        self.wishes();
    }

    /// The samples since so long ago.
    pub(crate) fn last(&self, time: Micros) -> &[Sample] {
        let from = self.samples.partition_point(|sample| sample.at + time < self.now);
        &self.samples[from..]
    }

    pub(crate) fn estimate(&self) -> u64 {
        self.estimator.estimate().as_kbps()
    }

    fn wishes(&mut self) {
        let (allocated, desired) = (Bitrate::kbps(self.allocated()), Bitrate::kbps(self.desired));
        self.estimator.set_wish(self.instant(), allocated, desired);
    }

    fn allocated(&self) -> u64 {
        let rate = if self.stubborn { self.wish } else { self.wish.min(self.estimate()) };
        let layer = self.layers.iter().rfind(|layer| **layer <= rate).or(self.layers.first());
        layer.copied().unwrap_or(rate)
    }

    fn media(&mut self) {
        if self.now < self.next_media || self.wish == 0 {
            return;
        }
        let Shape::Frames = self.shape else {
            self.next_media += 20 * MILLI;
            self.send(100, false);
            return;
        };
        let mut frame = self.allocated() * 1_000 / 8 / 30;
        self.next_media += SECOND / 30;
        self.frames += 1;
        if self.key_frames > 0 {
            // The same rate on average: one frame counts ten times.
            frame = frame * self.key_frames / (self.key_frames + 9);
            frame *= if self.frames.is_multiple_of(self.key_frames) { 10 } else { 1 };
        }
        while frame > 0 {
            let packet = frame.min(1_200);
            self.send(packet as usize, false);
            frame -= packet;
        }
    }

    /// Padding of RTP is at most 255 bytes.
    fn pad(&mut self, mut bytes: usize) {
        self.padding += bytes as u64;
        while bytes > 0 {
            let packet = bytes.min(250);
            self.send(packet, true);
            bytes -= packet;
        }
    }

    fn send(&mut self, size: usize, probe: bool) {
        let seq = self.estimator.on_sent(self.instant(), size, probe);
        self.sent_bytes += size as u64;
        let starts = self.busy_until.max(self.now);
        if starts - self.now > self.link.queue || self.rng.random_bool(self.link.loss) {
            return;
        }
        self.busy_until = starts + size as u64 * 8 * MILLI / self.link.kbps;
        let jitter = if self.link.jitter > 0 { self.rng.random_range(0..self.link.jitter) } else { 0 };
        self.last_arrival = self.last_arrival.max(self.busy_until + self.link.delay + jitter);
        self.in_flight.push_back((self.last_arrival, seq));
    }

    fn deliver(&mut self) {
        while self.in_flight.front().is_some_and(|(at, _)| *at <= self.now) {
            let Some((at, seq)) = self.in_flight.pop_front() else { break };
            let near = self.told_up_to.unwrap_or(0);
            let ahead = i64::from(seq.wrapping_sub(near as u16) as i16);
            self.received.insert(near.saturating_add_signed(ahead), at);
        }
        if self.now >= self.next_feedback {
            self.next_feedback += self.link.feedback_every;
            if !self.received.is_empty() {
                let report = self.write_feedback();
                self.reports.push_back((self.now + self.link.delay, report));
            }
        }
        while self.reports.front().is_some_and(|(at, _)| *at <= self.now) {
            let Some((_, report)) = self.reports.pop_front() else { break };
            if !self.deaf {
                self.estimator.on_feedback(self.instant(), &report).unwrap();
            }
            self.wishes();
        }
    }

    /// Two-bit chunks with large deltas throughout: long, but always right.
    fn write_feedback(&mut self) -> Vec<u8> {
        let first = self.told_up_to.map_or(0, |told| told + 1);
        let last = *self.received.keys().last().unwrap();
        let base = first.min(*self.received.keys().next().unwrap());
        let epoch = 1_000 * SECOND; // the receiver's clock is another one
        let began = (self.received.values().min().unwrap() + epoch) / (64 * MILLI);
        let mut fci = Vec::new();
        fci.extend((base as u16).to_be_bytes());
        fci.extend(((last - base + 1) as u16).to_be_bytes());
        fci.extend(&(began as u32).to_be_bytes()[1..]);
        fci.push(0);
        let mut deltas = Vec::new();
        let mut before = (began * 64 * MILLI / 250) as i64;
        let numbers: Vec<_> = (base..=last).collect();
        for seven in numbers.chunks(7) {
            let mut chunk = 0xC000u16;
            for (index, number) in seven.iter().enumerate() {
                if let Some(at) = self.received.get(number) {
                    chunk |= 2 << (12 - 2 * index);
                    let tick = ((at + epoch) / 250) as i64;
                    deltas.extend(i16::try_from(tick - before).unwrap().to_be_bytes());
                    before = tick;
                }
            }
            fci.extend(chunk.to_be_bytes());
        }
        fci.extend(deltas);
        self.received.clear();
        self.told_up_to = Some(last);
        fci
    }

    fn sample(&mut self) {
        if self.now < self.next_sample {
            return;
        }
        self.next_sample += 100 * MILLI;
        let queue = self.busy_until.saturating_sub(self.now) as f64 / 1_000.0;
        let sent = std::mem::take(&mut self.sent_bytes) * 8 / 100;
        self.samples.push(Sample { at: self.now, estimate: self.estimate(), sent, queue });
    }
}

pub(crate) fn least(samples: &[Sample]) -> u64 {
    samples.iter().map(|sample| sample.estimate).min().unwrap()
}

pub(crate) fn most(samples: &[Sample]) -> u64 {
    samples.iter().map(|sample| sample.estimate).max().unwrap()
}

pub(crate) fn mean(samples: &[Sample]) -> u64 {
    samples.iter().map(|sample| sample.estimate).sum::<u64>() / samples.len() as u64
}

pub(crate) fn queue_p95(samples: &[Sample]) -> f64 {
    let mut queues: Vec<_> = samples.iter().map(|sample| sample.queue).collect();
    queues.sort_by(f64::total_cmp);
    queues[queues.len() * 95 / 100]
}
