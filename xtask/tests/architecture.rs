//! The rules of the architecture, checked: which crate may know which, what the pure ones never see, how large files grow.
//!
//! A failure names the rule and its reason. To change a rule, change the table here and the map in ARCHITECTURE.md.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is the report")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Crate, what it may depend on (of ours), and why not more.
const ARROWS: &[(&str, &[&str], &str)] = &[
    ("sluice-rtp", &[], "facts about packets stand on nothing"),
    ("sluice-forward", &["sluice-rtp"], "algorithms work on facts about packets, whatever carries them"),
    ("sluice-bwe", &["sluice-rtp"], "a path has times and sizes; what the packets mean is nothing to it"),
    ("sluice-sdp", &["sluice-rtp"], "text in, text out"),
    (
        "sluice-media",
        &["sluice-rtp", "sluice-bwe", "sluice-srtp"],
        "it carries packets of a session; whom they are for is the engine's business",
    ),
    (
        "sluice-engine",
        &["sluice-rtp", "sluice-forward", "sluice-sdp", "sluice-dtls", "sluice-media", "sluice-srtp"],
        "the shard is driven from outside: sockets, threads and gRPC are its driver's",
    ),
    ("sluice-calls", &[], "the model of calls knows no media, no protocol and no store"),
    ("sluice-net", &[], "datagrams are bytes to it"),
    ("sluice-memory", &[], "memory knows nothing of what it holds"),
    ("sluice-api", &[], "generated code only"),
    ("sluice-livekit-proto", &[], "generated code only"),
    (
        "sluice-sfu",
        &["sluice-api", "sluice-engine", "sluice-net", "sluice-rtp"],
        "the node knows nothing of users, tokens or the client protocol",
    ),
    (
        "sluice-rooms",
        &["sluice-api", "sluice-calls", "sluice-livekit-proto"],
        "rooms is a gRPC client of nodes: it sees them only through the public API",
    ),
    (
        "sluice-demo",
        &["sluice-api"],
        "a product like any other: it knows Sluice by its public API and its webhooks",
    ),
    ("sluice-dtls", &[], "a handshake knows nothing of what it protects"),
    ("sluice-srtp", &[], "packets and keys are bytes to it"),
    (
        "sluice-client",
        &[
            "sluice-livekit-proto",
            "sluice-dtls",
            "sluice-media",
            "sluice-memory",
            "sluice-net",
            "sluice-srtp",
        ],
        "a client that shares code with the server would share its mistakes: full clients are str0m's, light ones borrow headers, reports and \
         the readying of sockets",
    ),
    (
        "sluice",
        &["sluice-rooms", "sluice-sfu", "sluice-demo", "sluice-memory"],
        "the binary starts the halves and the demo, chooses the allocator, and reaches into none",
    ),
    (
        "loadtest",
        &["sluice-api", "sluice-client", "sluice-forward", "sluice-livekit-proto", "sluice-rtp"],
        "it measures from outside, through the public APIs; of the server it borrows only the oracle, and the types that the oracle speaks",
    ),
    (
        "sluice-benches",
        &["sluice-calls", "sluice-engine", "sluice-forward", "sluice-rtp"],
        "benchmarks are of the pure crates",
    ),
    (
        "sluice-ideal",
        &["sluice-net", "sluice-srtp"],
        "the yardstick receives, opens, seals and sends as the server does, and shares nothing else with it",
    ),
    ("xtask", &[], "it must build when nothing else does"),
];

/// Crate, packages that must not be anywhere below it, and why.
const NEVER: &[(&str, &[&str], &str)] = &[
    ("sluice-rtp", ASYNC_AND_IO, "pure crates do no IO and know no runtime"),
    ("sluice-forward", ASYNC_AND_IO, "pure crates do no IO and know no runtime"),
    ("sluice-bwe", ASYNC_AND_IO, "pure crates do no IO and know no runtime"),
    ("sluice-media", ASYNC_AND_IO, "pure crates do no IO and know no runtime"),
    ("sluice-calls", ASYNC_AND_IO, "pure crates do no IO and know no runtime"),
    ("sluice-sdp", ASYNC_AND_IO, "pure crates do no IO and know no runtime"),
    (
        "sluice-engine",
        ASYNC_AND_IO,
        "a shard is handle(now, input) and poll: no IO, no runtime, no clock of its own",
    ),
    ("sluice-net", &["tokio", "tonic"], "a shard's thread waits on sockets, not on a runtime"),
    (
        "sluice-rooms",
        &["str0m", "sluice-engine", "sluice-sfu", "sluice-net", "sluice-forward", "sluice-sdp"],
        "no media passes through rooms; if it dies, media goes on",
    ),
    ("sluice-forward", &["str0m"], "str0m is named in one module of engine only"),
    ("sluice-media", &["str0m"], "str0m is named in one module of engine only"),
    ("sluice-sdp", &["str0m"], "str0m is named in one module of engine only"),
];

const ASYNC_AND_IO: &[&str] = &[
    "tokio",
    "async-std",
    "smol",
    "futures-executor",
    "mio",
    "quinn",
    "quinn-udp",
    "socket2",
    "tonic",
    "hyper",
    "axum",
];

/// Lines of a source file, its inline tests left out. About 500 is the habit; this is where "about" ends.
const LONGEST_FILE: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Our packages, and which of ours each depends on; what only tests need is left out.
fn our_arrows() -> BTreeMap<String, BTreeSet<String>> {
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--format-version=1", "--no-deps"])).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let names: BTreeSet<&str> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            let ours = dependencies
                .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
                .filter_map(|dependency| dependency["name"].as_str())
                .filter(|name| names.contains(name));
            (package["name"].as_str().unwrap().to_owned(), ours.map(str::to_owned).collect())
        })
        .collect()
}

#[test]
fn arrows_between_our_crates_are_those_of_the_design() {
    let arrows = our_arrows();
    for (name, ours) in &arrows {
        let Some((_, allowed, reason)) = ARROWS.iter().find(|(known, ..)| known == name) else {
            panic!("`{name}` is not in the table of arrows: say what it may depend on, and why");
        };
        for dependency in ours {
            assert!(
                allowed.contains(&dependency.as_str()),
                "`{name}` must not depend on `{dependency}`: {reason}"
            );
        }
    }
    for (name, ..) in ARROWS {
        assert!(arrows.contains_key(*name), "`{name}` is in the table of arrows, but not in the workspace");
    }
}

#[test]
fn crates_never_see_what_they_must_not_know() {
    for (name, forbidden, reason) in NEVER {
        let tree = cargo(&["tree", "-p", name, "-e", "normal", "--prefix", "none", "--format", "{p}"]);
        for line in tree.lines() {
            let package = line.split_whitespace().next().unwrap_or_default();
            assert!(!forbidden.contains(&package), "`{package}` is somewhere below `{name}`: {reason}");
        }
    }
}

#[test]
fn every_crate_takes_the_workspace_lints() {
    for manifest in files("Cargo.toml").into_iter().filter(|file| !file.starts_with(unsafe_crate())) {
        let text = fs::read_to_string(&manifest).unwrap();
        let inherits = text.contains("[workspace]") || text.contains("[lints]\nworkspace = true");
        assert!(
            inherits,
            "{}: add `[lints] workspace = true`; they keep out `unsafe` and panics",
            manifest.display()
        );
    }
}

/// The one crate that may have unsafe code: its allocator's crate has no safe name for one function.
fn unsafe_crate() -> PathBuf {
    root().join("crates/memory")
}

#[test]
fn one_crate_of_ours_has_unsafe_code() {
    for file in files(".rs").into_iter().filter(|file| !file.starts_with(unsafe_crate())) {
        let text = fs::read_to_string(&file).unwrap();
        let allows = text.contains("allow(unsafe_code") || text.contains("expect(unsafe_code");
        let here = file.ends_with("xtask/tests/architecture.rs");
        assert!(
            here || !allows,
            "{}: system calls and raw memory belong to well-kept crates",
            file.display()
        );
    }
}

#[test]
fn every_crate_says_at_its_top_what_it_is() {
    let tops =
        files(".rs").into_iter().filter(|file| file.ends_with("src/lib.rs") || file.ends_with("src/main.rs"));
    for file in tops {
        let text = fs::read_to_string(&file).unwrap();
        let documented = text.lines().take_while(|line| line.starts_with("//!")).count();
        assert!(
            documented >= 1,
            "{}: the first lines say what the crate is, and what it is not",
            file.display()
        );
    }
}

#[test]
fn a_file_is_one_idea() {
    for file in files(".rs") {
        if file.components().any(|part| part.as_os_str() == "tests") || file.ends_with("tests.rs") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().lines().count();
        assert!(code <= LONGEST_FILE, "{} has {code} lines: split it by idea", file.display());
    }
}

/// Files of the repository whose name ends so.
fn files(ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = ["crates", "loadtest", "benches", "xtask"].map(|folder| root().join(folder)).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            match path.is_dir() {
                true if entry.file_name() != "target" => folders.push(path),
                true => {}
                false if path.to_string_lossy().ends_with(ending) => found.push(path),
                false => {}
            }
        }
    }
    assert!(!found.is_empty(), "no file ends with {ending}: the test looks in the wrong place");
    found
}
