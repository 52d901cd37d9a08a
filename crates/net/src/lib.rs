//! Sockets for media: batched UDP, and framing for ICE over TCP.
//!
//! * [`UdpSocket`] receives in batches (`recvmmsg` with generic receive offload) and hands out single datagrams.
//! * [`Sender`] collects datagrams and sends those that belong together in one call (generic segmentation offload).
//! * [`FrameDecoder`] and [`encode_frame`] cut a byte stream into packets (RFC 4571).
//! * [`batched`] readies a socket of somebody else's for the same.
//! * [`kernel_drops`] tells how many datagrams the kernel threw away before anybody read them.
//!
//! What this crate is not: it has no thread, no event loop and no runtime (its callers bring mio or tokio), it knows
//! neither ICE nor RTP, and it calls the operating system only through socket2, mio, nix and quinn-udp.

mod batched;
mod drops;
mod framing;
mod send;
mod socket;

pub use batched::batched;
pub use drops::kernel_drops;
pub use framing::{FrameDecoder, FrameError, MAX_FRAME, encode_frame};
pub use send::{SendCounters, Sender};
pub use socket::{BufferSizes, ReceiveBuffer, Received, Taken, UdpSocket};
