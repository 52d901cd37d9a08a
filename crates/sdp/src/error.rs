//! Why a session description was refused.

use crate::Direction;

/// A text that cannot be used, with the reason in words that may be shown to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SdpError {
    /// The text is larger than [`Limits`](crate::Limits) allows.
    #[error("session description too large: {what} is {size}, at most {limit} allowed")]
    TooLarge {
        /// Which bound was hit.
        what: &'static str,
        /// The size found.
        size: usize,
        /// The bound.
        limit: usize,
    },
    /// The text is not a session description (RFC 8866).
    #[error("malformed session description: {0}")]
    Malformed(String),
    /// A media section has no `a=mid`, or an unusable one; WebRTC requires it (RFC 8829, 5.2.1).
    #[error("media section {index} has no usable a=mid")]
    MissingMid {
        /// Position of the section, from 0.
        index: usize,
    },
    /// Two media sections carry the same `a=mid` (RFC 5888, 4).
    #[error("two media sections have the mid {0}")]
    DuplicateMid(String),
    /// One payload type names two codecs within the one transport (RFC 9143, 9.1).
    #[error("payload type {payload_type} means {first} and {second}")]
    PayloadTypeConflict {
        /// The payload type, 0 to 127.
        payload_type: u8,
        /// Its first meaning, as in `a=rtpmap`.
        first: String,
        /// The other meaning.
        second: String,
    },
    /// The plan names a section that the text does not have.
    #[error("no media section has the mid {0}")]
    UnknownMid(String),
    /// The plan wants media to flow in a direction that the text, hence the stack behind it, does not have.
    #[error("section {mid} is {have} and cannot be made {want}")]
    OutOfStep {
        /// The section.
        mid: String,
        /// Direction in the text.
        have: Direction,
        /// Direction that the plan asks for.
        want: Direction,
    },
    /// None of the section's codecs is allowed by the plan.
    #[error("section {mid} has none of the codecs {wanted}")]
    NoCodec {
        /// The section.
        mid: String,
        /// The codecs that would do, separated by commas.
        wanted: String,
    },
    /// A stream or track label that `a=msid` cannot carry (RFC 8830, 2: 1 to 64 token characters).
    #[error("label cannot be used in a=msid: {0:?}")]
    BadLabel(String),
    /// A candidate line that is none (RFC 8839, 5.1).
    #[error("malformed candidate: {0}")]
    BadCandidate(String),
}

/// Cuts text that came from outside to what an error message can bear.
pub(crate) fn excerpt(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(120).collect()
}
