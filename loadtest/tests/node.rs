//! A load that goes straight to the node's API, and what stays of it there: nothing.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use sluice_api::sfu::v1 as sfu;
use sluice_api::sfu::v1::sfu_client::SfuClient;
use support::{GRPC_TOKEN, START, Server, children, loadtest, text};
use tonic::Request;

/// Two rooms, both ways to negotiate, simulcast, sizes, mutes, guests who come and go.
const SCENARIO: &str = r#"
rooms = 2
duration = "3s"
ramp = "500ms"
settle = "1s"

[[groups]]
name = "speakers"
count = 2
audio = { talk = "700ms", pause = "300ms" }
video = { bitrate = "300 kbit/s", size = "640x360", layers = 2 }

[[groups]]
name = "viewers"
count = 2
sizes = ["320x180", "640x360"]
size_every = "1s"

[[groups]]
name = "guests"
count = 1
receive = "audio"
stay = "1s"
away = "200ms"
"#;

/// What the node holds: rooms of load tests by name, and sessions of all rooms.
fn held(server: &Server) -> (Vec<String>, u32) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut client = SfuClient::connect(server.node()).await.unwrap();
        let mut request = Request::new(sfu::ListRoomsRequest::default());
        request.metadata_mut().insert("authorization", format!("Bearer {GRPC_TOKEN}").parse().unwrap());
        let rooms = client.list_rooms(request).await.unwrap().into_inner().rooms;
        let sessions = rooms.iter().map(|room| room.sessions).sum();
        let ours = rooms.into_iter().map(|room| room.room_id).filter(|room| room.starts_with("load-"));
        (ours.collect(), sessions)
    })
}

fn run(server: &Server, arguments: &[&str]) -> Command {
    run_at(&server.node(), GRPC_TOKEN, arguments)
}

fn run_at(node: &str, token: &str, arguments: &[&str]) -> Command {
    let mut command = loadtest();
    command.arg("run").args(arguments).args(["--driver", "node", "--node", node, "--node-token", token]);
    // Room management is not needed.
    command.args(["--url", "ws://127.0.0.1:9"]);
    command
}

fn a_load_past_room_management(extra: &[&str]) -> Value {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let [scenario, json] = ["small.toml", "r.json"].map(|name| folder.path().join(name));
    std::fs::write(&scenario, SCENARIO).unwrap();
    let output = run(&server, &[scenario.to_str().unwrap(), "--json", json.to_str().unwrap()])
        .args(["--path", "mixed"])
        .args(extra)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("by the node API"), "{}", text(&output));
    assert_eq!(held(&server), (Vec::new(), 0), "nothing stays on the node");
    serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap()
}

fn number(report: &Value, path: &str) -> f64 {
    report.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {path} in {report}"))
}

#[test]
fn a_load_over_two_processes_that_share_rooms_reaches_everybody() {
    // More processes than rooms: participants of one room are in several.
    let report = a_load_past_room_management(&["--processes", "3"]);
    assert_eq!(report["harness"]["driver"], "node");
    assert_eq!(number(&report, "/people/planned"), 10.0);
    assert_eq!(number(&report, "/people/failed"), 0.0);
    assert!(number(&report, "/people/joins") > 10.0, "guests come again");
    // In each room both viewers see two videos, and each speaker the other's.
    assert_eq!(number(&report, "/times/key_frame_wait/count"), 12.0);
    assert_eq!(number(&report, "/people/dark_videos"), 0.0);
    assert!(number(&report, "/times/first_media/count") >= 10.0, "everybody received");
    assert!(number(&report, "/times/audio_latency/count") > 100.0);
    assert!(number(&report, "/times/layer_switch/count") >= 4.0);
    assert!(number(&report, "/media/loss_percent") < 1.0);
}

#[test]
fn light_clients_go_the_same_way() {
    let report = a_load_past_room_management(&["--light"]);
    assert_eq!(number(&report, "/people/failed"), 0.0);
    assert_eq!(number(&report, "/times/key_frame_wait/count"), 12.0);
}

/// A load that would go on for a minute, when all have joined.
fn long_load(server: &Server) -> Child {
    let long = ["fanout", "--participants", "3", "--duration", "60s", "--ramp", "0s", "--processes", "2"];
    let load = run(server, &long).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while held(server).1 < 6 {
        assert!(began.elapsed() < START, "they did not join");
        std::thread::sleep(Duration::from_millis(50));
    }
    load
}

fn signal(name: &str, pid: u32) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

#[test]
fn rooms_are_ended_after_ctrl_c_too() {
    let server = Server::start();
    let load = long_load(&server);
    signal("-INT", load.id());
    let output = load.wait_with_output().unwrap();
    assert_eq!(held(&server), (Vec::new(), 0), "{}", text(&output));
}

#[test]
fn rooms_are_ended_when_a_worker_dies_and_what_it_left_with_them() {
    let server = Server::start();
    let load = long_load(&server);
    signal("-KILL", children(load.id())[0]);
    let output = load.wait_with_output().unwrap();
    assert!(text(&output).contains("died (signal: 9"), "{}", text(&output));
    assert_eq!(held(&server), (Vec::new(), 0), "{}", text(&output));
}

#[test]
fn what_keeps_a_load_from_the_node_is_told_before_anything_starts() {
    let server = Server::start();
    let told = |node: &str, token: &str| {
        let output = run_at(node, token, &["fanout"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        text(&output)
    };
    let wrong = told(&server.node(), "wrong");
    assert!(wrong.contains("refuses the token") && wrong.contains("SLUICE_DEV_GRPC_TOKEN"), "{wrong}");
    let nobody = told("http://127.0.0.1:9", GRPC_TOKEN);
    assert!(
        nobody.contains("no node answers at http://127.0.0.1:9") && nobody.contains("--node"),
        "{nobody}"
    );
    let clients = told(&server.url().replace("ws:", "http:"), GRPC_TOKEN);
    assert!(clients.contains("this is no node"), "{clients}");
    let tls = told("https://127.0.0.1:7883", GRPC_TOKEN);
    assert!(tls.contains("plain text"), "{tls}");
}
