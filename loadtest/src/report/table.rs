//! The report on a terminal.
use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{CellAlignment, ContentArrangement, Table};

use super::Report;
use super::figures::{Impaired, Server, Times};
use crate::latency::Summary;

/// Prints everything that people look for first.
pub(crate) fn print(report: &Report) {
    println!("\n{}", heading(report));
    println!("{}", figures(report));
    println!("{}", times(report));
    if !report.verdicts.is_empty() {
        println!("{}", verdicts(report));
    }
    for warning in &report.warnings {
        println!("WARNING: {warning}");
    }
    for failure in &report.failures {
        println!("FAILED: {failure}");
    }
}

fn heading(report: &Report) -> String {
    let Report { name, url, seconds, people, .. } = report;
    format!("{name}: {} participants against {url}, {seconds:.0} s measured", people.planned)
}

/// The figures that are no distributions: name and value.
pub(super) fn rows(report: &Report) -> Vec<(&'static str, String)> {
    let Report { people, media, server, harness, .. } = report;
    let missing = match (media.missing, media.missing_percent) {
        (Some(missing), Some(percent)) => format!("{missing} missing by the senders' count ({percent:.3} %)"),
        _ => "the senders' count is not known with light clients".into(),
    };
    let mut rows = vec![
        (
            "participants",
            format!(
                "{} of {} present at the end; {} joins, {} leaves, {} failed",
                people.present, people.planned, people.joins, people.leaves, people.failed
            ),
        ),
        (
            "received",
            format!(
                "{} packets/s, {} in {:.0} streams; {} packets in all",
                thousands(media.received_packets_per_second),
                bits(media.received_bits_per_second),
                media.streams,
                thousands(media.received_packets as f64)
            ),
        ),
        (
            "sent",
            format!(
                "{}; {} packets in all",
                bits(media.sent_bits_per_second),
                thousands(media.sent_packets as f64)
            ),
        ),
        (
            "lost",
            format!(
                "{} packets ({:.3} %); {missing}; {} came twice",
                media.lost, media.loss_percent, media.duplicates
            ),
        ),
        (
            "freezes",
            format!(
                "{}, {:.1} s in all, {:.2} % of the time that video was watched; {} videos stayed dark",
                media.freezes, media.frozen_seconds, media.frozen_percent, people.dark_videos
            ),
        ),
    ];
    if let Some(Impaired { up, down, gone_percent }) = &media.impaired {
        rows.push((
            "lost on purpose",
            format!(
                "{gone_percent:.3} % of the datagrams of impaired networks: at random {} up, {} down; by full queues {} up, {} down",
                thousands(up.lost as f64),
                thousands(down.lost as f64),
                thousands(up.dropped as f64),
                thousands(down.dropped as f64)
            ),
        ));
    }
    let Times { ring, accept, cancel, .. } = &report.times;
    if ring.count > 0 {
        rows.push((
            "calls",
            format!(
                "{:.1} a second: {} rang, {} were accepted, {} were cancelled",
                ring.count as f64 / report.seconds,
                thousands(ring.count as f64),
                thousands(accept.count as f64),
                thousands(cancel.count as f64)
            ),
        ));
    }
    let cost = |joins: fn(&Server) -> f64| {
        server.as_ref().map_or(String::new(), |server| {
            format!("; {} per CPU-second of the server, all else included", thousands(joins(server)))
        })
    };
    if people.ramp_joins_per_second > 0.0 {
        let cost = cost(|server| server.ramp_joins_per_cpu_second);
        rows.push(("joins, ramp", format!("{:.1} a second{cost}", people.ramp_joins_per_second)));
    }
    if people.joins_per_second > 0.0 {
        let cost = cost(|server| server.joins_per_cpu_second);
        rows.push(("joins", format!("{:.1} a second while measuring{cost}", people.joins_per_second)));
    }
    if media.layer_switches > 0 {
        rows.push(("layer switches", media.layer_switches.to_string()));
    }
    if let Some(server) = server {
        rows.push((
            "server CPU",
            format!(
                "{:.2} cores; {} received packets per CPU-second; {:.2} ms per participant-second",
                server.cores,
                thousands(server.packets_per_cpu_second),
                server.cpu_ms_per_participant_second
            ),
        ));
        rows.push((
            "server memory",
            format!(
                "{:.0} MiB, {:.0} before; {:.0} KiB a participant; {} threads, {} files",
                server.rss_mib,
                server.rss_mib_before,
                server.rss_kib_per_participant,
                server.threads,
                server.open_files
            ),
        ));
    }
    if let Some(ideal) = &report.ideal {
        rows.push((
            "ideal forwarder",
            format!(
                "{} packets per CPU-second, {} {} streams to {} each; the server reached {:.2} of it",
                thousands(ideal.packets_per_cpu_second),
                ideal.streams,
                ideal.media,
                ideal.subscribers,
                ideal.share
            ),
        ));
    }
    let made =
        harness.made_percent.map_or(String::new(), |made| format!(", made {made:.1} % of the media due"));
    let busy =
        harness.machine_busy_percent.map_or(String::new(), |busy| format!("; machine {busy:.0} % busy"));
    rows.push((
        "load generator",
        format!(
            "{} {} x {} {}, {} clients by the {}; {:.2} of {} cores, woke up {:.1} ms late (p99){made}{busy}",
            harness.processes,
            plural("process", "es", harness.processes),
            harness.threads,
            plural("thread", "s", harness.threads),
            if harness.light { "light" } else { "full" },
            harness.driver.name(),
            harness.cores,
            harness.usable_cores,
            harness.lateness.p99_ms
        ),
    ));
    rows
}

/// The distributions that something was recorded of.
pub(super) fn summaries(report: &Report) -> Vec<(&'static str, Summary)> {
    let times = &report.times;
    let all = [
        ("latency, audio", times.audio_latency),
        ("latency, video", times.video_latency),
        ("join", times.join),
        ("transport connected", times.connect),
        ("first media", times.first_media),
        ("key-frame wait", times.key_frame_wait),
        ("layer switch", times.layer_switch),
        ("call created to ring", times.ring),
        ("accept to token", times.accept),
        ("cancel to silence", times.cancel),
    ];
    all.into_iter().filter(|(_, summary)| summary.count > 0).collect()
}

fn empty() -> Table {
    let mut table = Table::new();
    // Narrow terminals break lines within a cell, and not across the frame.
    table.load_style(UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table
}

fn figures(report: &Report) -> Table {
    let mut table = empty();
    for (name, value) in rows(report) {
        table.add_row([name.to_owned(), value]);
    }
    table
}

fn times(report: &Report) -> Table {
    let mut table = empty();
    table.set_header(["ms", "p50", "p95", "p99", "max", "of"]);
    for (name, summary) in summaries(report) {
        let Summary { count, p50_ms, p95_ms, p99_ms, max_ms } = summary;
        let mut row = vec![name.to_owned()];
        row.extend([p50_ms, p95_ms, p99_ms, max_ms].map(|ms| format!("{ms:.1}")));
        row.push(thousands(count as f64));
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn verdicts(report: &Report) -> Table {
    let mut table = empty();
    table.set_header(["threshold", "allowed", "found", ""]);
    for verdict in &report.verdicts {
        let held = if verdict.held { "held" } else { "FAILED" };
        table.add_row([verdict.name, &verdict.allowed, &verdict.found, held]);
    }
    table
}

fn plural(word: &str, ending: &str, count: usize) -> String {
    format!("{word}{}", if count == 1 { "" } else { ending })
}

/// `12,345`.
pub(super) fn thousands(number: f64) -> String {
    let digits = format!("{:.0}", number.max(0.0));
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Bits per second with a fitting unit.
pub(super) fn bits(bits: f64) -> String {
    match bits {
        bits if bits >= 1e9 => format!("{:.2} Gbit/s", bits / 1e9),
        bits if bits >= 1e6 => format!("{:.1} Mbit/s", bits / 1e6),
        bits => format!("{:.0} kbit/s", bits / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let grouped: Vec<String> = [0.0, 999.0, 1_000.4, 1_234_567.0].map(thousands).into();
        assert_eq!(grouped, ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            (bits(64_000.0), bits(2.5e6), bits(3e9)),
            ("64 kbit/s".into(), "2.5 Mbit/s".into(), "3.00 Gbit/s".into())
        );
    }
}
