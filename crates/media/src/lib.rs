//! # sluice-media: the media plane of one session
//!
//! Opens what a peer sends and seals what it gets: SRTP and SRTCP (RFC 3711, RFC 7714), RTP and RTCP (RFC 3550), repair by
//! NACK and RTX (RFC 4585, RFC 4588) both ways, transport-wide feedback both ways, reports, key-frame requests, and probes
//! that the estimator asks for.
//!
//! It is **not** a transport: ICE, DTLS, data channels and session descriptions are str0m's, in `sluice-engine`, which hands
//! the keys over when the handshake is done. It decides nothing about what is forwarded (`sluice-forward`), and reads no codec
//! but to write VP8's numbers. No IO, no clock, no randomness: time, SSRCs and the wall clock come from the caller.
//!
//! **Time goes in with each call; what is to be sent and what happened comes out of [`Media::pop_datagram`] and
//! [`Media::pop_event`], and [`Media::advance`] must be called at [`Media::deadline`].**
//!
//! Start with `plane.rs`. The way of a packet in: `receive` → `header` → `incoming` → event. The way out: `plane` → `outgoing`
//! → datagram, and a copy in `kept`. Feedback is read in `feedback.rs` and written in `reports.rs`.

mod arrivals;
mod clock;
mod due;
mod event;
mod feedback;
mod header;
mod incoming;
mod kept;
mod missing;
mod negotiated;
mod outgoing;
mod packet;
mod plane;
mod receive;
mod reception;
mod reports;
mod sending;

pub use arrivals::{Arrivals, extend};
pub use clock::{Clock, wall_clock};
pub use event::{Egress, Event, Ingress, PathStats, Refused};
pub use header::{Header, Ids, LONGEST, Outgoing};
pub use negotiated::{Declared, Format, Negotiated};
pub use outgoing::Spec;
pub use packet::{Extensions, Packet, Rewritten};
pub use plane::{Media, OutStream, Settings};
pub use reception::Reception;
pub use sending::Sending;
