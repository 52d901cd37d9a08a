//! # sluice-forward: the algorithms of forwarding
//!
//! Pure decisions about media packets, one idea a file: which layer a subscription gets ([`select`], [`allocate`]), how the
//! layers become one stream that never breaks ([`Timeline`], [`Switcher`]), who is heard, when a key frame is asked for, how
//! much flows.
//!
//! It is **not** a media engine: it has no sockets, no clock, no randomness, no rooms and no sessions. Time is an argument
//! (`now`), and what must be random is given by the caller. `sluice-engine` holds these parts together.
//!
//! **The contract: nothing here panics or allocates on the way of a packet, whatever the numbers in it.** Anything a
//! publisher sends is taken for possible.

mod allocator;
mod budget;
mod clock;
pub mod conformance;
mod keyframes;
mod loudest;
mod marks;
mod meter;
mod picture;
mod quota;
mod renumber;
mod run;
mod selector;
mod speaker;
mod switcher;
mod timeline;

pub use allocator::{Claim, Grant, Ladder, Pause, Plan, Rung, Standing, allocate, typical_bitrate};
pub use budget::{Budget, Cadence, EstimateWindow};
pub use keyframes::{KEY_FRAME_QUOTA, KeyFrameRequests};
pub use loudest::Loudest;
pub use meter::Meter;
pub use quota::{Allowance, Quota};
pub use selector::{Layer, Quality, Wish, select, temporal_limit, wanted};
pub use speaker::{ActiveSpeakers, DominantSpeaker, Indicator, Voice};
pub use switcher::{DropReason, Forward, Hole, LATE, Packet, Switcher, Verdict};
pub use timeline::Timeline;

/// The encodings that one publication may have. WebRTC publishers send three at most.
pub const MAX_LAYERS: usize = 4;
