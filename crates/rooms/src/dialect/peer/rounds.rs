//! Offer/answer rounds: at most one at a time, and another when something changed meanwhile.
//!
//! Two machines, pure and with time as an argument. [`Offers`] is for a session on which the node offers: a round is
//! create offer -> client's answer -> apply. [`Requests`] is for a session on which the client offers: a round is a
//! request for an offer -> the client's offer.
use sluice_api::sfu::v1 as sfu;
use std::time::Duration;
use tokio::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    /// The node makes an offer.
    Creating,
    /// The client has the offer.
    Offered {
        id: u32,
        until: Instant,
    },
    /// The node takes the answer.
    Applying,
}

/// What to do next in a round of the node's.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Nothing,
    /// Have the node make an offer.
    Create {
        ice_restart: bool,
    },
    /// Send this offer to the client.
    Send {
        id: u32,
        sdp: String,
    },
}

#[derive(Debug)]
pub(super) struct Offers {
    state: State,
    last_id: u32,
    again: bool,
    restart: bool,
    patience: Duration,
}

impl Offers {
    /// Offers are numbered from after `last_id`.
    pub(super) fn new(patience: Duration, last_id: u32) -> Self {
        Self { state: State::Idle, last_id, again: false, restart: false, patience }
    }

    /// Something changed.
    pub(super) fn needed(&mut self) -> Next {
        if self.state != State::Idle {
            self.again = true;
            return Next::Nothing;
        }
        self.state = State::Creating;
        self.again = false;
        Next::Create { ice_restart: std::mem::take(&mut self.restart) }
    }

    /// The client came back: whatever was under way is void, and ICE starts again.
    pub(super) fn resumed(&mut self) -> Next {
        self.restart = true;
        if matches!(self.state, State::Offered { .. }) {
            self.state = State::Idle;
        }
        self.needed()
    }

    /// The node made an offer; without text there is nothing to negotiate.
    pub(super) fn created(&mut self, sdp: String, now: Instant) -> Next {
        self.state = State::Idle;
        // An offer from before the client came back: a new one, with new ICE credentials, replaces it.
        if self.restart {
            return self.needed();
        }
        if sdp.is_empty() {
            return if self.again { self.needed() } else { Next::Nothing };
        }
        self.last_id += 1;
        self.state = State::Offered { id: self.last_id, until: now + self.patience };
        Next::Send { id: self.last_id, sdp }
    }

    /// The node would not make an offer: one that we do not know of still waits for its answer. Only new ICE credentials
    /// replace it.
    pub(super) fn refused(&mut self) -> Next {
        self.state = State::Idle;
        self.restart = true;
        self.needed()
    }

    /// The client answered; true if it is the answer that we wait for.
    pub(super) fn answered(&mut self, id: u32) -> bool {
        match self.state {
            State::Offered { id: waiting, .. } if id == waiting || id == 0 => {
                self.state = State::Applying;
                true
            }
            _ => false,
        }
    }

    /// The node took the answer.
    pub(super) fn applied(&mut self) -> Next {
        self.state = State::Idle;
        if self.again || self.restart { self.needed() } else { Next::Nothing }
    }

    /// When the client must have answered.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Offered { until, .. } => Some(until),
            _ => None,
        }
    }
}

/// Sections that the client shall add before it offers again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) audio: u32,
    pub(super) video: u32,
}

impl From<Option<sfu::MissingSections>> for Missing {
    fn from(missing: Option<sfu::MissingSections>) -> Self {
        missing.map_or(Self { audio: 0, video: 0 }, |missing| Self {
            audio: missing.audio,
            video: missing.video,
        })
    }
}

#[derive(Debug)]
pub(super) struct Requests {
    /// The client's first offer comes by itself, at the latest by now: then one may ask.
    hold_until: Option<Instant>,
    /// The client was asked, and must offer by then.
    asked: Option<Instant>,
    /// Offers of the client that the node has not answered yet.
    under_way: u32,
    wanted: Option<Missing>,
    patience: Duration,
}

/// Clients offer by themselves right after joining.
const FIRST_OFFER: Duration = Duration::from_secs(1);

impl Requests {
    pub(super) fn new(patience: Duration) -> Self {
        Self { hold_until: None, asked: None, under_way: 0, wanted: None, patience }
    }

    /// A client came or came back: it offers by itself, and knows of no request of ours.
    pub(super) fn arrived(&mut self, now: Instant) {
        self.asked = None;
        self.hold_until = Some(now + FIRST_OFFER);
    }

    /// The node needs a round.
    pub(super) fn needed(&mut self, missing: Missing, now: Instant) -> Option<Missing> {
        self.wanted = Some(missing);
        self.ask(now)
    }

    /// The client offers. That settles what was needed so far; what is needed from now on may be too late for it.
    pub(super) fn offered(&mut self) {
        self.asked = None;
        self.wanted = None;
        self.hold_until = None;
        self.under_way += 1;
    }

    /// The node answered an offer, and says what is missing still.
    pub(super) fn answered(&mut self, missing: Missing, now: Instant) -> Option<Missing> {
        self.under_way = self.under_way.saturating_sub(1);
        if missing != (Missing { audio: 0, video: 0 }) {
            self.wanted = Some(missing);
        } else if let Some(wanted) = &mut self.wanted {
            // Asked for while the offer was under way: the counts are outdated, the wish for a round is not.
            *wanted = missing;
        }
        self.ask(now)
    }

    /// Time passed.
    pub(super) fn ask(&mut self, now: Instant) -> Option<Missing> {
        let held = self.hold_until.is_some_and(|until| now < until);
        if held || self.asked.is_some() || self.under_way > 0 {
            return None;
        }
        let wanted = self.wanted.take()?;
        self.hold_until = None;
        self.asked = Some(now + self.patience);
        Some(wanted)
    }

    /// When the client must have offered.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.asked
    }

    /// When [`ask`](Self::ask) may have something to ask.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.hold_until.filter(|_| self.wanted.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(15);

    fn sent(next: Next) -> u32 {
        match next {
            Next::Send { id, .. } => id,
            other => panic!("no offer to send: {other:?}"),
        }
    }

    #[test]
    fn one_offer_at_a_time_and_changes_meanwhile_make_one_more() {
        let now = Instant::now();
        let mut offers = Offers::new(PATIENCE, 0);
        assert_eq!(offers.needed(), Next::Create { ice_restart: false });
        assert_eq!(offers.needed(), Next::Nothing);
        let id = sent(offers.created("v=0".into(), now));
        assert_eq!(offers.deadline(), Some(now + PATIENCE));
        assert_eq!(offers.needed(), Next::Nothing);
        assert!(!offers.answered(id + 1), "an answer to no offer of ours");
        assert!(offers.answered(id));
        assert!(!offers.answered(id), "a second answer");
        assert_eq!(offers.applied(), Next::Create { ice_restart: false });
        assert_eq!(offers.created(String::new(), now), Next::Nothing, "nothing changed after all");
        assert_eq!(offers.needed(), Next::Create { ice_restart: false });
        assert_eq!(sent(offers.created("v=0".into(), now)), id + 1);
    }

    #[test]
    fn a_client_that_comes_back_gets_an_offer_with_new_credentials_whatever_was_under_way() {
        let now = Instant::now();
        let mut waiting = Offers::new(PATIENCE, 0);
        waiting.needed();
        waiting.created("v=0".into(), now);
        assert_eq!(waiting.resumed(), Next::Create { ice_restart: true });

        let mut creating = Offers::new(PATIENCE, 0);
        creating.needed();
        assert_eq!(creating.resumed(), Next::Nothing);
        assert_eq!(creating.created("old".into(), now), Next::Create { ice_restart: true });
        sent(creating.created("new".into(), now));

        let mut applying = Offers::new(PATIENCE, 0);
        applying.needed();
        let id = sent(applying.created("v=0".into(), now));
        applying.answered(id);
        assert_eq!(applying.resumed(), Next::Nothing);
        assert_eq!(applying.applied(), Next::Create { ice_restart: true });
    }

    #[test]
    fn an_offer_that_got_lost_on_its_way_to_us_is_replaced() {
        let mut offers = Offers::new(PATIENCE, 0);
        assert_eq!(offers.needed(), Next::Create { ice_restart: false });
        assert_eq!(offers.refused(), Next::Create { ice_restart: true });
    }

    const ONE: Missing = Missing { audio: 0, video: 1 };
    const NONE: Missing = Missing { audio: 0, video: 0 };

    #[test]
    fn a_client_is_asked_once_until_it_offers() {
        let now = Instant::now();
        let mut requests = Requests::new(PATIENCE);
        assert_eq!(requests.needed(ONE, now), Some(ONE));
        assert_eq!(requests.deadline(), Some(now + PATIENCE));
        assert_eq!(requests.needed(ONE, now), None);
        requests.offered();
        assert_eq!(requests.deadline(), None);
        assert_eq!(requests.answered(NONE, now), None, "all was said before the offer");
        requests.offered();
        assert_eq!(requests.needed(ONE, now), None);
        assert_eq!(
            requests.answered(NONE, now),
            Some(NONE),
            "perhaps too late for that offer: a plain round tells"
        );
    }

    #[test]
    fn what_an_answer_leaves_missing_is_asked_for() {
        let now = Instant::now();
        let mut requests = Requests::new(PATIENCE);
        requests.offered();
        assert_eq!(requests.needed(NONE, now), None, "an offer is under way");
        assert_eq!(requests.answered(ONE, now), Some(ONE));
        requests.offered();
        assert_eq!(requests.answered(NONE, now), None);
    }

    #[test]
    fn a_new_client_offers_by_itself_first() {
        let now = Instant::now();
        let mut requests = Requests::new(PATIENCE);
        requests.arrived(now);
        assert_eq!(requests.needed(ONE, now), None);
        assert_eq!(requests.wake_at(), Some(now + FIRST_OFFER));
        assert_eq!(requests.ask(now + FIRST_OFFER), Some(ONE), "it did not");
    }
}
