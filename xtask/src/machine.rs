//! The machine that we run on: where the repository is, which programs there are, how to get missing ones.
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// A program that a stage needs, and the Debian package that has it.
pub(crate) struct Needed {
    /// Any of these will do.
    pub(crate) programs: &'static [&'static str],
    pub(crate) package: &'static str,
}

pub(crate) const CHROMIUM: Needed =
    Needed { programs: &["chromium", "chromium-browser"], package: "chromium" };
pub(crate) const FIREFOX: Needed = Needed { programs: &["firefox-esr", "firefox"], package: "firefox-esr" };
pub(crate) const NFT: Needed = Needed { programs: &["nft"], package: "nftables" };
pub(crate) const IP: Needed = Needed { programs: &["ip"], package: "iproute2" };
pub(crate) const TCPDUMP: Needed = Needed { programs: &["tcpdump"], package: "tcpdump" };

pub(crate) const VALGRIND: Needed = Needed { programs: &["valgrind"], package: "valgrind" };

pub(crate) struct Machine {
    /// The repository.
    pub(crate) root: PathBuf,
    /// Where Cargo puts what it builds.
    pub(crate) target: PathBuf,
}

impl Machine {
    pub(crate) fn here() -> anyhow::Result<Self> {
        let output = Command::new(cargo())
            .args(["metadata", "--format-version=1", "--no-deps"])
            .stderr(Stdio::inherit())
            .output()
            .context("cannot run cargo")?;
        if !output.status.success() {
            bail!("`cargo metadata` failed; run this inside the repository");
        }
        let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let folder = |name: &str| {
            metadata
                .get(name)
                .and_then(|path| path.as_str())
                .map(PathBuf::from)
                .context("no folder in cargo metadata")
        };
        Ok(Self { root: folder("workspace_root")?, target: folder("target_directory")? })
    }

    /// The release binary of the server.
    pub(crate) fn sluice(&self) -> PathBuf {
        self.target.join("release").join("sluice")
    }

    /// Runs a command in a folder of the repository, printing it, without standard input.
    pub(crate) fn run(
        &self,
        folder: &str,
        program: impl AsRef<OsStr>,
        arguments: &[&str],
    ) -> anyhow::Result<()> {
        self.run_with(folder, program, arguments, &[])
    }

    /// The same with environment variables.
    pub(crate) fn run_with(
        &self,
        folder: &str,
        program: impl AsRef<OsStr>,
        arguments: &[&str],
        environment: &[(&str, &OsStr)],
    ) -> anyhow::Result<()> {
        let program = program.as_ref();
        let shown = format!("{} {}", Path::new(program).display(), arguments.join(" "));
        println!("{folder}$ {shown}");
        let status = Command::new(program)
            .args(arguments)
            .current_dir(self.root.join(folder))
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .status()
            .with_context(|| format!("cannot start `{shown}`"))?;
        if !status.success() {
            bail!("`{shown}` failed with {status}");
        }
        Ok(())
    }

    /// Cargo, in the repository.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> anyhow::Result<()> {
        self.run("", cargo(), arguments)
    }

    /// Installs npm packages exactly as locked, unless they are there already.
    pub(crate) fn npm_packages(&self, folder: &str) -> anyhow::Result<()> {
        if find("npm").is_none() {
            bail!(
                "npm was not found: install Node 20.19 or newer from https://nodejs.org or your distribution"
            );
        }
        let modified = |path: &str| {
            std::fs::metadata(self.root.join(folder).join(path)).and_then(|file| file.modified())
        };
        let lock = modified("package-lock.json")
            .with_context(|| format!("{folder}/package-lock.json is missing"))?;
        // npm writes this file last.
        if modified("node_modules/.package-lock.json").is_ok_and(|installed| installed >= lock) {
            return Ok(());
        }
        println!("npm packages of {folder}/ are missing or old: installing");
        self.run(folder, "npm", &["ci", "--no-audit", "--no-fund"])
    }

    /// Makes sure that programs are there, if need be and possible by apt-get.
    pub(crate) fn need(&self, needed: &[Needed]) -> anyhow::Result<()> {
        let missing: Vec<&Needed> =
            needed.iter().filter(|one| one.programs.iter().all(|program| find(program).is_none())).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let packages: Vec<&str> = missing.iter().map(|one| one.package).collect();
        let list = packages.join(" ");
        if find("apt-get").is_none() {
            let programs: Vec<&str> = missing.iter().map(|one| one.programs[0]).collect();
            bail!("not found: {}. Install them; on Debian they are in: {list}", programs.join(", "));
        }
        if !is_root() {
            bail!("missing: run `sudo apt-get install -y {list}`, then this again");
        }
        println!("missing: {list}; installing by apt-get");
        let quiet: [(&str, &OsStr); 1] = [("DEBIAN_FRONTEND", OsStr::new("noninteractive"))];
        self.run_with("", "apt-get", &["update", "-q"], &quiet)?;
        let install = [&["install", "-y", "-q", "--no-install-recommends"], packages.as_slice()].concat();
        self.run_with("", "apt-get", &install, &quiet)
    }
}

fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}

/// A program on the path, or where Debian puts administrators' programs.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

pub(crate) fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
