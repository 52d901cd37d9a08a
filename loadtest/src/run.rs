//! One run of a scenario: checks first, then workers, then the report.
mod fleet;
mod ideal;
mod machine;
mod merge;
mod preflight;
mod progress;
mod record;

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use tokio::time::Instant;

use crate::calls::CallsApi;
use crate::door::{Door, Driver, first_room, room_name, rooms_of};
use crate::node::{Access, NodeApi, Owner};
use crate::report::Report;
use crate::resources::{Cost, Watch};
use crate::scenario::{Overrides, Scenario, Source, divide, plan};
use crate::server::{Server, now};
use crate::worker::messages::{Assignment, Told};
use fleet::{Fleet, News};
pub(crate) use ideal::Ideal;
use machine::Machine;
use merge::Merge;
use progress::{Phase, Progress};
use record::Harness;
pub(crate) use record::Record;

/// Until all workers have begun: the first second begins for all at once.
const HEAD_START: Duration = Duration::from_millis(200);
/// Once all have joined, the last may still need this long for its transport.
const CONNECTING: u64 = 15;
/// What was under way when the measured time ended comes within this many seconds, or is lost.
const DRAIN: u64 = 1;

/// Runs a scenario.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// A built-in scenario (see `loadtest scenarios`), or a TOML file.
    scenario: String,
    /// Write a report as one HTML file that needs nothing else.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Clients with a light media plane: real feedback, no retransmission, a sample decrypted. Carries far more per core;
    /// what is missing by the senders' count is not known then.
    #[arg(long)]
    light: bool,
    /// Processes that share the load; participants of large rooms are divided, small rooms stay whole.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256), value_name = "N")]
    processes: u16,
    /// Threads of each process.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256), value_name = "N")]
    threads: u16,
    /// Have the ideal forwarder forward as much afterwards, on the server's core if it has one alone, and tell what share of it
    /// the server reached. Needs --server-pid, and `sluice-ideal` beside this program.
    #[arg(long)]
    ideal: bool,
    /// Which way participants join: the difference between the two is what room management costs.
    #[arg(long, value_enum, default_value = "client-protocol")]
    driver: Driver,
    #[command(flatten)]
    node: NodeApi,
    #[command(flatten)]
    calls: CallsApi,
    // Last: its heading holds for all that comes after it.
    #[command(flatten)]
    overrides: Overrides,
}

impl Run {
    /// Returns whether everything held.
    ///
    /// # Errors
    /// If the load cannot be made: no such scenario, no such server, a worker that died.
    pub(crate) async fn run(self, server: &Server, json: Option<&std::path::Path>) -> anyhow::Result<bool> {
        let source = Source::find(&self.scenario)?;
        let scenario = source.read(&self.overrides)?;
        let node = (self.driver == Driver::Node).then_some(&self.node);
        preflight::check(server, node, &self.calls, &scenario, self.processes.into()).await?;
        writable(self.report.as_deref())?;
        let yardstick = self.ideal.then(ideal::program).transpose()?;
        if yardstick.is_some() && server.server_pid.is_none() {
            bail!("--ideal compares CPU times: name the server's process with --server-pid");
        }

        let Loaded { watch, mut record, present } = self.carry(source.name, scenario, server).await?;
        if let (Some(watch), Some((start, end))) = (watch, record.server_window()) {
            record.given_back = Some(given_back(watch, server, start, end, present).await?);
        }
        let mut report = Report::of(record);
        if let Some(program) = yardstick {
            report.ideal = Some(ideal::beside(&program, server.server_pid, &report)?);
        }
        crate::report::print(&report);
        if let Some(path) = json {
            crate::write_json(&report, path)?;
        }
        if let Some(path) = &self.report {
            let html = crate::report::html(&report).context("cannot make the report")?;
            std::fs::write(path, html).with_context(|| format!("cannot write {}", path.display()))?;
            eprintln!("report written to {}", path.display());
        }
        Ok(report.held())
    }

    /// Loads the server, whichever way in. Rooms that are ours to end are ended, however the load went.
    async fn carry(&self, name: String, scenario: Scenario, server: &Server) -> anyhow::Result<Loaded> {
        let started = now();
        let run = started.as_millis().to_string();
        let access = (self.driver == Driver::Node).then(|| Access {
            api: self.node.clone(),
            owner_epoch: u64::try_from(started.as_millis()).unwrap_or(u64::MAX),
            rooms: rooms_of(&run),
        });
        let owner = match &access {
            Some(access) => Some(Owner::start(access).await?),
            None => None,
        };
        let rooms = scenario.rooms;
        let loaded = self.warm_up_and_load(name, scenario, server, &run, access).await;
        if let Some(owner) = owner {
            let rooms = (0..rooms).map(|room| room_name(&run, room)).chain([first_room(&run)]);
            let ended = owner.end(rooms).await;
            match &loaded {
                Ok(_) => ended?,
                // Why the load failed comes first, and is told by whoever called.
                Err(_) => ended.unwrap_or_else(|error| eprintln!("loadtest: {error:#}")),
            }
        }
        loaded
    }

    async fn warm_up_and_load(
        &self,
        name: String,
        scenario: Scenario,
        server: &Server,
        run: &str,
        access: Option<Access>,
    ) -> anyhow::Result<Loaded> {
        let watch = if scenario.thresholds.given_back {
            let warm_up = async {
                let door = Door::open(server, access.as_ref()).await?;
                Watch::start(server, &door, &first_room(run)).await
            };
            unless_interrupted(warm_up).await?
        } else {
            None
        };
        let (record, present) = self.load(name, &scenario, server, run, access).await?;
        Ok(Loaded { watch, record, present })
    }

    /// Returns what was seen, and how many were there at the end.
    async fn load(
        &self,
        name: String,
        scenario: &Scenario,
        server: &Server,
        run: &str,
        access: Option<Access>,
    ) -> anyhow::Result<(Record, usize)> {
        let seats = plan(scenario);
        let total = seats.len();
        let mut shares = divide(&seats, scenario, self.processes.into());
        shares.retain(|share| !share.is_empty());
        let url = access.as_ref().map_or(&server.url, |access| &access.api.node).clone();
        let assignments = shares.into_iter().map(|seats| Assignment {
            server: server.clone(),
            node: access.clone(),
            calls: scenario.calls.is_some().then(|| self.calls.clone()),
            scenario: scenario.clone(),
            seats,
            run: run.into(),
            light: self.light,
            threads: self.threads.into(),
        });
        let before = server.sample()?;
        let mut fleet = Fleet::start(assignments.collect())?;
        unless_interrupted(fleet.until_ready()).await?;
        let processes = fleet.len();
        let epoch = Instant::now() + HEAD_START;
        fleet.go(now() + HEAD_START)?;
        let mut course = Course::new(scenario, server, total, epoch, processes);
        course.follow(&mut fleet).await?;
        let Course { merge, machine, window, interrupted, .. } = course;
        let window = window.context("the measurement did not begin")?;
        let seconds = merge.finish();
        let present = seconds
            .iter()
            .rfind(|second| window.contains(&second.index))
            .map_or(0, |second| usize::try_from(second.people.present).unwrap_or(0));
        let (servers, busy) = machine.finish();
        let record = Record {
            name,
            scenario: scenario.clone(),
            url,
            seconds,
            window,
            server: servers,
            server_before: before.map(|before| before.rss_mib),
            machine_busy: busy,
            harness: Harness {
                processes,
                threads: self.threads.into(),
                cores: machine::cores(),
                driver: self.driver,
                light: self.light,
            },
            given_back: None,
            interrupted,
        };
        Ok((record, present))
    }
}

/// A load that was carried, before it is known what stays of it.
struct Loaded {
    watch: Option<Watch>,
    record: Record,
    present: usize,
}

/// What Ctrl-C must not cut off, as rooms may have to be ended after it.
async fn unless_interrupted<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::select! {
        done = work => done,
        pressed = tokio::signal::ctrl_c() => {
            pressed.context("cannot listen for Ctrl-C")?;
            bail!("interrupted")
        }
    }
}

/// The course of a load: everybody joins, things settle, the measurement, everybody leaves.
struct Course<'a> {
    scenario: &'a Scenario,
    total: usize,
    epoch: Instant,
    merge: Merge,
    machine: Machine<'a>,
    progress: Progress,
    window: Option<Range<u64>>,
    stopped: bool,
    interrupted: bool,
}

impl<'a> Course<'a> {
    fn new(
        scenario: &'a Scenario,
        server: &'a Server,
        total: usize,
        epoch: Instant,
        processes: usize,
    ) -> Self {
        Self {
            scenario,
            total,
            epoch,
            merge: Merge::new(processes),
            machine: Machine::new(server),
            progress: Progress::new(total, scenario.duration.as_secs()),
            window: None,
            stopped: false,
            interrupted: false,
        }
    }

    async fn follow(&mut self, fleet: &mut Fleet) -> anyhow::Result<()> {
        let mut second = 0;
        let mut working = fleet.len();
        while working > 0 {
            tokio::select! {
                news = fleet.news() => match news? {
                    News { worker, told: Told::Second(told) } => {
                        self.merge.take(worker, *told);
                        self.look(fleet)?;
                    }
                    News { worker, told: Told::Done } => {
                        self.merge.done(worker);
                        working -= 1;
                    }
                    News { told: Told::Ready, .. } => bail!("a worker is ready twice"),
                },
                () = tokio::time::sleep_until(self.epoch + Duration::from_secs(second)) => {
                    self.machine.sample(second)?;
                    if !self.stopped && self.window.as_ref().is_some_and(|window| second >= window.end + DRAIN) {
                        self.stopped = true;
                        fleet.stop()?;
                    }
                    second += 1;
                }
                pressed = tokio::signal::ctrl_c() => {
                    pressed.context("cannot listen for Ctrl-C")?;
                    self.interrupt(second)?;
                }
            }
        }
        self.progress.finish();
        Ok(())
    }

    /// Looks at the seconds that are complete now.
    fn look(&mut self, fleet: &mut Fleet) -> anyhow::Result<()> {
        while let Some(second) = self.merge.next_complete() {
            let (people, index) = (second.people, second.index);
            let all_tried = people.attempted >= self.total as u64;
            let phase = match &self.window {
                None => Phase::Ramp,
                Some(window) if second.index < window.start => Phase::Settle,
                Some(window) if second.index < window.end => Phase::Measure(second.index + 1 - window.start),
                Some(_) => Phase::Leave,
            };
            self.progress.show(phase, second, self.machine.latest());
            if self.window.is_some() || !all_tried {
                continue;
            }
            let come_and_go = self.scenario.calls.is_some()
                || self.scenario.groups.iter().any(|group| group.stay.is_some());
            if people.present == 0 && !come_and_go {
                self.progress.finish();
                fleet.stop()?;
                let first = self.merge.first_failure().unwrap_or("no reason was told").to_owned();
                bail!("nobody could join: {first}");
            }
            let tried_at = self.merge.tried_at(self.total as u64);
            if people.connected >= people.present || index >= tried_at + CONNECTING {
                let settle = self.scenario.settle.as_secs_f64().ceil() as u64;
                let from = self.seconds_passed().max(index + 1) + settle;
                let seconds = self.scenario.duration.as_secs_f64().ceil() as u64;
                self.window = Some(from..from + seconds);
            }
        }
        Ok(())
    }

    fn seconds_passed(&self) -> u64 {
        Instant::now().saturating_duration_since(self.epoch).as_secs() + 1
    }

    /// Ends the measurement early; what was measured is reported.
    fn interrupt(&mut self, second: u64) -> anyhow::Result<()> {
        match &mut self.window {
            Some(window) if second > window.start + 1 && !self.interrupted => {
                window.end = second.min(window.end);
                self.interrupted = true;
                Ok(())
            }
            _ => bail!("interrupted"),
        }
    }
}

async fn given_back(
    watch: Watch,
    server: &Server,
    start: crate::process::Sample,
    end: crate::process::Sample,
    present: usize,
) -> anyhow::Result<Cost> {
    watch.finish(server, start, end, present).await
}

/// A report that cannot be written is known before the load, not after it.
fn writable(path: Option<&std::path::Path>) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    let opened = std::fs::OpenOptions::new().append(true).create(true).open(path);
    opened.map(drop).with_context(|| format!("cannot write the report to {}", path.display()))
}
