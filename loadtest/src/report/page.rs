//! The report as one page: no script, no font, no picture from elsewhere.
use askama::Template;
use plotters::style::RGBColor;

use super::Report;
use super::plots::{AMBER, BLUE, Line, ROSE, Spans, TEAL, bars, lines};
use super::series::{Point, Quantiles};
use super::table::{bits, rows, summaries, thousands};
use crate::latency::Summary;

/// Renders the page.
///
/// # Errors
/// If a plot or the template fails.
pub(crate) fn html(report: &Report) -> anyhow::Result<String> {
    let page = Page {
        report,
        about: if report.scenario.about.is_empty() { "A load of its own" } else { &report.scenario.about },
        made_at: made_at(report.made_at),
        tiles: tiles(report),
        plots: plots(report)?,
        rows: rows(report),
        times: summaries(report).into_iter().map(|(name, summary)| Times::of(name, &summary)).collect(),
        scenario: toml::to_string(&report.scenario)?,
    };
    Ok(page.render()?)
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    report: &'a Report,
    about: &'a str,
    made_at: String,
    tiles: Vec<Tile>,
    plots: Vec<Plot>,
    rows: Vec<(&'static str, String)>,
    times: Vec<Times>,
    scenario: String,
}

/// A figure to see first.
struct Tile {
    name: &'static str,
    value: String,
    unit: &'static str,
    note: String,
}

struct Plot {
    title: &'static str,
    about: &'static str,
    /// Colour (a class of the style sheet) and name.
    legend: Vec<(&'static str, &'static str)>,
    svg: String,
}

struct Times {
    name: &'static str,
    cells: [String; 4],
    count: String,
}

impl Times {
    fn of(name: &'static str, summary: &Summary) -> Self {
        let Summary { count, p50_ms, p95_ms, p99_ms, max_ms } = summary;
        let cells = [p50_ms, p95_ms, p99_ms, max_ms].map(|ms| milliseconds(*ms));
        Self { name, cells, count: thousands(*count as f64) }
    }
}

fn milliseconds(ms: f64) -> String {
    if ms >= 100.0 { format!("{ms:.0}") } else { format!("{ms:.1}") }
}

fn made_at(seconds: u64) -> String {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    humantime::format_rfc3339_seconds(time).to_string().replace('T', " ").replace('Z', " UTC")
}

fn tiles(report: &Report) -> Vec<Tile> {
    let Report { people, media, times, server, .. } = report;
    let mut tiles = Vec::new();
    if let Some(server) = server {
        tiles.push(Tile {
            name: "Forwarded per CPU-second",
            value: thousands(server.packets_per_cpu_second),
            unit: "packets",
            note: format!("{:.2} cores of the server", server.cores),
        });
    }
    tiles.push(Tile {
        name: "Received",
        value: thousands(media.received_packets_per_second),
        unit: "packets/s",
        note: format!("{} in {:.0} streams", bits(media.received_bits_per_second), media.streams),
    });
    tiles.push(Tile {
        name: "Latency, p99",
        value: milliseconds(times.latency.p99_ms),
        unit: "ms",
        note: format!(
            "p50 {} ms, max {} ms",
            milliseconds(times.latency.p50_ms),
            milliseconds(times.latency.max_ms)
        ),
    });
    tiles.push(Tile {
        name: "Loss",
        value: if media.lost == 0 { "0".into() } else { format!("{:.3}", media.loss_percent) },
        unit: "%",
        note: match media.missing {
            Some(missing) => {
                format!("{} lost, {} missing", thousands(media.lost as f64), thousands(missing as f64))
            }
            None => format!("{} packets", thousands(media.lost as f64)),
        },
    });
    tiles.push(Tile {
        name: "Join, p99",
        value: milliseconds(times.join.p99_ms),
        unit: "ms",
        note: format!("{} joins, {} failed", thousands(people.joins as f64), people.failed),
    });
    if times.video_latency.count > 0 {
        tiles.push(Tile {
            name: "Freezes",
            value: thousands(media.freezes as f64),
            unit: "",
            note: format!("{:.2} % of watched time", media.frozen_percent),
        });
    }
    if times.first_media.count > 0 {
        tiles.push(Tile {
            name: "First media, p99",
            value: milliseconds(times.first_media.p99_ms),
            unit: "ms",
            note: match times.key_frame_wait.count {
                0 => format!("p50 {} ms", milliseconds(times.first_media.p50_ms)),
                _ => format!("key-frame wait {} ms", milliseconds(times.key_frame_wait.p99_ms)),
            },
        });
    }
    if let Some(server) = server {
        tiles.push(Tile {
            name: "Server memory",
            value: format!("{:.0}", server.rss_mib),
            unit: "MiB",
            note: format!("{:.0} KiB a participant", server.rss_kib_per_participant),
        });
    }
    tiles
}

fn plots(report: &Report) -> anyhow::Result<Vec<Plot>> {
    // A second that began at 3 is drawn where it ended, at 4.
    let whole = report.series.last().map_or(0.0, |point| point.second as f64 + 1.0);
    let spans = Spans { whole, window: (report.window.0 as f64, report.window.1 as f64) };
    let over = |of: &dyn Fn(&Point) -> Option<f64>| -> Vec<(f64, f64)> {
        report.series.iter().filter_map(|point| Some((point.second as f64 + 1.0, of(point)?))).collect()
    };
    let line = |colour: RGBColor, filled: bool, of: &dyn Fn(&Point) -> Option<f64>| Line {
        colour,
        filled,
        points: over(of),
    };
    let mut plots = Vec::new();
    let mut add = |title, about, legend: Vec<(&'static str, &'static str)>, svg: String| {
        plots.push(Plot { title, about, legend, svg });
    };

    let sent = line(AMBER, false, &|point| Some(point.sent_packets as f64));
    let received = line(BLUE, true, &|point| Some(point.received_packets as f64));
    let legend = vec![("blue", "received"), ("amber", "sent")];
    add("Packets per second", "all participants together", legend, lines(&[received, sent], spans, 10.0)?);

    let at =
        |colour, of: fn(&Quantiles) -> f64| line(colour, false, &move |point| point.latency.as_ref().map(of));
    let latency = [at(ROSE, |at| at.p99), at(AMBER, |at| at.p95), at(BLUE, |at| at.p50)];
    let legend = vec![("blue", "p50"), ("amber", "p95"), ("rose", "p99")];
    add("One-way latency", "milliseconds, sender to receiver", legend, lines(&latency, spans, 2.0)?);

    let mbit = |of: fn(&Point) -> u64| move |point: &Point| Some(of(point) as f64 / 1e6);
    let rates = [
        line(BLUE, true, &mbit(|point| point.received_bits)),
        line(AMBER, false, &mbit(|point| point.sent_bits)),
    ];
    let legend = vec![("blue", "received"), ("amber", "sent")];
    add("Bitrate", "Mbit/s of payload", legend, lines(&rates, spans, 0.1)?);

    let mut bad = vec![
        line(ROSE, true, &|point| Some(point.lost.max(0) as f64)),
        line(AMBER, false, &|point| Some(point.freezes as f64)),
    ];
    let mut legend = vec![("rose", "packets lost"), ("amber", "freezes")];
    if report.media.impaired.is_some() {
        bad.push(line(TEAL, false, &|point| Some(point.lost_on_purpose as f64)));
        legend.push(("teal", "datagrams lost on purpose"));
    }
    add("Loss and freezes", "per second", legend, lines(&bad, spans, 4.0)?);

    let there = [
        line(TEAL, true, &|point| Some(point.participants as f64)),
        line(BLUE, false, &|point| Some(point.joined as f64)),
        line(ROSE, false, &|point| Some(point.left as f64)),
    ];
    let legend = vec![("teal", "present"), ("blue", "joins per second"), ("rose", "leaves per second")];
    add("Participants", "who is there, who comes and goes", legend, lines(&there, spans, 4.0)?);

    if report.server.is_some() {
        let cpu = [
            line(BLUE, true, &|point| point.server_cores),
            line(AMBER, false, &|point| Some(point.harness_cores)),
        ];
        let legend = vec![("blue", "server"), ("amber", "load generator")];
        add("CPU", "cores busy", legend, lines(&cpu, spans, 0.1)?);
        let memory = [line(TEAL, true, &|point| point.server_rss_mib)];
        add("Server memory", "MiB resident", vec![("teal", "server")], lines(&memory, spans, 1.0)?);
    } else {
        let cpu = [line(AMBER, true, &|point| Some(point.harness_cores))];
        add("CPU", "cores busy", vec![("amber", "load generator")], lines(&cpu, spans, 0.1)?);
    }
    let late = [line(AMBER, true, &|point| point.harness_late_p99_ms)];
    add(
        "Load generator's lateness",
        "milliseconds, p99: above 20 its own delays spoil the figures",
        vec![("amber", "p99")],
        lines(&late, spans, 20.0)?,
    );

    for (title, about, bins, colour, class) in [
        ("Join time", "joins by milliseconds until the server let them in", &report.bins.join, BLUE, "blue"),
        (
            "First media",
            "participants by milliseconds until their first packet",
            &report.bins.first_media,
            TEAL,
            "teal",
        ),
        (
            "Key-frame wait",
            "subscriptions by milliseconds until the first key frame",
            &report.bins.key_frame_wait,
            AMBER,
            "amber",
        ),
    ] {
        if bins.0.iter().any(|count| *count > 0) {
            add(title, about, vec![(class, "how many")], bars(bins, colour)?);
        }
    }
    Ok(plots)
}
