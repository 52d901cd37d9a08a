//! Payload types: each peer numbers codecs its own way (RFC 8866 section 6.6); packets are renumbered on their way.

use sluice_rtp::Codec;
use str0m::format::PayloadParams;

use super::{Mid, Transport, negotiate};

/// What a payload type of a publisher stands for, with everything needed to find a subscriber's number for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payload {
    pub(crate) codec: Codec,
    params: PayloadParams,
}

impl Transport {
    /// What a payload type stands for; `None` if it is not a codec that is forwarded.
    pub(crate) fn payload(&self, payload_type: u8) -> Option<Payload> {
        let params = *self.rtc.codec_config().find(|p| *p.pt() == payload_type)?;
        let codec = match params.spec().codec {
            str0m::format::Codec::Opus => Codec::Opus,
            str0m::format::Codec::Vp8 => Codec::Vp8,
            str0m::format::Codec::Vp9 => Codec::Vp9,
            str0m::format::Codec::H264 => Codec::H264,
            str0m::format::Codec::Av1 => Codec::Av1,
            _ => return None,
        };
        Some(Payload { codec, params })
    }

    /// This peer's payload type for another peer's payload; `None` if this peer cannot decode it.
    pub(crate) fn payload_type(&self, mid: Mid, payload: &Payload) -> Option<u8> {
        let matched = self.rtc.codec_config().match_params(payload.params)?;
        let pt = matched.pt();
        self.rtc.media(negotiate::mid(mid))?.remote_pts().contains(&pt).then_some(*pt)
    }
}
