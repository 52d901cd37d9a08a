//! The figures of a run. `docs/loadtest.md` says what each means.
use serde::Serialize;

use super::Bins;
use crate::distribution::Distribution;
use crate::door::Driver;
use crate::latency::Summary;
use crate::run::Record;
use crate::worker::second::{self, Second};

/// Bars of a plotted distribution.
const BARS: usize = 30;

#[derive(Debug, Serialize)]
pub(crate) struct People {
    pub(crate) planned: usize,
    /// At the end of the measured time.
    pub(crate) present: u64,
    /// In the whole run, as often as it happened.
    pub(crate) joins: u64,
    pub(crate) leaves: u64,
    /// In the measured time, a second.
    pub(crate) joins_per_second: f64,
    /// In the seconds before it in which somebody joined.
    pub(crate) ramp_joins_per_second: f64,
    pub(crate) failed: u64,
    /// The most at once: videos that were wanted, and of which nothing came for five seconds.
    pub(crate) dark_videos: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Media {
    /// On average: tracks on their way to a receiver.
    pub(crate) streams: f64,
    pub(crate) sent_packets: u64,
    pub(crate) received_packets: u64,
    pub(crate) received_packets_per_second: f64,
    /// Payload, bits per second.
    pub(crate) sent_bits_per_second: f64,
    pub(crate) received_bits_per_second: f64,
    pub(crate) lost: u64,
    pub(crate) loss_percent: f64,
    /// `None` with light clients, which do not read every stamp.
    pub(crate) missing: Option<u64>,
    pub(crate) missing_percent: Option<f64>,
    pub(crate) duplicates: u64,
    pub(crate) layer_switches: u64,
    pub(crate) freezes: u64,
    pub(crate) frozen_seconds: f64,
    /// Of all the time that receivers watched a video.
    pub(crate) frozen_percent: f64,
    /// Datagrams that were lost on purpose; `None` if no group has a `network`.
    pub(crate) impaired: Option<Impaired>,
}

/// Datagrams of the groups that have a `network`.
#[derive(Debug, Serialize)]
pub(crate) struct Impaired {
    pub(crate) up: second::Fates,
    pub(crate) down: second::Fates,
    /// Of both, lost or dropped.
    pub(crate) gone_percent: f64,
}

/// Milliseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Times {
    pub(crate) latency: Summary,
    pub(crate) audio_latency: Summary,
    pub(crate) video_latency: Summary,
    pub(crate) join: Summary,
    pub(crate) connect: Summary,
    pub(crate) first_media: Summary,
    pub(crate) key_frame_wait: Summary,
    pub(crate) layer_switch: Summary,
    /// Of calls, if the scenario makes some.
    pub(crate) ring: Summary,
    pub(crate) accept: Summary,
    pub(crate) cancel: Summary,
}

#[derive(Debug, Serialize)]
pub(crate) struct Server {
    pub(crate) cores: f64,
    /// Received by all, for a second of the server's CPU.
    pub(crate) packets_per_cpu_second: f64,
    pub(crate) cpu_ms_per_participant_second: f64,
    /// Joins for a second of the server's CPU, with all else that it did.
    pub(crate) joins_per_cpu_second: f64,
    /// The same of the seconds before the measured time in which somebody joined; 0 if there were none.
    pub(crate) ramp_joins_per_cpu_second: f64,
    pub(crate) rss_mib_before: f64,
    pub(crate) rss_mib: f64,
    pub(crate) rss_mib_max: f64,
    pub(crate) rss_kib_per_participant: f64,
    pub(crate) threads: usize,
    pub(crate) open_files: usize,
}

#[derive(Debug, Serialize)]
pub(crate) struct Harness {
    pub(crate) processes: usize,
    pub(crate) threads: usize,
    pub(crate) driver: Driver,
    pub(crate) light: bool,
    /// Cores that it used, of those that it can use.
    pub(crate) cores: f64,
    pub(crate) usable_cores: usize,
    pub(crate) busiest_second_cores: f64,
    /// How late the event loops woke up.
    pub(crate) lateness: Summary,
    /// Of the media that was due, made in time; `None` if nothing has an even rate.
    pub(crate) made_percent: Option<f64>,
    /// Packets that its sockets did not take.
    pub(crate) unsent: u64,
    /// Of this machine's cores, busy with anything.
    pub(crate) machine_busy_percent: Option<f64>,
    pub(crate) rss_mib: f64,
}

fn measured(record: &Record) -> impl Iterator<Item = &Second> {
    record.seconds.iter().filter(|second| record.window.contains(&second.index))
}

/// The seconds before the measured time in which somebody joined.
fn ramp(record: &Record) -> impl Iterator<Item = &Second> {
    record.seconds.iter().filter(|second| second.index < record.window.start && second.people.joined > 0)
}

fn seconds(record: &Record) -> f64 {
    (record.window.end - record.window.start).max(1) as f64
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn percent(part: f64, whole: f64) -> f64 {
    ratio(part, whole) * 100.0
}

impl People {
    pub(super) fn of(record: &Record) -> Self {
        let sum =
            |of: fn(&second::People) -> u64| record.seconds.iter().map(|second| of(&second.people)).sum();
        let joined: u64 = measured(record).map(|second| second.people.joined).sum();
        Self {
            planned: record.scenario.total(),
            present: measured(record).last().map_or(0, |second| second.people.present),
            joins: sum(|people| people.joined),
            leaves: sum(|people| people.left),
            joins_per_second: joined as f64 / seconds(record),
            ramp_joins_per_second: ratio(
                ramp(record).map(|second| second.people.joined as f64).sum(),
                ramp(record).count() as f64,
            ),
            failed: sum(|people| people.failed),
            dark_videos: measured(record).map(|second| second.people.dark).max().unwrap_or(0),
        }
    }
}

impl Media {
    pub(super) fn of(record: &Record) -> Self {
        let mut sum = second::Media::default();
        measured(record).for_each(|second| sum.add(&second.media));
        // A packet that was under way is lost only if it has not come a little later, and a picture that stands still until
        // the end is known at the end.
        let mut late = second::Media::default();
        record
            .seconds
            .iter()
            .filter(|second| second.index >= record.window.end)
            .for_each(|second| late.add(&second.media));
        let lost = u64::try_from(sum.lost + late.lost).unwrap_or(0);
        let missing = (!record.harness.light).then(|| u64::try_from(sum.missing + late.missing).unwrap_or(0));
        let (freezes, frozen_us) = (sum.freezes + late.freezes, sum.frozen_us + late.frozen_us);
        let unique = sum.received_packets.saturating_sub(sum.duplicates) as f64;
        let seconds = seconds(record);
        let streams: u64 = measured(record).map(|second| second.people.streams).sum();
        Self {
            streams: streams as f64 / seconds,
            sent_packets: sum.sent_packets,
            received_packets: sum.received_packets,
            received_packets_per_second: sum.received_packets as f64 / seconds,
            sent_bits_per_second: sum.sent_bytes as f64 * 8.0 / seconds,
            received_bits_per_second: sum.received_bytes as f64 * 8.0 / seconds,
            lost,
            loss_percent: percent(lost as f64, unique + lost as f64),
            missing,
            missing_percent: missing.map(|missing| percent(missing as f64, unique + missing as f64)),
            duplicates: sum.duplicates,
            layer_switches: sum.layer_switches,
            freezes,
            frozen_seconds: frozen_us as f64 / 1e6,
            // A freeze may have begun before the measured time.
            frozen_percent: percent(frozen_us as f64 / 1e6, sum.video_streams as f64).min(100.0),
            impaired: Impaired::of(record, &sum),
        }
    }
}

impl Impaired {
    fn of(record: &Record, sum: &second::Media) -> Option<Self> {
        let any = record.scenario.groups.iter().any(|group| group.network.is_some());
        let (up, down) = (sum.up, sum.down);
        let gone = up.gone() + down.gone();
        let all = gone + up.passed + down.passed;
        any.then(|| Self { up, down, gone_percent: percent(gone as f64, all as f64) })
    }
}

/// Latencies are of the measured time; joins and first pictures of the whole run, as most of them come before it.
pub(super) fn times(record: &Record) -> (Times, Bins) {
    let mut inside = second::Times::default();
    measured(record).for_each(|second| inside.add(&second.times));
    let mut whole = second::Times::default();
    record.seconds.iter().for_each(|second| whole.add(&second.times));
    let bins = |of: &Distribution| of.bins(BARS);
    let bins = Bins {
        join: bins(&whole.join),
        first_media: bins(&whole.first_media),
        key_frame_wait: bins(&whole.key_frame_wait),
    };
    let times = Times {
        latency: inside.latency().summary(),
        audio_latency: inside.audio_latency.summary(),
        video_latency: inside.video_latency.summary(),
        join: whole.join.summary(),
        connect: whole.connect.summary(),
        first_media: whole.first_media.summary(),
        key_frame_wait: whole.key_frame_wait.summary(),
        layer_switch: inside.layer_switch.summary(),
        ring: inside.calls.ring.summary(),
        accept: inside.calls.accept.summary(),
        cancel: inside.calls.cancel.summary(),
    };
    (times, bins)
}

impl Server {
    pub(super) fn of(record: &Record, media: &Media, people: &People) -> Option<Self> {
        let (start, end) = record.server_window()?;
        let cpu = end.cpu_seconds - start.cpu_seconds;
        let present = people.present.max(1) as f64;
        let before = record.server_before.unwrap_or(start.rss_mib);
        let elapsed = end.at.saturating_duration_since(start.at).as_secs_f64().max(1e-3);
        let packets = media.received_packets_per_second * elapsed;
        let joins = people.joins_per_second * elapsed;
        let ramp = ramp(record).filter_map(|second| {
            // Sampled at the end of a second, which is the start of the next.
            let at = record.server.iter().find(|at| at.second == second.index + 1)?;
            Some((second.people.joined as f64, at.cores))
        });
        let (ramp_joins, ramp_cpu) = ramp.fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let window = &record.window;
        let inside = record.server.iter().filter(|at| (window.start..=window.end).contains(&at.second));
        Some(Self {
            cores: end.cores_since(&start),
            packets_per_cpu_second: ratio(packets, cpu),
            joins_per_cpu_second: ratio(joins, cpu),
            ramp_joins_per_cpu_second: ratio(ramp_joins, ramp_cpu),
            cpu_ms_per_participant_second: end.cores_since(&start) * 1e3 / present,
            rss_mib_before: before,
            rss_mib: end.rss_mib,
            rss_mib_max: inside.map(|at| at.sample.rss_mib).fold(0.0, f64::max),
            // A server that kept memory of an earlier load may need no more for this one.
            rss_kib_per_participant: (end.rss_mib - before).max(0.0) * 1024.0 / present,
            threads: end.threads,
            open_files: end.open_files,
        })
    }
}

impl Harness {
    pub(super) fn of(record: &Record) -> Self {
        let mut lateness = Distribution::default();
        let (mut cores, mut busiest, mut made, mut due, mut rss) = (0.0, 0.0_f64, 0.0, 0.0, 0.0_f64);
        let mut unsent = 0;
        for second in measured(record) {
            let own = &second.own;
            lateness.add(&own.lateness);
            cores += own.cores;
            busiest = busiest.max(own.cores);
            made += own.made;
            due += own.due;
            unsent += own.unsent;
            rss = rss.max(own.rss_mib);
        }
        let busy = record.machine_busy.iter().filter(|(second, _)| {
            // Of the second before, so one later.
            (record.window.start + 1..=record.window.end).contains(second)
        });
        let busy: Vec<f64> = busy.map(|(_, share)| *share).collect();
        Self {
            processes: record.harness.processes,
            threads: record.harness.threads,
            driver: record.harness.driver,
            light: record.harness.light,
            cores: cores / measured(record).count().max(1) as f64,
            usable_cores: record.harness.usable(),
            busiest_second_cores: busiest,
            lateness: lateness.summary(),
            made_percent: (due > 0.0).then(|| percent(made, due)),
            machine_busy_percent: (!busy.is_empty())
                .then(|| busy.iter().sum::<f64>() / busy.len() as f64 * 100.0),
            rss_mib: rss,
            unsent,
        }
    }
}
