//! A real server to load, and the load test's own binary.
#![allow(dead_code, reason = "each test crate uses its part")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A debug build on a busy machine needs some seconds.
pub(crate) const START: Duration = Duration::from_secs(60);
/// Of the server's gRPC APIs.
pub(crate) const GRPC_TOKEN: &str = "let-me-in-for-tests";

pub(crate) fn loadtest() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.stdin(Stdio::null()).env_remove("RUST_LOG").env_remove("SLUICE_KEY").env_remove("SLUICE_SECRET");
    command.env_remove("SLUICE_SFU_TOKEN").env_remove("SLUICE_CALLS_TOKEN");
    command
}

fn sluice() -> Command {
    let mut command = Command::new(server_binary());
    // The server would take it for a setting.
    command.stdin(Stdio::null()).env_remove("SLUICE_BIN").env_remove("RUST_LOG");
    command
}

/// `SLUICE_BIN`, else the one that was built beside us; built now if there is none.
fn server_binary() -> PathBuf {
    if let Some(named) = std::env::var_os("SLUICE_BIN") {
        return named.into();
    }
    let beside = Path::new(env!("CARGO_BIN_EXE_loadtest")).with_file_name("sluice");
    if !beside.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo).args(["build", "-p", "sluice"]).status().unwrap();
        assert!(built.success(), "no server to load");
    }
    beside
}

pub(crate) struct Server {
    pub(crate) child: Child,
    http: u16,
    grpc: u16,
    calls: u16,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(more: &[&str]) -> Self {
        // Held together, so that no two are the same.
        let listeners: Vec<_> = (0..4).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> =
            listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        drop(listeners);
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = sluice();
        command
            .args(["dev", "--log", "warn", "--data-dir", ""])
            .args(more)
            .env("SLUICE_DEV_GRPC_TOKEN", GRPC_TOKEN);
        command.stdout(Stdio::piped());
        let flags = ["--http-port", "--tcp-port", "--grpc-port", "--calls-grpc-port", "--udp-port"];
        for (flag, port) in flags.iter().zip(ports.iter().chain([&udp])) {
            command.arg(flag).arg(port.to_string());
        }
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let server = Self { child, http: ports[0], grpc: ports[2], calls: ports[3] };
        let greeting =
            output.lines().map_while(Result::ok).take_while(|line| !line.contains("Ctrl-C")).count();
        assert!(greeting > 0, "the server ended at its start");
        server.wait_until_ready();
        server
    }

    /// It greets when it listens, and is ready when rooms have met the node.
    fn wait_until_ready(&self) {
        let token = sluice().args(["token", "--room", "ready", "--identity", "nobody"]).output();
        let token = String::from_utf8(token.unwrap().stdout).unwrap();
        let began = Instant::now();
        loop {
            let mut stream = TcpStream::connect(("127.0.0.1", self.http)).unwrap();
            let path = format!("/rtc/validate?access_token={}", token.trim());
            write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            if answer.contains(" 200 ") {
                return;
            }
            assert!(began.elapsed() < START, "not ready: {answer}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.http)
    }

    /// Of the calls API.
    pub(crate) fn calls(&self) -> String {
        format!("http://127.0.0.1:{}", self.calls)
    }

    /// Of the node's API.
    pub(crate) fn node(&self) -> String {
        format!("http://127.0.0.1:{}", self.grpc)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Processes whose parent is this one: the fourth field of proc_pid_stat(5), after a name that may hold
/// anything.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().map_while(Result::ok);
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parent_of = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    pids.filter(|pid| parent_of(pid) == Some(parent)).collect()
}
