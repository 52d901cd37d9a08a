//! Compiles `proto/` with protox, so that a build needs no protoc.
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let files = [
        "sluice/sfu/v1/sfu.proto",
        "sluice/calls/v1/calls.proto",
        "sluice/calls/v1/client.proto",
        "sluice/calls/v1/hook.proto",
    ];
    let descriptors = protox::compile(files, [&root])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    // Served by gRPC reflection.
    let encoded = prost::Message::encode_to_vec(&descriptors);
    // The JSON form of the messages that browsers and webhooks get.
    pbjson_build::Builder::new().register_descriptors(&encoded)?.build(&[".sluice.calls"])?;
    std::fs::write(out.join("descriptors.bin"), encoded)?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
