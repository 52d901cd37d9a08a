//! One task that owns every live call: applies what waits to the model, writes it all at once, then tells.
use std::sync::Arc;

use sluice_calls::{Answer, Call, CallId, CallView, DeviceId, Refusal, Request, Ring, UserId};

use crate::store::StoreError;

/// Why a request got no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Trouble {
    /// The model says no; nothing has changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The product's side does not allow it.
    #[error("{0}")]
    Forbidden(String),
    /// A rate limit; when to try again, if known.
    #[error("too many calls: {text}")]
    RateLimited { text: String, retry_after_ms: Option<u64> },
    /// Too much waits already.
    #[error("the server is overloaded: try again later")]
    Overloaded,
    /// The store cannot be written: nothing has changed as far as anybody knows.
    #[error("the store failed: {0}")]
    Store(Arc<StoreError>),
    /// A field of the request is wrong.
    #[error("`{field}`: {text}")]
    Invalid { field: &'static str, text: String },
}

/// The way to the task. Clones share it.
#[derive(Clone)]
pub(crate) struct Desk {}

/// What a device needs to begin with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Picture {
    pub(crate) rings: Vec<Ring>,
    pub(crate) calls: Vec<CallView>,
}

impl Desk {
    /// Does it, and returns once it is stored.
    pub(crate) async fn ask(&self, request: Request) -> Result<Answer, Trouble> {
        let _ = request;
        unimplemented!()
    }

    /// All that a device may know now. In order with the notices: whatever is delivered later is newer.
    pub(crate) async fn picture(&self, user: &UserId, device: &DeviceId) -> Result<Picture, Trouble> {
        let _ = (user, device);
        unimplemented!()
    }

    /// A live call, or one that ended a moment ago.
    pub(crate) async fn call(&self, id: &CallId) -> Result<Option<Arc<Call>>, Trouble> {
        let _ = id;
        unimplemented!()
    }
}
