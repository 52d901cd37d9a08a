//! The Python examples against a real server: stubs from `proto/`, a listing that must succeed, a call of three.
use std::ffi::OsStr;

use anyhow::{Context as _, bail};

use crate::machine::{Machine, find};
use crate::server::Server;

const FOLDER: &str = "examples/python";
/// Any text will do: server and example run here, on loopback, for seconds.
const TOKEN: &str = "xtask-python-example";

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

    let server = Server::start(&machine.sluice(), TOKEN)?;
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

    let (url, calls) = (format!("ws://127.0.0.1:{}", server.http), format!("127.0.0.1:{}", server.calls));
    let environment: [(&str, &OsStr); 3] = [
        ("SLUICE_URL", OsStr::new(&url)),
        ("SLUICE_CALLS", OsStr::new(&calls)),
        ("SLUICE_GRPC_TOKEN", OsStr::new(TOKEN)),
    ];
    machine.run_with(FOLDER, &python, &["ring.py"], &environment)
}
