//! What a load is: read from TOML, changed from the command line, checked before anything starts.
mod builtin;
mod calls;
mod file;
mod network;
mod overrides;
mod plan;
mod units;

pub(crate) use builtin::{BUILT_IN, Source};
pub(crate) use calls::Calls;
pub(crate) use file::{Group, Media, Scenario, Thresholds};
pub(crate) use overrides::Overrides;
pub(crate) use plan::{Seat, divide, plan};
