//! A server built for what it does (profile-guided optimisation): built once to count which code runs, loaded, and built again by
//! what was counted.
//!
//! `cargo-pgo` does the building. What the server is loaded with is ours: people who come and go, for joining is thousands of
//! functions that each run a few times, and the kinds of rooms.
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

use crate::machine::{Machine, find};
use crate::server::Server;

const CARGO_PGO: &str = "0.3.0";
/// Any text will do: the server runs here, on loopback, for a minute.
const TOKEN: &str = "xtask-pgo";
/// The server under this is several times slower than the one that comes of it, so it is little.
const LOADS: [&[&str]; 5] = [
    &["joins", "--path", "v1", "--rooms", "60"],
    &["joins", "--path", "v0", "--rooms", "20"],
    &["fanout", "--rooms", "2", "--participants", "41"],
    &["meeting", "--participants", "8"],
    &["audio-room", "--participants", "40"],
];

/// Builds, loads and builds again; gives where the server is.
///
/// # Errors
/// If something is missing and cannot be installed, a build fails, or a load carries nothing.
pub(crate) fn build(machine: &Machine) -> anyhow::Result<PathBuf> {
    tools(machine)?;
    machine.cargo(&["build", "--release", "--locked", "-p", "loadtest"])?;
    cargo_pgo(machine, &["build", "--", "--locked", "-p", "sluice"])?;
    load(machine, &built(machine)?)?;
    cargo_pgo(machine, &["optimize", "build", "--", "--locked", "-p", "sluice"])?;
    let server = folder(machine).join("sluice");
    std::fs::copy(built(machine)?, &server).with_context(|| format!("cannot write {}", server.display()))?;
    Ok(server)
}

/// Apart from other builds, whose flags are others.
fn folder(machine: &Machine) -> PathBuf {
    machine.target.join("pgo")
}

fn tools(machine: &Machine) -> anyhow::Result<()> {
    // Without it, or without a network, an `llvm-profdata` on the path will do.
    if find("rustup").is_some()
        && let Err(error) = machine.run("", "rustup", &["component", "add", "llvm-tools"])
    {
        println!("{error:#}");
    }
    if !cargo_pgo_bin(machine).join("cargo-pgo").exists() {
        println!("cargo-pgo {CARGO_PGO} is missing: building it");
        let root = cargo_pgo_root(machine).display().to_string();
        machine.cargo(&["install", "--locked", "--version", CARGO_PGO, "--root", &root, "cargo-pgo"])?;
    }
    Ok(())
}

fn cargo_pgo_root(machine: &Machine) -> PathBuf {
    machine.target.join("tools").join(format!("cargo-pgo-{CARGO_PGO}"))
}

fn cargo_pgo_bin(machine: &Machine) -> PathBuf {
    cargo_pgo_root(machine).join("bin")
}

fn cargo_pgo(machine: &Machine, arguments: &[&str]) -> anyhow::Result<()> {
    let program = cargo_pgo_bin(machine).join("cargo-pgo");
    // Cargo's subcommands are told their own name first.
    let arguments = [&["pgo"], arguments].concat();
    let target = folder(machine);
    machine.run_with("", program, &arguments, &[("CARGO_TARGET_DIR", target.as_os_str())])
}

/// It builds for the machine's own target by name, in that target's folder.
fn built(machine: &Machine) -> anyhow::Result<PathBuf> {
    let output =
        Command::new("rustc").arg("-vV").current_dir(&machine.root).output().context("cannot run rustc")?;
    let text = String::from_utf8(output.stdout)?;
    let Some(host) = text.lines().find_map(|line| line.strip_prefix("host: ")) else {
        bail!("`rustc -vV` names no host");
    };
    let binary = folder(machine).join(host).join("release").join("sluice");
    ensure!(binary.exists(), "cargo-pgo made no {}", binary.display());
    Ok(binary)
}

/// The server writes what it counted when it ends.
fn load(machine: &Machine, instrumented: &Path) -> anyhow::Result<()> {
    let server = Server::start(instrumented, TOKEN)?;
    let (url, pid) = (format!("ws://127.0.0.1:{}", server.http), server.pid().to_string());
    let loadtest = machine.target.join("release").join("loadtest");
    // Apart from what another run may have left.
    let report = folder(machine).join(format!("load-{pid}.json"));
    let written = report.display().to_string();
    for load in LOADS {
        let what = [
            "--light",
            "--ramp",
            "3s",
            "--duration",
            "6s",
            "--url",
            &url,
            "--server-pid",
            &pid,
            "--json",
            &written,
        ];
        let arguments = [&["run"], load, &what].concat();
        // A server that counts is slow, and what a load should not have missed for that does not matter.
        if let Err(error) = machine.run("", &loadtest, &arguments) {
            println!("{error:#}");
        }
        let told = std::fs::read(&report)
            .with_context(|| format!("`{}` told nothing of what it did", load.join(" ")))?;
        std::fs::remove_file(&report)?;
        let found: serde_json::Value = serde_json::from_slice(&told)?;
        let count = |pointer| found.pointer(pointer).and_then(serde_json::Value::as_u64).unwrap_or(0);
        ensure!(
            count("/people/joins") > 0 && count("/media/received_packets") > 0,
            "nothing was carried in `{}`: there is no profile to build by",
            load.join(" ")
        );
    }
    server.stop()
}
