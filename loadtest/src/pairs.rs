//! Rooms of two: the load of one-to-one calls.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use hdrhistogram::Histogram;
use serde::Serialize;
use sluice_client::{AudioShape, Client, Opened, Options, Plane, SharedSockets, Stats, VideoShape};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::Findings;
use crate::door::{Door, first_room};
use crate::latency::Summary;
use crate::process::Sample;
use crate::resources::{Cost, Watch};
use crate::server::{PathChoice, Server};

/// How long a client may take until it hears and sees the other.
const UNTIL_MEDIA: Duration = Duration::from_secs(30);
/// Share of the packets sent within the measured time that must have come within it.
const ENOUGH: f64 = 0.99;
/// And besides that, packets that were on their way at either end.
const IN_FLIGHT: f64 = 10.0;
/// Share of the intended load below which the figures are of another load.
const PRODUCED: f64 = 0.9;

/// Rooms of two clients that send audio and video to each other.
#[derive(Debug, Args)]
pub(crate) struct Pairs {
    /// Rooms, of two clients each.
    #[arg(long, default_value_t = 10)]
    rooms: usize,
    /// Seconds to measure, once everybody is connected.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Video bitrate of each client, bits per second; 0 for audio only.
    #[arg(long, default_value_t = 300_000)]
    video_bitrate: u32,
    /// Nobody sends anything: what those cost who are only there.
    #[arg(long)]
    idle: bool,
    /// Clients with a light media plane: real feedback, no retransmission, a sample decrypted. Carries far more per core.
    #[arg(long)]
    light: bool,
    /// Clients that may be joining at the same time.
    #[arg(long, default_value_t = 8)]
    joining: usize,
    /// Packets per stream that may be lost before the run counts as failed.
    #[arg(long, default_value_t = 0)]
    allow_lost: u64,
}

/// What was found.
#[derive(Debug, Serialize)]
pub(crate) struct PairsFindings {
    clients: usize,
    connected: usize,
    streams: usize,
    seconds: f64,
    path: PathChoice,
    packets_received: u64,
    packets_lost: u64,
    /// Never came, by the sender's own count.
    packets_missing: u64,
    packets_duplicate: u64,
    worst_stream_lost: u64,
    join: Summary,
    first_media: Summary,
    audio_latency: Summary,
    video_latency: Summary,
    server: Option<Cost>,
    /// Cores that this program used.
    own_cores: f64,
    failures: Vec<String>,
}

struct Member {
    client: Client,
    tracks: usize,
}

/// What each client sends.
#[derive(Clone)]
struct Sends {
    audio: bool,
    /// Bits per second; 0 for none.
    video: u32,
    plane: Plane,
    sockets: SharedSockets,
}

impl Pairs {
    pub(crate) async fn run(self, server: &Server) -> anyhow::Result<PairsFindings> {
        let room = first_room(&crate::server::now().as_millis().to_string());
        let watch = Watch::start(server, &Door::ClientProtocol(server.clone()), &room).await?;
        let mut failures = Vec::new();
        let members = self.ramp_up(server, &mut failures).await;
        eprintln!(
            "{} of {} clients connected; measuring for {} s",
            members.len(),
            2 * self.rooms,
            self.seconds
        );

        let (own_start, server_start) = (Sample::of_self()?, server.sample()?);
        let window = Instant::now();
        let start: Vec<Stats> = members.iter().map(|member| member.client.stats()).collect();
        for second in 1..=self.seconds {
            tokio::time::sleep_until((window + Duration::from_secs(second)).into()).await;
            if second.is_multiple_of(5) {
                progress(second, &members);
            }
        }
        let elapsed = window.elapsed();
        let end: Vec<Stats> = members.iter().map(|member| member.client.stats()).collect();
        let (own_end, server_end) = (Sample::of_self()?, server.sample()?);

        let connected = members.len();
        let mut findings = self.judge(&members, &start, &end, elapsed, failures);
        findings.path = server.path;
        findings.own_cores = own_end.cores_since(&own_start);
        leave_all(members, &mut findings.failures).await;
        if let (Some(watch), Some(start), Some(during)) = (watch, server_start, server_end) {
            let cost = watch.finish(server, start, during, connected).await?;
            findings.failures.extend(cost.failures());
            findings.server = Some(cost);
        }
        Ok(findings)
    }

    async fn ramp_up(&self, server: &Server, failures: &mut Vec<String>) -> Vec<Member> {
        let gate = Arc::new(Semaphore::new(self.joining.max(1)));
        let done = Arc::new(AtomicUsize::new(0));
        let run = crate::server::now().as_millis();
        let plane = if self.light { Plane::Light(Opened::Sample) } else { Plane::Full };
        let video = if self.idle { 0 } else { self.video_bitrate };
        let sends = Sends { audio: !self.idle, video, plane, sockets: SharedSockets::default() };
        let total = 2 * self.rooms;
        let lifetime = Duration::from_secs(self.seconds + 600);
        let mut joining = JoinSet::new();
        for index in 0..total {
            let (server, sends, gate, done) = (server.clone(), sends.clone(), gate.clone(), done.clone());
            joining.spawn(async move {
                let _place = gate.acquire().await;
                let room = format!("pair-{run}-{}", index / 2);
                let joined = join(&server, &room, index, &sends, lifetime).await;
                let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                if done.is_multiple_of(20) {
                    eprintln!("{done} of {total} joined");
                }
                joined.with_context(|| format!("client {index} of {room}"))
            });
        }
        let mut members = Vec::new();
        while let Some(joined) = joining.join_next().await {
            match joined.context("a client's task panicked").and_then(|joined| joined) {
                Ok(member) => members.push(member),
                Err(error) => failures.push(format!("{error:#}")),
            }
        }
        // Both of a room have joined now, so each must receive all that the other sends.
        let expected = usize::from(sends.audio) + usize::from(sends.video > 0);
        let mut there = Vec::new();
        for member in members {
            let ready = |stats: &Stats| stats.connected_after.is_some() && stats.received.len() >= expected;
            match member.client.until(UNTIL_MEDIA, ready).await {
                Ok(_) => there.push(member),
                Err(error) => failures.push(format!("{} got no media: {error:#}", member.client.identity())),
            }
        }
        there
    }

    fn judge(
        &self,
        members: &[Member],
        start: &[Stats],
        end: &[Stats],
        elapsed: Duration,
        mut failures: Vec<String>,
    ) -> PairsFindings {
        let (mut audio, mut video) = (latencies(), latencies());
        let sent = sent_within(start, end);
        let (mut received, mut lost, mut missing, mut duplicate, mut streams, mut worst) = (0, 0, 0, 0, 0, 0);
        for ((member, start), end) in members.iter().zip(start).zip(end) {
            let who = member.client.identity();
            if let Some(ended) = &end.ended {
                failures.push(format!("{who} ended by itself: {ended:?}"));
            }
            for (sid, track) in &end.received {
                let is_video = track.height > 0;
                streams += 1;
                received += track.packets;
                lost += track.lost();
                missing += track.missing();
                duplicate += track.duplicates();
                worst = worst.max(track.lost().max(track.missing()));
                let histogram = if is_video { &mut video } else { &mut audio };
                if track.latency_us.as_ref().is_none_or(|latency_us| histogram.add(latency_us).is_err()) {
                    failures.push(format!("{who}: the latencies of {sid} cannot be added up"));
                }
                let got = track.packets - start.received.get(sid).map_or(0, |track| track.packets);
                let sent = sent.get(sid).copied().unwrap_or(0);
                if (got as f64) < sent as f64 * ENOUGH - IN_FLIGHT {
                    failures.push(format!(
                        "{who}: {got} packets of {sid} within {elapsed:.0?}, {sent} were sent"
                    ));
                }
                // Audio has a packet each 20 ms; video at least a packet a frame.
                let due = elapsed.as_secs_f64() * if is_video { 30.0 } else { 50.0 };
                if (sent as f64) < due * PRODUCED {
                    failures.push(format!(
                        "this machine is too busy: it made {sent} packets of {sid}, not {due:.0}"
                    ));
                }
                if track.lost().max(track.missing()) > self.allow_lost {
                    let (lost, missing) = (track.lost(), track.missing());
                    failures.push(format!(
                        "{who}: {lost} packets of {sid} lost, {missing} missing by the sender's count"
                    ));
                }
            }
        }
        PairsFindings {
            clients: 2 * self.rooms,
            connected: members.len(),
            streams,
            seconds: elapsed.as_secs_f64(),
            path: PathChoice::V0,
            packets_received: received,
            packets_lost: lost,
            packets_missing: missing,
            packets_duplicate: duplicate,
            worst_stream_lost: worst,
            join: Summary::of(end.iter().map(|stats| stats.joined_after).collect()),
            first_media: Summary::of(end.iter().filter_map(|stats| stats.first_media_after).collect()),
            audio_latency: Summary::of_us(&audio),
            video_latency: Summary::of_us(&video),
            server: None,
            own_cores: 0.0,
            failures,
        }
    }
}

async fn join(
    server: &Server,
    room: &str,
    index: usize,
    sends: &Sends,
    lifetime: Duration,
) -> anyhow::Result<Member> {
    let (path, plane) = (server.path.of(index), sends.plane);
    let shared_sockets = Some(sends.sockets.clone());
    let options = Options { path, lifetime, plane, shared_sockets, ..Options::default() };
    let client = server.join(room, &format!("native-{index}"), options).await?;
    if sends.audio {
        client.publish_audio(AudioShape::default()).await.context("audio")?;
    }
    if sends.video > 0 {
        client.publish_video(VideoShape::single(640, 360, sends.video)).await.context("video")?;
    }
    let tracks = usize::from(sends.audio) + usize::from(sends.video > 0);
    Ok(Member { client, tracks })
}

/// Packets of each track that were sent between two moments.
fn sent_within(start: &[Stats], end: &[Stats]) -> BTreeMap<String, u64> {
    let mut sent = BTreeMap::new();
    for (start, end) in start.iter().zip(end) {
        for (sid, track) in &end.published {
            let before = start.published.get(sid).map_or(0, |track| track.packets);
            sent.insert(sid.clone(), track.packets - before);
        }
    }
    sent
}

#[allow(clippy::expect_used, reason = "the bounds are constants: 1 <= 60,000,000 / 2 and 2 <= 5 digits")]
fn latencies() -> Histogram<u64> {
    // The bounds that clients use, so that theirs fit in.
    Histogram::new_with_bounds(1, 60_000_000, 2).expect("constant bounds are valid")
}

fn progress(second: u64, members: &[Member]) {
    let (mut packets, mut lost, mut sent) = (0, 0, 0);
    for member in members {
        member.client.with_stats(|stats| {
            packets += stats.received.values().map(|track| track.packets).sum::<u64>();
            lost += stats.received.values().map(|track| track.lost()).sum::<u64>();
            sent += stats.published.values().map(|track| track.packets).sum::<u64>();
        });
    }
    let tracks: usize = members.iter().map(|member| member.tracks).sum();
    eprintln!("{second:>4} s: {tracks} tracks, {sent} packets sent, {packets} received, {lost} lost");
}

async fn leave_all(members: Vec<Member>, failures: &mut Vec<String>) {
    let mut leaving = JoinSet::new();
    for member in members {
        leaving.spawn(member.client.leave());
    }
    while let Some(left) = leaving.join_next().await {
        if let Err(error) = left.context("a client's task panicked").and_then(|left| left) {
            failures.push(format!("{error:#}"));
        }
    }
}

impl Findings for PairsFindings {
    fn failures(&self) -> &[String] {
        &self.failures
    }

    fn print(&self) {
        let Self { clients, connected, streams, seconds, .. } = self;
        println!(
            "\nconnected              {connected} of {clients} clients, {streams} received streams, {seconds:.0} s"
        );
        println!(
            "packets                {} received, {} lost, {} missing by the sender's count, {} twice; worst stream {}",
            self.packets_received,
            self.packets_lost,
            self.packets_missing,
            self.packets_duplicate,
            self.worst_stream_lost
        );
        println!("{}", self.join.line("join"));
        println!("{}", self.first_media.line("first media"));
        println!("{}", self.audio_latency.line("latency, audio"));
        println!("{}", self.video_latency.line("latency, video"));
        if let Some(cost) = &self.server {
            cost.print();
        }
        println!("this program           {:.2} cores", self.own_cores);
    }
}
