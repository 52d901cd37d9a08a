//! RTP headers (RFC 3550 section 5.1) with one-byte extensions (RFC 8285 section 4.2), read and written in place.

/// Ids that header extensions were negotiated to; 0: not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(crate) mid: u8,
    pub(crate) rid: u8,
    pub(crate) transport: u8,
    pub(crate) level: u8,
}

/// Profile of one-byte extensions.
const ONE_BYTE: [u8; 2] = [0xbe, 0xde];
const FIXED: usize = 12;

/// What is read of a packet before it is opened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header<'a> {
    pub(crate) payload_type: u8,
    pub(crate) marker: bool,
    pub(crate) padded: bool,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
    /// Bytes before the payload.
    pub(crate) len: usize,
    pub(crate) mid: Option<&'a [u8]>,
    pub(crate) transport_sequence: Option<u16>,
}

/// Reads a header; `None` if it is none.
pub(crate) fn read<'a>(packet: &'a [u8], ids: &Ids) -> Option<Header<'a>> {
    let fixed: &[u8; FIXED] = packet.first_chunk()?;
    if fixed[0] >> 6 != 2 {
        return None;
    }
    let mut header = Header {
        payload_type: fixed[1] & 0x7f,
        marker: fixed[1] & 0x80 != 0,
        padded: fixed[0] & 0x20 != 0,
        sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
        timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
        ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
        len: FIXED + 4 * usize::from(fixed[0] & 0x0f),
        mid: None,
        transport_sequence: None,
    };
    if fixed[0] & 0x10 != 0 {
        let (profile, rest) = packet.get(header.len..)?.split_first_chunk::<2>()?;
        let (words, rest) = rest.split_first_chunk::<2>()?;
        let len = 4 * usize::from(u16::from_be_bytes(*words));
        let extensions = rest.get(..len)?;
        header.len += 4 + len;
        if *profile == ONE_BYTE {
            read_extensions(extensions, ids, &mut header);
        }
    }
    (header.len <= packet.len()).then_some(header)
}

fn read_extensions<'a>(mut rest: &'a [u8], ids: &Ids, header: &mut Header<'a>) {
    while let Some((&first, after)) = rest.split_first() {
        let (id, len) = (first >> 4, usize::from(first & 0x0f) + 1);
        if id == 0 {
            rest = after;
            continue;
        }
        let Some((value, after)) = after.split_at_checked(len) else { return };
        if id == ids.mid {
            header.mid = Some(value);
        } else if id == ids.transport
            && let Ok(value) = <[u8; 2]>::try_from(value)
        {
            header.transport_sequence = Some(u16::from_be_bytes(value));
        }
        rest = after;
    }
}

/// A header to write.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    pub(crate) payload_type: u8,
    pub(crate) marker: bool,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
    pub(crate) mid: &'a str,
    pub(crate) rid: Option<&'a str>,
    pub(crate) transport_sequence: u16,
    /// Level as RFC 6464 has it, and whether it is speech.
    pub(crate) level: Option<(u8, bool)>,
}

/// Appends a header; gives its length.
pub(crate) fn write(out: &mut Vec<u8>, header: &Outgoing<'_>, ids: &Ids) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0x90, u8::from(header.marker) << 7 | header.payload_type & 0x7f]);
    out.extend_from_slice(&header.sequence.to_be_bytes());
    out.extend_from_slice(&header.timestamp.to_be_bytes());
    out.extend_from_slice(&header.ssrc.to_be_bytes());
    out.extend_from_slice(&ONE_BYTE);
    let words_at = out.len();
    out.extend_from_slice(&[0, 0]);
    let mut extension = |id: u8, value: &[u8]| {
        // RFC 8285: ids 1 to 14, 1 to 16 bytes.
        if (1..15).contains(&id) && (1..=16).contains(&value.len()) {
            out.push(id << 4 | (value.len() - 1) as u8);
            out.extend_from_slice(value);
        }
    };
    extension(ids.mid, header.mid.as_bytes());
    if let Some(rid) = header.rid {
        extension(ids.rid, rid.as_bytes());
    }
    extension(ids.transport, &header.transport_sequence.to_be_bytes());
    if let Some((level, speech)) = header.level {
        extension(ids.level, &[u8::from(speech) << 7 | level & 0x7f]);
    }
    while !(out.len() - start).is_multiple_of(4) {
        out.push(0);
    }
    let words = ((out.len() - words_at - 2) / 4) as u16;
    out[words_at..words_at + 2].copy_from_slice(&words.to_be_bytes());
    out.len() - start
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: Ids = Ids { mid: 4, rid: 10, transport: 3, level: 1 };

    fn outgoing() -> Outgoing<'static> {
        Outgoing {
            payload_type: 96,
            marker: true,
            sequence: 65_535,
            timestamp: 7,
            ssrc: 0xdead_beef,
            mid: "v12",
            rid: Some("q"),
            transport_sequence: 513,
            level: Some((30, true)),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut packet = Vec::new();
        let len = write(&mut packet, &outgoing(), &IDS);
        packet.extend_from_slice(b"payload");
        let header = read(&packet, &IDS).unwrap();
        assert_eq!((header.payload_type, header.marker, header.padded), (96, true, false));
        assert_eq!((header.sequence, header.timestamp, header.ssrc), (65_535, 7, 0xdead_beef));
        assert_eq!((header.mid, header.transport_sequence), (Some(&b"v12"[..]), Some(513)));
        assert_eq!((header.len, &packet[header.len..]), (len, &b"payload"[..]));
    }

    #[test]
    fn an_extension_without_id_is_left_out() {
        let mut packet = Vec::new();
        write(&mut packet, &outgoing(), &Ids { mid: 4, ..Ids::default() });
        let header = read(&packet, &IDS).unwrap();
        assert_eq!((header.mid, header.transport_sequence), (Some(&b"v12"[..]), None));
    }

    #[test]
    fn cut_short_anywhere_it_is_no_header() {
        let mut packet = Vec::new();
        let len = write(&mut packet, &outgoing(), &IDS);
        for cut in 0..len {
            assert!(read(&packet[..cut], &IDS).is_none(), "{cut}");
        }
        packet[0] = 0x50;
        assert!(read(&packet, &IDS).is_none(), "version 1");
    }
}
