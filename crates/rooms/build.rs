//! Compiles the record that rooms keeps of itself, with protox.
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from("../../proto");
    println!("cargo:rerun-if-changed={}", root.join("sluice/rooms/internal").display());
    let descriptors = protox::compile(["sluice/rooms/internal/v1/state.proto"], [&root])?;
    prost_build::Config::new().btree_map(["."]).compile_fds(descriptors)?;
    Ok(())
}
