//! Finds the few protobuf fields that routing needs in a message that stays opaque otherwise.
//!
//! Wire format: protobuf.dev/programming-guides/encoding. Groups (wire types 3 and 4) are refused: nobody sends them.

use smallvec::SmallVec;

/// What routing needs of a message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scanned<'a> {
    /// Every occurrence of the field that lists destinations.
    pub(crate) destinations: SmallVec<[&'a str; 4]>,
    /// The last occurrence of the field that numbers messages.
    pub(crate) sequence: Option<u64>,
}

/// Not protobuf.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Destinations of one message at most.
const MAX_DESTINATIONS: usize = 1_000;

/// Scans the top level of a message.
pub(crate) fn scan<'a>(
    mut rest: &'a [u8],
    destinations: Option<u32>,
    sequence: Option<u32>,
) -> Result<Scanned<'a>, Malformed> {
    const VARINT: u64 = 0;
    const FIXED64: u64 = 1;
    const BYTES: u64 = 2;
    const FIXED32: u64 = 5;
    let mut found = Scanned::default();
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        let field = Some(u32::try_from(tag >> 3).map_err(|_| Malformed)?);
        match tag & 7 {
            VARINT => {
                let value = varint(&mut rest)?;
                if field == sequence {
                    found.sequence = Some(value);
                }
            }
            FIXED64 => drop(take(&mut rest, 8)?),
            FIXED32 => drop(take(&mut rest, 4)?),
            BYTES => {
                let length = usize::try_from(varint(&mut rest)?).map_err(|_| Malformed)?;
                let value = take(&mut rest, length)?;
                if field == destinations {
                    if found.destinations.len() >= MAX_DESTINATIONS {
                        return Err(Malformed);
                    }
                    found.destinations.push(std::str::from_utf8(value).map_err(|_| Malformed)?);
                }
            }
            _ => return Err(Malformed),
        }
    }
    Ok(found)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Malformed> {
    let (value, tail) = rest.split_at_checked(length).ok_or(Malformed)?;
    *rest = tail;
    Ok(value)
}

fn varint(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let [byte] = take(rest, 1)? else { return Err(Malformed) };
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn destinations_and_number_are_found_among_other_fields() {
        // 1: varint 300; 5: "bob"; 2: bytes; 5: "eve"; 16: varint 7; 9: fixed32; 10: fixed64
        let mut message = vec![0x08, 0xac, 0x02, 0x2a, 3];
        message.extend(b"bob");
        message.extend([0x12, 2, 0xff, 0xff, 0x2a, 3]);
        message.extend(b"eve");
        message.extend([0x80, 0x01, 7, 0x4d, 1, 2, 3, 4, 0x51, 1, 2, 3, 4, 5, 6, 7, 8]);
        let found = scan(&message, Some(5), Some(16)).unwrap();
        assert_eq!(found.destinations.as_slice(), ["bob", "eve"]);
        assert_eq!(found.sequence, Some(7));
        assert_eq!(scan(&message, None, None), Ok(Scanned::default()));
        for end in [1, 2, 4, 6, message.len() - 1] {
            assert_eq!(scan(&message[..end], Some(5), Some(16)), Err(Malformed), "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn anything_is_scanned_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = scan(&bytes, Some(5), Some(16));
        }
    }
}
