//! A small load against a real server, and what is told when there can be none.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{START, Server, children, loadtest, text};

/// Two rooms, everything that a participant can do, and no time to lose.
const SCENARIO: &str = r#"
about = "A test"
rooms = 2
duration = "3s"
ramp = "500ms"
settle = "1s"

[[groups]]
name = "speakers"
count = 1
audio = { talk = "700ms", pause = "300ms" }
video = { bitrate = "300 kbit/s", size = "640x360", layers = 2 }

[[groups]]
name = "viewers"
count = 1
sizes = ["320x180", "640x360"]
size_every = "1s"

[[groups]]
name = "guests"
count = 1
receive = "audio"
stay = "1s"
away = "200ms"

[thresholds]
join_p99 = "10s"
"#;

#[test]
fn a_small_load_over_two_processes_is_measured_and_reported() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let [scenario, json, html] = ["small.toml", "r.json", "r.html"].map(|name| folder.path().join(name));
    std::fs::write(&scenario, SCENARIO).unwrap();
    let output = loadtest()
        .args(["run", scenario.to_str().unwrap(), "--processes", "2", "--url", &server.url()])
        .args(["--server-pid", &server.child.id().to_string()])
        .args(["--json", json.to_str().unwrap(), "--report", html.to_str().unwrap()])
        .output()
        .unwrap();
    let told = text(&output);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("measuring 1/3") && told.contains("join_p99"), "{told}");

    let report: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let number =
        |path: &str| report.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {path}"));
    assert_eq!(number("/people/planned"), 6.0);
    assert!(number("/people/joins") > 6.0, "guests come again");
    assert_eq!(number("/people/failed"), 0.0);
    assert_eq!(number("/harness/processes"), 2.0);
    // Each viewer gets 30 frames a second.
    assert!(number("/media/received_packets") > 100.0);
    assert!(number("/times/video_latency/count") > 100.0 && number("/times/audio_latency/count") > 100.0);
    // A viewer in each room sees the speaker.
    assert_eq!(number("/times/key_frame_wait/count"), 2.0);
    assert!(number("/times/layer_switch/count") >= 2.0, "{told}");
    assert!(number("/server/packets_per_cpu_second") > 0.0);
    assert!(report["series"].as_array().unwrap().len() >= 5);

    let page = std::fs::read_to_string(&html).unwrap();
    assert!(page.matches("<svg").count() >= 9 && page.contains("everything held"));
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        let known = |rest: &str| rest.starts_with("www.w3.org/2000/svg");
        assert!(page.split(outside).skip(1).all(known), "the page must need nothing else, but has {outside}");
    }
}

/// Before there is video, a server probes for bandwidth with packets that are no track's; light clients read
/// headers alone.
#[test]
fn probing_is_no_loss_to_light_clients() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let [scenario, json] = ["audio.toml", "r.json"].map(|name| folder.path().join(name));
    let groups = "duration = \"3s\"\nramp = \"500ms\"\n[[groups]]\nname = \"talkers\"\ncount = 4\n\
                   audio = { talk = \"1s\", pause = \"1s\" }\n";
    std::fs::write(&scenario, groups).unwrap();
    let output = loadtest()
        .args(["run", scenario.to_str().unwrap(), "--light", "--url", &server.url()])
        .args(["--json", json.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    for second in report["series"].as_array().unwrap() {
        // Loopback may drop a packet on a busy machine; numbers of another stream are off by hundreds at
        // least.
        assert!(second["lost"].as_i64().unwrap().abs() < 100, "{second}");
    }
}

#[test]
fn what_does_not_hold_decides_the_exit_code() {
    let server = Server::start();
    let output = loadtest()
        .args([
            "run",
            "fanout",
            "--participants",
            "2",
            "--duration",
            "2s",
            "--ramp",
            "0s",
            "--url",
            &server.url(),
        ])
        .args(["--set", "settle=0s", "--set", "thresholds.latency_p99=1us"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("FAILED: latency_p99"), "{}", text(&output));

    let output =
        loadtest().args(["run", "fanout", "--secret", "wrong", "--url", &server.url()]).output().unwrap();
    let told = text(&output);
    assert!(!output.status.success() && told.contains("refuses") && told.contains("`devkey`"), "{told}");
}

#[test]
fn what_is_lost_on_purpose_is_told_apart() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let [json, html] = ["r.json", "r.html"].map(|name| folder.path().join(name));
    let output = loadtest()
        .args(["run", "fanout", "--light", "--participants", "3", "--duration", "4s", "--ramp", "0s"])
        .args(["--set", "viewers.network.down.loss=10 %", "--set", "viewers.network.delay=30ms"])
        .args(["--set", "publisher.audio.dtx=true", "--set", "thresholds.latency_p99=5s"])
        .args(["--set", "thresholds.loss_percent=50", "--url", &server.url()])
        .args(["--json", json.to_str().unwrap(), "--report", html.to_str().unwrap()])
        .output()
        .unwrap();
    let told = text(&output);
    assert!(told.contains("lost on purpose"), "{told}");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let number =
        |path: &str| report.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {path}"));
    let (lost, on_purpose) = (number("/media/lost"), number("/media/impaired/down/lost"));
    assert!(lost > 0.0 && on_purpose > 0.0, "{told}");
    assert_eq!((number("/media/impaired/up/lost"), number("/media/impaired/down/dropped")), (0.0, 0.0));
    assert!(number("/media/impaired/up/passed") > 0.0);
    assert!(number("/times/video_latency/p50_ms") >= 29.5, "{told}");
    // Silence is no media that was not made.
    assert!(number("/harness/made_percent") > 50.0, "{told}");
    let page = std::fs::read_to_string(&html).unwrap();
    assert!(page.contains("<th>lost on purpose</th>") && page.contains("datagrams lost on purpose"));
}

#[test]
fn a_server_that_is_not_there_is_told_before_anything_starts() {
    let output = loadtest().args(["run", "fanout", "--url", "ws://127.0.0.1:9"]).output().unwrap();
    let told = text(&output);
    assert!(!output.status.success() && told.contains("no server answers at ws://127.0.0.1:9"), "{told}");
    let output = loadtest().args(["run", "fanout", "--set", "participant=5"]).output().unwrap();
    assert!(text(&output).contains("unknown field `participant`"), "{}", text(&output));
}

#[test]
fn a_worker_that_dies_ends_the_run() {
    let server = Server::start();
    let run = loadtest()
        .args(["run", "fanout", "--participants", "2", "--processes", "2", "--duration", "60s"])
        .args(["--url", &server.url()])
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    let workers = loop {
        let workers = children(run.id());
        if workers.len() == 2 {
            break workers;
        }
        assert!(began.elapsed() < START, "no workers");
        std::thread::sleep(Duration::from_millis(20));
    };
    let killed = Command::new("kill").args(["-KILL", &workers[1].to_string()]).status().unwrap();
    assert!(killed.success());
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("died (signal: 9"), "{}", text(&output));
    // The other ends with the run.
    assert!(!Path::new(&format!("/proc/{}", workers[0])).exists());
}

#[test]
fn built_in_scenarios_are_listed_and_shown_as_they_are() {
    let listed = loadtest().arg("scenarios").output().unwrap();
    let shown = loadtest().args(["scenarios", "show", "meeting"]).output().unwrap();
    assert!(text(&listed).contains("audio-room") && text(&shown).contains("[[groups]]"));
}

#[test]
fn a_worker_that_is_told_nonsense_says_so_and_ends() {
    let mut worker = loadtest().arg("worker").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    worker.stdin.take().unwrap().write_all(b"{\"Dance\":{}}\n").unwrap();
    let output = worker.wait_with_output().unwrap();
    assert!(!output.status.success());
    assert!(text(&output).contains("Dance"), "{}", text(&output));
}
