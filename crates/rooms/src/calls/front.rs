//! What gRPC and WebSocket have in common: checks, the permission, the desk, and a token for the call's room.
use std::sync::Arc;

use sluice_api::calls::v1 as api;
use sluice_calls::{Action, Call, CallId, CallKind, ConversationId, Limits, Media, Party, RequestId, UserId};

use super::desk::Trouble;

/// A request that was done.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    pub(crate) call: Option<Arc<Call>>,
    /// For the device that asked, to enter the call's room.
    pub(crate) media: Option<api::MediaAccess>,
    pub(crate) merged: bool,
}

/// A call to be made, as it was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) request: RequestId,
    pub(crate) caller: Party,
    /// With the handle that the asker gave, perhaps empty.
    pub(crate) callees: Vec<(UserId, String)>,
    pub(crate) kind: CallKind,
    pub(crate) media: Media,
    pub(crate) conversation: Option<ConversationId>,
    pub(crate) ring_ms: Option<u64>,
    pub(crate) silent: bool,
    pub(crate) app_data: Vec<u8>,
    pub(crate) limits: Limits,
}

/// Clones share it.
#[derive(Clone)]
pub(crate) struct Front {}

impl Front {
    /// Asks for permission, then calls.
    pub(crate) async fn create(&self, wanted: Wanted) -> Result<Done, Trouble> {
        let _ = wanted;
        unimplemented!()
    }

    /// Asks for permission, then rings more people.
    pub(crate) async fn invite(
        &self,
        request: RequestId,
        call: CallId,
        by: UserId,
        callees: Vec<(UserId, String)>,
        ring_ms: Option<u64>,
    ) -> Result<Done, Trouble> {
        let _ = (request, call, by, callees, ring_ms);
        unimplemented!()
    }

    /// Comes in through a link.
    pub(crate) async fn join_link(
        &self,
        request: RequestId,
        slug: &str,
        party: Party,
        transfer: bool,
    ) -> Result<Done, Trouble> {
        let _ = (request, slug, party, transfer);
        unimplemented!()
    }

    /// Everything else: straight to the desk.
    pub(crate) async fn act(&self, request: Option<RequestId>, action: Action) -> Result<Done, Trouble> {
        let _ = (request, action);
        unimplemented!()
    }

    /// A fresh token for a device that is in the call.
    pub(crate) async fn refresh_media(&self, call: &CallId, party: &Party) -> Result<Done, Trouble> {
        let _ = (call, party);
        unimplemented!()
    }
}
