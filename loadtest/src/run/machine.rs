//! The server's process and this machine, sampled once a second.
use anyhow::Context as _;
use serde::Serialize;

use super::record::ServerAt;
use crate::server::Server;

pub(crate) struct Machine<'a> {
    server: &'a Server,
    samples: Vec<ServerAt>,
    busy: Vec<Busy>,
}

/// How busy this machine was since the start of time, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Busy {
    second: u64,
    idle: u64,
    total: u64,
}

impl<'a> Machine<'a> {
    pub(crate) fn new(server: &'a Server) -> Self {
        Self { server, samples: Vec::new(), busy: Vec::new() }
    }

    /// To be called at the start of each second.
    ///
    /// # Errors
    /// If the server's process is gone.
    pub(crate) fn sample(&mut self, second: u64) -> anyhow::Result<()> {
        if let Some(sample) = self.server.sample().context("the server's process ended during the load")? {
            let cores = self.samples.last().map_or(0.0, |before| sample.cores_since(&before.sample));
            self.samples.push(ServerAt { second, cores, sample });
        }
        // Where there is no /proc/stat, nothing is known of the machine.
        let read = std::fs::read_to_string("/proc/stat").ok();
        self.busy.extend(read.and_then(|stat| Busy::read(&stat, second)));
        Ok(())
    }

    pub(crate) fn latest(&self) -> Option<ServerAt> {
        self.samples.last().copied()
    }

    /// The server's samples, and for each second the share of this machine's cores that was busy before it.
    pub(crate) fn finish(self) -> (Vec<ServerAt>, Vec<(u64, f64)>) {
        let busy = self.busy.windows(2).filter_map(|pair| Some((pair[1].second, pair[1].since(&pair[0])?)));
        (self.samples, busy.collect())
    }
}

impl Busy {
    /// proc_stat(5): user nice system idle iowait irq softirq steal ...
    fn read(stat: &str, second: u64) -> Option<Self> {
        let line = stat.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<u64> =
            line.split_whitespace().take(8).filter_map(|ticks| ticks.parse().ok()).collect();
        let idle = ticks.get(3)? + ticks.get(4)?;
        Some(Self { second, idle, total: ticks.iter().sum() })
    }

    fn since(&self, before: &Self) -> Option<f64> {
        let total = self.total.checked_sub(before.total).filter(|total| *total > 0)?;
        Some(1.0 - self.idle.saturating_sub(before.idle) as f64 / total as f64)
    }
}

/// Cores that this program may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_a_disk_is_idle() {
        let before = Busy::read("cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 1 1 1\n", 1).unwrap();
        let after = Busy::read("cpu  150 0 125 720 105 0 0 0 0 0\n", 2).unwrap();
        assert_eq!(after.since(&before), Some(0.75));
        assert_eq!(before.since(&after), None);
        assert_eq!(Busy::read("intr 1", 0), None);
    }
}
