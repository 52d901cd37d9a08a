//! SRTP and SRTCP with AES-GCM (RFC 3711, RFC 7714), keyed by DTLS (RFC 5764).
//!
//! For the tools that measure the server: the ideal forwarder, which is the yardstick, and load clients that must cost less
//! than what they load. The server's own SRTP is str0m's, so that one checks the other.
//!
//! Packets are sealed and opened in place, without an allocation. Replay protection is left out: a measuring tool wants to
//! see a packet that comes twice.

mod keys;
mod window;

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce, Tag};

use keys::Material;
pub use keys::{Profile, Role};
pub use window::{RtcpWindow, RtpWindow, Window};

/// Bytes that sealing adds to an RTP packet: the tag (RFC 7714 section 8.1).
pub const RTP_OVERHEAD: usize = TAG;
/// Bytes that sealing adds to an RTCP packet: the tag and the index (RFC 7714 section 9.1).
pub const RTCP_OVERHEAD: usize = TAG + INDEX;

const TAG: usize = 16;
const INDEX: usize = 4;
/// The part of an RTCP packet that stays readable: first header word and sender (RFC 7714 section 9.2).
const RTCP_HEADER: usize = 8;
/// In the index word: the packet is encrypted (RFC 3711 section 3.4).
const ENCRYPTED: u32 = 1 << 31;

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
struct Direction {
    rtp: LessSafeKey,
    rtp_salt: [u8; 12],
    rtcp: LessSafeKey,
    rtcp_salt: [u8; 12],
}

/// Seals what is sent.
pub struct Sealer {
    keys: Direction,
    rtcp_index: u32,
}

/// Opens what is received.
pub struct Opener {
    keys: Direction,
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
    let sealer = Sealer { keys: ours.derive(profile)?, rtcp_index: 0 };
    Ok((sealer, Opener { keys: theirs.derive(profile)? }))
}

impl Sealer {
    /// Seals an RTP packet in place and adds the tag. `header` is the length of header, CSRCs and extensions, which stay
    /// readable; `index` the sequence number extended by its roll-overs (RFC 3711 section 3.3.1).
    ///
    /// # Errors
    /// If the packet is shorter than its header.
    pub fn rtp(&self, packet: &mut Vec<u8>, header: usize, index: u64) -> Result<(), SrtpError> {
        let tag = self.rtp_apart(packet, header, index)?;
        packet.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// As [`Self::rtp`], for callers that keep packets back to back: gives the tag out.
    ///
    /// # Errors
    /// If the packet is shorter than its header.
    pub fn rtp_apart(&self, packet: &mut [u8], header: usize, index: u64) -> Result<Tag, SrtpError> {
        let nonce = rtp_nonce(&self.keys.rtp_salt, packet, index)?;
        let (header, payload) = packet.split_at_mut_checked(header).ok_or(SrtpError::TooShort)?;
        self.keys
            .rtp
            .seal_in_place_separate_tag(nonce, Aad::from(header), payload)
            .map_err(|_| SrtpError::UsedUp)
    }

    /// Seals a compound RTCP packet in place and adds tag and index.
    ///
    /// # Errors
    /// If the packet is shorter than its header, or 2^31 were sealed.
    pub fn rtcp(&mut self, packet: &mut Vec<u8>) -> Result<(), SrtpError> {
        let index = self.rtcp_index;
        if index >= ENCRYPTED {
            return Err(SrtpError::UsedUp);
        }
        let nonce = rtcp_nonce(&self.keys.rtcp_salt, packet, index)?;
        let word = (index | ENCRYPTED).to_be_bytes();
        let (header, body) = packet.split_at_mut_checked(RTCP_HEADER).ok_or(SrtpError::TooShort)?;
        let aad = rtcp_aad(header, word);
        let sealed = self.keys.rtcp.seal_in_place_separate_tag(nonce, Aad::from(aad), body);
        let tag = sealed.map_err(|_| SrtpError::UsedUp)?;
        packet.extend_from_slice(tag.as_ref());
        packet.extend_from_slice(&word);
        self.rtcp_index += 1;
        Ok(())
    }
}

impl Opener {
    /// Opens an RTP packet in place; gives its payload, padding included. See [`Sealer::rtp`].
    ///
    /// # Errors
    /// If it is too short or not authentic.
    pub fn rtp<'a>(
        &self,
        packet: &'a mut [u8],
        header: usize,
        index: u64,
    ) -> Result<&'a mut [u8], SrtpError> {
        let nonce = rtp_nonce(&self.keys.rtp_salt, packet, index)?;
        let (header, sealed) = packet.split_at_mut_checked(header).ok_or(SrtpError::TooShort)?;
        open(&self.keys.rtp, nonce, Aad::from(header), sealed)
    }

    /// Opens a compound RTCP packet in place and gives it without tag and index.
    ///
    /// # Errors
    /// If it is too short, not encrypted or not authentic.
    pub fn rtcp<'a>(&self, packet: &'a mut [u8]) -> Result<&'a mut [u8], SrtpError> {
        let (sealed, word) = packet.split_last_chunk_mut::<INDEX>().ok_or(SrtpError::TooShort)?;
        let index = u32::from_be_bytes(*word);
        if index & ENCRYPTED == 0 {
            return Err(SrtpError::NotEncrypted);
        }
        let nonce = rtcp_nonce(&self.keys.rtcp_salt, sealed, index & !ENCRYPTED)?;
        let (header, body) = sealed.split_at_mut_checked(RTCP_HEADER).ok_or(SrtpError::TooShort)?;
        let aad = rtcp_aad(header, *word);
        let opened = open(&self.keys.rtcp, nonce, Aad::from(aad), body)?.len();
        Ok(&mut sealed[..RTCP_HEADER + opened])
    }
}

fn open<'a, A: AsRef<[u8]>>(
    key: &LessSafeKey,
    nonce: Nonce,
    aad: Aad<A>,
    sealed: &'a mut [u8],
) -> Result<&'a mut [u8], SrtpError> {
    if sealed.len() < TAG {
        return Err(SrtpError::TooShort);
    }
    key.open_in_place(nonce, aad, sealed).map_err(|_| SrtpError::NotAuthentic)
}

/// RFC 7714 section 8.1: two zero bytes, SSRC, roll-over counter, sequence number, with the salt over it.
fn rtp_nonce(salt: &[u8; 12], packet: &[u8], index: u64) -> Result<Nonce, SrtpError> {
    let ssrc = packet.get(8..12).ok_or(SrtpError::TooShort)?;
    let mut nonce = *salt;
    // Roll-overs and number together are 48 bits.
    let index = &index.to_be_bytes()[2..];
    for (byte, with) in nonce[2..].iter_mut().zip(ssrc.iter().chain(index)) {
        *byte ^= with;
    }
    Ok(Nonce::assume_unique_for_key(nonce))
}

/// RFC 7714 section 9.1: two zero bytes, SSRC, two zero bytes, index, with the salt over it.
fn rtcp_nonce(salt: &[u8; 12], packet: &[u8], index: u32) -> Result<Nonce, SrtpError> {
    let ssrc = packet.get(4..8).ok_or(SrtpError::TooShort)?;
    let mut nonce = *salt;
    for (byte, with) in nonce[2..].iter_mut().zip(ssrc.iter().chain(&[0, 0]).chain(&index.to_be_bytes())) {
        *byte ^= with;
    }
    Ok(Nonce::assume_unique_for_key(nonce))
}

/// RFC 7714 section 9.2: the readable header, then the index word with its flag.
fn rtcp_aad(header: &[u8], word: [u8; INDEX]) -> [u8; RTCP_HEADER + INDEX] {
    let mut aad = [0; RTCP_HEADER + INDEX];
    aad[..RTCP_HEADER].copy_from_slice(header);
    aad[RTCP_HEADER..].copy_from_slice(&word);
    aad
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pair(profile: Profile) -> ((Sealer, Opener), (Sealer, Opener)) {
        let material: Vec<u8> = (0..profile.material_len() as u8).collect();
        let of = |role| association(profile, &material, role).unwrap();
        (of(Role::Client), of(Role::Server))
    }

    fn packet(payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x80, 96, 0xff, 0xfe, 1, 2, 3, 4, 0xde, 0xad, 0xbe, 0xef];
        packet.extend_from_slice(payload);
        packet
    }

    proptest! {
        #[test]
        fn what_one_seals_the_other_opens_and_nobody_else(
            payload in proptest::collection::vec(any::<u8>(), 0..1_300),
            index in 0u64..1 << 48,
            flip in any::<proptest::sample::Index>(),
        ) {
            for profile in [Profile::Aes128Gcm, Profile::Aes256Gcm] {
                let ((client, own), (_, server)) = pair(profile);
                let mut sealed = packet(&payload);
                client.rtp(&mut sealed, 12, index).unwrap();
                prop_assert_eq!(sealed.len(), 12 + payload.len() + RTP_OVERHEAD);
                let open = |by: &Opener, index| {
                    let mut copy = sealed.clone();
                    by.rtp(&mut copy, 12, index).map(|payload| payload.to_vec())
                };
                prop_assert_eq!(open(&server, index), Ok(payload.clone()));
                prop_assert_eq!(open(&own, index), Err(SrtpError::NotAuthentic));
                prop_assert_eq!(open(&server, index ^ 1 << 16), Err(SrtpError::NotAuthentic));
                let at = flip.index(sealed.len());
                sealed[at] ^= 1;
                prop_assert_eq!(server.rtp(&mut sealed, 12, index), Err(SrtpError::NotAuthentic));
            }
        }

        #[test]
        fn rtcp_goes_there_and_back_and_its_index_counts(words in 2usize..100) {
            let ((mut client, _), (_, server)) = pair(Profile::Aes128Gcm);
            let plain = vec![0x81; words * 4];
            for index in 0..3u32 {
                let mut sealed = plain.clone();
                client.rtcp(&mut sealed).unwrap();
                prop_assert_eq!(sealed.len(), plain.len() + RTCP_OVERHEAD);
                prop_assert_eq!(&sealed[sealed.len() - 4..], (index | ENCRYPTED).to_be_bytes());
                prop_assert_eq!(server.rtcp(&mut sealed).unwrap(), &plain[..]);
            }
        }

        #[test]
        fn noise_is_refused_whatever_it_is(mut noise in proptest::collection::vec(any::<u8>(), 0..200), header in 0usize..300) {
            let (_, (_, server)) = pair(Profile::Aes256Gcm);
            let mut copy = noise.clone();
            prop_assert!(server.rtp(&mut copy, header, 7).is_err());
            prop_assert!(server.rtcp(&mut noise).is_err());
        }
    }
}
