//! The gate on instructions: what a forwarded packet costs, counted by callgrind, against the figures that are committed.
//!
//! Instructions hardly differ from run to run and from machine to machine, unlike time, so a change of some percent is a change
//! of the code (or of the compiler, or of a dependency) and not the weather.
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};

use crate::machine::{Machine, VALGRIND};

const FIGURES: &str = "benches/instructions.toml";
/// Of all forwarding benches those that are quick enough for every run of the CI.
const GATED: &str = "*_forwarded::to_1*";
/// Growth that fails, in percent. Runs differ by less than one: clients draw keys and numbers at random.
const ALLOWED: f64 = 5.0;

const HEADER: &str = "\
# What a forwarded packet costs: instructions of a shard, counted by callgrind (benches/benches/instructions.rs).
# `cargo xtask bench-check` fails if one of them grew by more than 5 %; `cargo xtask bench-check --update` writes this file anew.
# `packets` are those that the bench forwards: instructions divided by them are the figure to talk about.
";

/// One bench's line in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Figure {
    packets: u64,
    instructions: u64,
}

impl Figure {
    fn per_packet(self) -> f64 {
        self.instructions as f64 / self.packets.max(1) as f64
    }
}

/// Counts, and compares with the file, or writes it.
///
/// # Errors
/// If something is missing, a bench fails, or one of them grew too much.
pub(crate) fn check(machine: &Machine, update: bool) -> anyhow::Result<()> {
    machine.need(&[VALGRIND])?;
    let path = machine.root.join(FIGURES);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {FIGURES}"))?;
    let known = read(&text)?;
    let counted = count(machine, &known)?;

    let mut grown = Vec::new();
    println!("\n{:<28} {:>12} {:>12} {:>8}", "instructions per packet", "committed", "now", "change");
    for (bench, before) in &known {
        let now = Figure { instructions: counted[bench], ..*before };
        let change = (now.per_packet() / before.per_packet() - 1.0) * 100.0;
        println!("{bench:<28} {:>12.0} {:>12.0} {change:>+7.1}%", before.per_packet(), now.per_packet());
        if grew(*before, now) {
            grown.push(bench.as_str());
        }
    }
    if update {
        let figures = known
            .iter()
            .map(|(bench, before)| (bench.as_str(), Figure { instructions: counted[bench], ..*before }));
        std::fs::write(&path, written(figures)).with_context(|| format!("cannot write {FIGURES}"))?;
        println!("{FIGURES} is written");
        return Ok(());
    }
    ensure!(
        grown.is_empty(),
        "more than {ALLOWED} % above {FIGURES}: {}. If it must be so, `cargo xtask bench-check --update` and say why",
        grown.join(", ")
    );
    Ok(())
}

/// A bench without a figure yet has grown without bounds.
fn grew(before: Figure, now: Figure) -> bool {
    now.per_packet() > before.per_packet() * (1.0 + ALLOWED / 100.0)
}

/// As [`check`], for the CI: where valgrind cannot be had, it says so and passes.
///
/// # Errors
/// As [`check`].
pub(crate) fn check_if_possible(machine: &Machine) -> anyhow::Result<()> {
    if let Err(error) = machine.need(&[VALGRIND]) {
        println!("left out, there is no valgrind: {error:#}");
        return Ok(());
    }
    check(machine, false)
}

fn read(text: &str) -> anyhow::Result<BTreeMap<String, Figure>> {
    let table: toml::Table = text.parse().with_context(|| format!("{FIGURES} is not TOML"))?;
    let number = |value: &toml::Value, field: &str| {
        let number = value.get(field).and_then(toml::Value::as_integer);
        number
            .and_then(|number| u64::try_from(number).ok())
            .with_context(|| format!("{FIGURES}: no `{field}`"))
    };
    let mut figures = BTreeMap::new();
    for (group, benches) in &table {
        for (name, value) in
            benches.as_table().with_context(|| format!("{FIGURES}: `{group}` is no table"))?
        {
            let (packets, instructions) = (number(value, "packets")?, number(value, "instructions")?);
            figures.insert(format!("{group}.{name}"), Figure { packets, instructions });
        }
    }
    Ok(figures)
}

fn written<'a>(figures: impl Iterator<Item = (&'a str, Figure)>) -> String {
    let mut text = HEADER.to_owned();
    for (bench, Figure { packets, instructions }) in figures {
        // Writing to a string cannot fail.
        let _written = write!(text, "\n[{bench}]\npackets = {packets}\ninstructions = {instructions}\n");
    }
    text
}

/// Runs the benches; answers the instructions of each.
fn count(machine: &Machine, known: &BTreeMap<String, Figure>) -> anyhow::Result<BTreeMap<String, u64>> {
    let runner = runner(machine)?;
    let home = machine.target.join("gungraun");
    let results = home.join("sluice-benches/instructions/shard");
    // What is left from another run must not be taken for a result of this one.
    if results.exists() {
        std::fs::remove_dir_all(&results).context("cannot remove old results")?;
    }
    let environment: [(&str, &OsStr); 2] =
        [("GUNGRAUN_RUNNER", runner.as_os_str()), ("GUNGRAUN_HOME", home.as_os_str())];
    let bench = ["bench", "--locked", "-p", "sluice-benches", "--bench", "instructions", "--"];
    let arguments = [&bench[..], &[GATED, "--parallel=2", "--nosummary"]].concat();
    machine.run_with("", "cargo", &arguments, &environment)?;
    known
        .keys()
        .map(|bench| {
            let file = results.join(bench).join(format!("callgrind.{bench}.out"));
            let text = std::fs::read_to_string(&file)
                .with_context(|| format!("`{bench}` is in {FIGURES}, but was not counted"))?;
            // The callgrind format has the sums of all events in this line, instructions first.
            let sums = text.lines().find_map(|line| line.strip_prefix("summary:"));
            let first = sums.and_then(|sums| sums.split_whitespace().next()).and_then(|sum| sum.parse().ok());
            Ok((bench.clone(), first.with_context(|| format!("no sum in {}", file.display()))?))
        })
        .collect()
}

/// The program that runs the benches: of the library's version, or it refuses to work. Built into the target folder.
fn runner(machine: &Machine) -> anyhow::Result<PathBuf> {
    let version = locked_version(machine)?;
    let folder = machine.target.join("tools").join(format!("gungraun-{version}"));
    let program = folder.join("bin/gungraun-runner");
    if !program.exists() {
        println!("gungraun-runner {version} is missing: building it");
        let root = folder.display().to_string();
        machine.cargo(&["install", "--locked", "--version", &version, "--root", &root, "gungraun-runner"])?;
    }
    Ok(program)
}

fn locked_version(machine: &Machine) -> anyhow::Result<String> {
    let lock: toml::Table = std::fs::read_to_string(machine.root.join("Cargo.lock"))?.parse()?;
    let packages =
        lock.get("package").and_then(toml::Value::as_array).context("no packages in Cargo.lock")?;
    let field = |package: &toml::Value, field: &str| {
        package.get(field).and_then(toml::Value::as_str).map(str::to_owned)
    };
    let gungraun = packages.iter().find(|package| field(package, "name").as_deref() == Some("gungraun"));
    match gungraun.and_then(|package| field(package, "version")) {
        Some(version) => Ok(version),
        None => bail!("gungraun is not in Cargo.lock"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let figures = [("a.to_1", 10, 3), ("b.to_1", 7, 0), ("b.to_10", 70, 99)]
            .map(|(bench, packets, instructions)| (bench, Figure { packets, instructions }));
        let known = read(&written(figures.into_iter())).unwrap();
        assert_eq!(known, figures.map(|(bench, figure)| (bench.to_owned(), figure)).into());
        assert!(read("[a.b]\npackets = 1").is_err());
    }

    #[test]
    fn five_percent_pass_and_six_do_not() {
        let figure = |instructions| Figure { packets: 10, instructions };
        for (before, now, fails) in
            [(1_000, 1_050, false), (1_000, 1_060, true), (1_000, 500, false), (0, 1, true)]
        {
            assert_eq!(grew(figure(before), figure(now)), fails, "{before} to {now}");
        }
    }
}
