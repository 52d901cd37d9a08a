//! AES in counter mode with HMAC-SHA1, AES_CM_128_HMAC_SHA1_80 (RFC 3711 sections 4.1.1 and 4.2.1; RFC 5764 section 4.1.2).

use aws_lc_rs::cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{self, HMAC_SHA1_FOR_LEGACY_USE_ONLY};

use crate::keys::{Label, Master};
use crate::{INDEX, RTCP_HEADER, SrtpError, rtcp_index_of, rtcp_ssrc, rtp_ssrc};

/// The first 80 bits of what HMAC-SHA1 gives.
pub(crate) const TAG: usize = 10;
/// RFC 3711 section 8.2.
pub(crate) const SALT: usize = 14;
const KEY: usize = 16;
/// RFC 3711 section 5.2: 160 bits.
const AUTH_KEY: usize = 20;
/// Bytes that one index gives a key stream for: the counter behind it has 16 bits, for blocks of 16 bytes.
const LONGEST: usize = 1 << 20;

/// One direction's keys.
pub(crate) struct Cm {
    rtp: Protection,
    rtcp: Protection,
}

/// The keys of a direction's RTP, or of its RTCP.
struct Protection {
    aes: EncryptingKey,
    auth: hmac::Key,
    salt: [u8; SALT],
}

impl Cm {
    pub(crate) fn derive(master: &Master<'_>) -> Result<Self, SrtpError> {
        let protection = |key, auth, salt| {
            let auth: [u8; AUTH_KEY] = master.session(auth)?;
            Protection::new(&master.session(key)?, &auth, master.session(salt)?)
        };
        Ok(Cm {
            rtp: protection(Label::RtpKey, Label::RtpAuth, Label::RtpSalt)?,
            rtcp: protection(Label::RtcpKey, Label::RtcpAuth, Label::RtcpSalt)?,
        })
    }

    pub(crate) fn seal_rtp(
        &self,
        packet: &mut [u8],
        header: usize,
        index: u64,
    ) -> Result<[u8; TAG], SrtpError> {
        let ssrc = rtp_ssrc(packet)?;
        let payload = packet.get_mut(header..).ok_or(SrtpError::TooShort)?;
        self.rtp.crypt(ssrc, index, payload)?;
        Ok(self.rtp.tag(packet, roll_overs(index)))
    }

    pub(crate) fn open_rtp<'a>(
        &self,
        packet: &'a mut [u8],
        header: usize,
        index: u64,
    ) -> Result<&'a mut [u8], SrtpError> {
        let (sealed, tag) = packet.split_last_chunk_mut::<TAG>().ok_or(SrtpError::TooShort)?;
        let ssrc = rtp_ssrc(sealed)?;
        if sealed.len() < header {
            return Err(SrtpError::TooShort);
        }
        self.rtp.verify(sealed, roll_overs(index), tag)?;
        let payload = &mut sealed[header..];
        self.rtp.crypt(ssrc, index, payload)?;
        Ok(payload)
    }

    pub(crate) fn seal_rtcp(&self, packet: &mut [u8], word: u32) -> Result<[u8; TAG], SrtpError> {
        let ssrc = rtcp_ssrc(packet)?;
        self.rtcp.crypt(ssrc, rtcp_index_of(word), &mut packet[RTCP_HEADER..])?;
        Ok(self.rtcp.tag(packet, word))
    }

    /// `packet` ends with `word` and the tag.
    pub(crate) fn open_rtcp<'a>(&self, packet: &'a mut [u8], word: u32) -> Result<&'a mut [u8], SrtpError> {
        let (sealed, tag) = packet.split_last_chunk_mut::<TAG>().ok_or(SrtpError::TooShort)?;
        let (sealed, _) = sealed.split_last_chunk_mut::<INDEX>().ok_or(SrtpError::TooShort)?;
        let ssrc = rtcp_ssrc(sealed)?;
        self.rtcp.verify(sealed, word, tag)?;
        self.rtcp.crypt(ssrc, rtcp_index_of(word), &mut sealed[RTCP_HEADER..])?;
        Ok(sealed)
    }
}

impl Protection {
    fn new(key: &[u8; KEY], auth: &[u8; AUTH_KEY], salt: [u8; SALT]) -> Result<Self, SrtpError> {
        let unbound = UnboundCipherKey::new(&AES_128, key).map_err(|_| SrtpError::Keys)?;
        let aes = EncryptingKey::ctr(unbound).map_err(|_| SrtpError::Keys)?;
        Ok(Protection { aes, auth: hmac::Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, auth), salt })
    }

    /// Encrypts or decrypts, which is the same (RFC 3711 section 4.1.1): the counter begins with the salt, over which are
    /// SSRC and index, and its last two bytes count blocks.
    fn crypt(&self, ssrc: [u8; 4], index: u64, data: &mut [u8]) -> Result<(), SrtpError> {
        if data.len() > LONGEST {
            return Err(SrtpError::UsedUp);
        }
        let mut counter = [0; 16];
        counter[..SALT].copy_from_slice(&self.salt);
        let index = &index.to_be_bytes()[2..];
        for (byte, with) in counter[4..].iter_mut().zip(ssrc.iter().chain(index)) {
            *byte ^= with;
        }
        let crypted = self.aes.less_safe_encrypt(data, EncryptionContext::Iv128(counter.into()));
        crypted.map(drop).map_err(|_| SrtpError::UsedUp)
    }

    /// RFC 3711 section 4.2: over the packet as it is sent, and the roll-overs or the index word.
    fn tag(&self, packet: &[u8], word: u32) -> [u8; TAG] {
        let mut context = hmac::Context::with_key(&self.auth);
        context.update(packet);
        context.update(&word.to_be_bytes());
        let mut tag = [0; TAG];
        tag.copy_from_slice(&context.sign().as_ref()[..TAG]);
        tag
    }

    fn verify(&self, packet: &[u8], word: u32, tag: &[u8; TAG]) -> Result<(), SrtpError> {
        verify_slices_are_equal(&self.tag(packet, word), tag).map_err(|_| SrtpError::NotAuthentic)
    }
}

fn roll_overs(index: u64) -> u32 {
    (index >> 16) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::hex;

    #[test]
    fn key_stream_of_rfc_3711_b_2() {
        let key = hex("2b7e151628aed2a6abf7158809cf4f3c").try_into().unwrap();
        let salt = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfd").try_into().unwrap();
        let protection = Protection::new(&key, &[0; AUTH_KEY], salt).unwrap();
        let mut stream = vec![0; 0xff02 * 16];
        protection.crypt([0; 4], 0, &mut stream).unwrap();
        for (block, expected) in [
            (0x0000, "e03ead0935c95e80e166b16dd92b4eb4"),
            (0x0001, "d23513162b02d0f72a43a2fe4a5f97ab"),
            (0x0002, "41e95b3bb0a2e8dd477901e4fca894c0"),
            (0xfeff, "ec8cdf7398607cb0f2d21675ea9ea1e4"),
            (0xff00, "362b7c3c6773516318a077d7fc5073ae"),
            (0xff01, "6a2cc3787889374fbeb4c81b17ba6c44"),
        ] {
            assert_eq!(stream[block * 16..][..16], hex(expected), "block {block:x}");
        }
    }

    #[test]
    fn a_key_stream_is_not_used_twice_within_a_packet() {
        let protection = Protection::new(&[1; KEY], &[2; AUTH_KEY], [3; SALT]).unwrap();
        let mut data = vec![0; LONGEST + 1];
        assert_eq!(protection.crypt([0; 4], 0, &mut data), Err(SrtpError::UsedUp));
        assert_eq!(protection.crypt([0; 4], 0, &mut data[1..]), Ok(()));
    }
}
