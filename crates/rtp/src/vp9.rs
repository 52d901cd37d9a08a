//! VP9's payload descriptor (RFC 9628, section 4.2).

use crate::frame::{FrameInfo, ReadError, Resolution};

struct Cursor<'a> {
    bytes: &'a [u8],
}

impl Cursor<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    fn word(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }
}

pub(crate) fn read(payload: &[u8], marker: bool) -> Result<FrameInfo, ReadError> {
    descriptor(&mut Cursor { bytes: payload }, marker).ok_or(ReadError::Truncated)
}

fn descriptor(bytes: &mut Cursor<'_>, marker: bool) -> Option<FrameInfo> {
    // |I|P|L|F|B|E|V|Z|
    let first = bytes.byte()?;
    let [picture_id, predicted, layers, flexible, begins, ends, structure] =
        [0x80, 0x40, 0x20, 0x10, 0x08, 0x04, 0x02].map(|bit| first & bit != 0);
    let mut frame = FrameInfo {
        // Without inter-picture prediction the whole picture can be decoded from here.
        key_frame: !predicted,
        frame_start: begins,
        frame_end: ends || marker,
        switch_point: !predicted,
        ..FrameInfo::default()
    };
    if picture_id && bytes.byte()? & 0x80 != 0 {
        bytes.byte()?;
    }
    if layers {
        // | TID |U| SID |D|
        let byte = bytes.byte()?;
        frame.temporal = byte >> 5;
        frame.switch_point |= byte & 0x10 != 0;
        frame.spatial = byte >> 1 & 0x07;
        if !flexible {
            bytes.byte()?; // TL0PICIDX
        }
    }
    if flexible && predicted {
        // Up to three references; N says that another one follows.
        for _ in 0..3 {
            if bytes.byte()? & 0x01 == 0 {
                break;
            }
        }
    }
    if structure {
        frame.resolution = scalability_structure(bytes)?;
    }
    Some(frame)
}

/// Reads the sizes of the spatial layers; the highest one's is the stream's. `None` when it is cut short.
fn scalability_structure(bytes: &mut Cursor<'_>) -> Option<Option<Resolution>> {
    // | N_S |Y|G|-|-|-|
    let head = bytes.byte()?;
    let mut resolution = None;
    if head & 0x10 != 0 {
        for _ in 0..=head >> 5 {
            resolution = Some(Resolution { width: bytes.word()?, height: bytes.word()? });
        }
    }
    if head & 0x08 != 0 {
        for _ in 0..bytes.byte()? {
            // | TID |U| R |-|-| and R reference indices
            for _ in 0..bytes.byte()? >> 2 & 0x03 {
                bytes.byte()?;
            }
        }
    }
    Some(resolution)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// I, L, B, V; PictureID 0x123; TID 0, SID 0; TL0PICIDX 9; two spatial layers of 320x180 and 640x360, one picture in the
    /// group with one reference.
    const KEY_FRAME: [u8; 17] = [
        0xaa, 0x81, 0x23, 0x00, 9, //
        0x38, 0x01, 0x40, 0x00, 0xb4, 0x02, 0x80, 0x01, 0x68, 0x01, 0x04, 0x01,
    ];

    #[test]
    fn a_key_frame_tells_the_size_of_its_highest_layer() {
        let frame = read(&KEY_FRAME, false).unwrap();
        assert!(frame.starts_key_frame() && frame.switch_point && !frame.frame_end);
        assert_eq!(frame.resolution, Some(Resolution { width: 640, height: 360 }));
        for length in 1..KEY_FRAME.len() {
            assert_eq!(read(&KEY_FRAME[..length], false), Err(ReadError::Truncated), "{length} bytes");
        }
    }

    #[test]
    fn an_upper_spatial_layer_does_not_start_a_key_frame() {
        // I, L, B; 7-bit PictureID; TID 0, SID 1, D; TL0PICIDX.
        let frame = read(&[0xa8, 0x05, 0x03, 9], true).unwrap();
        assert!(frame.key_frame && frame.frame_start && !frame.starts_key_frame());
        assert_eq!((frame.spatial, frame.frame_end), (1, true));
    }

    #[test]
    fn flexible_mode_lists_up_to_three_references() {
        // I, P, L, F, E; PictureID; TID 2, U, SID 0; references 1 (N), 2.
        let frame = read(&[0xf4, 0x05, 0x50, 0x03, 0x04, 0xee], false).unwrap();
        assert!(!frame.key_frame && !frame.frame_start && frame.frame_end && frame.switch_point);
        assert_eq!(frame.temporal, 2);
        assert_eq!(read(&[0xf4, 0x05, 0x50, 0x03], false), Err(ReadError::Truncated));
    }
}
