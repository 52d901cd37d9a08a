//! The yardstick: the ideal forwarder, made to forward in the same run what the server forwarded.
//!
//! `sluice-ideal` receives, opens once, seals and sends, and does nothing else. No server reaches it; the share that it reaches says
//! more than packets per second, which are the machine's as much as the server's.
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::report::Report;

/// Packets of one stream of the ideal forwarder in a second: frames of four and five by turns, 30 a second; audio each 20 ms.
const VIDEO_RATE: f64 = 135.0;
const AUDIO_RATE: f64 = 50.0;
/// For each round, of which the median counts.
const SECONDS: u32 = 3;
const ROUNDS: u32 = 3;

/// What the ideal forwarder took for the same.
#[derive(Debug, Serialize)]
pub(crate) struct Ideal {
    pub(crate) media: &'static str,
    pub(crate) streams: u64,
    pub(crate) subscribers: u64,
    pub(crate) packets_per_cpu_second: f64,
    /// Microseconds, from the source's send to each subscriber's.
    pub(crate) latency_p50_us: f64,
    pub(crate) latency_p99_us: f64,
    /// The server's packets per CPU-second by the ideal's.
    pub(crate) share: f64,
}

#[derive(Deserialize)]
struct Said {
    million_packets_per_cpu_second: f64,
    latency_from_source: Option<Quantiles>,
}

/// Microseconds.
#[derive(Deserialize)]
struct Quantiles {
    p50: f64,
    p99: f64,
}

/// The program: beside this one, where Cargo puts both.
///
/// # Errors
/// If it is not there: what to do is in the text.
pub(crate) fn program() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("where this program is")?;
    let program = own.with_file_name("sluice-ideal");
    if !program.exists() {
        bail!(
            "--ideal needs the ideal forwarder at {}: `cargo build --release -p sluice-ideal` puts it there",
            program.display()
        );
    }
    Ok(program)
}

/// Has the ideal forwarder forward as much, on the server's core if the server has one of its own.
///
/// # Errors
/// If nothing was forwarded, the server's CPU is not known, or the program fails.
pub(crate) fn beside(program: &std::path::Path, pid: Option<u32>, report: &Report) -> anyhow::Result<Ideal> {
    let server = report.server.as_ref().context("--ideal needs --server-pid")?;
    let video = report.scenario.groups.iter().any(|group| group.video.is_some());
    let sent = report.media.sent_packets as f64;
    if sent == 0.0 || report.media.received_packets == 0 {
        bail!("--ideal: nothing was forwarded");
    }
    let subscribers = (report.media.received_packets as f64 / sent).round().max(1.0);
    let rate = if video { VIDEO_RATE } else { AUDIO_RATE };
    let streams = (report.media.received_packets_per_second / subscribers / rate).round().max(1.0);
    let media = if video { "video" } else { "audio" };
    let mut command = Command::new(program);
    command.args(["--json", "--rate", "paced", "--media", media]);
    command.args(["--streams", &streams.to_string(), "--subscribers", &subscribers.to_string()]);
    command.args(["--seconds", &SECONDS.to_string(), "--rounds", &ROUNDS.to_string()]);
    if let Some(core) = pid.and_then(only_core) {
        command.args(["--core", &core.to_string()]);
    }
    eprintln!("the ideal forwarder: {streams} {media} streams to {subscribers} each");
    let output = command.stderr(Stdio::inherit()).output().context("the ideal forwarder")?;
    if !output.status.success() {
        bail!("the ideal forwarder failed: {}", output.status);
    }
    let said: Said = serde_json::from_slice(&output.stdout).context("what the ideal forwarder said")?;
    let packets_per_cpu_second = said.million_packets_per_cpu_second * 1e6;
    let latency = said.latency_from_source.context("the ideal forwarder told no latency")?;
    Ok(Ideal {
        media,
        streams: streams as u64,
        subscribers: subscribers as u64,
        packets_per_cpu_second,
        latency_p50_us: latency.p50,
        latency_p99_us: latency.p99,
        share: server.packets_per_cpu_second / packets_per_cpu_second,
    })
}

/// The one core that a process may use, if it is one.
fn only_core(pid: u32) -> Option<usize> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    core_of(&status)
}

fn core_of(status: &str) -> Option<usize> {
    status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_of_one_core_is_told_from_others() {
        assert_eq!(core_of("Name:\tsluice\nCpus_allowed_list:\t3\n"), Some(3));
        assert_eq!(core_of("Cpus_allowed_list:\t0-3\n"), None);
        assert_eq!(core_of("Name:\tsluice\n"), None);
    }
}
