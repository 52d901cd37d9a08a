//! The stages of `test` and `ci`.
use crate::Stage;
use crate::machine::{CHROMIUM, FIREFOX, IP, Machine, NFT, TCPDUMP, is_root};
use crate::python;
use crate::report::Report;

const WEB: &str = "web";
const E2E: &str = "web/e2e";

/// Format, lints, documentation. The rest of `ci` follows only if they pass, for they fail fast.
///
/// # Errors
/// The first one that fails.
pub(crate) fn checks(machine: &Machine, report: &mut Report) -> anyhow::Result<()> {
    let passed = report.run("format", || machine.cargo(&["fmt", "--all", "--check"]))
        & report.run("lints", || {
            machine.cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])
        })
        & report.run("documentation", || {
            let warnings: [(&str, &std::ffi::OsStr); 1] =
                [("RUSTDOCFLAGS", std::ffi::OsStr::new("-D warnings"))];
            machine.run_with("", "cargo", &["doc", "--workspace", "--no-deps", "--locked"], &warnings)
        });
    if passed {
        Ok(())
    } else {
        anyhow::bail!("format, lints or documentation failed; the tests were not run")
    }
}

/// All tests, or some stages of them.
///
/// # Errors
/// None at present: failures are in the report.
pub(crate) fn test(machine: &Machine, report: &mut Report, only: &[Stage]) -> anyhow::Result<()> {
    let wanted = |stage: Stage| only.is_empty() || only.contains(&stage);
    if wanted(Stage::Web) {
        // First: the page is built into the binary.
        report.run("web: types, tests, build", || web(machine));
    }
    let needs_server = wanted(Stage::Rust) || wanted(Stage::E2e) || wanted(Stage::Python);
    let built = needs_server && report.run("rust: release build", || release(machine));
    if wanted(Stage::Rust) {
        report.run("rust: tests", || machine.cargo(&["test", "--workspace", "--locked"]));
    }
    if wanted(Stage::E2e) {
        if built {
            report.run("e2e: browsers", || e2e(machine));
        } else {
            report.skip("e2e: browsers", "there is no server");
        }
    }
    if wanted(Stage::Python) {
        if built {
            report.run("python: example", || python::check(machine));
        } else {
            report.skip("python: example", "there is no server");
        }
    }
    Ok(())
}

fn release(machine: &Machine) -> anyhow::Result<()> {
    machine.cargo(&["build", "--release", "--locked", "-p", "sluice", "-p", "loadtest"])
}

fn web(machine: &Machine) -> anyhow::Result<()> {
    machine.npm_packages(WEB)?;
    machine.run(WEB, "npm", &["run", "check"])?;
    machine.run(WEB, "npm", &["test"])?;
    machine.run(WEB, "npm", &["run", "build"])
}

fn e2e(machine: &Machine) -> anyhow::Result<()> {
    machine.need(&[CHROMIUM, FIREFOX])?;
    if is_root() {
        // For the stories in network namespaces: a firewall that drops UDP, a wire that is listened to.
        machine.need(&[NFT, IP, TCPDUMP])?;
    } else {
        println!("not root: stories that need a network namespace will say that they were left out");
    }
    machine.npm_packages(WEB)?;
    machine.npm_packages(E2E)?;
    machine.run(E2E, "npm", &["run", "check"])?;
    let binary = machine.sluice();
    machine.run_with(WEB, "npm", &["run", "e2e"], &[("SLUICE_BIN", binary.as_os_str())]).map_err(|error| {
        // The stories are far up in the log by the time that the last stage has ended.
        let failures = std::fs::read_to_string(machine.root.join(WEB).join("test-results/failures.txt"));
        anyhow::anyhow!("{error:#}\n{}", failures.unwrap_or_default())
    })
}
