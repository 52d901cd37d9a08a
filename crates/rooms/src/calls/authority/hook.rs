//! The product's permission hook: asks it in time, checks what it says, and knows what to do when it fails.
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sluice_api::calls::v1 as api;
use sluice_calls::{CallKind, Media, UserId, Verdict};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::builtin::is_id;
use super::cache::{Memory, Said};
use super::settings::HookSettings;
use super::{Clock, Question};
use crate::calls::convert::limits;
use crate::calls::unusable::Unusable;

mod grpc;
mod http;

/// Bytes of an answer: 256 callees with 16 devices each, all with the longest names, take less.
const LARGEST_ANSWER: usize = 1024 * 1024;
/// Devices of one callee, as many as a call rings.
const MOST_DEVICES: usize = 16;
/// Characters of a handle.
const LONGEST_HANDLE: usize = 64;
const SETTING: &str = "permission.hook.url";

/// The way to the hook. One question, one attempt or two; the deadline is the asker's.
#[async_trait]
trait Ask: Send + Sync {
    async fn ask(&self, question: &api::AuthorizeCallRequest) -> Result<api::AuthorizeCallResponse, Failure>;
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("no answer within {0} ms")]
    Late(u64),
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    #[error("answered with {0}")]
    Status(String),
    #[error("its answer is malformed: {0}")]
    Malformed(String),
}

impl Failure {
    fn label(&self) -> &'static str {
        match self {
            Self::Late(_) => "late",
            Self::Unreachable(_) => "unreachable",
            Self::Status(_) => "status",
            Self::Malformed(_) => "malformed",
        }
    }
}

/// The hook with its memory.
pub(super) struct Hook {
    way: Box<dyn Ask>,
    memory: Memory,
    places: Semaphore,
    deadline: Duration,
}

impl Hook {
    /// `None`: no hook is set. Nothing is connected yet.
    pub(super) fn new(settings: &HookSettings) -> Result<Option<Self>, Unusable> {
        if settings.url.is_empty() {
            return Ok(None);
        }
        settings.check()?;
        let way: Box<dyn Ask> = match settings.url.split_once("://") {
            Some(("http" | "https", _)) => Box::new(http::Http::new(settings)?),
            Some(("grpc" | "grpcs", _)) => Box::new(grpc::Grpc::new(settings)?),
            _ => {
                let text = "must begin with http://, https://, grpc:// or grpcs://";
                return Err(Unusable::new(SETTING, text));
            }
        };
        Ok(Some(Self {
            way,
            memory: Memory::new(settings),
            places: Semaphore::new(settings.in_flight.min(Semaphore::MAX_PERMITS)),
            deadline: Duration::from_millis(settings.deadline_ms),
        }))
    }

    /// What is said of each callee, in order. `None`: the hook failed, and nothing is remembered that would let it ring.
    pub(super) async fn decide(&self, question: &Question, clock: &Clock) -> Vec<Option<Arc<Said>>> {
        let remembered = |callee: &UserId| self.memory.answer(clock(), question, callee);
        let mut said: Vec<Option<Arc<Said>>> =
            question.callees.iter().map(|(callee, _)| remembered(callee)).collect();
        let open = || question.callees.iter().map(|(callee, _)| callee);
        let missing: Vec<&UserId> =
            open().zip(&said).filter(|(_, said)| said.is_none()).map(|(callee, _)| callee).collect();
        if missing.is_empty() {
            return said;
        }
        let answer = self.ask(question, &missing).await;
        let now = clock();
        let mut fresh = HashMap::new();
        match answer {
            Ok((ttl_s, answered)) => {
                for (callee, one) in answered {
                    let one = Arc::new(one);
                    self.memory.keep(now, question, callee, ttl_s, &one);
                    fresh.insert(callee, one);
                }
            }
            Err(failure) => {
                for callee in missing {
                    if let Some(ring) = self.memory.ring(now, question, callee) {
                        fresh.insert(callee, ring);
                    }
                }
                let (caller, rung) = (&question.caller.user, fresh.len());
                tracing::warn!(%caller, %failure, remembered = rung, "the permission hook failed");
                metrics::counter!("sluice_calls_hook_remembered_total").increment(rung as u64);
            }
        }
        for (callee, said) in open().zip(&mut said) {
            if said.is_none() {
                *said = fresh.get(callee).cloned();
            }
        }
        said
    }

    async fn ask<'a>(
        &self,
        question: &Question,
        callees: &[&'a UserId],
    ) -> Result<(u32, Vec<(&'a UserId, Said)>), Failure> {
        let request = message(question, callees);
        let begun = Instant::now();
        // Waiting for a place counts: the caller waits too.
        let answer = tokio::time::timeout(self.deadline, async {
            let place = self.places.acquire().await;
            let _place = place.map_err(|_| Failure::Unreachable("it is closed".into()))?;
            self.way.ask(&request).await
        });
        let late = || Failure::Late(self.deadline.as_millis().try_into().unwrap_or(u64::MAX));
        let answer = answer.await.unwrap_or_else(|_| Err(late()));
        let answer = answer.and_then(|answer| Ok((answer.ttl_s, check(answer, callees)?)));
        let result = answer.as_ref().map_or_else(Failure::label, |_| "answered");
        metrics::counter!("sluice_calls_hook_questions_total", "result" => result).increment(1);
        metrics::histogram!("sluice_calls_hook_seconds").record(begun.elapsed().as_secs_f64());
        answer
    }
}

fn message(question: &Question, callees: &[&UserId]) -> api::AuthorizeCallRequest {
    let media = match question.media {
        Media::Audio => api::Media::Audio,
        Media::Video => api::Media::Video,
    };
    let kind = match question.kind {
        CallKind::Direct => api::CallKind::Direct,
        CallKind::Group => api::CallKind::Group,
    };
    api::AuthorizeCallRequest {
        caller: Some(api::Party {
            user_id: question.caller.user.to_string(),
            device_id: question.caller.device.to_string(),
            handle: question.caller.handle.clone(),
        }),
        callee_user_ids: callees.iter().map(ToString::to_string).collect(),
        conversation_id: question.conversation.as_ref().map(ToString::to_string).unwrap_or_default(),
        media: media.into(),
        kind: kind.into(),
        call_id: question.call.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

/// One verdict per asked callee: those left out are denied, those never asked about are dropped and counted.
fn check<'a>(
    answer: api::AuthorizeCallResponse,
    callees: &[&'a UserId],
) -> Result<Vec<(&'a UserId, Said)>, Failure> {
    let limits = limits::from_api(answer.limits.as_ref());
    let mut verdicts: HashMap<String, api::CalleeVerdict> = HashMap::new();
    for mut verdict in answer.callees {
        if !callees.iter().any(|callee| callee.as_str() == verdict.user_id) {
            metrics::counter!("sluice_calls_hook_unasked_total").increment(1);
            continue;
        }
        if verdict.handle.chars().count() > LONGEST_HANDLE {
            return Err(Failure::Malformed(format!("the handle of {} is too long", verdict.user_id)));
        }
        if verdict.devices.len() > MOST_DEVICES {
            let text = format!("{} has more than {MOST_DEVICES} devices", verdict.user_id);
            return Err(Failure::Malformed(text));
        }
        if !verdict.devices.iter().all(|device| is_id(&device.device_id)) {
            return Err(Failure::Malformed(format!("a device of {} has no usable id", verdict.user_id)));
        }
        let mut devices = HashSet::new();
        verdict.devices.retain(|device| devices.insert(device.device_id.clone()));
        if let Some(twice) = verdicts.insert(verdict.user_id.clone(), verdict) {
            return Err(Failure::Malformed(format!("{} has two verdicts", twice.user_id)));
        }
    }
    let said = |callee: &&'a UserId| {
        let verdict = verdicts.remove(callee.as_str()).unwrap_or_default();
        let said = Said {
            verdict: match verdict.verdict() {
                api::Verdict::Ring => Verdict::Ring,
                api::Verdict::Silent => Verdict::Silent,
                api::Verdict::DenyHidden => Verdict::DenyHidden,
                api::Verdict::Deny | api::Verdict::Unspecified => Verdict::Deny,
            },
            hide_busy: verdict.hide_busy,
            handle: verdict.handle,
            devices: verdict.devices,
            limits: limits.clone(),
        };
        (*callee, said)
    };
    Ok(callees.iter().map(said).collect())
}
