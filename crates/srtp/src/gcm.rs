//! AES-GCM (RFC 7714): one pass seals and authenticates.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::keys::{Label, Master};
use crate::{INDEX, RTCP_HEADER, SrtpError, rtcp_index_of, rtcp_ssrc, rtp_ssrc};

/// RFC 7714 section 13.1.
pub(crate) const TAG: usize = 16;
/// RFC 7714 section 12.
pub(crate) const SALT: usize = 12;

/// One direction's keys.
pub(crate) struct Gcm {
    rtp: LessSafeKey,
    rtp_salt: [u8; SALT],
    rtcp: LessSafeKey,
    rtcp_salt: [u8; SALT],
}

impl Gcm {
    /// Session keys for a master key of 16 or of 32 bytes.
    pub(crate) fn derive(master: &Master<'_>) -> Result<Self, SrtpError> {
        let key = |label| {
            let mut bytes = [0; 32];
            let bytes = &mut bytes[..master.key.len()];
            master.expand(label, bytes)?;
            let algorithm = if bytes.len() == 16 { &AES_128_GCM } else { &AES_256_GCM };
            UnboundKey::new(algorithm, bytes).map(LessSafeKey::new).map_err(|_| SrtpError::Keys)
        };
        Ok(Gcm {
            rtp: key(Label::RtpKey)?,
            rtp_salt: master.session(Label::RtpSalt)?,
            rtcp: key(Label::RtcpKey)?,
            rtcp_salt: master.session(Label::RtcpSalt)?,
        })
    }

    // Inlined, as opening is: the call alone would be up to 1 % of a packet.
    #[inline]
    pub(crate) fn seal_rtp(
        &self,
        packet: &mut [u8],
        header: usize,
        index: u64,
    ) -> Result<[u8; TAG], SrtpError> {
        let nonce = nonce(&self.rtp_salt, rtp_ssrc(packet)?, index);
        let (header, payload) = packet.split_at_mut_checked(header).ok_or(SrtpError::TooShort)?;
        seal(&self.rtp, nonce, header, payload)
    }

    #[inline]
    pub(crate) fn open_rtp<'a>(
        &self,
        packet: &'a mut [u8],
        header: usize,
        index: u64,
    ) -> Result<&'a mut [u8], SrtpError> {
        let nonce = nonce(&self.rtp_salt, rtp_ssrc(packet)?, index);
        let (header, sealed) = packet.split_at_mut_checked(header).ok_or(SrtpError::TooShort)?;
        open(&self.rtp, nonce, header, sealed)
    }

    pub(crate) fn seal_rtcp(&self, packet: &mut [u8], word: u32) -> Result<[u8; TAG], SrtpError> {
        let nonce = nonce(&self.rtcp_salt, rtcp_ssrc(packet)?, rtcp_index_of(word));
        let (header, body) = packet.split_first_chunk_mut().ok_or(SrtpError::TooShort)?;
        seal(&self.rtcp, nonce, &rtcp_aad(header, word), body)
    }

    /// `packet` ends with `word`.
    pub(crate) fn open_rtcp<'a>(&self, packet: &'a mut [u8], word: u32) -> Result<&'a mut [u8], SrtpError> {
        let nonce = nonce(&self.rtcp_salt, rtcp_ssrc(packet)?, rtcp_index_of(word));
        let (sealed, _) = packet.split_last_chunk_mut::<INDEX>().ok_or(SrtpError::TooShort)?;
        let (header, body) = sealed.split_first_chunk_mut().ok_or(SrtpError::TooShort)?;
        let opened = open(&self.rtcp, nonce, &rtcp_aad(header, word), body)?.len();
        Ok(&mut sealed[..RTCP_HEADER + opened])
    }
}

fn seal(key: &LessSafeKey, nonce: Nonce, aad: &[u8], plain: &mut [u8]) -> Result<[u8; TAG], SrtpError> {
    let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), plain).map_err(|_| SrtpError::UsedUp)?;
    // Of known length, so that to append it is no call.
    tag.as_ref().try_into().map_err(|_| SrtpError::UsedUp)
}

fn open<'a>(
    key: &LessSafeKey,
    nonce: Nonce,
    aad: &[u8],
    sealed: &'a mut [u8],
) -> Result<&'a mut [u8], SrtpError> {
    if sealed.len() < TAG {
        return Err(SrtpError::TooShort);
    }
    key.open_in_place(nonce, Aad::from(aad), sealed).map_err(|_| SrtpError::NotAuthentic)
}

/// RFC 7714 section 8.1: two zero bytes, SSRC, roll-over counter and sequence number, with the salt over it. Section 9.1 has
/// the SRTCP index in the same place, with zeros before it.
fn nonce(salt: &[u8; SALT], ssrc: [u8; 4], index: u64) -> Nonce {
    let mut nonce = *salt;
    let index = &index.to_be_bytes()[2..];
    for (byte, with) in nonce[2..].iter_mut().zip(ssrc.iter().chain(index)) {
        *byte ^= with;
    }
    Nonce::assume_unique_for_key(nonce)
}

/// RFC 7714 section 9.2: the readable header, then the index word with its flag.
fn rtcp_aad(header: &[u8; RTCP_HEADER], word: u32) -> [u8; RTCP_HEADER + INDEX] {
    let mut aad = [0; RTCP_HEADER + INDEX];
    aad[..RTCP_HEADER].copy_from_slice(header);
    aad[RTCP_HEADER..].copy_from_slice(&word.to_be_bytes());
    aad
}
