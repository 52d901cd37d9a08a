//! What only looks: calls, records, and the stream of events.
use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _};
use sluice_api::calls::v1 as api;
use sluice_calls::Call;
use tonic::Status;

use super::Service;
use crate::calls::convert::status::to_status;
use crate::calls::convert::{check, model};
use crate::calls::desk::Trouble;

/// Characters of a page token of records: a time, a slash and a call's id.
const LONGEST_TOKEN: usize = 200;

type Events = Pin<Box<dyn Stream<Item = Result<api::Event, Status>> + Send>>;

impl Service {
    pub(super) async fn do_get_call(
        &self,
        request: api::GetCallRequest,
    ) -> Result<api::GetCallResponse, Trouble> {
        let id = check::call(&request.call_id)?;
        let live = self.desk.call(&id).await?.filter(|call| call.ended_at.is_none());
        if let Some(call) = live {
            return Ok(api::GetCallResponse { call: Some(model::call(&call)), record: None });
        }
        match self.documents.ended(&id).await? {
            Some(ended) => {
                Ok(api::GetCallResponse { call: None, record: Some(model::record(&ended.record)) })
            }
            None => Err(Trouble::NotFound { field: "call_id", text: "there is no such call".into() }),
        }
    }

    pub(super) async fn do_list_calls(
        &self,
        request: api::ListCallsRequest,
    ) -> Result<api::ListCallsResponse, Trouble> {
        let user = check::optional_user("user_id", &request.user_id)?;
        let conversation = check::conversation(&request.conversation_id)?;
        let size = check::page_size(request.page_size)?;
        let after = match request.page_token.as_str() {
            "" => None,
            token => {
                Some(check::call(token).or_else(|_| check::invalid("page_token", "is not one of ours"))?)
            }
        };
        let page = self.desk.look(move |board| -> Vec<Arc<Call>> {
            let fits = |call: &&Arc<Call>| {
                call.ended_at.is_none()
                    && conversation.as_ref().is_none_or(|wanted| call.conversation.as_ref() == Some(wanted))
            };
            match &user {
                Some(user) => {
                    let mut calls: Vec<_> = board.calls_of(user).filter(fits).cloned().collect();
                    calls.sort_by(|one, other| one.id.cmp(&other.id));
                    calls.retain(|call| after.as_ref().is_none_or(|after| call.id > *after));
                    calls.truncate(size);
                    calls
                }
                None => board.calls(after.as_ref()).filter(fits).take(size).cloned().collect(),
            }
        });
        let calls = page.await?;
        let next = calls.last().filter(|_| calls.len() == size).map(|call| call.id.to_string());
        Ok(api::ListCallsResponse {
            calls: calls.iter().map(|call| model::call(call)).collect(),
            next_page_token: next.unwrap_or_default(),
        })
    }

    pub(super) async fn do_list_records(
        &self,
        request: api::ListRecordsRequest,
    ) -> Result<api::ListRecordsResponse, Trouble> {
        let user = check::optional_user("user_id", &request.user_id)?;
        let conversation = check::conversation(&request.conversation_id)?;
        if user.is_none() && conversation.is_none() {
            return check::invalid("user_id", "give it, or `conversation_id`, or both");
        }
        let size = check::page_size(request.page_size)?;
        let token = &request.page_token;
        if token.len() > LONGEST_TOKEN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return check::invalid("page_token", "is not one of ours");
        }
        let page = self.documents.records(user.as_ref(), conversation.as_ref(), size, token).await?;
        let records = page.records.iter().map(model::record).collect();
        Ok(api::ListRecordsResponse { records, next_page_token: page.next })
    }

    pub(super) async fn follow(&self, request: api::SubscribeRequest) -> Result<Events, Trouble> {
        let Ok(place) = self.followers.clone().try_acquire_owned() else {
            metrics::counter!("sluice_calls_followers_refused_total").increment(1);
            return Err(Trouble::Overloaded);
        };
        metrics::gauge!("sluice_calls_followers").increment(1.0);
        let held = Held(place);
        let events = self.outbox.follow(&request.resume_token, self.stop.clone()).await?;
        Ok(Box::pin(events.map(move |event| {
            let _held = &held;
            event.map_err(|trouble| to_status(&trouble))
        })))
    }
}

/// The place of one who follows; free again when the stream is dropped.
struct Held(#[allow(dead_code, reason = "held, not read")] tokio::sync::OwnedSemaphorePermit);

impl Drop for Held {
    fn drop(&mut self) {
        metrics::gauge!("sluice_calls_followers").decrement(1.0);
    }
}
