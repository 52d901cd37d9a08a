//! Loads a running server with native clients, over real sockets, and reports what it carried.
//!
//! It measures from outside, as a user would: nothing here knows the server's inside, but for `/proc` of its process if
//! you name it. It is no browser: media only looks like Opus and VP8 to a forwarder, see `sluice-client`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a report is its purpose")]

mod calls;
mod hostile;
mod latency;
mod metrics;
mod pairs;
mod process;
mod resources;
mod server;
mod switches;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use serde::Serialize;

const EXAMPLES: &str = "\
Examples (start `sluice dev` first):
  loadtest pairs --rooms 20 --seconds 30
  loadtest pairs --rooms 100 --seconds 60 --server-pid $(pidof sluice) --json pairs.json
  loadtest switches --path v1
  loadtest setups --rate 1000 --grpc-token hello     (sluice dev with SLUICE_DEV_GRPC_TOKEN=hello)
  loadtest hostile --server-pid $(pidof sluice)

The exit code is 0 if everything held, 1 if something did not, 2 if the command line is wrong. Build with --release:
a debug build spends its time in its own cryptography.";

/// Loads a running Sluice with native clients and reports what it carried.
#[derive(Parser)]
#[command(name = "loadtest", version, after_help = EXAMPLES, max_term_width = 110)]
struct Cli {
    #[command(flatten)]
    server: server::Server,
    /// Write the report as JSON to this file, `-` for standard output.
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand)]
enum Scenario {
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
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let Cli { server, json, scenario } = Cli::parse();
    let passed = match scenario {
        Scenario::Pairs(pairs) => finish(pairs.run(&server).await, json.as_deref()),
        Scenario::Switches(switches) => finish(switches.run(&server).await, json.as_deref()),
        Scenario::Setups(setups) => finish(setups.run(&server).await, json.as_deref()),
        Scenario::Rings(rings) => finish(rings.run(&server).await, json.as_deref()),
        Scenario::Hostile(hostile) => finish(hostile.run(&server).await, json.as_deref()),
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

/// What a scenario found.
trait Findings: Serialize {
    /// What did not hold; empty if everything did.
    fn failures(&self) -> &[String];
    /// For people.
    fn print(&self);
}

fn finish<T: Findings>(findings: anyhow::Result<T>, json: Option<&std::path::Path>) -> anyhow::Result<bool> {
    let findings = findings?;
    findings.print();
    if let Some(path) = json {
        let text = serde_json::to_string_pretty(&findings)?;
        if path.as_os_str() == "-" {
            println!("{text}");
        } else {
            std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    for failure in findings.failures() {
        println!("FAILED: {failure}");
    }
    Ok(findings.failures().is_empty())
}
