//! Follows the node's events, resumes the stream after a break, and renews the ownership of our rooms.
use sluice_api::sfu::v1 as sfu;
use sluice_api::sfu::v1::watch_events_response::Message;
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{BackOff, Node};
use crate::directory::Directory;
use crate::settings::seconds;

/// Where in the node's events we are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Position {
    pub(crate) boot_id: String,
    pub(crate) sequence: u64,
}

/// Until `stop`: hands each event to its room; if events were lost, every room is compared with a snapshot.
pub(crate) async fn follow(
    node: Node,
    directory: Directory,
    mut position: Position,
    stop: CancellationToken,
) {
    let mut back_off = BackOff::default();
    loop {
        let end = tokio::select! {
            () = stop.cancelled() => return,
            end = follow_once(&node, &directory, &mut position, &mut back_off) => end,
        };
        metrics::counter!("sluice_rooms_event_stream_breaks_total").increment(1);
        let wait = back_off.next();
        match end {
            Ok(()) => tracing::warn!(?wait, "the node ended its event stream"),
            Err(status) => {
                tracing::warn!(code = ?status.code(), message = status.message(), ?wait, "no events")
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn follow_once(
    node: &Node,
    directory: &Directory,
    position: &mut Position,
    back_off: &mut BackOff,
) -> Result<(), Status> {
    let request =
        sfu::WatchEventsRequest { boot_id: position.boot_id.clone(), after_sequence: position.sequence };
    let mut client = node.client.clone();
    let opened = tokio::time::timeout(node.deadline, client.watch_events(request)).await;
    let mut stream = opened.map_err(|_| Status::deadline_exceeded("the stream did not open"))??.into_inner();
    while let Some(answer) = stream.next().await {
        match answer?.message {
            Some(Message::Hello(hello)) => {
                let first = position.boot_id.is_empty();
                *position = Position { boot_id: hello.boot_id, sequence: hello.sequence };
                *back_off = BackOff::default();
                // From here on no event is missed: rooms may begin.
                directory.open();
                if hello.reset && !first {
                    metrics::counter!("sluice_rooms_event_stream_resets_total").increment(1);
                    tracing::warn!(
                        boot = position.boot_id,
                        "events were lost: comparing rooms with the node"
                    );
                    directory.compare_all();
                }
            }
            Some(Message::Event(event)) => {
                position.sequence = event.sequence;
                directory.deliver(event).await;
            }
            None => {}
        }
    }
    Ok(())
}

/// Until `stop`: tells the node that the owner of our rooms lives.
pub(crate) async fn keep_alive(node: Node, every: u32, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(seconds(every.max(1)));
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let mut back_off = BackOff::default();
        while let Err(status) = node.keep_alive().await {
            tracing::warn!(code = ?status.code(), message = status.message(), "ownership not renewed, trying again");
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(back_off.next()) => {}
            }
        }
    }
}
