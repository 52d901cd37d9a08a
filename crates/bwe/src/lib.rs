//! # sluice-bwe: how much one path carries
//!
//! An [`Estimator`] per receiver, on the sending side. It numbers what leaves, reads the receiver's transport-wide feedback
//! and says at which [rate](sluice_rtp::Bitrate) the path may be filled:
//!
//! * the trend of the one-way delay, which rises before packets are lost (Google Congestion Control, draft-ietf-rmcat-gcc-02);
//! * the share of lost packets, for paths whose queue is too short to show a delay;
//! * probes: short trains of padding that find out what a path carries when the media alone would not fill it.
//!
//! It is **not** a pacer and sends nothing: it says how much padding it would like, and the caller sends it or not. It
//! does not divide the rate among streams (that is `sluice-forward`), does not negotiate the header extension, and is not
//! a copy of libwebrtc: what an SFU does not need (pacing windows, ECN, per-stream limits) is left out.
//!
//! There is no IO, no clock and no randomness here: the same calls give the same answers. No packet allocates once the
//! history of what is in flight has grown to what the path needs. Feedback may be hostile: it is bounds-checked, cannot
//! make a loop long, and cannot push the estimate out of its [`Limits`].

mod aimd;
mod cluster;
mod estimator;
mod feedback;
mod groups;
mod history;
mod loss;
mod probe;
mod rate;
mod round_trip;
mod silence;
mod trend;

pub use estimator::{Action, Estimator, Limits, Told};
pub use feedback::Malformed;

/// Microseconds since the estimator began. Never goes back.
type Micros = u64;

/// A second, in microseconds.
const SECOND: Micros = 1_000_000;

/// A millisecond, in microseconds.
const MILLI: Micros = 1_000;
