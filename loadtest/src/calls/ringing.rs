//! A call is created and its callee's device rings.
use std::pin::pin;
use std::time::Instant;

use anyhow::ensure;
use sluice_api::calls::v1 as api;
use sluice_api::calls::v1::server_message::Message as Heard;
use tonic::Status;

use super::backend::Backend;
use super::device::Device;

/// A call that was created.
pub(crate) struct Ringing {
    pub(crate) call: String,
    /// The caller's way into its room.
    pub(crate) media: Option<api::MediaAccess>,
    /// When the device rang. The call is there even if the device did not.
    pub(crate) rang: anyhow::Result<Instant>,
}

/// Creates a call and waits for its ring on the callee's device.
///
/// # Errors
/// If the call could not be created.
pub(crate) async fn ring(
    backend: &Backend,
    device: &mut Device,
    name: &str,
    caller: &str,
    callee: &str,
) -> Result<Ringing, Status> {
    let mut creating = pin!(backend.create(name, caller, callee));
    let mut ring = pin!(device.until("a ring", |heard| match heard {
        Heard::Ring(ring) if ring.caller_user_id == caller => Some(ring.call_id),
        _ => None,
    }));
    // The ring may be faster than the answer, and does not come without it.
    let (created, heard) = tokio::select! {
        created = &mut creating => (created, None),
        heard = &mut ring => (creating.await, Some(heard)),
    };
    let (call, media) = created?;
    let heard = match heard {
        Some(heard) => heard,
        None => ring.await,
    };
    let rang = heard.and_then(|(rung, at)| {
        ensure!(rung == call, "the ring is of {rung}, the call is {call}");
        Ok(at)
    });
    Ok(Ringing { call, media, rang })
}
