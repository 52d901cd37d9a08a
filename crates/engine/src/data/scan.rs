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

/// Where in a message to look.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fields<'a> {
    pub(crate) destinations: Option<u32>,
    /// Looked at if `destinations` lists nobody.
    pub(crate) destinations_path: &'a [u32],
    pub(crate) sequence: Option<u32>,
}

/// The value of a field, as far as routing may need it.
enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Other,
}

/// Scans a message.
pub(crate) fn scan<'a>(message: &'a [u8], fields: &Fields<'_>) -> Result<Scanned<'a>, Malformed> {
    let mut found = Scanned::default();
    let mut inner = SmallVec::new();
    each_field(message, |number, value| {
        match value {
            Value::Varint(value) if Some(number) == fields.sequence => found.sequence = Some(value),
            Value::Bytes(value) if Some(number) == fields.destinations => {
                add(&mut found.destinations, value)?
            }
            Value::Bytes(value) => follow(number, value, fields.destinations_path, &mut inner)?,
            Value::Varint(_) | Value::Other => {}
        }
        Ok(())
    })?;
    if found.destinations.is_empty() {
        found.destinations = inner;
    }
    Ok(found)
}

/// Goes down a path of sub-messages to the list at its end.
fn follow<'a>(
    number: u32,
    value: &'a [u8],
    path: &[u32],
    found: &mut SmallVec<[&'a str; 4]>,
) -> Result<(), Malformed> {
    match path {
        [last] if *last == number => add(found, value),
        [first, rest @ ..] if *first == number && !rest.is_empty() => each_field(value, |number, value| {
            if let Value::Bytes(value) = value { follow(number, value, rest, found) } else { Ok(()) }
        }),
        _ => Ok(()),
    }
}

fn add<'a>(destinations: &mut SmallVec<[&'a str; 4]>, value: &'a [u8]) -> Result<(), Malformed> {
    if destinations.len() >= MAX_DESTINATIONS {
        return Err(Malformed);
    }
    destinations.push(std::str::from_utf8(value).map_err(|_| Malformed)?);
    Ok(())
}

fn each_field<'a>(
    mut rest: &'a [u8],
    mut visit: impl FnMut(u32, Value<'a>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    const VARINT: u64 = 0;
    const FIXED64: u64 = 1;
    const BYTES: u64 = 2;
    const FIXED32: u64 = 5;
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        let number = u32::try_from(tag >> 3).map_err(|_| Malformed)?;
        let value = match tag & 7 {
            VARINT => Value::Varint(varint(&mut rest)?),
            FIXED64 => {
                take(&mut rest, 8)?;
                Value::Other
            }
            FIXED32 => {
                take(&mut rest, 4)?;
                Value::Other
            }
            BYTES => {
                let length = usize::try_from(varint(&mut rest)?).map_err(|_| Malformed)?;
                Value::Bytes(take(&mut rest, length)?)
            }
            _ => return Err(Malformed),
        };
        visit(number, value)?;
    }
    Ok(())
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
        let fields = Fields { destinations: Some(5), sequence: Some(16), ..Fields::default() };
        let found = scan(&message, &fields).unwrap();
        assert_eq!(found.destinations.as_slice(), ["bob", "eve"]);
        assert_eq!(found.sequence, Some(7));
        assert_eq!(scan(&message, &Fields::default()), Ok(Scanned::default()));
        for end in [1, 2, 4, 6, message.len() - 1] {
            assert_eq!(scan(&message[..end], &fields), Err(Malformed), "cut at {end}");
        }
    }

    #[test]
    fn destinations_inside_a_sub_message_count_if_there_are_none_outside() {
        let fields = Fields { destinations: Some(5), destinations_path: &[2, 6], sequence: None };
        // 2 { 2: bytes; 6: "bob" }
        let inner = [0x12, 1, 0xff, 0x32, 3, b'b', b'o', b'b'];
        let mut message = vec![0x12, inner.len() as u8];
        message.extend(inner);
        assert_eq!(scan(&message, &fields).unwrap().destinations.as_slice(), ["bob"]);
        message.extend([0x2a, 3, b'e', b'v', b'e']);
        assert_eq!(scan(&message, &fields).unwrap().destinations.as_slice(), ["eve"]);
    }

    proptest! {
        #[test]
        fn anything_is_scanned_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let fields = Fields { destinations: Some(5), destinations_path: &[2, 6], sequence: Some(16) };
            let _ = scan(&bytes, &fields);
        }
    }
}
