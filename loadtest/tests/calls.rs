//! Calls through the calls API against a real server: rung, answered or cancelled, talked, ended.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use serde_json::Value;
use support::{GRPC_TOKEN, Server, loadtest, text};

#[test]
fn people_call_each_other_and_nobody_stays_behind() {
    let server = Server::start_with(&["--without-messenger"]);
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("r.json");
    let run = |token: &str| {
        loadtest()
            .args(["run", "calls", "--processes", "2", "--url", &server.url(), "--grpc", &server.calls()])
            .args(["--grpc-token", token, "--json", json.to_str().unwrap()])
            .args(["--rooms", "3", "--duration", "5s", "--ramp", "500ms"])
            .args(["--set", "calls.ring=100ms", "--set", "calls.talk=700ms", "--set", "calls.pause=200ms"])
            // A debug build on a busy machine.
            .args(["--set", "thresholds.join_p99=10s", "--set", "thresholds.first_media_p99=10s"])
            .args(["--set", "thresholds.ring_p99=5s", "--set", "thresholds.accept_p99=5s"])
            .args(["--set", "thresholds.latency_p99=5s", "--set", "calls.answered_percent=70"])
            .output()
            .unwrap()
    };
    let refused = run("not the token");
    assert!(!refused.status.success() && text(&refused).contains("--grpc-token"), "{}", text(&refused));

    let output = run(GRPC_TOKEN);
    let told = text(&output);
    assert!(output.status.success(), "{told}");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let number =
        |path: &str| report.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {path}"));
    let (ring, accept) = (number("/times/ring/count"), number("/times/accept/count"));
    assert!(ring >= 3.0 && accept >= 1.0 && accept <= ring, "{told}");
    assert_eq!(number("/people/failed"), 0.0, "{told}");
    assert!(number("/people/joins") >= 2.0 * accept, "{told}");
    assert_eq!(number("/people/joins"), number("/people/leaves"), "{told}");
    assert!(number("/media/received_packets") > 50.0, "{told}");
    assert!(number("/times/first_media/count") > 0.0, "{told}");
}

#[test]
fn a_product_that_lets_nobody_call_is_told_as_the_reason() {
    let server = Server::start();
    let output = loadtest()
        .args(["run", "calls", "--url", &server.url(), "--grpc", &server.calls(), "--grpc-token", GRPC_TOKEN])
        .args(["--rooms", "1", "--duration", "2s", "--ramp", "100ms"])
        .output()
        .unwrap();
    let told = text(&output);
    assert!(!output.status.success() && told.contains("--without-messenger"), "{told}");
}
