//! The binary `sluice`: command line, settings, start and stop.
//!
//! It holds no calling logic: the node is `sluice-sfu`, room management is `sluice-rooms`, and `sluice dev` runs both
//! in one process, joined by the node's API.
mod cli;
mod dev;
mod halves;
mod memory;
mod observe;
mod page;
mod settings;
mod stop;

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser as _;
use serde::Serialize;

use cli::{Cli, Command, Common, DevFlags, TokenFlags};
use settings::{Environment, Flags, SettingError, Settings};

/// Sessions come and go by the thousand: memory must come back with them.
#[global_allocator]
static ALLOCATOR: sluice_memory::Allocator = sluice_memory::Allocator;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command.unwrap_or_else(|| Command::Dev(DevFlags::default())) {
        Command::Dev(flags) => prepare(&cli.common, "dev", &flags)
            .and_then(|ready| ready.map_or(Ok(()), |settings| block_on(dev::run(&settings.dev)))),
        Command::Sfu(flags) => prepare(&cli.common, "sfu", &flags)
            .and_then(|ready| ready.map_or(Ok(()), |settings| block_on(halves::run_sfu(&settings.sfu)))),
        Command::Rooms(flags) => prepare(&cli.common, "rooms", &flags)
            .and_then(|ready| ready.map_or(Ok(()), |settings| block_on(halves::run_rooms(&settings.rooms)))),
        Command::Token(flags) => print_token(&flags),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            // 78 is EX_CONFIG of sysexits.h: a supervisor need not try again.
            if error.is::<SettingError>() { ExitCode::from(78) } else { ExitCode::FAILURE }
        }
    }
}

/// Settings of `section`, checked, with logging on; none if they were only to be shown.
fn prepare<T: Serialize>(
    common: &Common,
    section: &'static str,
    flags: &T,
) -> anyhow::Result<Option<Settings>> {
    let flags = Flags { section, flags, log: &common.log };
    let settings = settings::load(common.config.as_deref(), Environment::of_process(), &flags)?;
    settings.check(section)?;
    if common.check {
        show(&settings.show(section)?)?;
        return Ok(None);
    }
    observe::start_log(&settings.log)?;
    Ok(Some(settings))
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = memory::runtime()?;
    let result = runtime.block_on(memory::giving_back(work));
    // Whatever is left had its time.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

fn print_token(flags: &TokenFlags) -> anyhow::Result<()> {
    show(&halves::token(flags)?)
}

/// Writes a command's answer to standard output. A reader that has seen enough, such as `head`, is no error.
fn show(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("standard output"),
    }
}

#[allow(clippy::print_stderr, reason = "logging may not have started")]
fn report(error: &anyhow::Error) {
    eprintln!("sluice: {error:#}");
}
