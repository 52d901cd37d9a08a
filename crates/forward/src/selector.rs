//! Which layer fits the size at which somebody watches.

use sluice_rtp::Bitrate;

/// One encoding of a publication, as it is just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its index within the publication, below [`MAX_LAYERS`](crate::MAX_LAYERS). A ladder lists layers from small to large.
    pub index: u8,
    /// Width in pixels; 0 while unknown.
    pub width: u16,
    /// Height in pixels; 0 while unknown.
    pub height: u16,
    /// What it costs, as measured; zero while unknown.
    pub bitrate: Bitrate,
    /// Whether packets come in. A publisher switches layers off when its uplink is short or nobody wants them.
    pub active: bool,
}

/// A coarse size, for receivers that do not know theirs in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quality {
    /// The smallest layer.
    Low,
    /// The middle one.
    Medium,
    /// The largest layer.
    High,
}

/// How somebody wants to see a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Width of the place on the screen in pixels; 0 says nothing.
    pub width: u16,
    /// Height of the place on the screen in pixels; 0 says nothing.
    pub height: u16,
    /// Frames per second that are enough; 0 says nothing.
    pub frame_rate: u8,
    /// Stands in for the size when that is 0x0.
    pub quality: Quality,
    /// Nothing is to be sent at present.
    pub paused: bool,
}

impl Default for Wish {
    /// Everything there is.
    fn default() -> Self {
        Wish { width: 0, height: 0, frame_rate: 0, quality: Quality::High, paused: false }
    }
}

/// A layer covers a place also when it is smaller by this part of the side (in percent): nobody sees it, and the next layer
/// costs three times as much. Larger would look soft; 0 would pay for tiles that are one pixel too wide.
const SLACK: u32 = 10;

/// The active layer to show for `wish`: the lowest that covers it; else the next lower active one; else the next higher.
///
/// `ladder` goes from small to large. Portrait and landscape are compared by their longer and shorter sides. `None` when the
/// wish is paused or no layer is active.
pub fn select(ladder: &[Layer], wish: &Wish) -> Option<u8> {
    if wish.paused {
        return None;
    }
    let ideal = ideal(ladder, wish)?;
    let lower = ladder.get(..=ideal)?.iter().rev();
    let higher = ladder.get(ideal + 1..)?.iter();
    lower.chain(higher).find(|layer| layer.active).map(|layer| layer.index)
}

/// The layer that `wish` is really about, active or not: what the publisher should send.
pub fn wanted(ladder: &[Layer], wish: &Wish) -> Option<u8> {
    if wish.paused {
        return None;
    }
    ladder.get(ideal(ladder, wish)?).map(|layer| layer.index)
}

/// The highest temporal layer needed for `wanted` frames per second out of `full`, where each layer doubles the rate.
///
/// `layers` counts them. A wish of 0 wants all.
pub fn temporal_limit(wanted: u8, full: u8, layers: u8) -> u8 {
    let highest = layers.saturating_sub(1);
    if wanted == 0 {
        return highest;
    }
    let enough = |limit: &u8| u32::from(full) >> u32::from(highest - limit).min(31) >= u32::from(wanted);
    (0..highest).find(enough).unwrap_or(highest)
}

/// The position in the ladder that fits the wish best.
fn ideal(ladder: &[Layer], wish: &Wish) -> Option<usize> {
    let top = ladder.len().checked_sub(1)?;
    if wish.width == 0 && wish.height == 0 {
        return Some(match wish.quality {
            Quality::Low => 0,
            Quality::Medium => top.div_ceil(2),
            Quality::High => top,
        });
    }
    Some(ladder.iter().position(|layer| covers(layer, wish)).unwrap_or(top))
}

fn covers(layer: &Layer, wish: &Wish) -> bool {
    let enough = |has: u16, wants: u16| u32::from(has) * 100 >= u32::from(wants) * (100 - SLACK);
    enough(layer.width.max(layer.height), wish.width.max(wish.height))
        && enough(layer.width.min(layer.height), wish.width.min(wish.height))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layer(index: u8, width: u16, height: u16) -> Layer {
        Layer { index, width, height, bitrate: Bitrate::kbps(100), active: true }
    }

    fn ladder() -> [Layer; 3] {
        [layer(0, 320, 180), layer(1, 640, 360), layer(2, 1280, 720)]
    }

    fn size(width: u16, height: u16) -> Wish {
        Wish { width, height, ..Wish::default() }
    }

    #[test]
    fn the_lowest_layer_that_covers_the_tile_is_enough() {
        let table = [
            ((320, 180), 0),
            ((321, 181), 0), // a pixel too wide is no reason to pay three times as much
            ((400, 225), 1),
            ((640, 360), 1),
            ((960, 540), 2),
            ((3840, 2160), 2),
            ((180, 320), 0), // portrait
            ((320, 320), 1), // a square tile crops, so its height counts
            ((0, 360), 1),   // only one side is known
        ];
        for ((width, height), wanted) in table {
            assert_eq!(select(&ladder(), &size(width, height)), Some(wanted), "{width}x{height}");
        }
        let portrait = [layer(0, 180, 320), layer(1, 360, 640)];
        assert_eq!(select(&portrait, &size(640, 360)), Some(1));
    }

    #[test]
    fn a_layer_that_is_off_is_replaced_by_the_next_lower_one() {
        let mut ladder = ladder();
        ladder[2].active = false;
        assert_eq!(select(&ladder, &size(1280, 720)), Some(1));
        assert_eq!(wanted(&ladder, &size(1280, 720)), Some(2), "the publisher should know");
        ladder[0].active = false;
        assert_eq!(select(&ladder, &size(320, 180)), Some(1), "better too much than nothing");
        ladder[1].active = false;
        assert_eq!(select(&ladder, &size(320, 180)), None);
    }

    #[test]
    fn quality_stands_in_for_a_size() {
        let quality = |quality| Wish { quality, ..Wish::default() };
        assert_eq!(select(&ladder(), &quality(Quality::Low)), Some(0));
        assert_eq!(select(&ladder(), &quality(Quality::Medium)), Some(1));
        assert_eq!(select(&ladder(), &quality(Quality::High)), Some(2));
        assert_eq!(select(&ladder()[..2], &quality(Quality::Medium)), Some(1));
        assert_eq!(select(&ladder()[..1], &quality(Quality::Medium)), Some(0));
    }

    #[test]
    fn paused_and_empty_give_nothing() {
        assert_eq!(select(&ladder(), &Wish { paused: true, ..size(320, 180) }), None);
        assert_eq!(select(&[], &Wish::default()), None);
    }

    #[test]
    fn fewer_frames_take_fewer_temporal_layers() {
        assert_eq!(temporal_limit(0, 30, 3), 2);
        assert_eq!(temporal_limit(30, 30, 3), 2);
        assert_eq!(temporal_limit(15, 30, 3), 1);
        assert_eq!(temporal_limit(5, 30, 3), 0);
        assert_eq!(temporal_limit(5, 30, 0), 0);
        assert_eq!(temporal_limit(60, 30, 255), 254);
    }

    proptest! {
        #[test]
        fn a_larger_wish_never_gets_a_lower_layer(w in 1u16..4_000, h in 1u16..4_000, more in 0u16..500) {
            let small = select(&ladder(), &size(w, h));
            let large = select(&ladder(), &size(w.saturating_add(more), h.saturating_add(more)));
            prop_assert!(large >= small);
        }
    }
}
