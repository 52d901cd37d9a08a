//! SRTP and SRTCP (RFC 3711) with AES-GCM (RFC 7714) and with AES-CM and HMAC-SHA1, keyed by DTLS (RFC 5764).
//!
//! The server seals and opens its media with it. So do the ideal forwarder, which is the yardstick, and the load clients
//! that must cost less than what they load. A full client's SRTP is str0m's, and a browser's its own: they check this one.
//!
//! Packets are sealed and opened in place, without an allocation; keys are made once for each direction. Opening a packet
//! says nothing about whether it came before: the server asks a [`Window`] for each stream, and a measuring tool asks none,
//! because it wants to see a packet that comes twice.

mod cm;
mod gcm;
mod keys;
#[cfg(test)]
mod tests;
mod window;

use cm::Cm;
use gcm::Gcm;
use keys::Material;
pub use keys::{Profile, Role};
pub use window::{RtcpWindow, RtpWindow, Window};

/// An RTP header without CSRCs and extensions (RFC 3550 section 5.1).
const RTP_HEADER: usize = 12;
/// The part of an RTCP packet that stays readable: first header word and sender (RFC 3711 section 3.4).
const RTCP_HEADER: usize = 8;
/// Bytes of the index word of an RTCP packet.
const INDEX: usize = 4;
/// In the index word: the packet is encrypted (RFC 3711 section 3.4).
const ENCRYPTED: u32 = 1 << 31;
/// The last index of an RTP packet under one key: roll-overs and number together are 48 bits.
const LAST_INDEX: u64 = (1 << 48) - 1;

/// Why a packet cannot be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SrtpError {
    /// Shorter than its headers, tag and index.
    #[error("the packet is too short")]
    TooShort,
    /// Changed on its way, or sealed with other keys.
    #[error("the packet is not authentic")]
    NotAuthentic,
    /// SRTCP without encryption, which nobody who speaks WebRTC sends.
    #[error("the packet is not encrypted")]
    NotEncrypted,
    /// As many packets as a key may seal (RFC 3711 section 9.2), or a length that the cipher refuses.
    #[error("the key is used up")]
    UsedUp,
    /// Keying material of the wrong length for its profile.
    #[error("the keying material has the wrong length")]
    Keys,
}

/// One direction's keys.
enum Keys {
    Gcm(Gcm),
    /// Boxed: it is the larger one, and few peers choose it.
    Cm(Box<Cm>),
}

/// Seals what is sent.
pub struct Sealer {
    profile: Profile,
    keys: Keys,
    rtcp_index: u32,
}

/// Opens what is received.
pub struct Opener {
    profile: Profile,
    keys: Keys,
}

/// Both directions of an association, for the peer that had `role` in the DTLS handshake.
///
/// # Errors
/// [`SrtpError::Keys`] if the material is not as long as the profile wants.
pub fn association(profile: Profile, material: &[u8], role: Role) -> Result<(Sealer, Opener), SrtpError> {
    let Material { client, server } = Material::split(profile, material).ok_or(SrtpError::Keys)?;
    let (ours, theirs) = match role {
        Role::Client => (client, server),
        Role::Server => (server, client),
    };
    let sealer = Sealer { profile, keys: ours.derive(profile)?, rtcp_index: 0 };
    Ok((sealer, Opener { profile, keys: theirs.derive(profile)? }))
}

impl Sealer {
    /// The profile that it seals with.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Seals an RTP packet in place and adds the tag. `header` is the length of header, CSRCs and extensions, which stay
    /// readable; `index` the sequence number extended by its roll-overs (RFC 3711 section 3.3.1).
    ///
    /// Two packets of an SSRC that differ must not have the same index: both could be read then (RFC 3711 section 9.1).
    ///
    /// # Errors
    /// See [`Self::rtp_at`].
    pub fn rtp(&self, packet: &mut Vec<u8>, header: usize, index: u64) -> Result<(), SrtpError> {
        self.rtp_at(packet, 0, header, index)
    }

    /// As [`Self::rtp`], for callers that keep packets back to back: the packet begins at `start` and ends with the buffer.
    /// What is before it stays as it is. With [`Profile::rtp_overhead`] bytes of spare capacity, nothing is allocated.
    ///
    /// # Errors
    /// If the packet is shorter than its header, the header shorter than 12 bytes, or the index longer than 48 bits. The
    /// buffer keeps its length then.
    pub fn rtp_at(
        &self,
        buffer: &mut Vec<u8>,
        start: usize,
        header: usize,
        index: u64,
    ) -> Result<(), SrtpError> {
        check(header, index)?;
        let packet = buffer.get_mut(start..).ok_or(SrtpError::TooShort)?;
        match &self.keys {
            Keys::Gcm(gcm) => {
                let tag = gcm.seal_rtp(packet, header, index)?;
                buffer.extend_from_slice(&tag);
            }
            Keys::Cm(cm) => {
                let tag = cm.seal_rtp(packet, header, index)?;
                buffer.extend_from_slice(&tag);
            }
        }
        Ok(())
    }

    /// Seals a compound RTCP packet in place and adds tag and index.
    ///
    /// # Errors
    /// See [`Self::rtcp_at`].
    pub fn rtcp(&mut self, packet: &mut Vec<u8>) -> Result<(), SrtpError> {
        self.rtcp_at(packet, 0)
    }

    /// As [`Self::rtcp`], for a packet that begins at `start` and ends with the buffer. Adds [`Profile::rtcp_overhead`] bytes.
    ///
    /// # Errors
    /// If the packet is shorter than its header, or 2^31 were sealed. The buffer keeps its length then.
    pub fn rtcp_at(&mut self, buffer: &mut Vec<u8>, start: usize) -> Result<(), SrtpError> {
        if self.rtcp_index >= ENCRYPTED {
            return Err(SrtpError::UsedUp);
        }
        let word = self.rtcp_index | ENCRYPTED;
        let packet = buffer.get_mut(start..).ok_or(SrtpError::TooShort)?;
        match &self.keys {
            Keys::Gcm(gcm) => {
                let tag = gcm.seal_rtcp(packet, word)?;
                buffer.extend_from_slice(&tag);
                buffer.extend_from_slice(&word.to_be_bytes());
            }
            Keys::Cm(cm) => {
                let tag = cm.seal_rtcp(packet, word)?;
                buffer.extend_from_slice(&word.to_be_bytes());
                buffer.extend_from_slice(&tag);
            }
        }
        self.rtcp_index += 1;
        Ok(())
    }
}

impl Opener {
    /// The profile that it opens with.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Opens an RTP packet in place; gives its payload, padding included. See [`Sealer::rtp`].
    ///
    /// # Errors
    /// If it is too short or not authentic, or the index longer than 48 bits. What the packet holds then is not defined.
    pub fn rtp<'a>(
        &self,
        packet: &'a mut [u8],
        header: usize,
        index: u64,
    ) -> Result<&'a mut [u8], SrtpError> {
        check(header, index)?;
        match &self.keys {
            Keys::Gcm(gcm) => gcm.open_rtp(packet, header, index),
            Keys::Cm(cm) => cm.open_rtp(packet, header, index),
        }
    }

    /// The index that a sealed RTCP packet claims to have, 31 bits long, before it is opened: for its sender's
    /// [`RtcpWindow`]. It is to be believed once [`Self::rtcp`] has opened the packet.
    ///
    /// # Errors
    /// If the packet is too short, or not encrypted.
    pub fn rtcp_index(&self, packet: &[u8]) -> Result<u64, SrtpError> {
        self.index_word(packet).map(rtcp_index_of)
    }

    /// Opens a compound RTCP packet in place and gives it without tag and index.
    ///
    /// # Errors
    /// If it is too short, not encrypted or not authentic. What the packet holds then is not defined.
    pub fn rtcp<'a>(&self, packet: &'a mut [u8]) -> Result<&'a mut [u8], SrtpError> {
        let word = self.index_word(packet)?;
        match &self.keys {
            Keys::Gcm(gcm) => gcm.open_rtcp(packet, word),
            Keys::Cm(cm) => cm.open_rtcp(packet, word),
        }
    }

    /// The index word of an encrypted packet. Behind it is nothing (RFC 7714 section 9.2), or the tag (RFC 3711 section 3.4).
    fn index_word(&self, packet: &[u8]) -> Result<u32, SrtpError> {
        let behind = match &self.keys {
            Keys::Gcm(_) => 0,
            Keys::Cm(_) => cm::TAG,
        };
        let before = packet.len().checked_sub(behind).ok_or(SrtpError::TooShort)?;
        let word = packet[..before].last_chunk::<INDEX>().ok_or(SrtpError::TooShort)?;
        let word = u32::from_be_bytes(*word);
        if word & ENCRYPTED == 0 { Err(SrtpError::NotEncrypted) } else { Ok(word) }
    }
}

fn check(header: usize, index: u64) -> Result<(), SrtpError> {
    if header < RTP_HEADER {
        // Its SSRC would be sealed, which whoever opens it must read first.
        return Err(SrtpError::TooShort);
    }
    if index > LAST_INDEX { Err(SrtpError::UsedUp) } else { Ok(()) }
}

/// Who sends an RTP packet.
fn rtp_ssrc(packet: &[u8]) -> Result<[u8; 4], SrtpError> {
    let header = packet.first_chunk::<RTP_HEADER>().ok_or(SrtpError::TooShort)?;
    header.last_chunk().copied().ok_or(SrtpError::TooShort)
}

fn rtcp_index_of(word: u32) -> u64 {
    (word & !ENCRYPTED).into()
}

/// Who sends an RTCP packet: of a compound one, its first.
fn rtcp_ssrc(packet: &[u8]) -> Result<[u8; 4], SrtpError> {
    let header = packet.first_chunk::<RTCP_HEADER>().ok_or(SrtpError::TooShort)?;
    header.last_chunk().copied().ok_or(SrtpError::TooShort)
}
