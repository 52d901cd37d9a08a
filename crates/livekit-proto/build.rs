//! Compiles `proto/livekit` with protox, so that a build needs no protoc.
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from("../../proto");
    println!("cargo:rerun-if-changed={}", root.join("livekit").display());
    let descriptors = protox::compile(["livekit/signal.proto"], [&root])?;
    prost_build::Config::new().bytes(["."]).compile_fds(descriptors)?;
    Ok(())
}
