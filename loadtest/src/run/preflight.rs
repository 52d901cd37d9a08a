//! What would spoil the load, told before it starts.
use anyhow::{Context as _, bail};

use crate::calls::{Backend, CallsApi};
use crate::http;
use crate::node::{self, NodeApi};
use crate::process::Sample;
use crate::scenario::Scenario;
use crate::server::{PathChoice, Server};

/// A process needs so many for itself: standard streams, the runtime, libraries.
const OWN_FILES: u64 = 32;

/// Checks the server and its key, or the node and its token, the calls API if calls are made, the server's process, and this machine's limits.
///
/// # Errors
/// The first thing that is wrong, and what to do.
pub(crate) async fn check(
    server: &Server,
    node: Option<&NodeApi>,
    calls: &CallsApi,
    scenario: &Scenario,
    processes: usize,
) -> anyhow::Result<()> {
    if let Some(pid) = server.server_pid {
        Sample::of(pid)
            .with_context(|| format!("--server-pid {pid}: there is no such process, or it is not yours"))?;
    } else if scenario.thresholds.given_back {
        eprintln!("without --server-pid, the threshold `given_back` is not judged");
    }
    match node {
        Some(node) => node::check(node, scenario).await?,
        None => reachable(server).await?,
    }
    if scenario.calls.is_some() {
        if node.is_some() {
            bail!("this scenario makes calls, which go through room management: leave out --driver node");
        }
        Backend::connect(calls, "preflight".into()).await?;
    }
    // With calls, each line's callee has a device beside its client.
    let devices = if scenario.calls.is_some() { scenario.rooms } else { 0 };
    enough_files(scenario.total(), devices, server.path, node.is_some(), processes)
}

async fn reachable(server: &Server) -> anyhow::Result<()> {
    let url = &server.url;
    if url.starts_with("wss:") || url.starts_with("https:") {
        bail!(
            "{url}: load goes in plain text, past any TLS proxy; give the server's own address, e.g. ws://10.0.0.5:7880"
        );
    }
    let token = server.token("preflight", "preflight")?;
    let answer = http::get(url, &format!("/rtc/validate?access_token={token}")).await.with_context(|| {
        format!("no server answers at {url}; start one with `cargo run --release`, or name yours with --url")
    })?;
    match answer.status {
        200 => Ok(()),
        401 | 403 => bail!(
            "{url} refuses a token signed with the key `{}`: {}\ngive its key with --key and --secret, or as SLUICE_KEY and SLUICE_SECRET",
            server.key,
            answer.brief()
        ),
        // The server is up, and whoever places rooms is not there yet.
        503 => bail!("{url} is not ready (503): {}; is a node connected to it?", answer.brief()),
        status => bail!(
            "{url}/rtc/validate answers {status}, so this is no server of the client protocol: {}",
            answer.brief()
        ),
    }
}

/// Sockets of one client: a UDP socket for each connection, and a WebSocket but to the node, whose clients
/// share a connection.
fn files_each(path: PathChoice, node: bool) -> u64 {
    let connections = match path {
        PathChoice::V1 => 1,
        PathChoice::V0 | PathChoice::Mixed => 2,
    };
    connections + u64::from(!node)
}

fn enough_files(
    participants: usize,
    devices: usize,
    path: PathChoice,
    node: bool,
    processes: usize,
) -> anyhow::Result<()> {
    let share = |all: usize| all.div_ceil(processes.max(1)) as u64;
    let needed = share(participants) * files_each(path, node) + share(devices) + OWN_FILES;
    // Up to the hard limit nobody needs to be asked.
    let have = rlimit::increase_nofile_limit(needed).context("cannot read the limit of open files")?;
    judge_files(needed, have, processes)
}

fn judge_files(needed: u64, have: u64, processes: usize) -> anyhow::Result<()> {
    if have >= needed {
        return Ok(());
    }
    let more = needed.div_ceil(have.saturating_sub(OWN_FILES).max(1)) as usize * processes;
    bail!(
        "too few open files: each process needs {needed}, and may have {have}\nraise the limit with `ulimit -n {needed}` (as root: \
         `ulimit -Hn {needed}` first), or share the load with --processes {more}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_files_are_told_with_the_command_that_helps() {
        assert!(judge_files(1_000, 1_024, 1).is_ok());
        let text = judge_files(3_032, 1_024, 1).unwrap_err().to_string();
        for needle in ["needs 3032", "may have 1024", "ulimit -n 3032", "--processes 4"] {
            assert!(text.contains(needle), "{text}");
        }
        assert!(enough_files(usize::MAX / 8, 0, PathChoice::V0, false, 1).is_err());
        assert!(enough_files(4, 2, PathChoice::V1, true, 2).is_ok());
    }
}
