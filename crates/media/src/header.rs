//! RTP headers (RFC 3550 section 5.1) with header extensions (RFC 8285), read and written in place.

/// Ids that header extensions were negotiated to; 0: not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ids {
    /// The section's name (RFC 9143).
    pub mid: u8,
    /// The layer's name (RFC 8852).
    pub rid: u8,
    /// The name of the layer that a repair stream repairs (RFC 8852).
    pub repaired_rid: u8,
    /// The transport-wide sequence number (draft-holmer-rmcat-transport-wide-cc-extensions-01).
    pub transport: u8,
    /// The audio level (RFC 6464).
    pub level: u8,
    /// How the picture must be turned (3GPP TS 26.114 section 7.4.5).
    pub orientation: u8,
    /// When the packet left, in 64ths of seconds with 18 bits of fraction.
    pub send_time: u8,
}

impl Ids {
    /// Sets the id of the extension that a URI names; false if it is none of these.
    pub fn set(&mut self, uri: &str, id: u8) -> bool {
        let field = match uri {
            "urn:ietf:params:rtp-hdrext:sdes:mid" => &mut self.mid,
            "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id" => &mut self.rid,
            "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id" => &mut self.repaired_rid,
            "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01" => {
                &mut self.transport
            }
            "urn:ietf:params:rtp-hdrext:ssrc-audio-level" => &mut self.level,
            "urn:3gpp:video-orientation" => &mut self.orientation,
            "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time" => &mut self.send_time,
            _ => return false,
        };
        *field = id;
        true
    }

    /// Adds what another section of the bundle negotiated: an id means the same in all of them (RFC 9143 section 9.1).
    pub fn merge(&mut self, other: &Ids) {
        let ours = [
            &mut self.mid,
            &mut self.rid,
            &mut self.repaired_rid,
            &mut self.transport,
            &mut self.level,
            &mut self.orientation,
            &mut self.send_time,
        ];
        let theirs = [
            other.mid,
            other.rid,
            other.repaired_rid,
            other.transport,
            other.level,
            other.orientation,
            other.send_time,
        ];
        for (ours, theirs) in ours.into_iter().zip(theirs) {
            if theirs != 0 {
                *ours = theirs;
            }
        }
    }
}

/// Profile of one-byte extensions (RFC 8285 section 4.2).
const ONE_BYTE: u16 = 0xbede;
/// Profile of two-byte extensions, without its application bits (RFC 8285 section 4.3).
const TWO_BYTES: u16 = 0x1000;
const FIXED: usize = 12;
/// What [`Outgoing::write`] appends at most: every extension at its longest.
pub const LONGEST: usize = 72;

/// What is read of a packet before it is opened.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    /// The format of its payload.
    pub payload_type: u8,
    /// Of video: the last packet of its frame.
    pub marker: bool,
    /// Whether padding follows the payload.
    pub padded: bool,
    /// Its place in the stream.
    pub sequence: u16,
    /// When its media was sampled, in units of the payload type's clock.
    pub timestamp: u32,
    /// The stream.
    pub ssrc: u32,
    /// Bytes before the payload.
    pub len: usize,
    /// See [`Ids::mid`].
    pub mid: Option<&'a [u8]>,
    /// See [`Ids::rid`].
    pub rid: Option<&'a [u8]>,
    /// See [`Ids::repaired_rid`].
    pub repaired_rid: Option<&'a [u8]>,
    /// See [`Ids::transport`].
    pub transport_sequence: Option<u16>,
    /// See [`Ids::level`]: one byte as RFC 6464 section 3 has it.
    pub level: Option<u8>,
    /// See [`Ids::orientation`].
    pub orientation: Option<u8>,
}

impl<'a> Header<'a> {
    /// Reads a header; `None` if it is none.
    #[must_use]
    pub fn read(packet: &'a [u8], ids: &Ids) -> Option<Self> {
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
            rid: None,
            repaired_rid: None,
            transport_sequence: None,
            level: None,
            orientation: None,
        };
        if fixed[0] & 0x10 != 0 {
            let (profile, rest) = packet.get(header.len..)?.split_first_chunk::<2>()?;
            let (words, rest) = rest.split_first_chunk::<2>()?;
            let len = 4 * usize::from(u16::from_be_bytes(*words));
            let extensions = rest.get(..len)?;
            header.len += 4 + len;
            match u16::from_be_bytes(*profile) {
                ONE_BYTE => header.read_one_byte(extensions, ids),
                profile if profile & 0xfff0 == TWO_BYTES => header.read_two_bytes(extensions, ids),
                _ => {}
            }
        }
        (header.len <= packet.len()).then_some(header)
    }

    fn read_one_byte(&mut self, mut rest: &'a [u8], ids: &Ids) {
        while let Some((&first, after)) = rest.split_first() {
            let (id, len) = (first >> 4, usize::from(first & 0x0f) + 1);
            match id {
                0 => rest = after,
                // Reserved: nothing behind it is to be read.
                15 => return,
                _ => {
                    let Some((value, after)) = after.split_at_checked(len) else { return };
                    self.take(id, value, ids);
                    rest = after;
                }
            }
        }
    }

    fn read_two_bytes(&mut self, mut rest: &'a [u8], ids: &Ids) {
        while let Some((&id, after)) = rest.split_first() {
            if id == 0 {
                rest = after;
                continue;
            }
            let Some((&len, after)) = after.split_first() else { return };
            let Some((value, after)) = after.split_at_checked(len.into()) else { return };
            self.take(id, value, ids);
            rest = after;
        }
    }

    fn take(&mut self, id: u8, value: &'a [u8], ids: &Ids) {
        if id == ids.transport {
            self.transport_sequence = value.try_into().ok().map(u16::from_be_bytes);
        } else if id == ids.mid {
            self.mid = Some(value);
        } else if id == ids.level {
            self.level = value.first().copied();
        } else if id == ids.rid {
            self.rid = Some(value);
        } else if id == ids.repaired_rid {
            self.repaired_rid = Some(value);
        } else if id == ids.orientation {
            self.orientation = value.first().copied();
        }
    }
}

/// A header to write. What has no id is left out.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// See [`Header::payload_type`].
    pub payload_type: u8,
    /// See [`Header::marker`].
    pub marker: bool,
    /// See [`Header::padded`].
    pub padded: bool,
    /// See [`Header::sequence`].
    pub sequence: u16,
    /// See [`Header::timestamp`].
    pub timestamp: u32,
    /// See [`Header::ssrc`].
    pub ssrc: u32,
    /// See [`Ids::mid`].
    pub mid: &'a [u8],
    /// See [`Ids::rid`].
    pub rid: Option<&'a str>,
    /// See [`Ids::transport`].
    pub transport_sequence: Option<u16>,
    /// See [`Header::level`].
    pub level: Option<u8>,
    /// See [`Ids::orientation`].
    pub orientation: Option<u8>,
    /// See [`Ids::send_time`]; 24 bits.
    pub send_time: Option<u32>,
}

impl Outgoing<'_> {
    /// Appends the header, [`LONGEST`] bytes at most; gives its length.
    pub fn write(&self, ids: &Ids, out: &mut Vec<u8>) -> usize {
        let mut text = Text { bytes: [0; LONGEST], len: 0 };
        text.put(&[0x90 | u8::from(self.padded) << 5, u8::from(self.marker) << 7 | self.payload_type & 0x7f]);
        text.put(&self.sequence.to_be_bytes());
        text.put(&self.timestamp.to_be_bytes());
        text.put(&self.ssrc.to_be_bytes());
        text.put(&ONE_BYTE.to_be_bytes());
        text.put(&[0, 0]);
        text.extension(ids.mid, self.mid);
        if let Some(rid) = self.rid {
            text.extension(ids.rid, rid.as_bytes());
        }
        if let Some(sequence) = self.transport_sequence {
            text.extension(ids.transport, &sequence.to_be_bytes());
        }
        if let Some(level) = self.level {
            text.extension(ids.level, &[level]);
        }
        if let Some(orientation) = self.orientation {
            text.extension(ids.orientation, &[orientation]);
        }
        if let Some(time) = self.send_time {
            text.extension(ids.send_time, &time.to_be_bytes()[1..]);
        }
        text.finish(out)
    }
}

/// A header that grows in place, so that the packet's buffer is asked for room once.
struct Text {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Text {
    fn put(&mut self, value: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + value.len()) {
            room.copy_from_slice(value);
            self.len += value.len();
        }
    }

    /// RFC 8285: ids 1 to 14, 1 to 16 bytes.
    fn extension(&mut self, id: u8, value: &[u8]) {
        if (1..15).contains(&id) && (1..=16).contains(&value.len()) && self.len + value.len() + 4 <= LONGEST {
            self.put(&[id << 4 | (value.len() - 1) as u8]);
            self.put(value);
        }
    }

    fn finish(mut self, out: &mut Vec<u8>) -> usize {
        self.len = self.len.next_multiple_of(4);
        let words = ((self.len - FIXED - 4) / 4) as u16;
        self.bytes[FIXED + 2..FIXED + 4].copy_from_slice(&words.to_be_bytes());
        out.extend_from_slice(&self.bytes[..self.len]);
        self.len
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IDS: Ids =
        Ids { mid: 4, rid: 10, repaired_rid: 11, transport: 3, level: 1, orientation: 13, send_time: 2 };

    fn outgoing() -> Outgoing<'static> {
        Outgoing {
            payload_type: 96,
            marker: true,
            padded: false,
            sequence: 65_535,
            timestamp: 7,
            ssrc: 0xdead_beef,
            mid: b"v12",
            rid: Some("q"),
            transport_sequence: Some(513),
            level: Some(30),
            orientation: Some(2),
            send_time: Some(0x00ab_cdef),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut packet = b"before".to_vec();
        let len = outgoing().write(&IDS, &mut packet);
        packet.drain(..6);
        packet.extend_from_slice(b"payload");
        let header = Header::read(&packet, &IDS).unwrap();
        assert_eq!((header.payload_type, header.marker, header.padded), (96, true, false));
        assert_eq!((header.sequence, header.timestamp, header.ssrc), (65_535, 7, 0xdead_beef));
        assert_eq!((header.mid, header.rid), (Some(&b"v12"[..]), Some(&b"q"[..])));
        assert_eq!((header.transport_sequence, header.level), (Some(513), Some(30)));
        assert_eq!(header.orientation, Some(2));
        assert_eq!((header.len, &packet[header.len..]), (len, &b"payload"[..]));
        assert!(packet.windows(4).any(|w| w == [2 << 4 | 2, 0xab, 0xcd, 0xef]), "24 bits of the send time");
    }

    #[test]
    fn the_longest_names_fit() {
        let names = Outgoing { mid: b"0123456789abcdef", rid: Some("01234567"), ..outgoing() };
        let mut packet = Vec::new();
        let len = names.write(&IDS, &mut packet);
        assert!(len <= LONGEST && packet.len() == len);
        let header = Header::read(&packet, &IDS).unwrap();
        assert_eq!(header.mid, Some(&b"0123456789abcdef"[..]));
        assert_eq!(header.orientation, Some(2));
    }

    #[test]
    fn an_extension_without_id_is_left_out() {
        let mut packet = Vec::new();
        outgoing().write(&Ids { mid: 4, ..Ids::default() }, &mut packet);
        let header = Header::read(&packet, &IDS).unwrap();
        assert_eq!((header.mid, header.transport_sequence), (Some(&b"v12"[..]), None));
    }

    #[test]
    fn two_byte_extensions_are_read() {
        let mut packet = vec![0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0x10, 0, 0, 3];
        packet.extend_from_slice(&[3, 2, 1, 2, 0, 4, 3, b'v', b'1', b'2', 9, 0]);
        let header = Header::read(&packet, &IDS).unwrap();
        assert_eq!((header.transport_sequence, header.mid), (Some(0x0102), Some(&b"v12"[..])));
        assert_eq!(header.len, packet.len());
    }

    #[test]
    fn cut_short_anywhere_it_is_no_header() {
        let mut packet = Vec::new();
        let len = outgoing().write(&IDS, &mut packet);
        for cut in 0..len {
            assert!(Header::read(&packet[..cut], &IDS).is_none(), "{cut}");
        }
        packet[0] = 0x50;
        assert!(Header::read(&packet, &IDS).is_none(), "version 1");
    }

    proptest! {
        #[test]
        fn noise_is_read_within_its_bounds(mut noise in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Some(first) = noise.first_mut() {
                *first = 0x90 | *first & 0x2f;
            }
            if let Some(header) = Header::read(&noise, &IDS) {
                prop_assert!(header.len <= noise.len());
            }
        }
    }
}
