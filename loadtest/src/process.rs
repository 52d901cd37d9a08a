//! What a process costs, read from `/proc` (proc(5)).
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;

/// Linux counts CPU time of processes in hundredths of a second on every architecture (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// A process at one moment.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Sample {
    #[serde(skip)]
    pub(crate) at: Instant,
    /// Seconds of CPU so far, user and system.
    pub(crate) cpu_seconds: f64,
    pub(crate) rss_mib: f64,
    /// Of it what the program allocated; the rest are pages of its file, read in as they are needed.
    pub(crate) allocated_mib: f64,
    pub(crate) open_files: usize,
    pub(crate) threads: usize,
}

impl Sample {
    /// # Errors
    /// If there is no such process, or it is not ours to look at.
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let read = |file: &str| {
            std::fs::read_to_string(format!("/proc/{pid}/{file}"))
                .with_context(|| format!("no /proc/{pid}/{file}"))
        };
        let (ticks, threads) =
            cpu_ticks(&read("stat")?).with_context(|| format!("/proc/{pid}/stat is not understood"))?;
        let status = read("status")?;
        let mib = |field: &str| {
            let kib = kib(&status, field).with_context(|| format!("/proc/{pid}/status has no {field}"))?;
            anyhow::Ok(kib as f64 / 1024.0)
        };
        let (rss_mib, allocated_mib) = (mib("VmRSS:")?, mib("RssAnon:")?);
        let open_files = std::fs::read_dir(format!("/proc/{pid}/fd"))?.count();
        let cpu_seconds = ticks as f64 / TICKS_PER_SECOND;
        Ok(Self { at: Instant::now(), cpu_seconds, rss_mib, allocated_mib, open_files, threads })
    }

    /// Our own.
    pub(crate) fn of_self() -> anyhow::Result<Self> {
        Self::of(std::process::id())
    }

    /// Cores busy on average since an earlier sample.
    pub(crate) fn cores_since(&self, earlier: &Self) -> f64 {
        let elapsed: Duration = self.at.saturating_duration_since(earlier.at);
        if elapsed.is_zero() { 0.0 } else { (self.cpu_seconds - earlier.cpu_seconds) / elapsed.as_secs_f64() }
    }
}

/// User and system ticks, and the number of threads. The name of the program may hold anything, so begin after it.
fn cpu_ticks(stat: &str) -> Option<(u64, usize)> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some((number(11)? + number(12)?, usize::try_from(number(17)?).ok()?))
}

fn kib(status: &str, field: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(field))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_misleads_nobody() {
        let stat =
            "7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 9 0 100 1000 10 18446744073709551615";
        assert_eq!(cpu_ticks(stat), Some((300, 9)));
    }

    #[test]
    fn this_process_has_memory_files_and_a_clock_that_runs() {
        let before = Sample::of_self().unwrap();
        assert!(
            before.rss_mib > before.allocated_mib
                && before.allocated_mib > 0.1
                && before.open_files >= 3
                && before.threads >= 1
        );
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(60) {
            std::hint::spin_loop();
        }
        let after = Sample::of_self().unwrap();
        assert!(after.cores_since(&before) > 0.1, "{}", after.cores_since(&before));
    }
}
