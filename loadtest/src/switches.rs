//! Layers going up and down, read packet by packet.
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use sluice_client::{AudioShape, Client, Observer, Options, SeenPacket, VideoShape};
use sluice_forward::conformance::{Conformance, Report};
use sluice_rtp::{Codec, Timestamp};

use crate::Findings;
use crate::latency::Summary;
use crate::server::Server;

/// What the receiver asks for in turn.
const SIZES: [(u32, u32); 2] = [(320, 180), (1280, 720)];
/// The layer must have come by then.
const PATIENCE: Duration = Duration::from_secs(10);
const UNTIL_MEDIA: Duration = Duration::from_secs(20);
/// The server counts once a second, and the last datagrams of those who left may still be under way.
const UNTIL_COUNTED: Duration = Duration::from_secs(10);
/// Longer than from one report to the next.
const REPORTED: Duration = Duration::from_millis(1_500);
/// Faults printed in detail.
const SHOWN: usize = 10;

/// One publisher with three layers, one receiver that changes its mind.
#[derive(Debug, Args)]
pub(crate) struct Switches {
    /// How often to ask for the other size.
    #[arg(long, default_value_t = 50)]
    count: usize,
    /// Milliseconds to watch a layer before asking for the other.
    #[arg(long, default_value_t = 400)]
    dwell_ms: u64,
    /// Bitrate of all layers together, bits per second.
    #[arg(long, default_value_t = 2_000_000)]
    bitrate: u32,
    /// A switch slower than this many milliseconds counts as failed.
    #[arg(long, default_value_t = 2_000)]
    slowest_ms: u64,
}

/// What was found.
#[derive(Debug, Serialize)]
pub(crate) struct SwitchFindings {
    switches: usize,
    up: Summary,
    down: Summary,
    rtp_streams: usize,
    packets: u64,
    frames: u64,
    key_frames: u64,
    missing: u64,
    /// Of these, numbers that stand alone between a frame cut short and a key frame: such a switch leaves one out.
    at_seams: u64,
    /// Numbers that the server says it left out and did not fill.
    left_out: u64,
    faults: u64,
    first_faults: Vec<String>,
    failures: Vec<String>,
}

/// An oracle for each stream of the watched track.
type Oracles = Arc<Mutex<HashMap<(String, u32), Conformance>>>;

fn watch(oracles: Oracles) -> Observer {
    Arc::new(move |seen: &SeenPacket<'_>| {
        // Audio has no frames to judge.
        if seen.stamp.is_none_or(|stamp| stamp.height == 0) {
            return;
        }
        // A poisoned lock means that an oracle panicked, which the report must not hide.
        let Ok(mut oracles) = oracles.lock() else { return };
        let key = (seen.track_sid.to_owned(), seen.ssrc);
        let oracle = oracles.entry(key).or_insert_with(|| Conformance::new(Codec::Vp8));
        // Only the low 16 bits travel.
        oracle.observe(seen.sequence as u16, Timestamp(seen.timestamp), seen.marker, seen.payload);
    })
}

impl Switches {
    pub(crate) async fn run(self, server: &Server) -> anyhow::Result<SwitchFindings> {
        let before = Omitted::read(server).await?;
        let room = format!("switches-{}", crate::server::now().as_millis());
        let oracles: Oracles = Arc::default();
        let observer = Some(watch(oracles.clone()));
        let publisher = server
            .join(&room, "publisher", Options { path: server.path.of(0), ..Options::default() })
            .await?;
        publisher.publish_audio(AudioShape::default()).await?;
        let track = publisher.publish_video(VideoShape::simulcast(self.bitrate)).await?;
        let options = Options { path: server.path.of(1), observer, ..Options::default() };
        let receiver = server.join(&room, "receiver", options).await?;
        receiver
            .until(UNTIL_MEDIA, |stats| stats.received.get(&track).is_some_and(|track| track.height > 0))
            .await
            .context("no video came")?;

        let (mut up, mut down) = (Vec::new(), Vec::new());
        let mut failures = Vec::new();
        for round in 0..self.count {
            let (width, height) = SIZES[round % 2];
            match ask(&receiver, &track, width, height).await {
                Ok(took) => {
                    if took > Duration::from_millis(self.slowest_ms) {
                        failures.push(format!("switch {round} to {height} lines took {took:?}"));
                    }
                    if height > SIZES[0].1 { up.push(took) } else { down.push(took) }
                }
                Err(error) => failures.push(format!("switch {round} to {height} lines: {error:#}")),
            }
            if (round + 1).is_multiple_of(10) {
                eprintln!("{} of {} switches", round + 1, self.count);
            }
            tokio::time::sleep(Duration::from_millis(self.dwell_ms)).await;
        }
        receiver.leave().await?;
        publisher.leave().await?;
        let oracles =
            std::mem::take(&mut *oracles.lock().map_err(|_| anyhow::anyhow!("the oracle panicked"))?);
        let reports: Vec<Report> = oracles.into_values().map(Conformance::finish).collect();
        let left_out = Omitted::settled(server, before.sessions).await?.count - before.count;
        Ok(judge(up, down, &reports, left_out, failures))
    }
}

/// Numbers that the server left out on purpose, and did not fill afterwards.
#[derive(PartialEq, Eq)]
struct Omitted {
    count: u64,
    sessions: u64,
}

impl Omitted {
    async fn read(server: &Server) -> anyhow::Result<Self> {
        let metrics = server.metrics().await?;
        let sum = |name| metrics.sum(name) as u64;
        let left_out = sum("sluice_node_numbers_left_out_total");
        let count = left_out - sum("sluice_node_numbers_filled_total").min(left_out);
        Ok(Self { count, sessions: sum("sluice_node_sessions") })
    }

    /// Once the sessions are as many as before, and nothing has changed from one report of the server to the next: then the counts are
    /// of a time when all was over. The sessions alone do not tell, for those of an earlier load may have ended meanwhile.
    async fn settled(server: &Server, sessions: u64) -> anyhow::Result<Self> {
        let deadline = Instant::now() + UNTIL_COUNTED;
        let mut last = Self::read(server).await?;
        loop {
            tokio::time::sleep(REPORTED).await;
            let now = Self::read(server).await?;
            if now == last && now.sessions <= sessions {
                return Ok(now);
            }
            anyhow::ensure!(Instant::now() < deadline, "the server still has {} sessions", now.sessions);
            last = now;
        }
    }
}

async fn ask(receiver: &Client, track: &str, width: u32, height: u32) -> anyhow::Result<Duration> {
    let began = Instant::now();
    receiver.set_size(track, width, height).await?;
    let shown = |stats: &sluice_client::Stats| {
        stats.received.get(track).is_some_and(|track| u32::from(track.height) == height)
    };
    receiver.until(PATIENCE, shown).await.map_err(|_| anyhow::anyhow!("not within {PATIENCE:?}"))?;
    Ok(began.elapsed())
}

fn judge(
    up: Vec<Duration>,
    down: Vec<Duration>,
    reports: &[Report],
    left_out: u64,
    mut failures: Vec<String>,
) -> SwitchFindings {
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    let faults = sum(|report| report.fault_count);
    let first_faults = reports.iter().flat_map(|report| &report.faults).take(SHOWN);
    let first_faults = first_faults.map(|(at, fault)| format!("packet {at}: {fault:?}")).collect();
    if faults > 0 {
        failures.push(format!("the oracle found {faults} faults in what the receiver was sent"));
    }
    if reports.len() != 1 {
        failures.push(format!("the track came as {} RTP streams; one gapless stream is due", reports.len()));
    }
    let missing = sum(|report| report.missing);
    let at_seams = sum(|report| report.missing_at_seams);
    // Each number that is missing must be one that the server left out, and stand where a switch would leave it out.
    if missing != left_out || missing != at_seams {
        failures.push(format!(
            "{missing} numbers are missing, {at_seams} of them where a switch may leave one out, and the server left out \
             {left_out}: what is beyond was lost"
        ));
    }
    SwitchFindings {
        switches: up.len() + down.len(),
        up: Summary::of(up),
        down: Summary::of(down),
        rtp_streams: reports.len(),
        packets: sum(|report| report.packets),
        frames: sum(|report| report.frames),
        key_frames: sum(|report| report.key_frames),
        missing,
        at_seams,
        left_out,
        faults,
        first_faults,
        failures,
    }
}

impl Findings for SwitchFindings {
    fn failures(&self) -> &[String] {
        &self.failures
    }

    fn print(&self) {
        let Self { switches, rtp_streams, packets, frames, key_frames, missing, at_seams, left_out, .. } =
            self;
        println!("\nswitches               {switches}");
        println!("{}", self.up.line("to 720 lines"));
        println!("{}", self.down.line("to 180 lines"));
        println!("received               {packets} packets, {frames} frames, {key_frames} key frames");
        println!(
            "missing numbers        {missing}, of them {at_seams} behind a frame that a switch cut short; the server left out {left_out}"
        );
        println!("oracle                 {} faults in {rtp_streams} RTP stream(s)", self.faults);
        for fault in &self.first_faults {
            println!("  {fault}");
        }
    }
}
