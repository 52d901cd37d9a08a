//! `sluice dev` on free ports, for what needs a running server.
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal};

const START: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(60);

/// The process that was started; ended when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) http: u16,
    pub(crate) grpc: u16,
    pub(crate) calls: u16,
}

impl Server {
    /// Starts this binary and waits until it listens.
    ///
    /// # Errors
    /// If it does not start, or does not listen in time.
    pub(crate) fn start(binary: &Path, token: &str) -> anyhow::Result<Self> {
        let ports = free_ports::<5>()?;
        let mut command = Command::new(binary);
        command
            .args(["dev", "--data-dir", ""])
            .env("SLUICE_DEV_GRPC_TOKEN", token)
            // A profile goes where the build says.
            .env_remove("LLVM_PROFILE_FILE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let flags = ["--http-port", "--tcp-port", "--udp-port", "--grpc-port", "--calls-grpc-port"];
        for (flag, port) in flags.into_iter().zip(ports) {
            command.arg(flag).arg(port.to_string());
        }
        let mut child = command.spawn().context("cannot start the server")?;
        let output = child.stdout.take();
        let server = Self { child, http: ports[0], grpc: ports[3], calls: ports[4] };
        // It greets once it listens; then its output closes or goes on, which is all the same to us.
        let began = Instant::now();
        for line in BufReader::new(output.context("no output")?).lines() {
            if line?.contains("runs.") {
                return Ok(server);
            }
            if began.elapsed() > START {
                break;
            }
        }
        bail!("the server did not start")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// If it ends with a failure, or does not end.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        rustix::process::kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let asked = Instant::now();
        while asked.elapsed() < STOP {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "the server ended with {status}");
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("the server did not end within {STOP:?}")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody left to tell.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

fn free_ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    let mut listeners = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        *port = listener.local_addr()?.port();
        // Kept open until all are chosen, so that no two are the same.
        listeners.push(listener);
    }
    Ok(ports)
}
