//! The owner of a run's rooms: renews them while the run goes on, and ends them afterwards, however it went.
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio_util::task::AbortOnDropHandle;

use super::Access;
use super::api::{Node, refused};

/// Well within the time after which a room counts as orphaned.
const RENEW: Duration = Duration::from_secs(5);
/// Rooms that are ended at the same time.
const ENDING: usize = 16;

pub(crate) struct Owner {
    node: Node,
    _renewing: AbortOnDropHandle<()>,
}

impl Owner {
    /// # Errors
    /// If the node cannot be reached.
    pub(crate) async fn start(access: &Access) -> anyhow::Result<Self> {
        let node = Node::connect(&access.api, access.owner_epoch).await?;
        let renewing = tokio::spawn(renew(node.clone()));
        Ok(Self { node, _renewing: AbortOnDropHandle::new(renewing) })
    }

    /// Ends these rooms, whether or not they ever began.
    ///
    /// # Errors
    /// If the node does not take it; then the rooms end by themselves, as nobody renews them.
    pub(crate) async fn end(self, rooms: impl Iterator<Item = String>) -> anyhow::Result<()> {
        let ending = stream::iter(rooms).map(|room| {
            let node = &self.node;
            async move {
                let ended = node.delete_room(&room).await;
                ended.map_err(|status| refused(&format!("room {room} was not ended"), &status))
            }
        });
        ending.buffer_unordered(ENDING).try_collect::<()>().await
    }
}

async fn renew(node: Node) {
    loop {
        tokio::time::sleep(RENEW).await;
        if let Err(status) = node.keep_alive().await {
            tracing::warn!(code = ?status.code(), message = status.message(), "the rooms were not renewed");
        }
    }
}
