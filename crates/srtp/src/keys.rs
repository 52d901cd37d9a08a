//! From the handshake's keying material to the keys of a direction.

use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, UnboundCipherKey};

use crate::cm::{self, Cm};
use crate::gcm::{self, Gcm};
use crate::{INDEX, Keys, SrtpError};

/// The protection profiles that WebRTC has (RFC 7714 section 14.2, RFC 5764 section 4.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// AEAD_AES_128_GCM.
    Aes128Gcm,
    /// AEAD_AES_256_GCM.
    Aes256Gcm,
    /// AES_CM_128_HMAC_SHA1_80, which RFC 8827 section 6.5 wants of everybody.
    Aes128CmSha1_80,
}

/// Which side of the DTLS handshake a peer was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It sent the ClientHello (`a=setup:active`).
    Client,
    /// It waited for it (`a=setup:passive`).
    Server,
}

impl Profile {
    const fn key_len(self) -> usize {
        match self {
            Profile::Aes128Gcm | Profile::Aes128CmSha1_80 => 16,
            Profile::Aes256Gcm => 32,
        }
    }

    const fn salt_len(self) -> usize {
        match self {
            Profile::Aes128Gcm | Profile::Aes256Gcm => gcm::SALT,
            Profile::Aes128CmSha1_80 => cm::SALT,
        }
    }

    /// Bytes that the handshake exports: two keys and two salts.
    #[must_use]
    pub const fn material_len(self) -> usize {
        2 * (self.key_len() + self.salt_len())
    }

    /// Bytes that sealing adds to an RTP packet: the tag (RFC 7714 section 8.1, RFC 3711 section 3.1).
    #[must_use]
    pub const fn rtp_overhead(self) -> usize {
        match self {
            Profile::Aes128Gcm | Profile::Aes256Gcm => gcm::TAG,
            Profile::Aes128CmSha1_80 => cm::TAG,
        }
    }

    /// Bytes that sealing adds to an RTCP packet: tag and index (RFC 7714 section 9.1, RFC 3711 section 3.4).
    #[must_use]
    pub const fn rtcp_overhead(self) -> usize {
        self.rtp_overhead() + INDEX
    }
}

/// The keying material, divided (RFC 5764 section 4.2).
pub(crate) struct Material<'a> {
    pub(crate) client: Master<'a>,
    pub(crate) server: Master<'a>,
}

/// One side's master key and salt.
pub(crate) struct Master<'a> {
    pub(crate) key: &'a [u8],
    salt: &'a [u8],
}

impl<'a> Material<'a> {
    pub(crate) fn split(profile: Profile, material: &'a [u8]) -> Option<Self> {
        if material.len() != profile.material_len() {
            return None;
        }
        let (client_key, rest) = material.split_at(profile.key_len());
        let (server_key, salts) = rest.split_at(profile.key_len());
        let (client_salt, server_salt) = salts.split_at(profile.salt_len());
        Some(Material {
            client: Master { key: client_key, salt: client_salt },
            server: Master { key: server_key, salt: server_salt },
        })
    }
}

/// Labels of RFC 3711 section 4.3.2.
#[derive(Clone, Copy)]
pub(crate) enum Label {
    RtpKey = 0,
    RtpAuth = 1,
    RtpSalt = 2,
    RtcpKey = 3,
    RtcpAuth = 4,
    RtcpSalt = 5,
}

impl Master<'_> {
    pub(crate) fn derive(&self, profile: Profile) -> Result<Keys, SrtpError> {
        match profile {
            Profile::Aes128Gcm | Profile::Aes256Gcm => Gcm::derive(self).map(Keys::Gcm),
            Profile::Aes128CmSha1_80 => Cm::derive(self).map(|cm| Keys::Cm(Box::new(cm))),
        }
    }

    /// A session key or salt.
    pub(crate) fn session<const LEN: usize>(&self, label: Label) -> Result<[u8; LEN], SrtpError> {
        let mut bytes = [0; LEN];
        self.expand(label, &mut bytes)?;
        Ok(bytes)
    }

    /// The key derivation of RFC 3711 section 4.3.3, with the key derivation rate of zero: AES in counter mode over blocks that
    /// begin with the salt and, in byte 7, the label.
    pub(crate) fn expand(&self, label: Label, out: &mut [u8]) -> Result<(), SrtpError> {
        let algorithm = if self.key.len() == 16 { &AES_128 } else { &AES_256 };
        let unbound = UnboundCipherKey::new(algorithm, self.key).map_err(|_| SrtpError::Keys)?;
        let aes = EncryptingKey::ecb(unbound).map_err(|_| SrtpError::Keys)?;
        let mut first = [0; 16];
        // A salt of 12 bytes is one of 14 that ends with zeros (RFC 7714 section 11).
        first[..self.salt.len()].copy_from_slice(self.salt);
        first[7] ^= label as u8;
        for (count, chunk) in (0u16..).zip(out.chunks_mut(16)) {
            let mut block = first;
            block[14..].copy_from_slice(&count.to_be_bytes());
            aes.encrypt(&mut block).map_err(|_| SrtpError::Keys)?;
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::hex;

    #[test]
    fn keys_of_rfc_3711_b_3() {
        let (key, salt) = (hex("e1f97a0d3e018be0d64fa32c06de4139"), hex("0ec675ad498afeebb6960b3aabe6"));
        let master = Master { key: &key, salt: &salt };
        assert_eq!(master.session::<16>(Label::RtpKey).unwrap()[..], hex("c61e7a93744f39ee10734afe3ff7a087"));
        assert_eq!(master.session::<14>(Label::RtpSalt).unwrap()[..], hex("30cbbc08863d8c85d49db34a9ae1"));
        let auth = "cebe321f6ff7716b6fd4ab49af256a156d38baa48f0a0acf3c34e2359e6cdbcee049646c43d9327ad175578ef7227098\
                    6371c10c9a369ac2f94a8c5fbcdddc256d6e919a48b610ef17c2041e474035766b68642c59bbfc2f34db60dbdfb2";
        assert_eq!(master.session::<94>(Label::RtpAuth).unwrap()[..], hex(auth));
    }

    #[test]
    fn labels_and_blocks_give_keys_of_their_own() {
        let master = Master { key: &[7; 32], salt: &[9; gcm::SALT] };
        let long: [u8; 32] = master.session(Label::RtpKey).unwrap();
        let short: [u8; 16] = master.session(Label::RtpKey).unwrap();
        assert_eq!(long[..16], short, "the first block is the same");
        assert_ne!(long[..16], long[16..], "the second is another");
        assert_ne!(short, master.session::<16>(Label::RtcpKey).unwrap());
    }

    #[test]
    fn material_of_another_length_is_refused() {
        for len in [0, 55, 57, 88] {
            assert!(Material::split(Profile::Aes128Gcm, &vec![0; len]).is_none(), "{len}");
        }
        assert!(Material::split(Profile::Aes128Gcm, &[0; 56]).is_some());
        assert!(Material::split(Profile::Aes256Gcm, &[0; 88]).is_some());
        assert!(Material::split(Profile::Aes128CmSha1_80, &[0; 56]).is_none());
        assert!(Material::split(Profile::Aes128CmSha1_80, &[0; 60]).is_some());
    }
}
