//! How far the load is: a display on a terminal, plain lines elsewhere.
use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::record::ServerAt;
use crate::worker::second::Second;

/// Seconds between two plain lines.
const LINES_EVERY: u64 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Ramp,
    Settle,
    /// Seconds of it that are over.
    Measure(u64),
    Leave,
}

pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    total: u64,
    seconds: u64,
    phase: Option<Phase>,
}

impl Progress {
    pub(crate) fn new(total: usize, seconds: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
            // The template is a constant; if a later version dislikes it, its own style does.
            if let Ok(style) =
                ProgressStyle::with_template("{prefix:>10.bold} [{bar:32.green/dim}] {pos}/{len}\n{msg}")
            {
                bar.set_style(style.progress_chars("━━─"));
            }
            bar.set_prefix("starting");
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self { bar, total: total as u64, seconds, phase: None }
    }

    pub(crate) fn show(&mut self, phase: Phase, second: &Second, server: Option<ServerAt>) {
        let begins =
            self.phase.map(|before| std::mem::discriminant(&before)) != Some(std::mem::discriminant(&phase));
        self.phase = Some(phase);
        let (name, done, of) = match phase {
            Phase::Ramp => ("joining", second.people.attempted, self.total),
            Phase::Settle => ("settling", second.people.connected, self.total),
            Phase::Measure(seconds) => ("measuring", seconds, self.seconds),
            Phase::Leave => ("leaving", second.people.present, self.total),
        };
        let line = line(second, server);
        match &self.bar {
            Some(bar) => {
                bar.set_prefix(name);
                bar.update(|state| {
                    state.set_len(of);
                    state.set_pos(done);
                });
                bar.set_message(line.replace("; ", "\n           "));
            }
            None if begins
                || matches!(phase, Phase::Measure(seconds) if seconds.is_multiple_of(LINES_EVERY)) =>
            {
                eprintln!("{name} {done}/{of}: {line}");
            }
            None => {}
        }
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn line(second: &Second, server: Option<ServerAt>) -> String {
    let (people, media) = (second.people, second.media);
    let latency = second.times.latency();
    let latency = match (latency.quantile_ms(0.5), latency.quantile_ms(0.99)) {
        (Some(p50), Some(p99)) => format!("latency p50 {p50:.1} p99 {p99:.1} ms"),
        _ => "no media".into(),
    };
    let failed = if people.failed > 0 { format!(", {} FAILED", people.failed) } else { String::new() };
    let server = server
        .map_or(String::new(), |at| format!("; server {:.2} cores, {:.0} MiB", at.cores, at.sample.rss_mib));
    format!(
        "{} participants{failed}, {} streams; {} packets/s sent, {} received, {} lost; {latency}{server}",
        people.present, people.streams, media.sent_packets, media.received_packets, media.lost
    )
}
