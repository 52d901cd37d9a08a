//! AV1's aggregation header and first OBUs ("RTP Payload Format For AV1", section 4; AV1 bitstream, section 5).

use crate::bits::Bits;
use crate::frame::{FrameInfo, ReadError, Resolution};

const SEQUENCE_HEADER: u8 = 1;
/// An encoder puts a sequence header and a frame or a few tiles into one packet. More elements than this are not looked at.
const LOOKED_AT: usize = 8;

pub(crate) fn read(payload: &[u8], marker: bool) -> Result<FrameInfo, ReadError> {
    // |Z|Y|W W|N|-|-|-|
    let (head, elements) = payload.split_first().ok_or(ReadError::Empty)?;
    let continues = head & 0x80 != 0;
    let starts_sequence = head & 0x08 != 0;
    let mut frame = FrameInfo {
        key_frame: starts_sequence,
        frame_start: !continues,
        frame_end: marker,
        switch_point: starts_sequence,
        ..FrameInfo::default()
    };
    let count = usize::from(head >> 4 & 0x03);
    let mut rest = elements;
    let mut layered = false;
    for index in 0..LOOKED_AT {
        let Some(element) = next_element(&mut rest, count, index) else {
            break;
        };
        // The first element of a continuing packet is the middle of an OBU: it has no header.
        if (continues && index == 0) || element.is_empty() {
            continue;
        }
        let Some(obu) = Obu::read(element) else {
            continue;
        };
        if let (false, Some((temporal, spatial))) = (layered, obu.layer) {
            (frame.temporal, frame.spatial) = (temporal, spatial);
            layered = true;
        }
        if obu.kind == SEQUENCE_HEADER && frame.resolution.is_none() {
            frame.resolution = resolution(obu.body);
        }
    }
    Ok(frame)
}

/// The next OBU element. With a count in the header (W) the last one has no length in front; without, all have one.
fn next_element<'a>(rest: &mut &'a [u8], count: usize, index: usize) -> Option<&'a [u8]> {
    if rest.is_empty() || (count > 0 && index >= count) {
        return None;
    }
    if count > 0 && index + 1 == count {
        return Some(std::mem::take(rest));
    }
    let length = leb128(rest)?;
    let (element, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(element)
}

/// A little-endian base-128 number of at most four bytes: packets are shorter than that.
fn leb128(bytes: &mut &[u8]) -> Option<usize> {
    let mut value = 0;
    for shift in [0, 7, 14, 21] {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

struct Obu<'a> {
    kind: u8,
    /// Temporal and spatial layer, where the extension byte is present.
    layer: Option<(u8, u8)>,
    body: &'a [u8],
}

impl<'a> Obu<'a> {
    fn read(element: &'a [u8]) -> Option<Self> {
        // |F| type |X|S|-|
        let (head, mut body) = element.split_first()?;
        let mut layer = None;
        if head & 0x04 != 0 {
            let (extension, after) = body.split_first()?;
            layer = Some((extension >> 5, extension >> 3 & 0x03));
            body = after;
        }
        if head & 0x02 != 0 {
            leb128(&mut body)?;
        }
        Some(Obu { kind: head >> 3 & 0x0f, layer, body })
    }
}

/// The largest picture size of the sequence (AV1 bitstream, section 5.5.1).
fn resolution(body: &[u8]) -> Option<Resolution> {
    let mut bits = Bits::new(body);
    bits.number(4)?; // profile, still picture
    if bits.flag()? {
        bits.number(5)?; // reduced header: only the level
    } else {
        skip_operating_points(&mut bits)?;
    }
    let width_bits = bits.number(4)? + 1;
    let height_bits = bits.number(4)? + 1;
    let width = bits.number(width_bits)?.checked_add(1)?;
    let height = bits.number(height_bits)?.checked_add(1)?;
    Some(Resolution { width: u16::try_from(width).ok()?, height: u16::try_from(height).ok()? })
}

fn skip_operating_points(bits: &mut Bits<'_>) -> Option<()> {
    let mut delay_bits = None;
    if bits.flag()? {
        // timing_info
        bits.number(32)?;
        bits.number(32)?;
        if bits.flag()? {
            bits.golomb()?;
        }
        if bits.flag()? {
            // decoder_model_info
            delay_bits = Some(bits.number(5)? + 1);
            bits.number(32)?;
            bits.number(10)?;
        }
    }
    let display_delay = bits.flag()?;
    for _ in 0..=bits.number(5)? {
        bits.number(12)?; // operating point
        if bits.number(5)? > 7 {
            bits.flag()?; // tier
        }
        if let Some(length) = delay_bits
            && bits.flag()?
        {
            bits.number(length)?;
            bits.number(length)?;
            bits.flag()?;
        }
        if display_delay && bits.flag()? {
            bits.number(4)?;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Profile 0, not still, full header, no timing, no display delay, one operating point of level 8 (which has a tier bit),
    /// then 10 bits for the width 640 and 9 for the height 360:
    /// 000 0 0 | 0 0 00000 | 000000000000 01000 0 | 1001 1000 | 1001111111 101100111, and zeros to fill the byte.
    const SEQUENCE: [u8; 9] = [0x00, 0x00, 0x00, 0x42, 0x62, 0x7f, 0xb3, 0x80, 0x00];

    #[test]
    fn a_new_sequence_tells_its_size() {
        // W = 2, N: the sequence header with its length in front, then a frame (type 6) to the end.
        let payload = [&[0x28, 10, 0x08][..], &SEQUENCE, &[0x30, 0x11]].concat();
        let frame = read(&payload, false).unwrap();
        assert!(frame.starts_key_frame() && frame.switch_point);
        assert_eq!(frame.resolution, Some(Resolution { width: 640, height: 360 }));
    }

    #[test]
    fn elements_without_a_count_all_have_lengths() {
        // W = 0, N: the sequence header carries its own size field too (S), as OBUs in files do.
        let payload = [&[0x08, 11, 0x0a, 9][..], &SEQUENCE, &[2, 0x30, 0x11]].concat();
        assert_eq!(read(&payload, true).unwrap().resolution, Some(Resolution { width: 640, height: 360 }));
    }

    #[test]
    fn layers_come_from_the_extension_byte() {
        // W = 1: one frame OBU with extension: temporal 2, spatial 1.
        let frame = read(&[0x10, 0x34, 0x48, 0xee], true).unwrap();
        assert_eq!((frame.temporal, frame.spatial), (2, 1));
        assert!(frame.frame_start && frame.frame_end && !frame.key_frame);
    }

    #[test]
    fn a_continuing_packet_has_no_header_to_read() {
        // Z, W = 1: the middle of an OBU that looks like a sequence header.
        let frame = read(&[0x90, 0x08, 0, 0], false).unwrap();
        assert!(!frame.frame_start && frame.resolution.is_none());
    }

    #[test]
    fn hidden_media_behind_the_aggregation_header_is_no_error() {
        let frame = read(&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff], false).unwrap();
        assert!(frame.starts_key_frame());
    }
}
