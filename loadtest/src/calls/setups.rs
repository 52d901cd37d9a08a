//! Complete call set-ups at a rate: create, ring, acknowledge, accept, end.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::CallsApi;
use super::backend::Backend;
use super::device::Device;
use super::ringing::{Ringing, ring};
use crate::Findings;
use crate::latency::Summary;
use crate::process::Sample;
use crate::server::Server;

/// Share of the asked rate below which the figures are of another load.
const PRODUCED: f64 = 0.98;
/// Records that are looked up at the end, evenly spread.
const RECORDS: usize = 200;
/// Users whose sockets connect at the same time.
const CONNECTING: usize = 32;

/// Complete call set-ups: create over gRPC, ring, acknowledge and accept over the callee's WebSocket, end over gRPC.
#[derive(Debug, Args)]
pub(crate) struct Setups {
    #[command(flatten)]
    api: CallsApi,
    /// Set-ups per second.
    #[arg(long, default_value_t = 1_000)]
    rate: u32,
    /// For how long.
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// Users that are called, each with a WebSocket; so many set-ups can be under way at once.
    #[arg(long, default_value_t = 400)]
    users: usize,
    /// Fail if the p99 from the create request to the ring on the device is above this.
    #[arg(long, default_value_t = 150.0)]
    ring_p99_ms: f64,
}

/// What was found.
#[derive(Debug, Serialize)]
pub(crate) struct SetupsFindings {
    complete: usize,
    failed: usize,
    seconds: f64,
    per_second: f64,
    /// From the create request to the ring on the device.
    create_to_ring: Summary,
    /// From the accept to the token.
    accept_to_token: Summary,
    /// From the create request to the answer of the end.
    whole: Summary,
    records_checked: usize,
    calls_left: usize,
    server_cores: Option<f64>,
    own_cores: f64,
    failures: Vec<String>,
}

/// The times of one set-up.
struct Times {
    call: String,
    ring: Duration,
    accept: Duration,
    whole: Duration,
}

/// What the workers share.
struct Work {
    backend: Backend,
    starts: Semaphore,
    /// Set-ups begun; beyond `total` there are none.
    number: AtomicUsize,
    total: usize,
    done: AtomicU64,
}

impl Setups {
    pub(crate) async fn run(self, server: &Server) -> anyhow::Result<SetupsFindings> {
        let work = Arc::new(Work {
            backend: Backend::connect_now(&self.api).await?,
            starts: Semaphore::new(0),
            number: AtomicUsize::new(0),
            total: self.rate as usize * self.seconds as usize,
            done: AtomicU64::new(0),
        });
        let devices = connect_all(&work, &server.url, self.users).await?;
        eprintln!("{} devices connected; {} set-ups/s for {} s", devices.len(), self.rate, self.seconds);
        let sample = || server.server_pid.map(Sample::of).transpose();
        let (own_start, server_start, began) = (Sample::of_self()?, sample()?, Instant::now());
        let mut workers = JoinSet::new();
        for (index, device) in devices.into_iter().enumerate() {
            workers.spawn(serve(work.clone(), index, device));
        }
        self.pace(&work).await;
        let (mut times, mut failures) = (Vec::new(), Vec::new());
        while let Some(worker) = workers.join_next().await {
            let (done, failed) = worker?;
            times.extend(done);
            failures.extend(failed);
        }
        let elapsed = began.elapsed();
        let own_cores = Sample::of_self()?.cores_since(&own_start);
        let server_cores = match (server_start, sample()?) {
            (Some(start), Some(end)) => Some(end.cores_since(&start)),
            _ => None,
        };
        let failed = failures.len();
        failures.truncate(10);
        let mut findings = SetupsFindings {
            complete: times.len(),
            failed,
            seconds: elapsed.as_secs_f64(),
            per_second: times.len() as f64 / elapsed.as_secs_f64(),
            create_to_ring: Summary::of(times.iter().map(|times| times.ring).collect()),
            accept_to_token: Summary::of(times.iter().map(|times| times.accept).collect()),
            whole: Summary::of(times.iter().map(|times| times.whole).collect()),
            records_checked: 0,
            calls_left: 0,
            server_cores,
            own_cores,
            failures,
        };
        self.judge(&work.backend, &times, &mut findings).await?;
        Ok(findings)
    }

    /// Gives out starts at the asked rate, in steps of a few milliseconds.
    async fn pace(&self, work: &Work) {
        let began = Instant::now();
        let total = u64::from(self.rate) * u64::from(self.seconds);
        let mut tick = tokio::time::interval(Duration::from_millis(2));
        let (mut given, mut told) = (0_u64, 0);
        while given < total {
            tick.tick().await;
            let due = (began.elapsed().as_secs_f64() * f64::from(self.rate)) as u64;
            let due = due.min(total);
            work.starts.add_permits(usize::try_from(due - given).unwrap_or(0));
            given = due;
            let second = began.elapsed().as_secs();
            if second >= told + 5 {
                told = second;
                let done = work.done.load(Ordering::Relaxed);
                eprintln!(
                    "{second:>4} s  {done} complete, {} waiting to start",
                    work.starts.available_permits()
                );
            }
        }
        // One more for each user, to learn that there is nothing left to do.
        work.starts.add_permits(self.users);
    }

    async fn judge(
        &self,
        backend: &Backend,
        times: &[Times],
        findings: &mut SetupsFindings,
    ) -> anyhow::Result<()> {
        let wanted = self.rate as usize * self.seconds as usize;
        if findings.complete + findings.failed != wanted || findings.failed > 0 {
            let complete = findings.complete;
            findings.failures.push(format!("{complete} of {wanted} set-ups were complete"));
        }
        if findings.per_second < PRODUCED * f64::from(self.rate) {
            findings.failures.push(format!("only {:.0} set-ups per second", findings.per_second));
        }
        if findings.create_to_ring.p99_ms > self.ring_p99_ms {
            findings.failures.push(format!("create to ring: p99 above {} ms", self.ring_p99_ms));
        }
        for times in times.iter().step_by((times.len() / RECORDS).max(1)) {
            findings.records_checked += 1;
            let record = backend.record(&times.call).await?;
            if !record.is_some_and(|record| record.answered_at_ms > 0 && record.legs.len() == 2) {
                findings.failures.push(format!("{} has no record of an answered call", times.call));
            }
        }
        for index in 0..self.users {
            findings.calls_left += backend.live(&user(&backend.run, index)).await?;
        }
        if findings.calls_left > 0 {
            findings.failures.push(format!("{} calls are still there", findings.calls_left));
        }
        Ok(())
    }
}

pub(super) fn user(run: &str, index: usize) -> String {
    format!("load-{run}-{index}")
}

async fn connect_all(work: &Arc<Work>, url: &str, count: usize) -> anyhow::Result<Vec<Device>> {
    connect(count, CONNECTING, |index| {
        let (work, url) = (work.clone(), url.to_owned());
        async move {
            let token = work.backend.device_token(&user(&work.backend.run, index)).await?;
            Device::connect(&url, &token).await
        }
    })
    .await
}

/// Runs `count` connections, `at_once` at a time; the results by index.
pub(super) async fn connect<T, F>(
    count: usize,
    at_once: usize,
    one: impl Fn(usize) -> F,
) -> anyhow::Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = anyhow::Result<T>> + Send + 'static,
{
    use futures_util::StreamExt as _;
    let connecting = futures_util::stream::iter((0..count).map(one)).buffered(at_once);
    let all: Vec<anyhow::Result<T>> = connecting.collect().await;
    all.into_iter().collect()
}

/// One user: is called again and again, as long as starts are given out.
async fn serve(work: Arc<Work>, index: usize, mut device: Device) -> (Vec<Times>, Vec<String>) {
    let (mut times, mut failures) = (Vec::new(), Vec::new());
    while let Ok(start) = work.starts.acquire().await {
        start.forget();
        let number = work.number.fetch_add(1, Ordering::Relaxed);
        if number >= work.total {
            break;
        }
        match set_up(&work, number, index, &mut device).await {
            Ok(done) => times.push(done),
            Err(error) => failures.push(format!("{error:#}")),
        }
        work.done.fetch_add(1, Ordering::Relaxed);
    }
    (times, failures)
}

async fn set_up(work: &Work, number: usize, index: usize, device: &mut Device) -> anyhow::Result<Times> {
    let callee = user(&work.backend.run, index);
    let caller = format!("caller-{}-{number}", work.backend.run);
    let began = Instant::now();
    let name = number.to_string();
    let ringing = ring(&work.backend, device, &name, &caller, &callee).await;
    let Ringing { call, rang, .. } = ringing.context("create")?;
    let rung_at = rang?;
    device.acknowledge(&call).await?;
    let accepting = Instant::now();
    let (_, accepted) = device.accept(&call).await?;
    work.backend.end(&call).await.context("end")?;
    Ok(Times { call, ring: rung_at - began, accept: accepted - accepting, whole: began.elapsed() })
}

impl Findings for SetupsFindings {
    fn failures(&self) -> &[String] {
        &self.failures
    }

    fn print(&self) {
        println!(
            "{} complete set-ups in {:.1} s: {:.0} per second; {} failed",
            self.complete, self.seconds, self.per_second, self.failed
        );
        println!("{}", self.create_to_ring.line("create to ring"));
        println!("{}", self.accept_to_token.line("accept to token"));
        println!("{}", self.whole.line("create to end"));
        println!("{} records looked up, {} calls left over", self.records_checked, self.calls_left);
        let server = self.server_cores.map_or(String::new(), |cores| format!("server {cores:.2} cores, "));
        println!("{server}this program {:.2} cores", self.own_cores);
    }
}
