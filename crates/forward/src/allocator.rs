//! Divides one receiver's budget among its subscriptions. One pure function: [`allocate`].
//!
//! Each publication is a ladder of rungs, each better and dearer than the one before. All claims climb together, one rung a
//! round, in the order of their standing; who is pinned, shared or on stage climbs first to a rung worth looking at. A claim that cannot pay
//! its next rung stays where it is, while cheaper claims go on.
//!
//! Two budgets keep the picture calm: up to its present rung a claim is paid from today's estimate, above it only from the
//! least estimate of the last seconds. So a plan is a fixed point: made again from its own result, it stays the same.

use std::cmp::Reverse;

use sluice_rtp::Bitrate;
use smallvec::SmallVec;

use crate::budget::Budget;
use crate::selector::{Layer, Wish, select, wanted};

/// One way to send a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rung {
    /// The layer of the publication.
    pub layer: u8,
    /// Temporal layers above this are left out; [`Rung::ALL_FRAMES`] sends all.
    pub temporal: u8,
    /// What it costs.
    pub cost: Bitrate,
}

impl Rung {
    /// No temporal layer is left out.
    pub const ALL_FRAMES: u8 = u8::MAX;

    /// Its place among the rungs of its publication: picture size first, then frame rate.
    fn quality(&self) -> (u8, u8) {
        (self.layer, self.temporal)
    }
}

/// The layers of a publication and the rungs worth paying for, from cheap to dear. Made once per publication and change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ladder {
    layers: SmallVec<[Layer; 4]>,
    rungs: SmallVec<[Rung; 4]>,
}

impl Ladder {
    /// One rung for each active layer. `layers` goes from small to large; a layer not measured yet costs
    /// [`typical_bitrate`].
    pub fn new(layers: &[Layer]) -> Self {
        let active = layers.iter().filter(|layer| layer.active);
        Ladder::with_rungs(
            layers,
            active.map(|layer| {
                let typical = typical_bitrate(layer.width, layer.height);
                let cost = if layer.bitrate == Bitrate::ZERO { typical } else { layer.bitrate };
                Rung { layer: layer.index, temporal: Rung::ALL_FRAMES, cost }
            }),
        )
    }

    /// With given rungs, in any order. Those that cost as much as a better one, or more, are left out.
    pub fn with_rungs(layers: &[Layer], rungs: impl IntoIterator<Item = Rung>) -> Self {
        let mut rungs: SmallVec<[Rung; 4]> = rungs.into_iter().collect();
        rungs.sort_by_key(|rung| Reverse(rung.quality()));
        let mut cheapest = None;
        rungs.retain(|rung| {
            let worth = cheapest.is_none_or(|better| rung.cost < better);
            if worth {
                cheapest = Some(rung.cost);
            }
            worth
        });
        rungs.reverse();
        Ladder { layers: layers.into(), rungs }
    }

    /// The layers, from small to large.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The rungs, from cheap to dear.
    pub fn rungs(&self) -> &[Rung] {
        &self.rungs
    }

    /// How many rungs lead up to the best one that is no better than `(layer, temporal)`. The lowest rung counts for a
    /// layer below all: it is what must stand in for it.
    fn height_of(&self, layer: u8, temporal: u8) -> usize {
        let below = self.rungs.iter().take_while(|rung| rung.quality() <= (layer, temporal)).count();
        below.max(usize::from(!self.rungs.is_empty()))
    }
}

/// What a picture of this size usually takes at 30 frames/s, until it is measured. From browsers' own simulcast tables.
pub fn typical_bitrate(width: u16, height: u16) -> Bitrate {
    match u32::from(width) * u32::from(height) {
        0..=14_400 => Bitrate::kbps(100),
        14_401..=57_600 => Bitrate::kbps(200),
        57_601..=230_400 => Bitrate::kbps(600),
        230_401..=518_400 => Bitrate::kbps(1_200),
        518_401..=921_600 => Bitrate::kbps(2_000),
        _ => Bitrate::kbps(3_500),
    }
}

/// How much a subscription matters to its receiver; greater matters more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// One of many.
    Tile,
    /// Somebody who speaks.
    Speaker,
    /// Shown large.
    Stage,
    /// A shared screen, whose text must be readable.
    ScreenShare,
    /// The receiver insists.
    Pinned,
}

/// One subscription's wish, and where it stands now.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The publication.
    pub ladder: &'a Ladder,
    /// The wished size and rate.
    pub wish: Wish,
    /// How much it matters.
    pub standing: Standing,
    /// Decides between claims that are otherwise alike: greater first (who spoke last, who came first).
    pub rank: u32,
    /// Layer and temporal limit that go out now.
    pub present: Option<(u8, u8)>,
    /// Temporal layers above this are not wished for; [`Rung::ALL_FRAMES`] for all.
    pub max_temporal: u8,
}

/// Why nothing is sent for a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// The receiver wishes so.
    Wished,
    /// The publisher sends nothing.
    NoLayer,
    /// The link does not carry it.
    Bandwidth {
        /// So much more, and the lowest rung would fit.
        missing: Bitrate,
    },
}

/// What a claim gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The rung to send, or why there is none.
    pub rung: Result<Rung, Pause>,
    /// The layer that would suit the wish, active or not. The greatest of all receivers is what the publisher should send up
    /// to.
    pub wanted: Option<u8>,
}

/// How the budget is divided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// One grant for each claim, in the claims' order.
    pub grants: Vec<Grant>,
    /// What the grants cost, and what was reserved.
    pub cost: Bitrate,
    /// What it would cost to give everybody what they wish: the rate to probe for.
    pub desired: Bitrate,
}

/// Divides `budget` among `claims`.
///
/// The plan never costs more than the estimate. More budget never worsens it for the first claim, in order of standing, that
/// it changes. Claims that are alike differ by one rung at most.
pub fn allocate(budget: &Budget, claims: &[Claim<'_>]) -> Plan {
    let mut climbers: Vec<Climber<'_>> =
        claims.iter().enumerate().map(|(index, claim)| Climber::new(index, claim)).collect();
    climbers.sort_by_key(|climber| {
        let claim = climber.claim;
        let side = claim.wish.height.max(claim.wish.width);
        Reverse((claim.standing, side, claim.rank, Reverse(climber.index)))
    });
    let mut purse = Purse { budget: *budget, spent: Bitrate::ZERO };
    for standing in [Standing::Pinned, Standing::ScreenShare, Standing::Stage] {
        climb(&mut climbers, &mut purse, |climber| {
            if climber.claim.standing == standing { climber.worthwhile() } else { 0 }
        });
    }
    climb(&mut climbers, &mut purse, |climber| climber.ideal);

    let desired = budget.reserved + climbers.iter().map(|climber| climber.cost_of(climber.ideal)).sum();
    climbers.sort_by_key(|climber| climber.index);
    let grants = climbers.iter().map(|climber| climber.grant(&purse)).collect();
    Plan { grants, cost: budget.reserved + purse.spent, desired }
}

struct Purse {
    budget: Budget,
    spent: Bitrate,
}

impl Purse {
    fn left(&self, present: bool) -> Bitrate {
        let limit = if present { self.budget.for_present() } else { self.budget.for_new() };
        limit - self.spent
    }
}

/// A claim on its way up. Heights count rungs: 0 is paused, 1 the lowest rung.
struct Climber<'a> {
    index: usize,
    claim: &'a Claim<'a>,
    height: usize,
    present: usize,
    ideal: usize,
    /// The height that it could not pay.
    stuck_at: Option<usize>,
}

impl<'a> Climber<'a> {
    fn new(index: usize, claim: &'a Claim<'a>) -> Self {
        let ladder = claim.ladder;
        let present = claim.present.map_or(0, |(layer, temporal)| ladder.height_of(layer, temporal));
        let ideal = select(ladder.layers(), &claim.wish);
        let ideal = ideal.map_or(0, |layer| ladder.height_of(layer, claim.max_temporal));
        Climber { index, claim, height: 0, present, ideal, stuck_at: None }
    }

    fn cost_of(&self, height: usize) -> Bitrate {
        let rung = height.checked_sub(1).and_then(|below| self.claim.ladder.rungs().get(below));
        rung.map_or(Bitrate::ZERO, |rung| rung.cost)
    }

    /// The height up to which a claim on stage goes before all others: half of the wished size, or all of a shared screen.
    fn worthwhile(&self) -> usize {
        if self.claim.standing == Standing::ScreenShare {
            return self.ideal;
        }
        let wish = self.claim.wish;
        let half = Wish { width: wish.width / 2, height: wish.height / 2, ..wish };
        let unsized_wish = half.width == 0 && half.height == 0;
        let enough = if unsized_wish { None } else { select(self.claim.ladder.layers(), &half) };
        enough.map_or(self.ideal, |layer| {
            self.claim.ladder.height_of(layer, self.claim.max_temporal).min(self.ideal)
        })
    }

    /// Whether both ask for the same in the same place, wherever they stand now.
    fn is_like(&self, other: &Climber<'_>) -> bool {
        let (a, b) = (self.claim, other.claim);
        a.standing == b.standing
            && a.wish == b.wish
            && a.max_temporal == b.max_temporal
            && a.ladder == b.ladder
    }

    fn grant(&self, purse: &Purse) -> Grant {
        let claim = self.claim;
        let rungs = claim.ladder.rungs();
        let rung = match self.height.checked_sub(1).and_then(|below| rungs.get(below)) {
            Some(rung) => Ok(*rung),
            None if claim.wish.paused => Err(Pause::Wished),
            None if self.ideal == 0 => Err(Pause::NoLayer),
            None => Err(Pause::Bandwidth { missing: self.cost_of(1) - purse.left(false) }),
        };
        Grant { rung, wanted: wanted(claim.ladder.layers(), &claim.wish) }
    }
}

/// Lets all climb up to their `goal`, one rung a round.
fn climb(climbers: &mut [Climber<'_>], purse: &mut Purse, goal: impl Fn(&Climber<'_>) -> usize) {
    let rounds = climbers.iter().map(&goal).max().unwrap_or(0);
    for round in 1..=rounds {
        for at in 0..climbers.len() {
            let Some(climber) = climbers.get(at) else {
                continue;
            };
            if climber.height + 1 != round || climber.stuck_at.is_some() || round > goal(climber) {
                continue;
            }
            let kept = round <= climber.present;
            let step = climber.cost_of(round) - climber.cost_of(round - 1);
            // Who is like somebody that is stuck further down stays within a rung of it, unless it only keeps what it has.
            let held = !kept
                && climbers
                    .iter()
                    .any(|other| other.stuck_at.is_some_and(|at| at < round) && other.is_like(climber));
            let pays = !held && step <= purse.left(kept);
            if pays {
                purse.spent += step;
            }
            if let Some(climber) = climbers.get_mut(at) {
                if pays {
                    climber.height = round;
                } else {
                    climber.stuck_at = Some(round);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
