//! The last line of defence: a panic in the engine ends its rooms, not the node.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use sluice_engine::{Config, Counters, Input, NoCertificate, Output, Shard};

/// What a shard's thread needs of its engine; tests put others in its place.
pub(crate) trait Engine: Sized + Send + 'static {
    fn start(now: Instant, config: Config) -> Result<Self, NoCertificate>;
    fn handle(&mut self, now: Instant, input: Input<'_>);
    fn poll(&mut self, now: Instant) -> Output;
    fn counters(&self) -> Counters;
}

impl Engine for Shard {
    fn start(now: Instant, config: Config) -> Result<Self, NoCertificate> {
        Shard::new(now, config)
    }

    fn handle(&mut self, now: Instant, input: Input<'_>) {
        Shard::handle(self, now, input);
    }

    fn poll(&mut self, now: Instant) -> Output {
        Shard::poll(self, now)
    }

    fn counters(&self) -> Counters {
        Shard::counters(self)
    }
}

/// An engine whose panics are caught. The engine itself ends single rooms that fault; what comes here is worse.
///
/// **After each step ask [`Guarded::faulted`]; if so, report what was lost and [`Guarded::rebuild`].** Until then it
/// takes inputs without effect.
pub(crate) struct Guarded<E> {
    engine: Option<E>,
    config: Config,
    /// Totals of the engines that are gone.
    carried: Counters,
}

impl<E: Engine> Guarded<E> {
    pub(crate) fn new(now: Instant, config: Config) -> Result<Self, NoCertificate> {
        let engine = Some(E::start(now, config.clone())?);
        Ok(Guarded { engine, config, carried: Counters::default() })
    }

    pub(crate) fn handle(&mut self, now: Instant, input: Input<'_>) {
        if let Some(engine) = &mut self.engine
            && catch_unwind(AssertUnwindSafe(|| engine.handle(now, input))).is_err()
        {
            self.abandon();
        }
    }

    pub(crate) fn poll(&mut self, now: Instant) -> Output {
        let Some(engine) = &mut self.engine else { return Output::Timeout(now) };
        match catch_unwind(AssertUnwindSafe(|| engine.poll(now))) {
            Ok(output) => output,
            Err(_) => {
                self.abandon();
                Output::Timeout(now)
            }
        }
    }

    /// The engine is gone.
    pub(crate) fn faulted(&self) -> bool {
        self.engine.is_none()
    }

    /// Starts anew with an empty engine.
    pub(crate) fn rebuild(&mut self, now: Instant) -> Result<(), NoCertificate> {
        // The same seed could lead to the same fault, and must not repeat ids and ufrags.
        self.config.seed = rand::random();
        self.engine = Some(E::start(now, self.config.clone())?);
        Ok(())
    }

    /// Totals of all engines so far, and the gauges of the present one.
    pub(crate) fn counters(&self) -> Counters {
        let now = self.engine.as_ref().map(E::counters).unwrap_or_default();
        add(self.carried, now)
    }

    fn abandon(&mut self) {
        let Some(engine) = self.engine.take() else { return };
        // What a panic left behind may panic again, even when it is only counted or dropped.
        let last = catch_unwind(AssertUnwindSafe(|| {
            let last = engine.counters();
            drop(engine);
            last
        }));
        self.carried = add(self.carried, last.unwrap_or_default());
        self.carried.faults += 1;
        (self.carried.rooms, self.carried.sessions) = (0, 0);
        (self.carried.publications, self.carried.subscriptions) = (0, 0);
    }
}

fn add(a: Counters, b: Counters) -> Counters {
    Counters {
        datagrams_in: a.datagrams_in + b.datagrams_in,
        datagrams_out: a.datagrams_out + b.datagrams_out,
        bytes_in: a.bytes_in + b.bytes_in,
        bytes_out: a.bytes_out + b.bytes_out,
        packets_in: a.packets_in + b.packets_in,
        packets_out: a.packets_out + b.packets_out,
        datagrams_unknown: a.datagrams_unknown + b.datagrams_unknown,
        datagrams_refused: a.datagrams_refused + b.datagrams_refused,
        packets_unbound: a.packets_unbound + b.packets_unbound,
        packets_muted: a.packets_muted + b.packets_muted,
        key_frame_requests: a.key_frame_requests + b.key_frame_requests,
        key_frame_requests_received: a.key_frame_requests_received + b.key_frame_requests_received,
        switches: a.switches + b.switches,
        numbers_left_out: a.numbers_left_out + b.numbers_left_out,
        numbers_filled: a.numbers_filled + b.numbers_filled,
        messages_out: a.messages_out + b.messages_out,
        messages_refused: a.messages_refused + b.messages_refused,
        messages_dropped: a.messages_dropped + b.messages_dropped,
        link_packets_in: a.link_packets_in + b.link_packets_in,
        link_packets_out: a.link_packets_out + b.link_packets_out,
        link_packets_unknown: a.link_packets_unknown + b.link_packets_unknown,
        faults: a.faults + b.faults,
        sessions_connected: a.sessions_connected + b.sessions_connected,
        sessions_timed_out: a.sessions_timed_out + b.sessions_timed_out,
        rooms: a.rooms + b.rooms,
        sessions: a.sessions + b.sessions,
        publications: a.publications + b.publications,
        subscriptions: a.subscriptions + b.subscriptions,
    }
}
