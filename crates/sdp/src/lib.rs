//! Session descriptions for an SFU: what a client's text says, and the text a client must get.
//!
//! Text in, text out. [`read`] turns an offer or an answer into a small [`Description`]. [`admit`] is the gate for a
//! client's text on its way to the WebRTC stack: sections that nobody owns become inactive before the stack sees
//! them. [`correct`] takes the text that the stack wrote and makes each media section say what the room means: whose
//! track it carries, with which codecs and parameters. [`Parsed`] is what all of them begin with, for who needs to
//! look at a text before deciding what becomes of it. All treat their input as hostile.
//!
//! It is not a WebRTC stack and keeps no state: it decides nothing about rooms, opens no socket, and knows
//! nothing of the library behind the session. `docs/negotiation.md` tells where the texts come from.
//!
//! **One rule: never write a direction that the stack behind the text does not hold.** A client's offer is
//! narrowed *before* the stack reads it, so that both agree; the stack's own text then only gains labels
//! (`a=msid`) and loses codecs. [`correct`] refuses to make a section flow that does not.
//!
//! The grammar is that of the `sdp` crate (webrtc-rs), chosen because it keeps every attribute, known or not,
//! in its order, and writes it back unchanged. `webrtc-sdp` types each attribute and drops the unknown ones,
//! which would silently cut what a newer browser says.

mod admit;
mod asleep;
mod candidate;
mod codec;
mod correct;
mod description;
mod error;
mod limits;
mod needed;
mod text;

pub use admit::{Admitted, AdmittedOffer, admit};
pub use asleep::{Order, Places};
pub use candidate::{Candidate, CandidateKind, Transport};
pub use codec::{Codec, CodecPolicy};
pub use correct::{Opus, Plan, ReceivePolicy, Role, SendPolicy, correct};
pub use description::{Description, Direction, Kind, Msid, Parsed, PayloadTypes, Section, read};
pub use error::SdpError;
pub use limits::Limits;
