//! The course of a run, second by second.
use serde::Serialize;

use crate::run::Record;

/// One second. What was not measured in it is left out.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Point {
    /// Seconds since the first join; it began then.
    pub(crate) second: u64,
    pub(crate) participants: u64,
    pub(crate) streams: u64,
    pub(crate) joined: u64,
    pub(crate) left: u64,
    pub(crate) sent_packets: u64,
    pub(crate) received_packets: u64,
    pub(crate) sent_bits: u64,
    pub(crate) received_bits: u64,
    /// Less than zero when what was missing came late.
    pub(crate) lost: i64,
    /// Datagrams that impaired networks lost or dropped.
    pub(crate) lost_on_purpose: u64,
    pub(crate) freezes: u64,
    pub(crate) layer_switches: u64,
    pub(crate) latency: Option<Quantiles>,
    pub(crate) join: Option<Quantiles>,
    pub(crate) key_frame_wait: Option<Quantiles>,
    pub(crate) server_cores: Option<f64>,
    pub(crate) server_rss_mib: Option<f64>,
    pub(crate) harness_cores: f64,
    pub(crate) harness_late_p99_ms: Option<f64>,
    pub(crate) machine_busy: Option<f64>,
}

/// Milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Quantiles {
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Quantiles {
    fn of(distribution: &crate::distribution::Distribution) -> Option<Self> {
        Some(Self {
            p50: distribution.quantile_ms(0.5)?,
            p95: distribution.quantile_ms(0.95)?,
            p99: distribution.quantile_ms(0.99)?,
            max: distribution.max_ms(),
        })
    }
}

pub(super) fn points(record: &Record) -> Vec<Point> {
    let point = |second: &crate::worker::second::Second| {
        // The server and the machine are sampled at the end of a second, which is the start of the next.
        let ends = second.index + 1;
        let server = record.server.iter().find(|at| at.second == ends);
        let (people, media) = (second.people, second.media);
        Point {
            second: second.index,
            participants: people.present,
            streams: people.streams,
            joined: people.joined,
            left: people.left,
            sent_packets: media.sent_packets,
            received_packets: media.received_packets,
            sent_bits: media.sent_bytes * 8,
            received_bits: media.received_bytes * 8,
            lost: media.lost,
            lost_on_purpose: media.up.gone() + media.down.gone(),
            freezes: media.freezes,
            layer_switches: media.layer_switches,
            latency: Quantiles::of(&second.times.latency()),
            join: Quantiles::of(&second.times.join),
            key_frame_wait: Quantiles::of(&second.times.key_frame_wait),
            server_cores: server.map(|at| at.cores),
            server_rss_mib: server.map(|at| at.sample.rss_mib),
            harness_cores: second.own.cores,
            harness_late_p99_ms: second.own.lateness.quantile_ms(0.99),
            machine_busy: record.machine_busy.iter().find(|(at, _)| *at == ends).map(|(_, busy)| *busy),
        }
    };
    record.seconds.iter().map(point).collect()
}
