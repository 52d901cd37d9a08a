//! What would spoil the load, told before it starts.
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::{Instant, sleep};

use crate::calls::{Backend, CallsApi};
use crate::http;
use crate::node::{self, NodeApi};
use crate::process::Sample;
use crate::scenario::Scenario;
use crate::server::{PathChoice, Server};

/// A process needs so many for itself: standard streams, the runtime, libraries.
const OWN_FILES: u64 = 32;
/// A server that was just started may take so long until it lets somebody in.
const STARTS: Duration = Duration::from_secs(5);
/// How often it is asked meanwhile.
const AGAIN: Duration = Duration::from_millis(100);

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
        None => reachable(server, STARTS).await?,
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

/// `starts`: how long it may say that it is not ready.
async fn reachable(server: &Server, starts: Duration) -> anyhow::Result<()> {
    let url = &server.url;
    if url.starts_with("wss:") || url.starts_with("https:") {
        bail!(
            "{url}: load goes in plain text, past any TLS proxy; give the server's own address, e.g. ws://10.0.0.5:7880"
        );
    }
    let token = server.token("preflight", "preflight")?;
    let path = format!("/rtc/validate?access_token={token}");
    let deadline = Instant::now() + starts;
    let answer = loop {
        let answer = http::get(url, &path).await.with_context(|| {
            format!(
                "no server answers at {url}; start one with `cargo run --release`, or name yours with --url"
            )
        })?;
        if answer.status != 503 || Instant::now() >= deadline {
            break answer;
        }
        sleep(AGAIN).await;
    };
    match answer.status {
        200 => Ok(()),
        401 | 403 => bail!(
            "{url} refuses a token signed with the key `{}`: {}\ngive its key with --key and --secret, or as SLUICE_KEY and SLUICE_SECRET",
            server.key,
            answer.brief()
        ),
        // The server is up, and whoever places rooms did not come.
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
    use clap::Parser;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        server: Server,
    }

    /// The preflight against a server that gives these answers, the last for ever.
    async fn preflight(answers: &'static [&'static str], starts: Duration) -> anyhow::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            for index in 0.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _read = stream.read(&mut [0; 4_096]).await.unwrap();
                let answer = answers[index.min(answers.len() - 1)];
                stream.write_all(format!("HTTP/1.0 {answer}\r\n\r\nwhy").as_bytes()).await.unwrap();
            }
        });
        reachable(&Arguments::parse_from(["loadtest", "--url", &url]).server, starts).await
    }

    #[tokio::test]
    async fn a_server_that_is_starting_is_waited_for_and_one_that_never_does_is_named() {
        const NOT_YET: &str = "503 Service Unavailable";
        preflight(&[NOT_YET, NOT_YET, "200 OK"], STARTS).await.unwrap();
        let refused = preflight(&["401 Unauthorized"], STARTS).await.unwrap_err().to_string();
        assert!(refused.contains("refuses a token"), "{refused}");
        let never = preflight(&[NOT_YET], AGAIN).await.unwrap_err().to_string();
        assert!(never.contains("is not ready (503): why"), "{never}");
    }

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
