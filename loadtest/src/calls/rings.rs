//! A storm of rings: many calls ring in a short time, and all are cancelled.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use sluice_api::calls::v1::server_message::Message as Heard;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::CallsApi;
use super::backend::Backend;
use super::device::Device;
use super::setups::{connect, user};
use crate::Findings;
use crate::latency::Summary;
use crate::server::Server;

/// What has not come this long after the last cancel is lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// Many rings in a short time, each cancelled a moment later: none may be lost, all must stop.
#[derive(Debug, Args)]
pub(crate) struct Rings {
    #[command(flatten)]
    api: CallsApi,
    /// Calls that ring.
    #[arg(long, default_value_t = 10_000)]
    rings: usize,
    /// Within so many seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Devices that are rung, in turn.
    #[arg(long, default_value_t = 2_000)]
    devices: usize,
    /// A call is cancelled so long after it was created.
    #[arg(long, default_value_t = 1_000)]
    cancel_after_ms: u64,
    /// Fail if a device stops later than this after the cancel request.
    #[arg(long, default_value_t = 500.0)]
    stop_within_ms: f64,
}

/// What was found.
#[derive(Debug, Serialize)]
pub(crate) struct RingsFindings {
    created: usize,
    rung: usize,
    stopped: usize,
    seconds: f64,
    create_to_ring: Summary,
    cancel_to_stop: Summary,
    failures: Vec<String>,
}

/// When what happened to a call.
#[derive(Debug, Default, Clone, Copy)]
struct Times {
    created: Option<Instant>,
    rung: Option<Instant>,
    cancelled: Option<Instant>,
    stopped: Option<Instant>,
}

#[derive(Default)]
struct Book(Mutex<HashMap<String, Times>>);

impl Book {
    fn note(&self, call: &str, change: impl FnOnce(&mut Times)) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(calls.entry(call.to_owned()).or_default());
    }

    fn all(&self) -> Vec<Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().copied().collect()
    }
}

impl Rings {
    pub(crate) async fn run(self, server: &Server) -> anyhow::Result<RingsFindings> {
        let backend = Arc::new(Backend::connect_now(&self.api).await?);
        let devices = connect(self.devices, 32, |index| {
            let (backend, url) = (backend.clone(), server.url.clone());
            async move {
                let token = backend.device_token(&user(&backend.run, index)).await?;
                Device::connect(&url, &token).await
            }
        })
        .await?;
        eprintln!("{} devices connected; {} rings in {} s", devices.len(), self.rings, self.seconds);
        let (book, over) = (Arc::new(Book::default()), CancellationToken::new());
        let mut listeners = JoinSet::new();
        for device in devices {
            listeners.spawn(listen(device, book.clone(), over.clone()));
        }
        let began = Instant::now();
        let mut failures = self.storm(&backend, &book).await;
        let seconds = began.elapsed().as_secs_f64();
        self.settle(&book).await;
        over.cancel();
        while let Some(listener) = listeners.join_next().await {
            if let Err(error) = listener? {
                failures.push(format!("a device: {error:#}"));
            }
        }
        Ok(self.judge(&book, seconds, failures))
    }

    /// Creates at an even pace; each call is cancelled by a task of its own.
    async fn storm(&self, backend: &Arc<Backend>, book: &Arc<Book>) -> Vec<String> {
        let began = Instant::now();
        let mut calls = JoinSet::new();
        for number in 0..self.rings {
            let share = number as f64 / self.rings as f64;
            let due = began + Duration::from_secs_f64(share * f64::from(self.seconds));
            tokio::time::sleep_until(due.into()).await;
            let (backend, book) = (backend.clone(), book.clone());
            let callee = user(&backend.run, number % self.devices.max(1));
            let wait = Duration::from_millis(self.cancel_after_ms);
            calls.spawn(async move {
                let caller = format!("caller-{}-{number}", backend.run);
                let created = Instant::now();
                let (call, _) = backend.create(&number.to_string(), &caller, &callee).await?;
                book.note(&call, |times| times.created = Some(created));
                tokio::time::sleep_until((created + wait).into()).await;
                book.note(&call, |times| times.cancelled = Some(Instant::now()));
                backend.cancel(&call, &caller).await
            });
        }
        let mut failures = Vec::new();
        while let Some(call) = calls.join_next().await {
            match call {
                Ok(Ok(())) => {}
                Ok(Err(status)) => failures.push(format!("{:?}: {}", status.code(), status.message())),
                Err(error) => failures.push(error.to_string()),
            }
        }
        let failed = failures.len();
        failures.truncate(5);
        if failed > 0 {
            failures.push(format!("{failed} requests failed"));
        }
        failures
    }

    /// Until every ring has stopped, or nothing more is to be expected.
    async fn settle(&self, book: &Book) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && book.all().iter().any(|times| times.stopped.is_none()) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn judge(&self, book: &Book, seconds: f64, failures: Vec<String>) -> RingsFindings {
        let all = book.all();
        let between = |from: fn(&Times) -> Option<Instant>, to: fn(&Times) -> Option<Instant>| {
            let times =
                all.iter().filter_map(|times| Some(to(times)?.saturating_duration_since(from(times)?)));
            Summary::of(times.collect())
        };
        let mut findings = RingsFindings {
            created: all.iter().filter(|times| times.created.is_some()).count(),
            rung: all.iter().filter(|times| times.rung.is_some()).count(),
            stopped: all.iter().filter(|times| times.stopped.is_some()).count(),
            seconds,
            create_to_ring: between(|times| times.created, |times| times.rung),
            cancel_to_stop: between(|times| times.cancelled, |times| times.stopped),
            failures,
        };
        for (what, count) in
            [("created", findings.created), ("rung", findings.rung), ("stopped", findings.stopped)]
        {
            if count != self.rings {
                findings.failures.push(format!("{count} of {} calls were {what}", self.rings));
            }
        }
        if findings.cancel_to_stop.max_ms > self.stop_within_ms {
            let late = format!("a device stopped {:.0} ms after the cancel", findings.cancel_to_stop.max_ms);
            findings.failures.push(late);
        }
        findings
    }
}

async fn listen(mut device: Device, book: Arc<Book>, over: CancellationToken) -> anyhow::Result<()> {
    loop {
        let heard = tokio::select! {
            heard = device.hear() => heard?,
            () = over.cancelled() => return Ok(()),
        };
        let at = Some(Instant::now());
        match heard {
            Heard::Ring(ring) => {
                book.note(&ring.call_id, |times| times.rung = at);
                device.acknowledge(&ring.call_id).await?;
            }
            Heard::RingStopped(stopped) => book.note(&stopped.call_id, |times| times.stopped = at),
            _ => {}
        }
    }
}

impl Findings for RingsFindings {
    fn failures(&self) -> &[String] {
        &self.failures
    }

    fn print(&self) {
        println!(
            "{} calls created in {:.1} s, {} rung, {} stopped",
            self.created, self.seconds, self.rung, self.stopped
        );
        println!("{}", self.create_to_ring.line("create to ring"));
        println!("{}", self.cancel_to_stop.line("cancel to stop"));
    }
}
