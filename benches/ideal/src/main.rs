//! The ideal forwarder: receive, open once, seal for each subscriber, send. Nothing else, so that nothing can be cheaper.
//!
//! It is the yardstick of the server: `loadtest` prints what share of it the server reaches in the same run. Sockets are the
//! server's (`sluice-net`), crypto is the same library. It knows no session, no layer, no feedback and no retransmission.
//!
//! One thread forwards, and only its processor time counts; another one makes the load and drains what is sent.
#![allow(clippy::print_stdout, reason = "the report is its purpose")]

mod forwarder;
mod load;
mod report;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::{Parser, ValueEnum};
use sluice_net::{BufferSizes, UdpSocket};

use forwarder::Forwarder;
use load::Load;
use report::Report;

/// As the server asks for.
const BUFFERS: BufferSizes = BufferSizes { receive: 4 << 20, send: 4 << 20 };

/// Measures the ideal forwarder.
#[derive(Parser, Debug, Clone)]
#[command(max_term_width = 110)]
struct Options {
    /// What is forwarded: sets packets and size unless they are given.
    #[arg(long, value_enum, default_value = "video")]
    media: Media,
    /// Subscribers of each stream.
    #[arg(long, default_value_t = 100)]
    subscribers: usize,
    /// Packets of a frame, which come and go together. Without it: four and five by turns for video, one for audio, three
    /// for a train of audio.
    #[arg(long)]
    packets: Option<usize>,
    /// Bytes of a packet on the wire. Without it: 1200 for video, 160 for audio.
    #[arg(long)]
    size: Option<usize>,
    /// Streams; each has its own frames, at its own times.
    #[arg(long, default_value_t = 1)]
    streams: usize,
    /// As fast as the forwarder can, or each stream at its own rate: 30 frames a second of video, 50 of audio, 16.7 of trains.
    #[arg(long, value_enum, default_value = "flood")]
    rate: Rate,
    /// Seconds that count, after half a second of warm-up.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Rounds; the report is of the one with the median cost.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Send to this address instead of a receiver on loopback, e.g. behind a dummy interface that drops everything.
    #[arg(long)]
    destination: Option<SocketAddr>,
    /// The receiver on loopback takes whole trains (GRO), so that the kernel need not cut them on the forwarder's time.
    #[arg(long)]
    sink_gro: bool,
    /// Core of the forwarder; the load runs on the others.
    #[arg(long)]
    core: Option<usize>,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Media {
    /// 1,200 bytes, frames of several packets.
    Video,
    /// 160 bytes, a packet at a time.
    Audio,
    /// Packets of 120 to 160 bytes, several at a time, each as long as it is.
    AudioTrain,
    /// The same, made equally long by RTP padding, so that one send takes them all.
    AudioTrainEqual,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Rate {
    Flood,
    Paced,
}

impl Options {
    fn size(&self) -> usize {
        self.size.unwrap_or(if self.media == Media::Video { 1_200 } else { 160 })
    }

    fn packets(&self, frame: usize) -> usize {
        self.packets.unwrap_or(match self.media {
            Media::Video => 4 + frame % 2,
            Media::Audio => 1,
            Media::AudioTrain | Media::AudioTrainEqual => 3,
        })
    }

    fn interval(&self) -> Duration {
        Duration::from_micros(match self.media {
            Media::Video => 33_333,
            Media::Audio => 20_000,
            Media::AudioTrain | Media::AudioTrainEqual => 60_000,
        })
    }
}

/// What the threads tell each other.
struct Shared {
    /// Base of the times in packets.
    epoch: Instant,
    /// Packets that the forwarder took in.
    taken: AtomicU64,
    /// Packets that came to the receiver on loopback.
    drained: AtomicU64,
    stop: AtomicBool,
}

impl Shared {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    ensure!(options.subscribers > 0 && options.subscribers <= 1 << 16, "1 to 65536 subscribers");
    ensure!(options.streams > 0 && options.streams <= 1 << 12, "1 to 4096 streams");
    ensure!(options.rounds > 0 && options.seconds > 0.0, "at least one round of some time");
    let sizes = load::SMALLEST..=load::LARGEST;
    ensure!(sizes.contains(&options.size()), "a packet has {sizes:?} bytes");
    ensure!((1..=64).contains(&options.packets(0)), "a frame has 1 to 64 packets");

    let mut reports = (0..options.rounds).map(|_| round(&options)).collect::<anyhow::Result<Vec<_>>>()?;
    reports.sort_by(|a, b| a.nanoseconds_per_packet.total_cmp(&b.nanoseconds_per_packet));
    let report = &reports[reports.len() / 2];
    if options.json {
        println!("{}", serde_json::to_string(report)?);
    } else {
        println!("{report}");
    }
    Ok(())
}

fn round(options: &Options) -> anyhow::Result<Report> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0).into(), BUFFERS);
    let socket = match options.destination {
        None => socket,
        // A socket that is bound to loopback reaches nobody else.
        Some(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0).into(), BUFFERS),
    }
    .context("the forwarder's socket")?;
    let port = socket.local_address().port();
    let entrance = SocketAddr::from((Ipv4Addr::LOCALHOST, port));

    let sink = load::Sink::bind(options.sink_gro).context("the receiver's socket")?;
    let subscribers = destinations(options, sink.port());
    let shared = Arc::new(Shared {
        epoch: Instant::now(),
        taken: AtomicU64::new(0),
        drained: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    });

    let forwarder = {
        let (options, shared) = (options.clone(), shared.clone());
        std::thread::spawn(move || {
            pin(options.core, true)?;
            let forwarder = Forwarder::new(socket, &subscribers, &options)?;
            let forwarded = forwarder.run(&options, &shared);
            // Also if it failed: the load must end.
            shared.stop.store(true, Ordering::Relaxed);
            forwarded
        })
    };
    let drain = {
        let (core, shared) = (options.core, shared.clone());
        std::thread::spawn(move || {
            pin(core, false)?;
            sink.drain(&shared)
        })
    };
    pin(options.core, false)?;
    let offered = Load::new(options, entrance)?.run(options, &shared);
    shared.stop.store(true, Ordering::Relaxed);
    let forwarded = forwarder.join().map_err(|_| anyhow::anyhow!("the forwarder panicked"))??;
    drain.join().map_err(|_| anyhow::anyhow!("the receiver panicked"))??;
    let drops = sluice_net::kernel_drops(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    Ok(Report::new(options, &forwarded, offered?, shared.drained.load(Ordering::Relaxed), drops))
}

/// Each subscriber has an address of its own, as in life; all of 127/8 is this machine.
fn destinations(options: &Options, sink: u16) -> Vec<SocketAddr> {
    (0..options.subscribers)
        .map(|number| {
            options.destination.unwrap_or_else(|| {
                let [high, low] = (number as u16).to_be_bytes();
                SocketAddr::from(([127, 1, high, low], sink))
            })
        })
        .collect()
}

/// Keeps the calling thread on a core, or off it.
fn pin(core: Option<usize>, on: bool) -> anyhow::Result<()> {
    let Some(core) = core else { return Ok(()) };
    let available = rustix::thread::sched_getaffinity(None)?;
    let mut cores = rustix::thread::CpuSet::new();
    for number in 0..rustix::thread::CpuSet::MAX_CPU {
        if available.is_set(number) && (number == core) == on {
            cores.set(number);
        }
    }
    if cores.count() > 0 {
        rustix::thread::sched_setaffinity(None, &cores).context("cannot choose a core")?;
    }
    Ok(())
}
