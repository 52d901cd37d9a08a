//! From the handshake's keying material to the keys of a direction.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, LessSafeKey, UnboundKey};
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, UnboundCipherKey};

use crate::{Direction, SrtpError};

/// The protection profiles of RFC 7714 section 14.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// AEAD_AES_128_GCM.
    Aes128Gcm,
    /// AEAD_AES_256_GCM.
    Aes256Gcm,
}

/// Which side of the DTLS handshake a peer was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It sent the ClientHello (`a=setup:active`).
    Client,
    /// It waited for it (`a=setup:passive`).
    Server,
}

const SALT: usize = 12;

impl Profile {
    fn key_len(self) -> usize {
        match self {
            Profile::Aes128Gcm => 16,
            Profile::Aes256Gcm => 32,
        }
    }

    /// Bytes that the handshake exports: two keys and two salts.
    #[must_use]
    pub fn material_len(self) -> usize {
        2 * (self.key_len() + SALT)
    }
}

/// The keying material, divided (RFC 5764 section 4.2).
pub(crate) struct Material<'a> {
    pub(crate) client: Master<'a>,
    pub(crate) server: Master<'a>,
}

/// One side's master key and salt.
pub(crate) struct Master<'a> {
    key: &'a [u8],
    salt: &'a [u8],
}

impl<'a> Material<'a> {
    pub(crate) fn split(profile: Profile, material: &'a [u8]) -> Option<Self> {
        if material.len() != profile.material_len() {
            return None;
        }
        let (client_key, rest) = material.split_at(profile.key_len());
        let (server_key, salts) = rest.split_at(profile.key_len());
        let (client_salt, server_salt) = salts.split_at(SALT);
        Some(Material {
            client: Master { key: client_key, salt: client_salt },
            server: Master { key: server_key, salt: server_salt },
        })
    }
}

/// Labels of RFC 3711 section 4.3.2.
#[derive(Clone, Copy)]
enum Label {
    RtpKey = 0,
    RtpSalt = 2,
    RtcpKey = 3,
    RtcpSalt = 5,
}

impl Master<'_> {
    pub(crate) fn derive(&self, profile: Profile) -> Result<Direction, SrtpError> {
        let key = |label| {
            let mut bytes = [0; 32];
            let bytes = &mut bytes[..profile.key_len()];
            self.expand(label, bytes)?;
            let algorithm = match profile {
                Profile::Aes128Gcm => &AES_128_GCM,
                Profile::Aes256Gcm => &AES_256_GCM,
            };
            UnboundKey::new(algorithm, bytes).map(LessSafeKey::new).map_err(|_| SrtpError::Keys)
        };
        let salt = |label| {
            let mut bytes = [0; SALT];
            self.expand(label, &mut bytes)?;
            Ok(bytes)
        };
        Ok(Direction {
            rtp: key(Label::RtpKey)?,
            rtp_salt: salt(Label::RtpSalt)?,
            rtcp: key(Label::RtcpKey)?,
            rtcp_salt: salt(Label::RtcpSalt)?,
        })
    }

    /// The key derivation of RFC 3711 section 4.3.3, with the key derivation rate of zero: AES in counter mode over blocks that
    /// begin with the salt and, in byte 7, the label.
    fn expand(&self, label: Label, out: &mut [u8]) -> Result<(), SrtpError> {
        let algorithm = if self.key.len() == 16 { &AES_128 } else { &AES_256 };
        let unbound = UnboundCipherKey::new(algorithm, self.key).map_err(|_| SrtpError::Keys)?;
        let aes = EncryptingKey::ecb(unbound).map_err(|_| SrtpError::Keys)?;
        let mut first = [0; 16];
        first[..SALT].copy_from_slice(self.salt);
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

    // The vectors of RFC 3711 appendix B.3 have a salt of 14 bytes, GCM one of 12. That the derivation is right is shown by
    // the client's tests, in which str0m opens what was sealed here.
    #[test]
    fn labels_and_blocks_give_keys_of_their_own() {
        let master = Master { key: &[7; 32], salt: &[9; SALT] };
        let mut long = [0; 32];
        master.expand(Label::RtpKey, &mut long).unwrap();
        let mut short = [0; 16];
        master.expand(Label::RtpKey, &mut short).unwrap();
        assert_eq!(long[..16], short, "the first block is the same");
        assert_ne!(long[..16], long[16..], "the second is another");
        let mut other = [0; 16];
        master.expand(Label::RtcpKey, &mut other).unwrap();
        assert_ne!(short, other);
    }

    #[test]
    fn material_of_another_length_is_refused() {
        for len in [0, 55, 57, 88] {
            assert!(Material::split(Profile::Aes128Gcm, &vec![0; len]).is_none(), "{len}");
        }
        assert!(Material::split(Profile::Aes128Gcm, &[0; 56]).is_some());
        assert!(Material::split(Profile::Aes256Gcm, &[0; 88]).is_some());
    }
}
