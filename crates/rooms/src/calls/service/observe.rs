//! Every RPC is traced with its call and user, counted and timed.
use std::time::Instant;

use tonic::{Code, Response, Status};
use tracing::{Instrument as _, Span};

use crate::calls::convert::status::{code_name, to_status};
use crate::calls::desk::Trouble;

/// An RPC under way.
pub(super) struct Seen {
    name: &'static str,
    span: Span,
    began: Instant,
}

impl Seen {
    pub(super) fn of(name: &'static str, call: &str, user: &str) -> Self {
        // Not checked yet: what is too long for an id is too long for a log.
        let short = |text: &str| text.chars().take(128).collect::<String>();
        let span = tracing::debug_span!("calls", rpc = name, call = short(call), user = short(user));
        Self { name, span, began: Instant::now() }
    }
}

pub(super) async fn observe<T>(
    seen: Seen,
    work: impl Future<Output = Result<T, Trouble>>,
) -> Result<Response<T>, Status> {
    let Seen { name, span, began } = seen;
    let result = async {
        let result = work.await;
        match &result {
            Ok(_) => tracing::debug!("done"),
            // Inside lies the cause, which callers are not told.
            Err(trouble @ Trouble::Store(_)) => tracing::error!(error = %trouble, "failed"),
            Err(trouble) => tracing::info!(error = %trouble, "refused"),
        }
        result.map_err(|trouble| to_status(&trouble))
    }
    .instrument(span)
    .await;
    let code = result.as_ref().err().map_or(Code::Ok, Status::code);
    let labels = [("rpc", name.to_owned()), ("code", code_name(code).to_owned())];
    metrics::counter!("sluice_calls_rpcs_total", &labels).increment(1);
    metrics::histogram!("sluice_calls_rpc_seconds", "rpc" => name).record(began.elapsed());
    result.map(Response::new)
}
