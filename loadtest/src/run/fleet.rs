//! The worker processes: started, spoken to, listened to, and ended with the run.
use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use tokio::sync::mpsc;

use crate::worker::messages::{Assignment, Order, Told};

/// Lines of a worker's standard error that are told if it dies.
const LAST_LINES: usize = 12;
/// A worker has started within this.
const START: Duration = Duration::from_secs(20);

pub(crate) struct Fleet {
    workers: Vec<Worker>,
    news: mpsc::UnboundedReceiver<(usize, Option<anyhow::Result<Told>>)>,
}

/// What a worker told.
pub(crate) struct News {
    pub(crate) worker: usize,
    pub(crate) told: Told,
}

struct Worker {
    child: Child,
    orders: ChildStdin,
    errors: Option<JoinHandle<()>>,
    last_lines: Arc<Mutex<VecDeque<String>>>,
    done: bool,
}

impl Fleet {
    /// Starts this program once for each share.
    ///
    /// # Errors
    /// If a process cannot be started.
    pub(crate) fn start(assignments: Vec<Assignment>) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let (sender, news) = mpsc::unbounded_channel();
        let mut fleet = Self { workers: Vec::new(), news };
        for assignment in assignments {
            let mut child = Command::new(&program)
                .arg("worker")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .context("cannot start a worker process")?;
            let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
            let (Some(orders), Some(output), Some(errors)) = pipes else {
                bail!("a worker has no pipes");
            };
            let index = fleet.workers.len();
            let sender = sender.clone();
            std::thread::spawn(move || read(index, output, &sender));
            let last_lines = Arc::<Mutex<VecDeque<String>>>::default();
            let kept = last_lines.clone();
            let errors = Some(std::thread::spawn(move || keep(errors, &kept)));
            fleet.workers.push(Worker { child, orders, errors, last_lines, done: false });
            fleet.order(index, &Order::Assign(Box::new(assignment)))?;
        }
        Ok(fleet)
    }

    pub(crate) fn len(&self) -> usize {
        self.workers.len()
    }

    /// # Errors
    /// If a worker dies, or does not start in time.
    pub(crate) async fn until_ready(&mut self) -> anyhow::Result<()> {
        for _ in 0..self.len() {
            let news = tokio::time::timeout(START, self.news()).await;
            let News { told, .. } =
                news.map_err(|_| anyhow!("a worker did not start within {START:?}"))??;
            anyhow::ensure!(matches!(told, Told::Ready), "a worker says {told:?} before it is ready");
        }
        Ok(())
    }

    /// Begins the load at a time since the Unix epoch.
    pub(crate) fn go(&mut self, at: Duration) -> anyhow::Result<()> {
        let epoch_us = u64::try_from(at.as_micros())?;
        (0..self.len()).try_for_each(|index| self.order(index, &Order::Go { epoch_us }))
    }

    /// Everybody leaves.
    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        (0..self.len()).try_for_each(|index| self.order(index, &Order::Stop))
    }

    /// The next thing that a worker tells.
    ///
    /// # Errors
    /// If one dies before it is done; with its last words.
    pub(crate) async fn news(&mut self) -> anyhow::Result<News> {
        loop {
            let (worker, told) = self.news.recv().await.context("all workers are gone")?;
            match told {
                Some(told) => {
                    let told = told.with_context(|| format!("worker {worker} is not understood"))?;
                    self.workers[worker].done |= matches!(told, Told::Done);
                    return Ok(News { worker, told });
                }
                None if self.workers[worker].done => {}
                None => return Err(self.workers[worker].death(worker)),
            }
        }
    }

    fn order(&mut self, index: usize, order: &Order) -> anyhow::Result<()> {
        let worker = &mut self.workers[index];
        let written = serde_json::to_string(order)
            .map_err(anyhow::Error::from)
            .and_then(|line| Ok(writeln!(worker.orders, "{line}")?));
        written.map_err(|error| worker.death(index).context(format!("{error:#}")))
    }
}

impl Worker {
    /// Why it is gone, in its own words.
    fn death(&mut self, index: usize) -> anyhow::Error {
        // It may hang rather than be gone; then it has to go, so that its pipe of errors ends.
        let _gone_already = self.child.kill();
        let status = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        if let Some(errors) = self.errors.take()
            && errors.join().is_err()
        {
            tracing::debug!("the reader of a worker's errors panicked");
        }
        let lines = self.last_lines.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: String = lines.iter().map(|line| format!("\n  {line}")).collect();
        anyhow!(
            "worker {index} died ({status}); its last lines:{}",
            if lines.is_empty() { "\n  (none)" } else { &lines }
        )
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            if !worker.done {
                // It may be gone already.
                let _gone_already = worker.child.kill();
            }
            if let Err(error) = worker.child.wait() {
                tracing::debug!(%error, "a worker cannot be waited for");
            }
        }
    }
}

fn read(
    index: usize,
    output: ChildStdout,
    news: &mpsc::UnboundedSender<(usize, Option<anyhow::Result<Told>>)>,
) {
    for line in BufReader::new(output).lines() {
        let told = line.map_err(anyhow::Error::from).and_then(|line| Ok(serde_json::from_str(&line)?));
        if news.send((index, Some(told))).is_err() {
            return;
        }
    }
    // Nobody listens any more: the run is over.
    let _over = news.send((index, None));
}

fn keep(errors: ChildStderr, lines: &Mutex<VecDeque<String>>) {
    for line in BufReader::new(errors).lines().map_while(Result::ok) {
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LAST_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}
