//! The devices that are connected to `/calls/v1`: who is there, and what each is told.
use std::sync::Arc;

use sluice_calls::{Call, DeviceOffer, Notice, UserId};

/// Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Hub {}

impl Hub {
    /// The devices of `user` that have a socket now.
    pub(crate) fn devices(&self, user: &UserId) -> Vec<DeviceOffer> {
        let _ = user;
        unimplemented!()
    }

    /// Tells devices; never waits. `call` is the call after the transition. Called by the desk, in order.
    pub(crate) fn deliver(&self, notice: &Notice, call: &Arc<Call>) {
        let _ = (notice, call);
        unimplemented!()
    }
}
