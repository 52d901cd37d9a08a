//! One participant's calls to the node, one after the other: a declaration that still waits is replaced by a newer one
//! of its kind, and what fails for a passing reason is tried again.
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use sluice_api::sfu::v1 as sfu;
use tokio::time::Instant;
use tonic::Status;

use super::{BackOff, Node, is_transient};

/// Steps that may wait. A participant has a few sessions, each with one declaration of each kind: more than this means
/// that the node does not keep up with its negotiation.
const LONGEST_QUEUE: usize = 256;
/// A client waits 15 s for an answer; better that it starts anew before.
const NEGOTIATION_PATIENCE: Duration = Duration::from_secs(10);
/// Media goes on without declarations, only nothing changes.
const DECLARATION_PATIENCE: Duration = Duration::from_secs(60);
/// The node's own limit for one call.
const MOST_CANDIDATES: usize = 64;

/// A call to be made.
// One exists at a time: a box would cost an allocation and save nothing.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone)]
pub(crate) enum Step {
    PutSession(sfu::PutSessionRequest),
    SetPublications(sfu::SetPublicationsRequest),
    SetSubscriptions(sfu::SetSubscriptionsRequest),
    SetMuted(sfu::SetMutedRequest),
    Negotiate(sfu::NegotiateRequest),
    AddCandidates(sfu::AddCandidatesRequest),
}

/// A call that was made.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) step: Step,
    /// A response for `Negotiate`, nothing for the others.
    pub(crate) result: Result<Option<sfu::NegotiateResponse>, Status>,
}

/// Too many steps wait.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overflow;

pub(crate) struct Steps {
    node: Node,
    waiting: VecDeque<Step>,
    running: Option<Pin<Box<dyn Future<Output = Done> + Send>>>,
}

impl Steps {
    pub(crate) fn new(node: Node) -> Self {
        Self { node, waiting: VecDeque::new(), running: None }
    }

    pub(crate) fn push(&mut self, step: Step) -> Result<(), Overflow> {
        for waiting in &mut self.waiting {
            if merged(waiting, &step) {
                return Ok(());
            }
        }
        if self.waiting.len() >= LONGEST_QUEUE {
            return Err(Overflow);
        }
        self.waiting.push_back(step);
        Ok(())
    }

    /// The next call that ends. Waits for ever if there is none; may be dropped and called again without harm.
    pub(crate) async fn next(&mut self) -> Done {
        if self.running.is_none() {
            let Some(step) = self.waiting.pop_front() else { return std::future::pending().await };
            self.running = Some(Box::pin(run(self.node.clone(), step)));
        }
        let Some(running) = &mut self.running else { return std::future::pending().await };
        let done = running.await;
        self.running = None;
        done
    }
}

/// Replaces a declaration that waits by a newer one, or joins candidates.
fn merged(waiting: &mut Step, newer: &Step) -> bool {
    match (waiting, newer) {
        (Step::PutSession(old), Step::PutSession(new)) if old.session_id == new.session_id => {
            *old = new.clone()
        }
        (Step::SetPublications(old), Step::SetPublications(new)) if old.session_id == new.session_id => {
            *old = new.clone();
        }
        (Step::SetSubscriptions(old), Step::SetSubscriptions(new)) if old.session_id == new.session_id => {
            *old = new.clone();
        }
        (Step::SetMuted(old), Step::SetMuted(new)) if old.publication_id == new.publication_id => {
            *old = new.clone()
        }
        (Step::AddCandidates(old), Step::AddCandidates(new))
            if old.session_id == new.session_id
                && old.candidates.len() + new.candidates.len() <= MOST_CANDIDATES =>
        {
            old.candidates.extend(new.candidates.iter().cloned());
        }
        _ => return false,
    }
    true
}

async fn run(node: Node, step: Step) -> Done {
    let patience = match step {
        Step::Negotiate(_) => NEGOTIATION_PATIENCE,
        _ => DECLARATION_PATIENCE,
    };
    let give_up = Instant::now() + patience;
    let mut back_off = BackOff::default();
    loop {
        let result = once(&node, step.clone()).await;
        match &result {
            Err(status) if is_transient(status) && Instant::now() < give_up => {
                tokio::time::sleep(back_off.next()).await;
            }
            _ => return Done { step, result },
        }
    }
}

async fn once(node: &Node, step: Step) -> Result<Option<sfu::NegotiateResponse>, Status> {
    match step {
        Step::PutSession(request) => node.put_session(request).await?,
        Step::SetPublications(request) => node.set_publications(request).await?,
        Step::SetSubscriptions(request) => node.set_subscriptions(request).await?,
        Step::SetMuted(request) => node.set_muted(request).await?,
        Step::AddCandidates(request) => node.add_candidates(request).await?,
        Step::Negotiate(request) => return node.negotiate(request).await.map(Some),
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn steps() -> Steps {
        Steps::new(Node::new(&Settings::default(), None).unwrap())
    }

    fn subscriptions(session: &str, publication: &str) -> Step {
        let subscription = sfu::Subscription { publication_id: publication.into(), ..Default::default() };
        Step::SetSubscriptions(sfu::SetSubscriptionsRequest {
            session_id: session.into(),
            subscriptions: vec![subscription],
            ..Default::default()
        })
    }

    fn offer() -> Step {
        Step::Negotiate(sfu::NegotiateRequest::default())
    }

    #[tokio::test]
    async fn a_newer_declaration_replaces_the_one_that_waits() {
        let mut steps = steps();
        steps.push(subscriptions("a", "TR_1")).unwrap();
        steps.push(offer()).unwrap();
        steps.push(subscriptions("a", "TR_2")).unwrap();
        steps.push(subscriptions("b", "TR_3")).unwrap();
        assert_eq!(steps.waiting.len(), 3);
        let Step::SetSubscriptions(first) = &steps.waiting[0] else { panic!("the order changed") };
        assert_eq!(first.subscriptions[0].publication_id, "TR_2");
    }

    #[tokio::test]
    async fn the_queue_is_bounded() {
        let mut steps = steps();
        for _ in 0..LONGEST_QUEUE {
            steps.push(offer()).unwrap();
        }
        assert_eq!(steps.push(offer()), Err(Overflow));
    }

    #[tokio::test(start_paused = true)]
    async fn an_unreachable_node_is_tried_again_and_then_given_up() {
        let settings = Settings { node: "http://127.0.0.1:1".into(), ..Settings::default() };
        let mut steps = Steps::new(Node::new(&settings, None).unwrap());
        let start = Instant::now();
        steps.push(offer()).unwrap();
        let done = steps.next().await;
        assert!(is_transient(&done.result.unwrap_err()));
        assert!(start.elapsed() >= NEGOTIATION_PATIENCE);
    }
}
