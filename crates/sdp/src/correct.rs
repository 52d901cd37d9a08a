//! Makes each media section of the stack's text say what the room means.

use sdp::SessionDescription;
use sdp::description::common::Attribute;
use sdp::description::media::MediaDescription;

use crate::text::{self, values};
use crate::{
    CodecPolicy, Description, Direction, Kind, Limits, Msid, Order, Parsed, SdpError, asleep, codec,
};

/// What one section is for, seen from the author of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Leave the section as it is.
    Keep,
    /// Nothing flows: nobody owns the section now.
    Inactive,
    /// The author receives a publication.
    Receive(ReceivePolicy),
    /// The author sends a subscription.
    Send(SendPolicy),
}

/// How a publication is to be sent to us. In an answer, the first codec is the one that a browser sends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReceivePolicy {
    /// Codecs, in order of preference.
    pub codecs: CodecPolicy,
    /// Parameters of Opus; ignored where the section has none.
    pub opus: Opus,
    /// Keep RED in front of its codec, so that browsers send it; without, RED is cut from the section.
    pub red: bool,
}

/// What we ask of a sender of Opus (RFC 7587, 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Opus {
    /// `usedtx=1`: send next to nothing during silence.
    pub dtx: bool,
    /// `stereo=1` with the bit rate of music, 510 kbit/s at most.
    pub stereo: bool,
}

/// How a subscription is announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendPolicy {
    /// The labels under which the client finds the track.
    pub msid: Msid,
    /// Codecs that this track may use. All others only make the text long.
    pub codecs: CodecPolicy,
}

/// The roles of all sections of one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan<'a> {
    /// Roles by mid. A mid that the text does not have is an error.
    pub sections: &'a [(String, Role)],
    /// The role of audio and video sections that are not named; data channels are always kept.
    pub others: Role,
}

/// Reads the stack's text and rewrites it by a plan: [`Parsed::read`], then [`Parsed::correct`].
///
/// # Errors
/// Those of both.
pub fn correct(text: &str, plan: &Plan<'_>, limits: &Limits) -> Result<String, SdpError> {
    Parsed::read(text, limits)?.correct(plan)
}

impl Parsed {
    /// Rewrites a text by a plan. Sections that are rejected (port 0) are left alone.
    ///
    /// # Errors
    /// A plan that names an unknown section, wants media where the text has none, or leaves a section without a codec.
    pub fn correct(self, plan: &Plan<'_>) -> Result<String, SdpError> {
        Ok(finished(self.planned(plan, |_| true)?))
    }

    /// Rewrites the stack's answer to an offer whose sections were those of `order`, of which the stack heard some.
    ///
    /// # Errors
    /// As [`Parsed::correct`]; [`SdpError::UnknownMid`] when the stack did not answer a section that it heard of.
    pub fn correct_answer(self, plan: &Plan<'_>, order: Order) -> Result<String, SdpError> {
        // What the stack says of sections that the client left out goes nowhere.
        let mut grammar = self.planned(plan, |mid| order.is_awake(mid))?;
        asleep::in_order(&mut grammar, order)?;
        Ok(finished(grammar))
    }

    /// `goes`: whether a section's text goes to the client.
    fn planned(self, plan: &Plan<'_>, goes: impl Fn(&str) -> bool) -> Result<SessionDescription, SdpError> {
        let Parsed { mut grammar, description: Description { sections, .. } } = self;
        if let Some((mid, _)) = plan.sections.iter().find(|(mid, _)| sections.iter().all(|s| s.mid != *mid)) {
            return Err(SdpError::UnknownMid(mid.clone()));
        }
        for (media, section) in grammar.media_descriptions.iter_mut().zip(&sections) {
            let named = plan.sections.iter().find(|(mid, _)| *mid == section.mid).map(|(_, role)| role);
            if section.kind != Kind::Application && !section.rejected && goes(&section.mid) {
                apply(media, &section.mid, named.unwrap_or(&plan.others))?;
            }
        }
        Ok(grammar)
    }
}

/// What goes for the text as a whole, once its sections are what and where they shall be.
fn finished(mut grammar: SessionDescription) -> String {
    move_candidates(&mut grammar);
    name_streams(&mut grammar);
    grammar.marshal()
}

fn apply(media: &mut MediaDescription, mid: &str, role: &Role) -> Result<(), SdpError> {
    match role {
        Role::Keep => {}
        Role::Inactive => {
            text::set_direction(media, Direction::Inactive);
            forget_labels(media);
            codec::keep_first(media);
        }
        Role::Receive(policy) => {
            require(media, mid, Direction::RecvOnly, Direction::receives)?;
            text::set_direction(media, Direction::RecvOnly);
            unname(media);
            codec::apply(media, mid, &policy.codecs)?;
            set_red(media, policy.red);
            set_opus(media, policy.opus);
        }
        Role::Send(policy) => {
            require(media, mid, Direction::SendOnly, Direction::sends)?;
            text::set_direction(media, Direction::SendOnly);
            name(media, &policy.msid);
            codec::apply(media, mid, &policy.codecs)?;
        }
    }
    Ok(())
}

/// The stack behind the text must already mean what we are about to write.
fn require(
    media: &MediaDescription,
    mid: &str,
    want: Direction,
    holds: fn(Direction) -> bool,
) -> Result<(), SdpError> {
    let have = text::direction(media);
    if holds(have) { Ok(()) } else { Err(SdpError::OutOfStep { mid: mid.to_owned(), have, want }) }
}

/// Takes the labels away and leaves the SSRCs: libwebrtc drops a stream whose SSRC is no longer announced, and when
/// the same SSRC comes back it decodes it without ever showing a picture.
fn forget_labels(media: &mut MediaDescription) {
    let labels_ssrc =
        |a: &Attribute| a.key == "ssrc" && a.value.as_deref().is_some_and(|v| v.contains(" msid:"));
    media.attributes.retain(|a| a.key != "msid" && !labels_ssrc(a));
}

/// Takes away all that says which track is sent, as in a section whose author sends none.
fn unname(media: &mut MediaDescription) {
    media.attributes.retain(|a| !matches!(a.key.as_str(), "msid" | "ssrc" | "ssrc-group"));
}

/// Writes the labels into `a=msid` and into each SSRC's own `msid` (RFC 5576; older clients read only that).
fn name(media: &mut MediaDescription, msid: &Msid) {
    media.attributes.retain(|a| a.key != "msid");
    let place = media.attributes.iter().position(|a| Direction::from_name(&a.key).is_some());
    let attribute = Attribute::new("msid".to_owned(), Some(msid.to_string()));
    media.attributes.insert(place.map_or(media.attributes.len(), |p| p + 1), attribute);
    for attribute in media.attributes.iter_mut().filter(|a| a.key == "ssrc") {
        let Some((ssrc, _)) = attribute.value.as_deref().and_then(|v| v.split_once(" msid:")) else {
            continue;
        };
        attribute.value = Some(format!("{ssrc} msid:{msid}"));
    }
}

/// Candidates belong into the section that stands first in the bundle, whose transport all others use (RFC 9143, 7.2); in a rejected
/// section they reach nobody. The stack writes them into its own first, rejected or not.
fn move_candidates(parsed: &mut SessionDescription) {
    let is_live = |media: &MediaDescription| media.media_name.port.value != 0;
    let Some(first) = parsed.media_descriptions.iter().position(is_live) else { return };
    let is_candidate = |a: &Attribute| matches!(a.key.as_str(), "candidate" | "end-of-candidates");
    let mut stranded = Vec::new();
    for (_, media) in parsed.media_descriptions.iter_mut().enumerate().filter(|(index, _)| *index != first) {
        stranded.extend(media.attributes.extract_if(.., |a| is_candidate(a)));
    }
    parsed.media_descriptions[first].attributes.extend(stranded);
}

/// `a=msid-semantic` must list the streams that the sections name, no more and no fewer.
fn name_streams(parsed: &mut SessionDescription) {
    let mut streams: Vec<&str> = Vec::new();
    for media in &parsed.media_descriptions {
        for stream in values(media, "msid").filter_map(|v| v.split(' ').next()) {
            if stream != "-" && !streams.contains(&stream) {
                streams.push(stream);
            }
        }
    }
    let value = std::iter::once("WMS").chain(streams).collect::<Vec<_>>().join(" ");
    for attribute in parsed.attributes.iter_mut().filter(|a| a.key == "msid-semantic") {
        attribute.value = Some(format!(" {value}"));
    }
}

/// Moves RED before the codec it carries, or cuts it together with what repairs it.
fn set_red(media: &mut MediaDescription, wanted: bool) {
    let codecs = codec::codecs(media);
    let is_red = |pt: u8| codecs.iter().any(|c| c.payload_type == pt && c.name == "red");
    let repairs_red = |c: &codec::Codec| c.name == "rtx" && c.carries().is_some_and(is_red);
    let others = codecs.iter().filter(|c| c.name != "red" && (wanted || !repairs_red(c)));
    let mut kept: Vec<u8> = others.map(|c| c.payload_type).collect();
    if kept.len() == codecs.len() {
        return;
    }
    if wanted {
        for red in codecs.iter().filter(|c| c.name == "red") {
            let place = kept.iter().position(|pt| red.carries() == Some(*pt));
            kept.insert(place.unwrap_or(kept.len()), red.payload_type);
        }
    }
    codec::keep(media, &kept);
}

/// Writes what we ask for into the parameters of Opus and leaves its other parameters.
fn set_opus(media: &mut MediaDescription, opus: Opus) {
    for codec in codec::codecs(media).iter().filter(|c| c.name == "opus") {
        let ours = ["usedtx", "stereo", "maxaveragebitrate"];
        let theirs = codec.parameters.split(';').map(str::trim).filter(|p| {
            let key = p.split('=').next().unwrap_or("").trim();
            !p.is_empty() && !ours.iter().any(|o| o.eq_ignore_ascii_case(key))
        });
        let mut parameters: Vec<&str> = theirs.collect();
        if opus.dtx {
            parameters.push("usedtx=1");
        }
        if opus.stereo {
            parameters.extend(["stereo=1", "maxaveragebitrate=510000"]);
        }
        set_parameters(media, codec.payload_type, &parameters.join(";"));
    }
}

fn set_parameters(media: &mut MediaDescription, payload_type: u8, parameters: &str) {
    let of = |a: &Attribute, key: &str| {
        let value = a.value.as_deref().unwrap_or("");
        a.key == key && value.split(' ').next().and_then(|pt| pt.parse().ok()) == Some(payload_type)
    };
    media.attributes.retain(|a| !of(a, "fmtp"));
    if parameters.is_empty() {
        return;
    }
    let place =
        media.attributes.iter().position(|a| of(a, "rtpmap")).map_or(media.attributes.len(), |p| p + 1);
    let attribute = Attribute::new("fmtp".to_owned(), Some(format!("{payload_type} {parameters}")));
    media.attributes.insert(place, attribute);
}
