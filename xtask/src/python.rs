//! The Python example against a real server: stubs from `proto/`, then a listing that must succeed.
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::machine::{Machine, find};

const FOLDER: &str = "examples/python";
/// Any text will do: server and example run here, on loopback, for seconds.
const TOKEN: &str = "xtask-python-example";
const START: Duration = Duration::from_secs(30);

/// Checks the example.
///
/// # Errors
/// If Python is missing, the stubs cannot be made, or the example fails.
pub(crate) fn check(machine: &Machine) -> anyhow::Result<()> {
    if find("python3").is_none() {
        bail!("python3 was not found: install Python 3.9 or newer");
    }
    let venv = machine.target.join("python-example");
    let python = venv.join("bin/python");
    if !python.exists() {
        println!("making a Python environment in {}", venv.display());
        let made = machine.run("", "python3", &["-m", "venv", &venv.display().to_string()]);
        made.context("cannot make a virtual environment; on Debian: apt-get install python3-venv")?;
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"];
    machine.run(FOLDER, &python, &pip)?;
    machine.run(FOLDER, &python, &["generate.py"])?;

    let server = Server::start(machine)?;
    let grpc = format!("127.0.0.1:{}", server.grpc);
    let environment: [(&str, &OsStr); 2] =
        [("SLUICE_GRPC", OsStr::new(&grpc)), ("SLUICE_GRPC_TOKEN", OsStr::new(TOKEN))];
    machine.run_with(FOLDER, &python, &["rooms.py", "node"], &environment)?;
    machine.run_with(FOLDER, &python, &["rooms.py", "list"], &environment)?;
    let refused: [(&str, &OsStr); 2] =
        [("SLUICE_GRPC", OsStr::new(&grpc)), ("SLUICE_GRPC_TOKEN", OsStr::new("wrong"))];
    if machine.run_with(FOLDER, &python, &["rooms.py", "list"], &refused).is_ok() {
        bail!("a wrong token was let in");
    }
    Ok(())
}

/// `sluice dev` on free ports, ended when dropped.
struct Server {
    child: Child,
    grpc: u16,
}

impl Server {
    fn start(machine: &Machine) -> anyhow::Result<Self> {
        let ports = free_ports::<5>()?;
        let mut command = Command::new(machine.sluice());
        command
            .args(["dev", "--data-dir", ""])
            .env("SLUICE_DEV_GRPC_TOKEN", TOKEN)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let flags = ["--http-port", "--tcp-port", "--udp-port", "--grpc-port", "--calls-grpc-port"];
        for (flag, port) in flags.into_iter().zip(ports) {
            command.arg(flag).arg(port.to_string());
        }
        let mut child = command.spawn().context("cannot start the server")?;
        let output = child.stdout.take();
        let server = Self { child, grpc: ports[3] };
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
