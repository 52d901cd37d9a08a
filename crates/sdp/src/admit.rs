//! The gate: what a client's text must pass before the WebRTC stack reads it.

use sdp::description::media::MediaDescription;

use crate::{Description, Direction, Kind, Limits, Order, Parsed, PayloadTypes, Places, SdpError, Section};
use crate::{asleep, needed, text};

/// A client's text that may go to the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// The text for the stack.
    pub text: String,
    /// What the client wrote, before its directions were narrowed.
    pub description: Description,
}

/// Reads a client's text and lets it through the gate: [`Parsed::read`], then [`Parsed::admit`].
///
/// # Errors
/// Those of both.
pub fn admit(
    text: &str,
    limits: &Limits,
    known: &mut PayloadTypes,
    wanted: impl FnMut(&Section) -> Direction,
) -> Result<Admitted, SdpError> {
    Parsed::read(text, limits)?.admit(known, wanted)
}

/// A client's offer that may go to the stack.
#[derive(Debug, Clone)]
pub struct AdmittedOffer {
    /// The text for the stack.
    pub text: String,
    /// The sections that the stack knows once it has taken the text.
    pub places: Places,
    /// What [`Parsed::correct_answer`] needs to answer all sections.
    pub order: Order,
}

impl Parsed {
    /// Checks a client's text, and narrows its directions so that the stack never believes in a section
    /// that nobody owns. `wanted` gets each audio and video section that is not rejected, and says which direction,
    /// seen from the client, the stack shall see. `known` is the session's ledger of payload types.
    ///
    /// The text for the stack leaves out what no stack of ours reads, and says what all sections share once.
    ///
    /// # Errors
    /// [`SdpError::PayloadTypeConflict`] when a payload type changes its meaning within the session;
    /// [`SdpError::OutOfStep`] when `wanted` asks for more than the client wrote. `known` is changed only on success.
    pub fn admit(
        mut self,
        known: &mut PayloadTypes,
        wanted: impl FnMut(&Section) -> Direction,
    ) -> Result<Admitted, SdpError> {
        self.narrow(wanted)?;
        let Parsed { mut grammar, description } = self;
        known.extend(&description.payload_types)?;
        needed::keep(&mut grammar);
        Ok(Admitted { text: grammar.marshal(), description })
    }

    /// As [`Parsed::admit`], for a client's offer. Sections that rest, and have since the session began, are not in the text for
    /// the stack.
    ///
    /// # Errors
    /// As there; [`SdpError::Malformed`] when `a=group:BUNDLE` does not name the sections that live, or data channels have two.
    pub fn admit_offer(
        mut self,
        known: &mut PayloadTypes,
        places: &Places,
        wanted: impl FnMut(&Section) -> Direction,
    ) -> Result<AdmittedOffer, SdpError> {
        self.narrow(wanted)?;
        let Parsed { mut grammar, description } = self;
        needed::keep(&mut grammar);
        let (places, order) = asleep::put_to_sleep(&mut grammar, &description.sections, places)?;
        known.extend(&description.payload_types)?;
        Ok(AdmittedOffer { text: grammar.marshal(), places, order })
    }

    fn narrow(&mut self, mut wanted: impl FnMut(&Section) -> Direction) -> Result<(), SdpError> {
        for (media, section) in self.grammar.media_descriptions.iter_mut().zip(&self.description.sections) {
            if section.rejected {
                silence(media, section.kind);
                continue;
            }
            if section.kind == Kind::Application {
                continue;
            }
            let (have, want) = (section.direction, wanted(section));
            if (want.sends() && !have.sends()) || (want.receives() && !have.receives()) {
                return Err(SdpError::OutOfStep { mid: section.mid.clone(), have, want });
            }
            text::set_direction(media, want);
        }
        Ok(())
    }
}

/// Leaves of a rejected section what holds its place, and no more. Chromium keeps the ICE credentials of before a
/// restart in it, and Firefox writes a codec of its own: a stack that looks anywhere would take both for true.
fn silence(media: &mut MediaDescription, kind: Kind) {
    if kind != Kind::Application {
        // The grammar wants a format; payload type 0 has a fixed meaning (RFC 3551, 6) that no session of ours uses.
        media.media_name.formats = vec!["0".to_owned()];
    }
    media.attributes.retain(|a| a.key == "mid");
    text::set_direction(media, Direction::Inactive);
}
