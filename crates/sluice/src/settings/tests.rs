use std::io::Write as _;

use clap::Parser as _;

use super::*;
use crate::cli::{Cli, Command};

fn environment(variables: &[(&str, &str)]) -> Environment {
    Environment::new(variables.iter().map(|(name, value)| (name.to_string(), value.to_string())))
}

/// Settings as the given command line, environment and file make them.
fn settings(line: &str, variables: &[(&str, &str)], file: &str) -> Result<Settings, SettingError> {
    let mut path = std::env::temp_dir();
    path.push(format!("sluice-settings-{}-{:?}.toml", std::process::id(), std::thread::current().id()));
    std::fs::File::create(&path).unwrap().write_all(file.as_bytes()).unwrap();
    let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
    let log = &cli.common.log;
    let result = match cli.command.unwrap() {
        Command::Dev(flags) => {
            load(Some(&path), environment(variables), &Flags { section: "dev", flags: &flags, log })
                .and_then(|settings| settings.check("dev").map(|()| settings))
        }
        Command::Sfu(flags) => {
            load(Some(&path), environment(variables), &Flags { section: "sfu", flags: &flags, log })
                .and_then(|settings| settings.check("sfu").map(|()| settings))
        }
        Command::Rooms(flags) => {
            load(Some(&path), environment(variables), &Flags { section: "rooms", flags: &flags, log })
                .and_then(|settings| settings.check("rooms").map(|()| settings))
        }
        Command::Token(_) => unreachable!("tokens read no settings"),
    };
    std::fs::remove_file(&path).unwrap();
    result
}

#[test]
fn without_anything_the_defaults_hold_and_pass_their_own_checks() {
    let Settings { dev, log, .. } = settings("sluice dev", &[], "").unwrap();
    assert_eq!((dev, log), (Dev::default(), Log::default()));
    assert_eq!(settings("sluice sfu", &[], "").unwrap().sfu, Sfu::default());
}

#[test]
fn flags_win_over_the_environment_which_wins_over_the_file() {
    let file = "[dev]\nhttp_port = 1001\ntcp_port = 1001\ngrpc_port = 1001";
    let variables = [("SLUICE_DEV_HTTP_PORT", "1002"), ("SLUICE_DEV_TCP_PORT", "1002")];
    let dev = settings("sluice dev --http-port 1003", &variables, file).unwrap().dev;
    assert_eq!((dev.http_port, dev.tcp_port, dev.grpc_port), (1003, 1002, 1001));
}

#[test]
fn lists_come_from_the_environment_with_commas_and_from_the_file_as_lists() {
    let expected = ["203.0.113.7".parse::<IpAddr>().unwrap(), "2001:db8::7".parse().unwrap()];
    let variables = [("SLUICE_SFU_ADVERTISE", "203.0.113.7, 2001:db8::7")];
    assert_eq!(settings("sluice sfu", &variables, "").unwrap().sfu.advertise, expected);
    let file = "[sfu]\nadvertise = ['203.0.113.7', '2001:db8::7']";
    assert_eq!(settings("sluice sfu", &[], file).unwrap().sfu.advertise, expected);
    let line = "sluice sfu --advertise 203.0.113.7 --advertise 2001:db8::7";
    assert_eq!(settings(line, &[], "").unwrap().sfu.advertise, expected);
}

#[test]
fn a_token_of_digits_keeps_its_zeros() {
    let sfu = settings("sluice sfu", &[("SLUICE_SFU_TOKEN", "000123")], "").unwrap().sfu;
    assert_eq!(sfu.token.reveal(), "000123");
}

#[test]
fn keys_come_from_the_environment_as_pairs() {
    let variables = [("SLUICE_ROOMS_KEYS", "one:aaaaaaaaaaaaaaaaa,two:bbb:bb")];
    let rooms = settings("sluice rooms", &variables, "").unwrap().rooms;
    assert_eq!(rooms.keys["one"].reveal(), "aaaaaaaaaaaaaaaaa");
    assert_eq!(rooms.keys["two"].reveal(), "bbb:bb", "a secret may hold a colon");
}

#[test]
fn errors_name_the_setting_the_source_and_the_way_out() {
    #[allow(clippy::type_complexity)] // a table is read, not passed on
    let cases: &[(&str, &[(&str, &str)], &str, &[&str])] = &[
        ("sluice dev", &[("SLUICE_DEV_HTTP_PORT", "http")], "", &["dev.http_port", "environment", "http"]),
        ("sluice dev", &[("SLUICE_DEV_HTTP_PORT", "70000")], "", &["dev.http_port", "70000"]),
        ("sluice dev", &[("SLUICE_DEV_PROT", "1")], "", &["dev.prot", "no such setting", "http_port"]),
        ("sluice dev", &[], "[dev]\nbnid = '::1'", &["dev.bnid", "no such setting", "bind"]),
        ("sluice dev", &[], "[dve]", &["dve", "no such setting", "dev"]),
        ("sluice dev", &[], "[dev", &["(the file as a whole)"]),
        ("sluice dev --bind 0.0.0.0", &[], "", &["dev.bind", "0.0.0.0", "--allow-dev-key-anywhere"]),
        ("sluice dev --tcp-port 7880", &[], "", &["dev.tcp_port", "7880", "dev.http_port"]),
        ("sluice dev --udp-port 65535 --shards 2", &[], "", &["dev.udp_port", "65535", "2 shards"]),
        ("sluice dev --advertise 0.0.0.0", &[], "", &["dev.advertise", "0.0.0.0"]),
        ("sluice sfu", &[], "[sfu.limits]\nroom = 3", &["sfu.limits.room", "no such setting", "rooms"]),
        ("sluice sfu", &[], "[sfu.tcp]\nmax_connections = 0", &["sfu.tcp.max_connections", "must not be 0"]),
        ("sluice rooms", &[], "[rooms.limits]\nrooms = 'many'", &["rooms.limits.rooms", "many"]),
        ("sluice sfu", &[("SLUICE_SFU_ADVERTISE", "host.example")], "", &["sfu.advertise", "host.example"]),
        (
            "sluice sfu --grpc 0.0.0.0:7883",
            &[("SLUICE_SFU_TOKEN", "short")],
            "",
            &["sfu.token", "5 characters"],
        ),
        ("sluice sfu", &[("SLUICE_SFU_NODE_ID", "a b")], "", &["sfu.node_id", "a b", "spaces"]),
        ("sluice rooms", &[], "", &["rooms.keys", "SLUICE_ROOMS_KEYS"]),
        ("sluice rooms", &[("SLUICE_ROOMS_KEYS", "nonsense")], "", &["rooms.keys", "key:secret"]),
        ("sluice rooms --node 10.0.0.1:7883", &[], "", &["rooms.node", "10.0.0.1:7883", "http://"]),
        (
            "sluice rooms --http 0.0.0.0:7880",
            &[("SLUICE_ROOMS_KEYS", "devkey:secret")],
            "",
            &["rooms.keys.devkey", "--allow-dev-key-anywhere"],
        ),
        (
            "sluice rooms --http 0.0.0.0:7880",
            &[("SLUICE_ROOMS_KEYS", "mine:tooshort")],
            "",
            &["rooms.keys.mine", "8 characters"],
        ),
    ];
    for (line, variables, file, expected) in cases {
        let text = settings(line, variables, file).expect_err(line).to_string();
        for part in *expected {
            assert!(text.contains(part), "{line} {variables:?} {file:?}: `{part}` is not in: {text}");
        }
        assert!(!text.contains("tooshort"), "a secret leaked: {text}");
    }
}

#[test]
fn a_file_that_was_named_must_exist() {
    let cli = Cli::parse_from(["sluice", "dev"]);
    let flags = Flags { section: "dev", flags: &crate::cli::DevFlags::default(), log: &cli.common.log };
    let error = load(Some(Path::new("/nowhere/sluice.toml")), environment(&[]), &flags).unwrap_err();
    assert!(error.to_string().contains("/nowhere/sluice.toml"), "{error}");
}

#[test]
fn what_is_shown_holds_no_secret() {
    let variables =
        [("SLUICE_ROOMS_KEYS", "mine:abcdefghijklmnopq"), ("SLUICE_ROOMS_NODE_TOKEN", "tttttttt")];
    let settings = settings("sluice rooms", &variables, "").unwrap();
    for text in [settings.show("rooms").unwrap(), format!("{settings:?}")] {
        assert!(text.contains("mine"), "{text}");
        assert!(!text.contains("abcdefghijklmnopq") && !text.contains("tttttttt"), "{text}");
    }
}

#[test]
fn without_a_file_there_is_nothing_to_read() {
    let cli = Cli::parse_from(["sluice", "dev"]);
    let flags = Flags { section: "dev", flags: &crate::cli::DevFlags::default(), log: &cli.common.log };
    assert_eq!(load(None, environment(&[]), &flags).unwrap().dev, Dev::default());
}

#[test]
fn every_setting_is_documented() {
    let document = include_str!("../../../../docs/settings.md");
    let settings = toml::Table::try_from(Settings::default()).unwrap();
    for (section, settings) in settings {
        assert!(
            document.contains(&format!("## `[{section}]`")),
            "docs/settings.md has no section [{section}]"
        );
        for (name, value) in settings.as_table().unwrap() {
            assert!(
                document.contains(&format!("| `{name}` |")),
                "docs/settings.md lacks `{name}` of [{section}]"
            );
            for inner in value.as_table().into_iter().flat_map(|table| table.keys()) {
                assert!(
                    document.contains(&format!("`{inner}`")),
                    "docs/settings.md lacks `{section}.{name}.{inner}`"
                );
            }
        }
    }
}
