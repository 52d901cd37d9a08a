//! The first frame of a connection: which shard is meant.

/// Bytes of a first frame at most. A binding request of a browser has about 120.
pub(super) const MAX_BYTES: usize = 1_024;

const HEADER: usize = 20;
const BINDING_REQUEST: u16 = 0x0001;
const MAGIC_COOKIE: u32 = 0x2112_A442;
const USERNAME: u16 = 0x0006;

/// Why a first frame leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoShard {
    #[error("the first frame is not a STUN binding request")]
    NotStun,
    #[error("the binding request has no USERNAME")]
    NoUsername,
    #[error("the ufrag names no shard of this node")]
    NoSuchShard,
}

/// The shard that a STUN binding request (RFC 8489) is for.
///
/// USERNAME is `<our ufrag>:<the peer's>` (RFC 8445 section 7.2.2), and our ufrags begin with the shard's number in two
/// lower-case hexadecimal digits. Integrity is the shard's business: it alone knows the passwords.
pub(super) fn shard_of(frame: &[u8], shards: usize) -> Result<usize, NoShard> {
    let (header, mut attributes) = frame.split_first_chunk::<HEADER>().ok_or(NoShard::NotStun)?;
    let is_request = header[..2] == BINDING_REQUEST.to_be_bytes()
        && header[4..8] == MAGIC_COOKIE.to_be_bytes()
        && usize::from(u16::from_be_bytes([header[2], header[3]])) == attributes.len();
    if !is_request {
        return Err(NoShard::NotStun);
    }
    while let Some((&[kind_high, kind_low, length_high, length_low], rest)) =
        attributes.split_first_chunk::<4>()
    {
        let length = usize::from(u16::from_be_bytes([length_high, length_low]));
        let value = rest.get(..length).ok_or(NoShard::NotStun)?;
        if u16::from_be_bytes([kind_high, kind_low]) == USERNAME {
            return shard_of_username(value, shards);
        }
        // Attributes are padded to four bytes.
        attributes = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Err(NoShard::NoUsername)
}

fn shard_of_username(username: &[u8], shards: usize) -> Result<usize, NoShard> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(usize::from(byte - b'0')),
        b'a'..=b'f' => Some(usize::from(byte - b'a') + 10),
        _ => None,
    };
    let shard = username.first_chunk().and_then(|&[high, low]| Some(digit(high)? * 16 + digit(low)?));
    shard.filter(|&shard| shard < shards).ok_or(NoShard::NoSuchShard)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A binding request with a SOFTWARE attribute, which is padded, before the USERNAME.
    pub(in crate::tcp) fn binding_request(username: &str) -> Vec<u8> {
        let mut attributes = Vec::new();
        for (kind, value) in [(0x8022_u16, b"peer1".as_slice()), (USERNAME, username.as_bytes())] {
            attributes.extend(kind.to_be_bytes());
            attributes.extend((value.len() as u16).to_be_bytes());
            attributes.extend(value);
            attributes.resize(attributes.len().next_multiple_of(4), 0);
        }
        let mut frame = Vec::new();
        frame.extend(BINDING_REQUEST.to_be_bytes());
        frame.extend((attributes.len() as u16).to_be_bytes());
        frame.extend(MAGIC_COOKIE.to_be_bytes());
        frame.extend([7; 12]);
        frame.extend(attributes);
        frame
    }

    #[test]
    fn the_ufrag_names_the_shard() {
        assert_eq!(shard_of(&binding_request("00abcd:xyz"), 1), Ok(0));
        assert_eq!(shard_of(&binding_request("1fabcd:xyz"), 32), Ok(31));
    }

    #[test]
    fn other_ufrags_lead_nowhere() {
        for username in ["1fabcd:xyz", "0", "", "zz:x", "0G:x", "1F:x", "+1:x"] {
            assert_eq!(shard_of(&binding_request(username), 31), Err(NoShard::NoSuchShard), "{username:?}");
        }
    }

    #[test]
    fn what_is_not_a_whole_binding_request_is_refused() {
        let good = binding_request("00abcd:xyz");
        for length in 0..good.len() {
            assert!(shard_of(&good[..length], 1).is_err(), "{length}");
        }
        assert_eq!(shard_of(b"GET / HTTP/1.1\r\nHost: example\r\n\r\n", 1), Err(NoShard::NotStun));
        let mut response = good.clone();
        response[0] = 1;
        assert_eq!(shard_of(&response, 1), Err(NoShard::NotStun));
        let mut no_username = good;
        no_username[HEADER + 4 + 8 + 1] = 7;
        assert_eq!(shard_of(&no_username, 1), Err(NoShard::NoUsername));
    }

    proptest::proptest! {
        #[test]
        fn garbage_never_panics(garbage in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = shard_of(&garbage, 4);
            let mut behind_a_header = binding_request("")[..HEADER].to_vec();
            behind_a_header.extend(&garbage);
            behind_a_header[2..4].copy_from_slice(&(garbage.len() as u16).to_be_bytes());
            let _ = shard_of(&behind_a_header, 4);
        }
    }
}
