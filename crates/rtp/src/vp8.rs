//! VP8's payload descriptor (RFC 7741, section 4.2), and its numbers rewritten in place.

use crate::frame::{FrameInfo, ReadError, Resolution};

/// A VP8 picture number and its width on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureId {
    /// 0 to 127, or 0 to 32767 when `wide`.
    pub value: u16,
    /// Whether it takes 15 bits (two bytes) rather than 7 (one byte).
    pub wide: bool,
}

impl PictureId {
    /// The bits that the field holds: 0x7f or 0x7fff.
    pub fn mask(self) -> u16 {
        if self.wide { 0x7fff } else { 0x7f }
    }
}

/// The numbers of a VP8 payload descriptor and where they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp8Descriptor {
    /// PictureID: one up with every frame.
    pub picture_id: Option<PictureId>,
    /// TL0PICIDX: one up with every frame of the lowest temporal layer.
    pub tl0_pic_idx: Option<u8>,
    /// TID: the temporal layer, 0 to 3.
    pub tid: Option<u8>,
    /// Y: this frame refers to the lowest temporal layer only.
    pub layer_sync: bool,
    /// KEYIDX: five bits, one up with every key frame.
    pub key_idx: Option<u8>,
    /// Bytes of the whole descriptor; VP8 itself begins there.
    pub length: u8,
    picture_id_at: u8,
    tl0_pic_idx_at: u8,
    tid_at: u8,
}

impl Vp8Descriptor {
    /// Reads the descriptor at the beginning of `payload`.
    ///
    /// # Errors
    ///
    /// [`ReadError::Truncated`] when it goes on past the end.
    pub fn read(payload: &[u8]) -> Result<Self, ReadError> {
        Self::parse(payload).ok_or(ReadError::Truncated)
    }

    fn parse(payload: &[u8]) -> Option<Self> {
        let mut this = Vp8Descriptor {
            picture_id: None,
            tl0_pic_idx: None,
            tid: None,
            layer_sync: false,
            key_idx: None,
            length: 1,
            picture_id_at: 0,
            tl0_pic_idx_at: 0,
            tid_at: 0,
        };
        // |X|R|N|S|R| PID |
        if payload.first()? & 0x80 == 0 {
            return Some(this);
        }
        // |I|L|T|K| RSV |
        let present = *payload.get(1)?;
        this.length = 2;
        let take = |length: &mut u8| -> Option<(u8, u8)> {
            let at = *length;
            *length += 1;
            payload.get(usize::from(at)).map(|byte| (at, *byte))
        };
        if present & 0x80 != 0 {
            let (at, high) = take(&mut this.length)?;
            this.picture_id_at = at;
            let wide = high & 0x80 != 0;
            let mut value = u16::from(high & 0x7f);
            if wide {
                value = value << 8 | u16::from(take(&mut this.length)?.1);
            }
            this.picture_id = Some(PictureId { value, wide });
        }
        if present & 0x40 != 0 {
            let (at, value) = take(&mut this.length)?;
            this.tl0_pic_idx_at = at;
            this.tl0_pic_idx = Some(value);
        }
        if present & 0x30 != 0 {
            // |TID|Y| KEYIDX |
            let (at, byte) = take(&mut this.length)?;
            this.tid_at = at;
            if present & 0x20 != 0 {
                this.tid = Some(byte >> 6);
                this.layer_sync = byte & 0x20 != 0;
            }
            this.key_idx = (present & 0x10 != 0).then_some(byte & 0x1f);
        }
        Some(this)
    }
}

/// Numbers to write over those of a packet; `None` leaves a field as it is. The payload's length never changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vp8Rewrite {
    /// The new PictureID, cut to the width that the packet has.
    pub picture_id: Option<u16>,
    /// The new TL0PICIDX.
    pub tl0_pic_idx: Option<u8>,
    /// The new KEYIDX, five bits.
    pub key_idx: Option<u8>,
}

impl Vp8Rewrite {
    /// Writes the numbers into `payload`, whose descriptor is `place`. A field that the packet lacks is skipped, and so is one
    /// outside `payload` (which then is not the packet that `place` was read from).
    pub fn apply(&self, place: &Vp8Descriptor, payload: &mut [u8]) {
        if let (Some(new), Some(old)) = (self.picture_id, place.picture_id) {
            let [high, low] = (new & old.mask()).to_be_bytes();
            if old.wide {
                put(payload, place.picture_id_at, 0xff, 0x80 | high);
                put(payload, place.picture_id_at + 1, 0xff, low);
            } else {
                put(payload, place.picture_id_at, 0xff, low);
            }
        }
        if let (Some(new), Some(_)) = (self.tl0_pic_idx, place.tl0_pic_idx) {
            put(payload, place.tl0_pic_idx_at, 0xff, new);
        }
        if let (Some(new), Some(_)) = (self.key_idx, place.key_idx) {
            put(payload, place.tid_at, 0x1f, new);
        }
    }
}

fn put(payload: &mut [u8], at: u8, mask: u8, value: u8) {
    if let Some(byte) = payload.get_mut(usize::from(at)) {
        *byte = *byte & !mask | value & mask;
    }
}

pub(crate) fn read(payload: &[u8], marker: bool) -> Result<FrameInfo, ReadError> {
    let vp8 = Vp8Descriptor::read(payload)?;
    let first = payload.first().copied().unwrap_or_default();
    let frame_start = first & 0x10 != 0 && first & 0x07 == 0;
    let media = payload.get(usize::from(vp8.length)..).unwrap_or_default();
    // The payload header's P bit is 0 in a key frame; it stands only at the beginning of the frame (section 4.3).
    let key_frame = frame_start && media.first().is_some_and(|byte| byte & 0x01 == 0);
    Ok(FrameInfo {
        key_frame,
        frame_start,
        frame_end: marker,
        discardable: first & 0x20 != 0,
        switch_point: key_frame || vp8.layer_sync,
        spatial: 0,
        temporal: vp8.tid.unwrap_or(0),
        resolution: if key_frame { resolution(media) } else { None },
        vp8: Some(vp8),
    })
}

/// The size in a key frame's header (RFC 6386, section 9.1): after three bytes the start code, then 14 bits each way.
fn resolution(media: &[u8]) -> Option<Resolution> {
    let [0x9d, 0x01, 0x2a, w0, w1, h0, h1] = *media.get(3..10)? else {
        return None;
    };
    let width = u16::from_le_bytes([w0, w1]) & 0x3fff;
    let height = u16::from_le_bytes([h0, h1]) & 0x3fff;
    Some(Resolution { width, height })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// X, S; I L T K; PictureID 0x123 in 15 bits; TL0PICIDX 7; TID 1, Y, KEYIDX 5; then a key frame of 640x360.
    const KEY_FRAME: [u8; 16] = [
        0x90, 0xf0, 0x81, 0x23, 7, 0x65, //
        0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01,
    ];

    #[test]
    fn a_key_frame_tells_everything() {
        let frame = read(&KEY_FRAME, false).unwrap();
        assert!(frame.key_frame && frame.frame_start && !frame.frame_end && frame.switch_point);
        assert_eq!(frame.resolution, Some(Resolution { width: 640, height: 360 }));
        assert_eq!(frame.temporal, 1);
        let vp8 = frame.vp8.unwrap();
        assert_eq!(vp8.picture_id, Some(PictureId { value: 0x123, wide: true }));
        assert_eq!(
            (vp8.tl0_pic_idx, vp8.tid, vp8.layer_sync, vp8.key_idx),
            (Some(7), Some(1), true, Some(5))
        );
        assert_eq!(vp8.length, 6);
    }

    #[test]
    fn a_delta_frame_and_a_later_packet_start_no_key_frame() {
        // S, no extension; P bit set.
        let delta = read(&[0x10, 0x01, 0, 0], true).unwrap();
        assert!(delta.frame_start && !delta.key_frame && delta.frame_end);
        // S clear: the middle of a frame, whose first byte means nothing.
        assert!(!read(&[0x00, 0x00], true).unwrap().frame_start);
        // S set in the second partition (PID 1): not the frame's beginning either.
        assert!(!read(&[0x11, 0x00], true).unwrap().key_frame);
    }

    #[test]
    fn a_short_picture_id_takes_one_byte_and_n_means_discardable() {
        // X, N, S; only I; 7-bit PictureID 0x45.
        let frame = read(&[0xb0, 0x80, 0x45, 0x01], true).unwrap();
        assert!(frame.discardable);
        let vp8 = frame.vp8.unwrap();
        assert_eq!((vp8.picture_id, vp8.length), (Some(PictureId { value: 0x45, wide: false }), 3));
    }

    #[test]
    fn a_descriptor_that_is_cut_short_is_an_error_and_hidden_media_is_not() {
        for length in 1..6 {
            assert_eq!(read(&KEY_FRAME[..length], false), Err(ReadError::Truncated), "{length} bytes");
        }
        let mut opaque = KEY_FRAME;
        opaque[9..].fill(0xee);
        assert_eq!(read(&opaque, false).unwrap().resolution, None);
    }

    #[test]
    fn a_rewrite_changes_its_fields_and_nothing_else() {
        let place = Vp8Descriptor::read(&KEY_FRAME).unwrap();
        let mut payload = KEY_FRAME;
        let new = Vp8Rewrite { picture_id: Some(0xffff), tl0_pic_idx: Some(200), key_idx: Some(31) };
        new.apply(&place, &mut payload);
        let after = Vp8Descriptor::read(&payload).unwrap();
        assert_eq!(after.picture_id, Some(PictureId { value: 0x7fff, wide: true }));
        assert_eq!(
            (after.tl0_pic_idx, after.tid, after.layer_sync, after.key_idx),
            (Some(200), Some(1), true, Some(31))
        );
        assert_eq!(payload[6..], KEY_FRAME[6..]);

        let mut unchanged = KEY_FRAME;
        Vp8Rewrite::default().apply(&place, &mut unchanged);
        assert_eq!(unchanged, KEY_FRAME);
        new.apply(&place, &mut [0x90]);
    }

    #[test]
    fn a_short_picture_id_stays_short() {
        let mut payload = [0xb0, 0x80, 0x45, 0x01];
        let place = Vp8Descriptor::read(&payload).unwrap();
        Vp8Rewrite { picture_id: Some(0x1ff), ..Vp8Rewrite::default() }.apply(&place, &mut payload);
        assert_eq!(payload, [0xb0, 0x80, 0x7f, 0x01]);
    }
}
