//! What is reported, as text and as JSON.

use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::Options;
use crate::forwarder::Forwarded;

/// One round's figures.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) media: String,
    pub(crate) rate: String,
    pub(crate) subscribers: usize,
    pub(crate) streams: usize,
    pub(crate) packet_bytes: usize,
    pub(crate) sink: String,
    pub(crate) seconds: f64,
    pub(crate) packets_in: u64,
    pub(crate) packets_out: u64,
    pub(crate) packets_per_send: f64,
    /// Of the forwarding thread, the kernel's part included.
    pub(crate) cpu_seconds: f64,
    pub(crate) million_packets_per_cpu_second: f64,
    pub(crate) nanoseconds_per_packet: f64,
    /// Receive calls that brought something.
    pub(crate) receives: u64,
    /// Not authentic, or queued too long: should be none.
    pub(crate) lost: u64,
    /// Dropped by the kernel before the forwarder read them.
    pub(crate) kernel_drops: Option<u64>,
    pub(crate) offered: u64,
    pub(crate) drained: u64,
    /// From the receive call's return to each subscriber's send; paced only.
    pub(crate) latency_from_receive: Option<Quantiles>,
    /// From the source's send to each subscriber's send; paced only.
    pub(crate) latency_from_source: Option<Quantiles>,
}

/// Microseconds.
#[derive(Serialize)]
pub(crate) struct Quantiles {
    p50: f64,
    p99: f64,
    max: f64,
}

impl Quantiles {
    fn of(nanoseconds: &Histogram<u64>) -> Self {
        let micros = |value: u64| value as f64 / 1e3;
        Quantiles {
            p50: micros(nanoseconds.value_at_quantile(0.5)),
            p99: micros(nanoseconds.value_at_quantile(0.99)),
            max: micros(nanoseconds.max()),
        }
    }
}

impl Report {
    pub(crate) fn new(
        options: &Options,
        forwarded: &Forwarded,
        offered: u64,
        drained: u64,
        kernel_drops: Option<u64>,
    ) -> Self {
        let (sends, before) = (&forwarded.sends, &forwarded.before);
        let packets_out = sends.datagrams - before.datagrams;
        let calls = sends.calls - before.calls;
        let cpu = forwarded.cpu.as_secs_f64();
        // A round without a packet has no cost; zero would look like a very good one.
        let per = |value: f64, count: u64| if count == 0 { f64::NAN } else { value / count as f64 };
        let latency = forwarded.latency.as_ref();
        Report {
            media: name(&options.media),
            rate: name(&options.rate),
            subscribers: options.subscribers,
            streams: options.streams,
            packet_bytes: options.size(),
            sink: match (options.destination, options.sink_gro) {
                (Some(address), _) => address.to_string(),
                (None, true) => "loopback-gro".into(),
                (None, false) => "loopback".into(),
            },
            seconds: forwarded.wall.as_secs_f64(),
            packets_in: forwarded.packets_in,
            packets_out,
            packets_per_send: per(packets_out as f64, calls),
            cpu_seconds: cpu,
            million_packets_per_cpu_second: packets_out as f64 / cpu / 1e6,
            nanoseconds_per_packet: per(cpu * 1e9, packets_out),
            receives: forwarded.turns,
            lost: forwarded.refused + sends.dropped + sends.failed + sends.unreachable + sends.too_large,
            kernel_drops,
            offered,
            drained,
            latency_from_receive: latency.map(|(receive, _)| Quantiles::of(receive)),
            latency_from_source: latency.map(|(_, source)| Quantiles::of(source)),
        }
    }
}

fn name(value: &impl clap::ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { media, rate, subscribers, streams, packet_bytes, sink, .. } = self;
        writeln!(
            f,
            "{media}, {packet_bytes} bytes, {streams} streams to {subscribers} subscribers each, {rate}, to {sink}"
        )?;
        writeln!(
            f,
            "  {:.3} million packets out per CPU-second ({:.0} ns each)",
            self.million_packets_per_cpu_second, self.nanoseconds_per_packet
        )?;
        write!(
            f,
            "  {} packets out, {:.2} a send, in {:.2} s with {:.2} s of CPU; {} packets in by {} receives; {} lost",
            self.packets_out,
            self.packets_per_send,
            self.seconds,
            self.cpu_seconds,
            self.packets_in,
            self.receives,
            self.lost
        )?;
        let latencies = [("receive", &self.latency_from_receive), ("source", &self.latency_from_source)];
        for (from, latency) in latencies {
            if let Some(Quantiles { p50, p99, max }) = latency {
                write!(f, "\n  from {from} to send: p50 {p50:.0} us, p99 {p99:.0} us, at most {max:.0} us")?;
            }
        }
        Ok(())
    }
}
