//! Offer/answer rounds: one at a time, and another if something changed meanwhile.

/// On a session where the node offers when it is asked to.
#[derive(Debug, Default)]
pub(crate) struct Offers {
    last_id: u32,
    /// The client has an offer and has not answered.
    outstanding: bool,
    again: bool,
}

impl Offers {
    /// Something changed. Whether to ask the node for an offer now.
    pub(crate) fn needed(&mut self) -> bool {
        self.again = self.outstanding;
        !self.outstanding
    }

    /// The node made an offer. The number under which it goes to the client; none if there is nothing to
    /// negotiate.
    pub(crate) fn made(&mut self, sdp: &str) -> Option<u32> {
        self.outstanding = !sdp.is_empty();
        self.last_id += u32::from(self.outstanding);
        self.outstanding.then_some(self.last_id)
    }

    /// The node took the client's answer. Whether to ask it for another offer.
    pub(crate) fn answered(&mut self) -> bool {
        self.outstanding = false;
        std::mem::take(&mut self.again)
    }
}

/// On a session where the client offers, by itself or when it is asked to.
#[derive(Debug)]
pub(crate) struct Requests {
    /// An offer of the client's will come, and its answer says what is missing then.
    expected: bool,
}

impl Requests {
    /// A client offers by itself first.
    pub(crate) fn new() -> Self {
        Self { expected: true }
    }

    /// A round is due. Whether to ask the client for an offer.
    pub(crate) fn needed(&mut self) -> bool {
        !std::mem::replace(&mut self.expected, true)
    }

    pub(crate) fn offered(&mut self) {
        self.expected = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_offer_at_a_time_and_changes_meanwhile_make_one_more() {
        let mut offers = Offers::default();
        assert!(offers.needed());
        assert_eq!(offers.made(""), None, "nothing to negotiate");
        assert!(offers.needed());
        assert_eq!(offers.made("v=0"), Some(1));
        assert!(!offers.needed() && !offers.needed());
        assert!(offers.answered());
        assert_eq!(offers.made("v=0"), Some(2));
        assert!(!offers.answered(), "nothing changed");
    }

    #[test]
    fn a_client_is_asked_once_until_it_offers() {
        let mut requests = Requests::new();
        assert!(!requests.needed(), "it offers by itself first");
        requests.offered();
        assert!(requests.needed());
        assert!(!requests.needed());
    }
}
