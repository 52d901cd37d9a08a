//! VP8's picture numbers as one unbroken row, however often the source behind them changes.

use sluice_rtp::{PictureId, Vp8Descriptor, Vp8Rewrite};

use crate::renumber::Renumber;

/// The numbers that went out last; the next source continues them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LastPicture {
    picture_id: Option<u64>,
    tl0_pic_idx: Option<u8>,
    key_idx: Option<u8>,
}

/// Maps the picture numbers of one source.
#[derive(Clone, Debug)]
pub(crate) struct Pictures {
    ids: Option<Ids>,
    tl0_shift: u8,
    key_shift: u8,
}

#[derive(Clone, Debug)]
struct Ids {
    highest: u64,
    numbers: Renumber<2>,
}

impl Ids {
    /// The extended number nearest to the highest one seen.
    fn extend(&self, id: PictureId) -> u64 {
        let mask = u64::from(id.mask());
        let ahead = u64::from(id.value).wrapping_sub(self.highest) & mask;
        let behind = if ahead > mask / 2 { mask + 1 } else { 0 };
        self.highest.wrapping_add(ahead).wrapping_sub(behind)
    }
}

/// Room below the first extended picture number for late ones.
const ROOM: u64 = 1 << 32;

impl Pictures {
    /// A source whose first packet has `first`, after a stream that ended with `last`.
    pub(crate) fn new(first: &Vp8Descriptor, last: &LastPicture) -> Self {
        let ids = first.picture_id.map(|id| {
            let start = ROOM + u64::from(id.value);
            let out = last.picture_id.map_or(start, |last| last + 1);
            Ids { highest: start, numbers: Renumber::new(start, out) }
        });
        let step = |first: Option<u8>, last: Option<u8>| match (first, last) {
            (Some(first), Some(last)) => last.wrapping_add(1).wrapping_sub(first),
            _ => 0,
        };
        Pictures {
            ids,
            tl0_shift: step(first.tl0_pic_idx, last.tl0_pic_idx),
            key_shift: step(first.key_idx, last.key_idx),
        }
    }

    /// Whether the packet belongs to a picture that is newer than all before. Unknown without picture numbers.
    pub(crate) fn is_new(&self, packet: &Vp8Descriptor) -> Option<bool> {
        let ids = self.ids.as_ref()?;
        Some(ids.extend(packet.picture_id?) > ids.highest)
    }

    /// Whether the packet's picture was left out earlier. Unknown without picture numbers.
    pub(crate) fn is_omitted(&self, packet: &Vp8Descriptor) -> Option<bool> {
        let ids = self.ids.as_ref()?;
        Some(ids.numbers.is_omitted(ids.extend(packet.picture_id?)))
    }

    /// Leaves the packet's picture out, if it is a new one: the following ones close up.
    pub(crate) fn omit(&mut self, packet: &Vp8Descriptor) {
        if let (Some(ids), Some(id)) = (&mut self.ids, packet.picture_id) {
            let id = ids.extend(id);
            if id > ids.highest {
                ids.highest = id;
                ids.numbers.omit(id);
            }
        }
    }

    /// The packet's outgoing numbers, noted in `last` when it is the newest. `None`: its picture is too old to number.
    ///
    /// The inner `None` means that the packet is right as it stands.
    pub(crate) fn forward(
        &mut self,
        packet: &Vp8Descriptor,
        last: &mut LastPicture,
    ) -> Option<Option<Vp8Rewrite>> {
        let mut rewrite = Vp8Rewrite {
            picture_id: None,
            tl0_pic_idx: packet.tl0_pic_idx.map(|idx| idx.wrapping_add(self.tl0_shift)),
            key_idx: packet.key_idx.map(|idx| idx.wrapping_add(self.key_shift) & 0x1f),
        };
        let mut newest = true;
        let mut changed = rewrite.tl0_pic_idx != packet.tl0_pic_idx || rewrite.key_idx != packet.key_idx;
        if let (Some(ids), Some(id)) = (&mut self.ids, packet.picture_id) {
            let source = ids.extend(id);
            let out = ids.numbers.out(source)?;
            newest = last.picture_id.is_none_or(|last| out >= last);
            ids.highest = ids.highest.max(source);
            let wire = (out & u64::from(id.mask())) as u16;
            rewrite.picture_id = Some(wire);
            changed |= wire != id.value;
            if newest {
                last.picture_id = Some(out);
            }
        }
        if newest {
            last.tl0_pic_idx = rewrite.tl0_pic_idx.or(last.tl0_pic_idx);
            last.key_idx = rewrite.key_idx.or(last.key_idx);
        }
        Some(changed.then_some(rewrite))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(id: u16, tl0: u8, key: u8) -> Vp8Descriptor {
        let [high, low] = id.to_be_bytes();
        Vp8Descriptor::read(&[0x90, 0xf0, 0x80 | high, low, tl0, key]).unwrap()
    }

    fn numbers(rewrite: Option<Option<Vp8Rewrite>>) -> (Option<u16>, Option<u8>, Option<u8>) {
        let rewrite = rewrite.unwrap().unwrap();
        (rewrite.picture_id, rewrite.tl0_pic_idx, rewrite.key_idx)
    }

    #[test]
    fn the_first_source_needs_no_rewriting_and_the_second_continues_it() {
        let mut last = LastPicture::default();
        let mut first = Pictures::new(&packet(0x7fff, 255, 31), &last);
        assert_eq!(first.forward(&packet(0x7fff, 255, 31), &mut last), Some(None));
        assert_eq!(first.forward(&packet(0, 0, 31), &mut last), Some(None), "the source itself wraps");

        let mut second = Pictures::new(&packet(500, 80, 9), &last);
        assert_eq!(numbers(second.forward(&packet(500, 80, 9), &mut last)), (Some(1), Some(1), Some(0)));
        assert_eq!(numbers(second.forward(&packet(501, 81, 9), &mut last)), (Some(2), Some(2), Some(0)));
        // A late packet of the first source keeps its own numbers.
        assert_eq!(first.forward(&packet(0, 0, 31), &mut LastPicture::default()), Some(None));
    }

    #[test]
    fn a_picture_left_out_closes_up_but_a_lost_one_stays_visible() {
        let mut last = LastPicture::default();
        let mut pictures = Pictures::new(&packet(10, 0, 0), &last);
        pictures.forward(&packet(10, 0, 0), &mut last);
        pictures.omit(&packet(11, 0, 0));
        assert_eq!(pictures.is_omitted(&packet(11, 0, 0)), Some(true));
        assert_eq!(numbers(pictures.forward(&packet(12, 1, 0), &mut last)).0, Some(11));
        assert_eq!(numbers(pictures.forward(&packet(14, 2, 0), &mut last)).0, Some(13));
        assert_eq!(pictures.forward(&packet(11, 0, 0), &mut last), None);
    }
}
