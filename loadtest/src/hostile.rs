//! Input that no client of ours would send, while a healthy pair in another room must not notice.
mod media;
mod signalling;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use sluice_client::{AudioShape, Client, Options, VideoShape};

use crate::Findings;
use crate::process::Sample;
use crate::server::Server;

const UNTIL_MEDIA: Duration = Duration::from_secs(20);
/// Between two attacks, for the pair to show that its media flows.
const CALM: Duration = Duration::from_secs(1);
/// Within a second of calm: 50 audio packets, of which some may be in flight.
const LEAST_PACKETS: u64 = 35;

/// Malformed, truncated, oversize and unfinished input.
#[derive(Debug, Args)]
pub(crate) struct Hostile {
    /// UDP media port of the server; several may be given.
    #[arg(long, value_delimiter = ',', default_value = "127.0.0.1:7882", value_name = "IP:PORT,...")]
    udp: Vec<SocketAddr>,
    /// TCP media port of the server.
    #[arg(long, default_value = "127.0.0.1:7881", value_name = "IP:PORT")]
    tcp: SocketAddr,
    /// Datagrams to throw at each UDP port.
    #[arg(long, default_value_t = 20_000)]
    datagrams: usize,
    /// Seed of what is thrown, to repeat a run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What was found.
#[derive(Debug, Serialize)]
pub(crate) struct HostileFindings {
    attacks: Vec<Attack>,
    server_before: Option<Sample>,
    server_after: Option<Sample>,
    failures: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Attack {
    name: &'static str,
    outcome: String,
    held: bool,
}

/// Two clients that must not notice anything.
struct Pair {
    left: Client,
    right: Client,
}

impl Hostile {
    pub(crate) async fn run(self, server: &Server) -> anyhow::Result<HostileFindings> {
        let server_before = server.server_pid.map(Sample::of).transpose()?;
        let pair = Pair::join(server).await.context("the healthy pair cannot even join")?;
        let mut attacks = Vec::new();
        let mut failures = Vec::new();

        macro_rules! attack {
            ($name:literal, $work:expr) => {
                eprintln!("{}", $name);
                let result: anyhow::Result<String> = $work.await;
                // A failed attack is one that the server did not take as it should.
                let (outcome, held) = match result {
                    Ok(outcome) => (outcome, true),
                    Err(error) => (format!("{error:#}"), false),
                };
                if !held {
                    failures.push(format!("{}: {outcome}", $name));
                }
                attacks.push(Attack { name: $name, outcome, held });
                if let Err(error) = pair.flows().await {
                    failures.push(format!("after `{}` the healthy pair: {error:#}", $name));
                }
            };
        }

        attack!("bad tokens", signalling::bad_tokens(server));
        attack!("overlong requests", signalling::overlong_requests(server));
        attack!("malformed protobuf", signalling::malformed_protobuf(server));
        attack!("oversize WebSocket messages", signalling::oversize_messages(server));
        attack!("malformed session descriptions", signalling::malformed_descriptions(server));
        attack!("a flood of signal messages", signalling::flood(server));
        attack!("random datagrams", media::random_datagrams(&self.udp, self.datagrams, self.seed));
        attack!("truncated and forged STUN", media::forged_stun(&self.udp, self.datagrams / 4, self.seed));
        attack!("broken frames over TCP", media::broken_frames(self.tcp, self.seed));
        attack!("idle TCP connections", media::idle_connections(self.tcp));
        attack!("handshakes that stop half-way", signalling::stalled_handshakes(server));

        if let Err(error) = pair.leave().await {
            failures.push(format!("the healthy pair: {error:#}"));
        }
        if let Err(error) = Pair::join(server).await {
            failures.push(format!("after all of it nobody can join: {error:#}"));
        }
        let server_after = match server.server_pid.map(Sample::of).transpose() {
            Ok(sample) => sample,
            Err(error) => {
                failures.push(format!("the server is gone: {error:#}"));
                None
            }
        };
        Ok(HostileFindings { attacks, server_before, server_after, failures })
    }
}

impl Pair {
    async fn join(server: &Server) -> anyhow::Result<Self> {
        let room = format!("healthy-{}", crate::server::now().as_millis());
        let options = |index| Options { path: server.path.of(index), ..Options::default() };
        let left = server.join(&room, "left", options(0)).await?;
        let right = server.join(&room, "right", options(1)).await?;
        for client in [&left, &right] {
            client.publish_audio(AudioShape::default()).await?;
            client.publish_video(VideoShape::single(640, 360, 300_000)).await?;
        }
        for client in [&left, &right] {
            client.until(UNTIL_MEDIA, |stats| stats.received.len() == 2).await?;
        }
        Ok(Self { left, right })
    }

    /// Each hears the other, now.
    async fn flows(&self) -> anyhow::Result<()> {
        let packets = |client: &Client| -> Vec<u64> {
            client.with_stats(|stats| stats.received.values().map(|track| track.packets).collect())
        };
        let before = [packets(&self.left), packets(&self.right)];
        tokio::time::sleep(CALM).await;
        for (client, before) in [&self.left, &self.right].into_iter().zip(before) {
            for (before, after) in before.into_iter().zip(packets(client)) {
                let came = after - before;
                // Video has 30 frames a second, so at least as many packets.
                anyhow::ensure!(
                    came >= LEAST_PACKETS * 30 / 50,
                    "{} got {came} packets in {CALM:?}",
                    client.identity()
                );
            }
        }
        Ok(())
    }

    async fn leave(self) -> anyhow::Result<()> {
        for client in [self.left, self.right] {
            let who = client.identity().to_owned();
            let stats = client.leave().await?;
            for (sid, track) in &stats.received {
                anyhow::ensure!(track.lost() == 0, "{who} lost {} packets of {sid}", track.lost());
            }
        }
        Ok(())
    }
}

impl Findings for HostileFindings {
    fn failures(&self) -> &[String] {
        &self.failures
    }

    fn print(&self) {
        println!();
        for Attack { name, outcome, held } in &self.attacks {
            println!("{}  {name:<32} {outcome}", if *held { "held " } else { "BROKE" });
        }
        for (name, sample) in [("before", self.server_before), ("after", self.server_after)] {
            if let Some(at) = sample {
                println!("server {name:<8} {:>8.1} MiB memory, {:>5} files", at.rss_mib, at.open_files);
            }
        }
    }
}
