//! Sections (m-lines) of a session's description and who uses them.

use sluice_rtp::MediaKind;

use crate::egress::Egress;
use crate::transport::{Mid, Rid};

/// A publication's dense key in its room.
pub(crate) type PublicationKey = usize;
/// A subscription's dense key in its session.
pub(crate) type SubscriptionKey = usize;

/// Who uses a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Nobody; both sides know it.
    Unused,
    /// The peer sends a track that no declared publication claims yet.
    Unclaimed,
    /// A track from the peer.
    Publication(PublicationKey),
    /// A track to the peer.
    Subscription(SubscriptionKey),
    /// Its subscription ended, but the peer does not know yet. A section must be `inactive` for one round between two
    /// owners: browsers announce a track only when a section begins to receive (W3C WebRTC section 5.1.4).
    Leaving,
}

/// One section of audio or video.
pub(crate) struct Section {
    pub(crate) mid: Mid,
    pub(crate) kind: MediaKind,
    pub(crate) used: Use,
    /// The peer's side of it is ready to receive, as of its last description.
    pub(crate) peer_receives: bool,
    /// The peer's track id, where it sends.
    pub(crate) track: String,
    /// The peer's layers, where it sends simulcast.
    pub(crate) rids: Vec<Rid>,
    /// The outgoing stream of the last owner: the next one goes on with its numbers. Boxed: few sections have one, and it is large.
    pub(crate) spare: Option<Box<Egress>>,
}

impl Section {
    pub(crate) fn new(mid: Mid, kind: MediaKind, used: Use) -> Self {
        Section { mid, kind, used, peer_receives: false, track: String::new(), rids: Vec::new(), spare: None }
    }
}

/// All sections of a session.
#[derive(Default)]
pub(crate) struct Sections(Vec<Section>);

impl Sections {
    pub(crate) fn get(&self, mid: Mid) -> Option<&Section> {
        self.0.iter().find(|s| s.mid == mid)
    }

    pub(crate) fn get_mut(&mut self, mid: Mid) -> Option<&mut Section> {
        self.0.iter_mut().find(|s| s.mid == mid)
    }

    pub(crate) fn push(&mut self, section: Section) {
        self.0.push(section);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Section> {
        self.0.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Section> {
        self.0.iter_mut()
    }

    /// Forgets those that nobody uses and the peer offers no more.
    pub(crate) fn forget_unused(&mut self, offered: impl Fn(Mid) -> bool) {
        self.0.retain(|s| s.used != Use::Unused || s.spare.is_some() || offered(s.mid));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The section that a subscription uses.
    pub(crate) fn of_subscription(&self, key: SubscriptionKey) -> Option<Mid> {
        self.0.iter().find(|s| s.used == Use::Subscription(key)).map(|s| s.mid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_that_nobody_uses_are_forgotten_when_the_peer_offers_them_no_more() {
        let mut sections = Sections::default();
        for round in 0..1_000 {
            let mid = Mid::from(format!("{round}").as_str());
            sections.forget_unused(|offered| offered == mid);
            sections.push(Section::new(mid, MediaKind::Audio, Use::Unused));
        }
        assert_eq!(sections.len(), 1);
        let held = Mid::from("held");
        sections.push(Section::new(held, MediaKind::Audio, Use::Subscription(0)));
        sections.forget_unused(|_| false);
        assert_eq!(sections.of_subscription(0), Some(held));
        assert_eq!(sections.len(), 1);
    }
}
