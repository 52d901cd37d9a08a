//! A first call, before anything is compared with the start.
//!
//! A server reads in its program and fills its tables as it does things for the first time. What a load leaves behind shows
//! only beside a server that has carried a call already.
use std::time::Duration;

use anyhow::Context as _;
use sluice_client::{AudioShape, Options, Path, VideoShape};
use tokio::time::Instant;

use crate::door::Door;
use crate::server::Server;

/// For each step of the call.
const PATIENCE: Duration = Duration::from_secs(20);
/// After it, for what is given back late.
const REST: Duration = Duration::from_secs(5);

/// Two clients, one on each signalling path, hear and see each other and leave.
///
/// # Errors
/// If they do not.
pub(crate) async fn first_call(server: &Server, door: &Door, room: &str) -> anyhow::Result<()> {
    eprintln!("a first call, to compare with a server that has carried one");
    let mut clients = Vec::new();
    for (identity, path) in [("first-0", Path::V0), ("first-1", Path::V1)] {
        let client = door.join(room, identity, Options { path, ..Options::default() }).await?;
        client.publish_audio(AudioShape::default()).await?;
        client.publish_video(VideoShape::simulcast(1_000_000)).await?;
        clients.push(client);
    }
    for client in &clients {
        client.until(PATIENCE, |stats| stats.received.len() == 2).await.context("in the first call")?;
    }
    for client in clients {
        client.leave().await.context("in the first call")?;
    }
    let deadline = Instant::now() + PATIENCE;
    while server.metrics().await?.sum("sluice_node_sessions") > 0.0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    tokio::time::sleep(REST).await;
    Ok(())
}
