//! Loads a running server with native clients, over real sockets, and reports what it carried.
//!
//! It measures from outside, as a user would, or as whoever calls a node's API: nothing here knows the
//! server's inside, but for `/proc` of its process if you name it. It is no browser: media only looks like
//! Opus and VP8 to a forwarder, see `sluice-client`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a report is its purpose")]

mod bearer;
mod calls;
mod distribution;
mod door;
mod hostile;
mod http;
mod latency;
mod metrics;
mod node;
mod pairs;
mod process;
mod report;
mod resources;
mod run;
mod scenario;
mod server;
mod switches;
mod warm_up;
mod worker;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use serde::Serialize;

const EXAMPLES: &str = "\
Examples (start `sluice dev` first):
  loadtest run fanout --participants 50 --server-pid $(pidof sluice) --report fanout.html
  loadtest run meeting --set participants=12 --duration 60s --json meeting.json
  loadtest scenarios
  loadtest scenarios show webinar > mine.toml; loadtest run mine.toml
  loadtest switches --path v1
  loadtest setups --rate 1000 --grpc-token hello     (sluice dev with SLUICE_DEV_GRPC_TOKEN=hello)
  loadtest hostile --server-pid $(pidof sluice)

The exit code is 0 if everything held, 1 if something did not, 2 if the command line is wrong. Build with --release:
a debug build spends its time in its own cryptography.";

const RUN_EXAMPLES: &str = "\
Examples:
  loadtest run fanout --participants 200 --processes 2
  loadtest run pairs --rooms 50 --duration 2m --server-pid $(pidof sluice)
  loadtest run webinar --set audience.count=100 --set panel.video.bitrate=\"2.5 Mbit/s\"
  loadtest run churn --set guests.stay=10s --set thresholds.join_p99=300ms
  loadtest run meeting --driver node --node-token hello     (sluice dev with SLUICE_DEV_GRPC_TOKEN=hello)

It first checks that the server is there and takes the key or token, and that this machine lets it open enough sockets. Then
everybody joins within the ramp, things settle, and the duration is measured. Ctrl-C ends a measurement early and still
reports it. docs/loadtest.md explains the format of scenarios and every figure.";

/// Feedback is made and freed thousands of times a second.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Loads a running Sluice with native clients and reports what it carried.
#[derive(Parser)]
#[command(name = "loadtest", version, after_help = EXAMPLES, max_term_width = 110)]
struct Cli {
    /// Write the report as JSON to this file, `-` for standard output.
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    // After all others: its heading holds for what comes after it.
    #[command(flatten)]
    server: server::Server,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A scenario: rooms full of participants, measured second by second.
    #[command(after_help = RUN_EXAMPLES)]
    Run(run::Run),
    /// Lists the built-in scenarios, or shows one, to copy and change.
    Scenarios {
        #[command(subcommand)]
        show: Option<Show>,
    },
    /// Rooms of two, each sending audio and video to the other.
    Pairs(pairs::Pairs),
    /// One publisher with three layers, one receiver that asks for 180 and 720 lines in turn; an oracle reads every packet.
    Switches(switches::Switches),
    /// Complete call set-ups at a rate, through the calls API: create, ring, accept, end.
    Setups(calls::setups::Setups),
    /// A storm of rings, each cancelled a moment later.
    Rings(calls::rings::Rings),
    /// Malformed, truncated, oversize and unfinished input, while a healthy pair in another room must not notice.
    Hostile(hostile::Hostile),
    /// Carries a share of a load; `run` starts it and speaks to it.
    #[command(hide = true)]
    Worker,
}

#[derive(Subcommand)]
enum Show {
    /// Prints a scenario's TOML.
    Show {
        /// One that `loadtest scenarios` lists.
        name: String,
    },
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let Cli { server, json, command } = Cli::parse();
    let passed = match command {
        // It has a runtime of its own size.
        Command::Worker => worker::run().map(|()| true),
        Command::Scenarios { show } => scenarios(show),
        command => tokio::runtime::Runtime::new()
            .context("cannot start the runtime")
            .and_then(|runtime| runtime.block_on(measure(command, &server, json.as_deref()))),
    };
    match passed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("loadtest: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(command: Command, server: &server::Server, json: Option<&Path>) -> anyhow::Result<bool> {
    match command {
        Command::Run(run) => run.run(server, json).await,
        Command::Pairs(pairs) => finish(pairs.run(server).await, json),
        Command::Switches(switches) => finish(switches.run(server).await, json),
        Command::Setups(setups) => finish(setups.run(server).await, json),
        Command::Rings(rings) => finish(rings.run(server).await, json),
        Command::Hostile(hostile) => finish(hostile.run(server).await, json),
        Command::Scenarios { .. } | Command::Worker => Ok(true),
    }
}

fn scenarios(show: Option<Show>) -> anyhow::Result<bool> {
    match show {
        Some(Show::Show { name }) => print!("{}", scenario::Source::find(&name)?.text),
        None => {
            for (name, _) in scenario::BUILT_IN {
                let scenario = scenario::Source::find(name)?.read(&scenario::Overrides::default())?;
                println!("{name:<12} {}", scenario.about);
            }
        }
    }
    Ok(true)
}

/// What a command found.
trait Findings: Serialize {
    /// What did not hold; empty if everything did.
    fn failures(&self) -> &[String];
    /// For people.
    fn print(&self);
}

fn finish<T: Findings>(findings: anyhow::Result<T>, json: Option<&Path>) -> anyhow::Result<bool> {
    let findings = findings?;
    findings.print();
    if let Some(path) = json {
        write_json(&findings, path)?;
    }
    for failure in findings.failures() {
        println!("FAILED: {failure}");
    }
    Ok(findings.failures().is_empty())
}

fn write_json(report: &impl Serialize, path: &Path) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(report)?;
    if path.as_os_str() == "-" {
        println!("{text}");
        return Ok(());
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
