//! The project's own commands, in Rust so that they need nothing but Cargo:
//!
//! * `cargo xtask test` runs every test there is, and installs what is missing for it, saying so;
//! * `cargo xtask ci` is what the CI runs: format, lints, documentation, then `test`, then `bench-check`;
//! * `cargo xtask bench-check` counts what a forwarded packet costs and compares it with the committed figures;
//! * `cargo xtask pgo` builds a server that lets people in faster, in more time.
//!
//! It is not a build system: each stage is one or two commands that can be typed by hand, and they are printed.
#![allow(clippy::print_stdout, reason = "what it says is its purpose")]

mod instructions;
mod machine;
mod pgo;
mod python;
mod report;
mod server;
mod stages;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use machine::Machine;
use report::Report;

/// Tests and checks of the whole repository.
#[derive(Parser)]
#[command(name = "cargo xtask", max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run all tests: Rust, web page, browsers end to end, the Python example.
    ///
    /// Installs what is missing: npm packages and a Python environment inside the repository; browsers and network
    /// tools by apt-get, if you are root on Debian or Ubuntu. Otherwise it says what to install.
    Test {
        /// Only these stages.
        #[arg(long, value_delimiter = ',', value_name = "STAGE,...")]
        only: Vec<Stage>,
    },
    /// What the CI runs: format, lints and documentation with warnings as errors, then all tests, then the instructions.
    Ci,
    /// Count the instructions of a forwarded packet; fail if they grew by more than 5 % over benches/instructions.toml.
    ///
    /// Needs valgrind, and as root on Debian or Ubuntu installs it. Builds gungraun-runner into the target folder.
    BenchCheck {
        /// Write the figures into the file instead, on purpose.
        #[arg(long)]
        update: bool,
    },
    /// Build a server that lets people in faster: build it, load it, and build it again by what was seen to run
    /// (profile-guided optimisation). Forwarding gains nothing.
    ///
    /// Takes two release builds of it, one of loadtest, and a minute of loads on loopback. The server is target/pgo/sluice. Installs cargo-pgo into
    /// the target folder, and llvm-tools by rustup.
    Pgo,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Stage {
    /// Release build, unit and integration tests, architecture.
    Rust,
    /// Types, unit tests and build of the web page.
    Web,
    /// Real browsers and SDKs against a real server.
    E2e,
    /// The example in examples/python against a real server.
    Python,
}

fn main() -> ExitCode {
    let task = Cli::parse().task;
    let mut report = Report::default();
    let outcome = Machine::here().and_then(|machine| match task {
        Task::Test { only } => stages::test(&machine, &mut report, &only),
        Task::Ci => {
            stages::checks(&machine, &mut report).and_then(|()| stages::test(&machine, &mut report, &[]))?;
            report.run("instructions", || instructions::check_if_possible(&machine));
            Ok(())
        }
        Task::BenchCheck { update } => {
            report.run("instructions", || instructions::check(&machine, update));
            Ok(())
        }
        Task::Pgo => {
            report.run("pgo", || {
                let server = pgo::build(&machine)?;
                println!("\nthe server: {}", server.display());
                Ok(())
            });
            Ok(())
        }
    });
    if let Err(error) = &outcome {
        println!("\nxtask: {error:#}");
    }
    report.print();
    if outcome.is_ok() && report.all_passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
