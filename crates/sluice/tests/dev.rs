//! What somebody meets who types `sluice dev`.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "tests")]
mod server;

use std::process::Stdio;

use server::{Server, sluice};

fn post_token(server: &Server, host: &str, origin: Option<&str>) -> String {
    let body = r#"{"room":"demo","name":"Ann"}"#;
    let origin = origin.map_or(String::new(), |origin| format!("Origin: {origin}\r\n"));
    let length = body.len();
    server.ask(&format!(
        "POST /dev/token HTTP/1.1\r\nHost: {host}\r\n{origin}Content-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    ))
}

#[test]
fn it_serves_a_page_tokens_health_and_metrics_and_ends_when_told() {
    let mut server = Server::start();
    let page = server.get("/");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("text/html"), "{page}");
    assert!(server.get("/healthz").starts_with("HTTP/1.1 200"));
    let metrics = server.get("/metrics");
    assert!(metrics.contains("sluice_build_info") && metrics.contains("sluice_node_sessions"), "{metrics}");
    assert!(server.get("/nothing/here").starts_with("HTTP/1.1 404"));

    let host = format!("localhost:{}", server.http);
    let ours = format!("http://{host}");
    let answer = post_token(&server, &host, Some(&ours));
    assert!(answer.contains("\"identity\":\"Ann-") && answer.contains("\"token\":\"ey"), "{answer}");
    assert!(post_token(&server, &host, Some("https://evil.example")).starts_with("HTTP/1.1 403"));
    assert!(post_token(&server, "evil.example", Some("http://evil.example")).starts_with("HTTP/1.1 403"));

    let status = server.terminate();
    assert!(status.success(), "{status}");
}

#[test]
fn a_second_one_on_the_same_port_says_what_is_wrong() {
    let server = Server::start();
    let output = sluice().args(["dev", "--http-port", &server.http.to_string()]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{text}");
    assert!(text.contains("dev.http_port") && text.contains("another program"), "{text}");
}

#[test]
fn the_development_key_stays_on_this_machine_unless_told_otherwise() {
    let output = sluice().args(["dev", "--bind", "0.0.0.0", "--check"]).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--allow-dev-key-anywhere"));

    let allowed = ["dev", "--bind", "0.0.0.0", "--allow-dev-key-anywhere", "--check"];
    let output = sluice().args(allowed).output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("bind = \"0.0.0.0\""));
}

#[test]
fn a_token_is_printed_and_nothing_else() {
    let output = sluice()
        .args(["token", "--room", "demo", "--identity", "ann"])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert_eq!(text.trim_end().split('.').count(), 3, "{text}");
}
