//! `sluice dev` as a process of its own, on free ports, for one test.
#![allow(dead_code, reason = "each file of tests uses a part")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A debug build on a busy machine needs some seconds.
const START: Duration = Duration::from_secs(60);

pub(crate) struct Server {
    child: Child,
    pub(crate) http: u16,
}

/// The binary under test.
pub(crate) fn sluice() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.stdin(Stdio::null()).env_remove("RUST_LOG");
    command
}

/// An access token of the development key.
pub(crate) fn token(room: &str, identity: &str) -> String {
    let output = sluice().args(["token", "--room", room, "--identity", identity]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Server {
    pub(crate) fn start() -> Self {
        let [http, tcp, grpc, calls] = free_tcp_ports();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = sluice();
        command.args(["dev", "--log", "warn", "--data-dir", ""]).stdout(Stdio::piped());
        for (flag, port) in [
            ("--http-port", http),
            ("--tcp-port", tcp),
            ("--grpc-port", grpc),
            ("--calls-grpc-port", calls),
            ("--udp-port", udp),
        ] {
            command.arg(flag).arg(port.to_string());
        }
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let server = Self { child, http };
        // It greets when it listens, and is ready when rooms have met the node.
        let greeting =
            output.lines().map_while(Result::ok).take_while(|line| !line.contains("Ctrl-C")).count();
        assert!(greeting > 0, "the server ended at its start");
        server.wait_until_ready();
        server
    }

    fn wait_until_ready(&self) {
        let path = format!("/rtc/validate?access_token={}", token("ready", "nobody"));
        let began = Instant::now();
        while !self.get(&path).starts_with("HTTP/1.1 200") {
            assert!(began.elapsed() < START, "not ready: {}", self.get(&path));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.http).into()
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.address())
    }

    /// Head and body of a GET, as text.
    pub(crate) fn get(&self, path: &str) -> String {
        self.ask(&format!(
            "GET {path} HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n\r\n",
            self.http
        ))
    }

    /// One request, byte by byte as given.
    pub(crate) fn ask(&self, request: &str) -> String {
        use std::io::Write as _;
        let mut stream = std::net::TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(START)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Asks it to end, as a supervisor would, and waits.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        let sent = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < START, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

fn free_tcp_ports<const N: usize>() -> [u16; N] {
    // Held together, so that no two are the same.
    let listeners: Vec<_> = (0..N).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    std::array::from_fn(|index| listeners[index].local_addr().unwrap().port())
}
