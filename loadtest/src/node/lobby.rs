//! Where participants of this process come in.
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use sluice_client::{Client, Options, Signalling};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::Access;
use super::api::{Node, refused};
use super::events::{self, Rooms};
use super::guest::Guest;

/// Messages between a client and its guest, each way.
const MESSAGES: usize = 64;

pub(crate) struct Lobby {
    node: Node,
    rooms: Arc<Rooms>,
    /// A URL of the host that media goes to.
    media: String,
    _following: AbortOnDropHandle<()>,
}

impl Lobby {
    /// Follows the run's rooms from now on.
    ///
    /// # Errors
    /// If the node cannot be reached, or gives no events.
    pub(crate) async fn open(access: &Access) -> anyhow::Result<Self> {
        let node = Node::connect(&access.api, access.owner_epoch).await?;
        let about = node.get_node().await.map_err(|status| refused(&access.api.node, &status))?;
        let media = about.media_addresses.into_iter().find(|address| address.starts_with("udp:"));
        let media = media.context("the node takes no media over UDP")?;
        let rooms = Arc::new(Rooms::new(&access.rooms));
        let (position, stream) = events::open(&node).await?;
        let following = tokio::spawn(events::follow(node.clone(), rooms.clone(), position, stream));
        Ok(Self { node, rooms, media, _following: AbortOnDropHandle::new(following) })
    }

    /// Joins a room, which begins with the first who joins.
    pub(crate) async fn join(&self, room: &str, identity: &str, options: Options) -> anyhow::Result<Client> {
        let began = Instant::now();
        let room = self.rooms.room(room);
        let created = room.created.get_or_try_init(|| self.node.put_room(&room.id)).await;
        created.map_err(|status| refused("the room cannot begin", &status))?;
        let (requests, inbox) = mpsc::channel(MESSAGES);
        let (outbox, responses) = mpsc::channel(MESSAGES);
        let mut guest = Guest::new(self.node.clone(), &room, identity, &options, outbox);
        let join = match guest.arrive().await {
            Ok(join) => join,
            Err(error) => {
                guest.leave().await;
                return Err(error);
            }
        };
        tokio::spawn(guest.run(inbox));
        let signalling = Signalling { requests, responses };
        // If it fails, the guest hears no more and leaves.
        Client::connect_over(signalling, &join, began, &self.media, options).await
    }
}
