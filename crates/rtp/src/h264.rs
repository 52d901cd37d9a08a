//! H264's NAL unit headers (RFC 6184, section 5), and the picture size in a sequence parameter set.
//!
//! A key frame starts at its sequence parameter set: an IDR slice without one cannot be decoded by a receiver that comes from
//! another layer. Browsers send both parameter sets with every IDR picture.

use crate::bits::Bits;
use crate::frame::{FrameInfo, ReadError, Resolution};

const IDR_SLICE: u8 = 5;
const SEQUENCE_PARAMETERS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

pub(crate) fn read(payload: &[u8], marker: bool) -> Result<FrameInfo, ReadError> {
    let head = *payload.first().ok_or(ReadError::Empty)?;
    let mut frame = FrameInfo { frame_end: marker, discardable: head & 0x60 == 0, ..FrameInfo::default() };
    match head & 0x1f {
        STAP_A => aggregate(payload.get(1..).unwrap_or_default(), &mut frame),
        FU_A => {
            // |S|E|R| type |: only the first fragment holds the NAL unit's beginning.
            let fragment = *payload.get(1).ok_or(ReadError::Truncated)?;
            let first = fragment & 0x80 != 0;
            let body = payload.get(2..).unwrap_or_default();
            note(fragment & 0x1f, if first { body } else { &[] }, first, &mut frame);
        }
        kind => note(kind, payload.get(1..).unwrap_or_default(), true, &mut frame),
    }
    frame.switch_point = frame.key_frame;
    Ok(frame)
}

/// A STAP-A holds whole NAL units, each behind its 16-bit length (section 5.7.1). Stops quietly where lengths make no sense.
fn aggregate(mut rest: &[u8], frame: &mut FrameInfo) {
    while let [high, low, after @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let Some((unit, next)) = after.split_at_checked(length) else {
            return;
        };
        if let [head, body @ ..] = unit {
            note(head & 0x1f, body, true, frame);
        }
        rest = next;
    }
}

/// Takes in one NAL unit: its type, the bytes after its header, and whether they are its first ones.
fn note(kind: u8, body: &[u8], first: bool, frame: &mut FrameInfo) {
    match kind {
        SEQUENCE_PARAMETERS => {
            frame.key_frame = true;
            frame.frame_start |= first;
            frame.resolution = resolution(body).or(frame.resolution);
        }
        IDR_SLICE => frame.key_frame = true,
        // A slice header begins with first_mb_in_slice, and Exp-Golomb 0 is a single 1 bit: the picture's first slice.
        1 | 2 => frame.frame_start |= first && body.first().is_some_and(|byte| byte & 0x80 != 0),
        _ => {}
    }
}

/// Profiles whose parameter sets describe chroma and scaling (H.264, section 7.3.2.1.1).
const HIGH_PROFILES: [u32; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

/// The picture's size after cropping (H.264, sections 7.3.2.1.1 and 7.4.2.1.1).
fn resolution(body: &[u8]) -> Option<Resolution> {
    let mut plain = [0u8; 96];
    let length = without_escapes(body, &mut plain);
    let mut bits = Bits::new(plain.get(..length)?);
    let profile = bits.number(8)?;
    bits.number(16)?; // constraint flags and level
    bits.golomb()?; // parameter set id
    let mut chroma = 1;
    if HIGH_PROFILES.contains(&profile) {
        chroma = bits.golomb()?;
        if chroma == 3 {
            bits.flag()?; // separate colour planes
        }
        bits.golomb()?; // luma depth
        bits.golomb()?; // chroma depth
        bits.flag()?; // lossless bypass
        if bits.flag()? {
            skip_scaling_lists(&mut bits, if chroma == 3 { 12 } else { 8 })?;
        }
    }
    bits.golomb()?; // frame number length
    skip_picture_order(&mut bits)?;
    bits.golomb()?; // reference frames
    bits.flag()?; // gaps allowed
    let width = bits.golomb()?.checked_add(1)?.checked_mul(16)?;
    let map_units = bits.golomb()?.checked_add(1)?.checked_mul(16)?;
    let frames_only = bits.flag()?;
    let fields = if frames_only { 1 } else { 2 };
    if !frames_only {
        bits.flag()?; // adaptive frame and field
    }
    bits.flag()?; // direct inference
    let [mut left, mut right, mut top, mut bottom] = [0; 4];
    if bits.flag()? {
        for edge in [&mut left, &mut right, &mut top, &mut bottom] {
            *edge = bits.golomb()?;
        }
    }
    let crop_x: u32 = if matches!(chroma, 1 | 2) { 2 } else { 1 };
    let crop_y: u32 = if chroma == 1 { 2 * fields } else { fields };
    let width = width.checked_sub(crop_x.checked_mul(left.checked_add(right)?)?)?;
    let height = map_units.checked_mul(fields)?.checked_sub(crop_y.checked_mul(top.checked_add(bottom)?)?)?;
    Some(Resolution { width: u16::try_from(width).ok()?, height: u16::try_from(height).ok()? })
}

fn skip_scaling_lists(bits: &mut Bits<'_>, lists: usize) -> Option<()> {
    for list in 0..lists {
        if !bits.flag()? {
            continue;
        }
        let (mut last, mut next) = (8i32, 8i32);
        for _ in 0..if list < 6 { 16 } else { 64 } {
            if next != 0 {
                next = last.wrapping_add(bits.signed_golomb()?) & 0xff;
            }
            if next != 0 {
                last = next;
            }
        }
    }
    Some(())
}

fn skip_picture_order(bits: &mut Bits<'_>) -> Option<()> {
    match bits.golomb()? {
        0 => {
            bits.golomb()?;
        }
        1 => {
            bits.flag()?;
            bits.signed_golomb()?;
            bits.signed_golomb()?;
            for _ in 0..bits.golomb()?.min(255) {
                bits.signed_golomb()?;
            }
        }
        _ => {}
    }
    Some(())
}

/// Copies `from` without emulation prevention bytes (00 00 03); returns how many bytes `to` took.
fn without_escapes(from: &[u8], to: &mut [u8]) -> usize {
    let mut zeros = 0;
    let mut length = 0;
    for &byte in from {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        let Some(place) = to.get_mut(length) else {
            break;
        };
        *place = byte;
        length += 1;
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes numbers bit by bit, so that the tests spell out a parameter set instead of quoting one.
    #[derive(Default)]
    struct Writer(Vec<bool>);

    impl Writer {
        fn number(mut self, value: u32, count: u32) -> Self {
            self.0.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
            self
        }

        fn golomb(self, value: u32) -> Self {
            let bits = u32::BITS - (value + 1).leading_zeros();
            self.number(0, bits - 1).number(value + 1, bits)
        }

        fn bytes(self) -> Vec<u8> {
            let byte = |bits: &[bool]| {
                bits.iter().enumerate().fold(0, |byte, (at, bit)| byte | u8::from(*bit) << (7 - at))
            };
            self.0.chunks(8).map(byte).collect()
        }
    }

    /// A baseline parameter set of 640x360: 40 by 23 macroblocks, 8 rows cropped at the bottom.
    fn baseline() -> Vec<u8> {
        let head = Writer::default().number(66, 8).number(0xc0, 8).number(31, 8).golomb(0);
        let order = head.golomb(0).golomb(2).golomb(1).number(0, 1);
        let size = order.golomb(39).golomb(22).number(1, 1).number(1, 1);
        let crop = size.number(1, 1).golomb(0).golomb(0).golomb(0).golomb(4);
        crop.number(0, 1).number(1, 1).bytes()
    }

    #[test]
    fn a_parameter_set_tells_the_size_after_cropping() {
        assert_eq!(resolution(&baseline()), Some(Resolution { width: 640, height: 360 }));
    }

    #[test]
    fn a_high_profile_with_scaling_lists_and_fields_is_read_too() {
        let head = Writer::default().number(100, 8).number(0, 8).number(31, 8).golomb(0);
        let chroma = head.golomb(1).golomb(0).golomb(0).number(0, 1);
        // One scaling list of 16 entries whose second delta (-8, code 16) ends it early, then seven absent ones.
        let lists = chroma.number(1, 1).number(1, 1).golomb(16).number(0, 7);
        // Picture order type 1 with one offset, then 80 by 34 macroblocks in field pairs: 1280x1088, cropped to 1080.
        let order = lists.golomb(0).golomb(1).number(0, 1).golomb(0).golomb(0).golomb(1).golomb(0);
        let size = order.golomb(1).number(0, 1).golomb(79).golomb(33).number(0, 1).number(0, 1).number(1, 1);
        let set = size.number(1, 1).golomb(0).golomb(0).golomb(0).golomb(2).number(1, 1).bytes();
        assert_eq!(resolution(&set), Some(Resolution { width: 1280, height: 1080 }));
    }

    #[test]
    fn escaped_zeros_are_taken_out() {
        let mut to = [0; 8];
        let length = without_escapes(&[1, 0, 0, 3, 1, 0, 0, 3, 0], &mut to);
        assert_eq!(to[..length], [1, 0, 0, 1, 0, 0, 0]);
    }

    #[test]
    fn a_key_frame_starts_at_its_parameter_set() {
        // STAP-A (type 24) of a parameter set (type 7) and a picture parameter set (type 8).
        let set = [&[0x67][..], &baseline()].concat();
        let stap = [&[0x78, 0, u8::try_from(set.len()).unwrap()][..], &set, &[0, 2, 0x68, 0xce]].concat();
        let frame = read(&stap, false).unwrap();
        assert!(frame.starts_key_frame());
        assert_eq!(frame.resolution, Some(Resolution { width: 640, height: 360 }));
        assert_eq!(read(&set, false).unwrap().resolution, frame.resolution);

        // FU-A (type 28), start of an IDR slice: part of a key frame, not its beginning.
        let idr = read(&[0x7c, 0x85, 0x88], false).unwrap();
        assert!(idr.key_frame && !idr.starts_key_frame());
    }

    #[test]
    fn slices_tell_start_end_and_whether_they_are_needed() {
        // A lone slice (type 1, reference) that begins at the first macroblock.
        let slice = read(&[0x61, 0x9a], true).unwrap();
        assert!(slice.frame_start && slice.frame_end && !slice.key_frame && !slice.discardable);
        // nal_ref_idc 0, and a later slice of the same picture (first_mb_in_slice above 0).
        let unneeded = read(&[0x01, 0x40], false).unwrap();
        assert!(unneeded.discardable && !unneeded.frame_start);
        // A middle fragment: its bytes are the middle of a slice, whatever they look like.
        assert!(!read(&[0x7c, 0x01, 0xff], false).unwrap().frame_start);
        assert_eq!(read(&[0x7c], false), Err(ReadError::Truncated));
    }

    #[test]
    fn an_aggregate_with_wrong_lengths_is_read_as_far_as_it_goes() {
        let frame = read(&[0x78, 0, 2, 0x67, 0x42, 0xff, 0xff, 0x65], true).unwrap();
        assert!(frame.starts_key_frame());
        assert_eq!(frame.resolution, None);
    }
}
