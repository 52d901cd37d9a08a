//! What a load costs the server, and whether everything is given back afterwards.
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use tokio::time::Instant;

use crate::door::Door;
use crate::process::Sample;
use crate::server::Server;
use crate::warm_up;

/// Everything must be back at the start's level within this time after the last client left.
const AFTERMATH: Duration = Duration::from_secs(30);
/// File descriptors that may stay, e.g. for a scrape that runs at that moment.
const SPARE_FILES: usize = 4;
/// Memory is back at the start's level if no more than this share of it stays, or this many MiB: pages of the program that were
/// read in as it did things for the first time, tables that grew. More would hide a leak of 50 KiB a participant.
const SPARE_SHARE: f64 = 0.2;
const SPARE_MIB: f64 = 10.0;

/// The server before a load.
pub(crate) struct Watch {
    before: Sample,
    sessions: f64,
}

/// What was found.
#[derive(Debug, Serialize)]
pub(crate) struct Cost {
    before: Sample,
    during: Sample,
    after_30_s: Sample,
    sessions_before: f64,
    sessions_after: f64,
    /// Seconds from the last leave until everything was back at the start's level for good.
    settled_after: Option<f64>,
    cores: f64,
    cpu_ms_per_participant_second: f64,
    rss_kib_per_participant: f64,
}

impl Watch {
    /// Has the server carry a first call in this room and remembers how it is after that. `None` if it is not
    /// known which process to look at.
    ///
    /// # Errors
    /// If that process, or the server's metrics, cannot be read, or the call does not come about.
    pub(crate) async fn start(server: &Server, door: &Door, room: &str) -> anyhow::Result<Option<Self>> {
        if server.sample()?.is_none() {
            return Ok(None);
        }
        warm_up::first_call(server, door, room).await?;
        let Some(before) = server.sample()? else { return Ok(None) };
        Ok(Some(Self { before, sessions: sessions(server).await? }))
    }

    /// Looks on until the time is over. To be called when everybody has left.
    ///
    /// # Errors
    /// If the server is gone.
    pub(crate) async fn finish(
        self,
        server: &Server,
        start: Sample,
        during: Sample,
        participants: usize,
    ) -> anyhow::Result<Cost> {
        eprintln!("everybody left; watching the server for {} s", AFTERMATH.as_secs());
        let left = Instant::now();
        let mut settled_after = None;
        let (mut after, mut sessions_after) = (during, f64::NAN);
        for second in 1..=AFTERMATH.as_secs() {
            tokio::time::sleep_until(left + Duration::from_secs(second)).await;
            after = server.sample()?.context("the server is gone")?;
            sessions_after = sessions(server).await?;
            let settled = self.excess(&after, sessions_after).is_empty();
            settled_after = settled.then(|| settled_after.unwrap_or(second as f64));
        }
        let cores = during.cores_since(&start);
        let participants = participants.max(1) as f64;
        Ok(Cost {
            before: self.before,
            during,
            after_30_s: after,
            sessions_before: self.sessions,
            sessions_after,
            settled_after,
            cores,
            cpu_ms_per_participant_second: cores * 1e3 / participants,
            rss_kib_per_participant: (during.rss_mib - self.before.rss_mib) * 1024.0 / participants,
        })
    }

    /// What is above the start's level.
    fn excess(&self, now: &Sample, sessions: f64) -> Vec<String> {
        let mut excess = Vec::new();
        let Sample { rss_mib: memory, open_files: files, .. } = self.before;
        if now.rss_mib > memory + SPARE_MIB.max(memory * SPARE_SHARE) {
            excess.push(format!("{:.1} MiB of memory, {memory:.1} before", now.rss_mib));
        }
        if now.open_files > files + SPARE_FILES {
            excess.push(format!("{} files open, {files} before", now.open_files));
        }
        if sessions > self.sessions {
            excess.push(format!("{sessions} sessions, {} before", self.sessions));
        }
        excess
    }
}

impl Cost {
    /// What was not given back in time.
    pub(crate) fn failures(&self) -> Vec<String> {
        let watch = Watch { before: self.before, sessions: self.sessions_before };
        let excess = watch.excess(&self.after_30_s, self.sessions_after);
        excess.into_iter().map(|what| format!("{} s after the load: {what}", AFTERMATH.as_secs())).collect()
    }

    pub(crate) fn print(&self) {
        println!(
            "server                 {:.2} cores, {:.2} ms CPU a participant-second, {:.0} KiB memory a participant",
            self.cores, self.cpu_ms_per_participant_second, self.rss_kib_per_participant
        );
        for (name, at) in [("before", self.before), ("during", self.during), ("30 s after", self.after_30_s)]
        {
            println!(
                "  {name:<20} {:>8.1} MiB memory ({:.1} allocated), {:>5} files, {:>3} threads",
                at.rss_mib, at.allocated_mib, at.open_files, at.threads
            );
        }
        match self.settled_after {
            Some(seconds) => println!("  back at the start's level after {seconds} s"),
            None => println!("  not back at the start's level"),
        }
    }
}

async fn sessions(server: &Server) -> anyhow::Result<f64> {
    Ok(server.metrics().await?.sum("sluice_node_sessions"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_is_named_and_a_little_is_allowed() {
        let before = Sample::of_self().unwrap();
        let watch = Watch { before: Sample { rss_mib: 30.0, ..before }, sessions: 2.0 };
        let excess = |rss_mib, files, sessions| {
            let now = Sample { rss_mib, open_files: before.open_files + files, ..before };
            watch.excess(&now, sessions).len()
        };
        assert_eq!(excess(39.9, SPARE_FILES, 2.0), 0);
        assert_eq!(excess(40.1, 0, 2.0), 1);
        assert_eq!(excess(117.0, SPARE_FILES + 1, 3.0), 3);
        // Of a large server a share, of a small one a fixed amount.
        let watch = Watch { before: Sample { rss_mib: 100.0, ..before }, sessions: 0.0 };
        assert!(watch.excess(&Sample { rss_mib: 119.0, ..before }, 0.0).is_empty());
        assert_eq!(watch.excess(&Sample { rss_mib: 121.0, ..before }, 0.0).len(), 1);
    }
}
