//! One task that owns every live call: applies what waits to the model, writes it all at once, then tells.
//!
//! **Nobody learns of anything that is not written.** While a write is awaited, requests queue up; they make the next
//! write together. If the store fails, the model is ahead of it: everybody who waited is told, the model is built anew
//! from the store once that works again, and only what turns out to be written is told to devices.
mod batch;
mod task;

use std::sync::Arc;

use sluice_calls::{Answer, Call, CallId, CallView, DeviceId, Refusal, Request, Ring, Switchboard, UserId};
use tokio::sync::{mpsc, oneshot};

use super::documents::Remember;
use crate::store::StoreError;

pub(crate) use task::{Parts, Task, wall_clock};

/// Why a request got no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Trouble {
    /// The model says no; nothing has changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A rate limit; when to try again, if known.
    #[error("too many calls: {text}")]
    RateLimited { text: String, retry_after_ms: Option<u64> },
    /// Too much waits already.
    #[error("the server is overloaded: try again later")]
    Overloaded,
    /// The store cannot be written: nothing has changed as far as anybody knows.
    #[error("the store failed: {0}")]
    Store(Arc<StoreError>),
    /// Not now.
    #[error("{0}")]
    Unavailable(&'static str),
    /// A field of the request is wrong.
    #[error("`{field}`: {text}")]
    Invalid { field: &'static str, text: String },
    /// What a field names does not exist.
    #[error("`{field}`: {text}")]
    NotFound { field: &'static str, text: String },
    /// The link has expired or was revoked.
    #[error("{0}")]
    LinkOver(String),
    /// A resume token that is of no use any more.
    #[error("{0}")]
    OutOfRange(String),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

const STOPPED: Trouble = Trouble::Unavailable("the server stops: try again");

/// What a device needs to begin with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Picture {
    pub(crate) rings: Vec<Ring>,
    pub(crate) calls: Vec<CallView>,
}

type Look = Box<dyn FnOnce(Result<&Switchboard, Trouble>) + Send>;

/// What waits for the task.
enum Mail {
    Ask {
        request: Request,
        remember: Option<Remember>,
        reply: oneshot::Sender<Result<Answer, Trouble>>,
    },
    /// Served when everything before it is written and told.
    Look(Look),
}

/// The way to the task. Clones share it.
#[derive(Clone)]
pub(crate) struct Desk {
    mail: mpsc::Sender<Mail>,
}

/// Where the task finds what waits.
pub(crate) struct Mailbox(mpsc::Receiver<Mail>);

impl Desk {
    /// For a task that is still to come: requests wait for it, so many at most.
    pub(crate) fn new(queue: usize) -> (Self, Mailbox) {
        let (mail, mailbox) = mpsc::channel(queue.max(1));
        (Self { mail }, Mailbox(mailbox))
    }

    fn post(&self, mail: Mail) -> Result<(), Trouble> {
        self.mail.try_send(mail).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                metrics::counter!("sluice_calls_overloaded_total").increment(1);
                Trouble::Overloaded
            }
            mpsc::error::TrySendError::Closed(_) => STOPPED,
        })
    }

    /// Does it, and returns once it is stored.
    pub(crate) async fn ask(&self, request: Request) -> Result<Answer, Trouble> {
        self.ask_and_remember(request, None).await
    }

    /// The same; what a creation made is remembered in the same write.
    pub(crate) async fn ask_and_remember(
        &self,
        request: Request,
        remember: Option<Remember>,
    ) -> Result<Answer, Trouble> {
        let (reply, answer) = oneshot::channel();
        self.post(Mail::Ask { request, remember, reply })?;
        answer.await.map_err(|_| STOPPED)?
    }

    /// The same in two steps: its place in the queue is taken at once.
    pub(crate) fn post_ask(
        &self,
        request: Request,
    ) -> Result<oneshot::Receiver<Result<Answer, Trouble>>, Trouble> {
        let (reply, answer) = oneshot::channel();
        self.post(Mail::Ask { request, remember: None, reply })?;
        Ok(answer)
    }

    /// Looks at the calls, as they are written and told.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Switchboard) -> T + Send + 'static,
    ) -> Result<T, Trouble> {
        let (reply, answer) = oneshot::channel();
        let look = move |board: Result<&Switchboard, Trouble>| {
            // Whoever asked may have gone meanwhile.
            drop(reply.send(board.map(look)));
        };
        self.post(Mail::Look(Box::new(look)))?;
        answer.await.map_err(|_| STOPPED)?
    }

    /// All that a device may know now, and what `mark` says at that moment: in order with the notices, so that whatever is
    /// delivered after it is newer than the picture.
    pub(crate) async fn picture<T: Send + 'static>(
        &self,
        user: &UserId,
        device: &DeviceId,
        mark: impl FnOnce() -> T + Send + 'static,
    ) -> Result<(Picture, T), Trouble> {
        let (user, device) = (user.clone(), device.clone());
        self.look(move |board| {
            let mut picture = Picture::default();
            for call in board.calls_of(&user) {
                picture.rings.extend(call.ring(&user, &device));
                picture.calls.extend(call.view(&user, &device));
            }
            (picture, mark())
        })
        .await
    }

    /// A live call, or one that ended a moment ago.
    pub(crate) async fn call(&self, id: &CallId) -> Result<Option<Arc<Call>>, Trouble> {
        let id = id.clone();
        self.look(move |board| board.call(&id).cloned()).await
    }
}
