//! Session descriptions for an SFU: what a client's text says, and the text a client must get.
//!
//! Text in, text out. [`read`] turns an offer or an answer into a small [`Description`]; [`correct`] takes the
//! text that the WebRTC stack wrote (or is about to read) and makes each media section say what the room
//! means: who owns it, in which direction, with which codecs. Both treat their input as hostile.
//!
//! It is not a WebRTC stack and keeps no state: it decides nothing about rooms, opens no socket, and knows
//! nothing of the library behind the session. `docs/negotiation.md` tells where the texts come from.
//!
//! **One rule: never write a direction into a text that the stack behind it does not hold.** A client's offer
//! is corrected *before* the stack reads it, so that both agree; the stack's own text then only gains names
//! (`a=msid`) and loses codecs. [`correct`] refuses to turn a section that does not send into one that does.
//!
//! The grammar is that of the `sdp` crate (webrtc-rs), chosen because it keeps every attribute, known or not,
//! in its order, and writes it back unchanged. `webrtc-sdp` types each attribute and drops the unknown ones,
//! which would silently cut what a newer browser says.

mod candidate;
mod codec;
mod correct;
mod description;
mod error;
mod limits;
mod text;

pub use candidate::{Candidate, CandidateKind, Transport};
pub use codec::{Codec, CodecPolicy};
pub use correct::{Opus, Plan, ReceivePolicy, Role, SendPolicy, correct};
pub use description::{Description, Direction, Kind, Msid, PayloadTypes, Section, read};
pub use error::SdpError;
pub use limits::Limits;
