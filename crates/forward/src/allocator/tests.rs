//! Stories of one receiver's link, then the properties that every plan has.

use proptest::prelude::*;

use super::*;

const ALL: u8 = Rung::ALL_FRAMES;

/// A camera with three layers of 150, 500 and 1,700 kbit/s.
fn camera() -> Ladder {
    let layer = |index: u8, width: u16, kbps: u64| Layer {
        index,
        width,
        height: width / 16 * 9,
        bitrate: Bitrate::kbps(kbps),
        active: true,
    };
    Ladder::new(&[layer(0, 320, 150), layer(1, 640, 500), layer(2, 1280, 1_700)])
}

fn claim(ladder: &Ladder, width: u16, standing: Standing) -> Claim<'_> {
    let wish = Wish { width, height: width / 16 * 9, ..Wish::default() };
    Claim { ladder, wish, standing, rank: 0, present: None, max_temporal: ALL }
}

fn steady(kbps: u64) -> Budget {
    Budget { estimate: Bitrate::kbps(kbps), floor: Bitrate::kbps(kbps), reserved: Bitrate::ZERO }
}

/// Layers granted, with `-` for a pause.
fn layers(plan: &Plan) -> String {
    plan.grants.iter().map(|grant| grant.rung.map_or('-', |rung| char::from(b'0' + rung.layer))).collect()
}

#[test]
fn a_wide_link_gives_everybody_what_they_wish_and_no_more() {
    let camera = camera();
    let claims = [
        claim(&camera, 320, Standing::Tile),
        claim(&camera, 640, Standing::Tile),
        claim(&camera, 1280, Standing::Stage),
    ];
    let plan = allocate(&Budget::UNLIMITED, &claims);
    assert_eq!(layers(&plan), "012");
    assert_eq!((plan.cost, plan.desired), (Bitrate::kbps(2_350), Bitrate::kbps(2_350)));
    assert_eq!(plan.grants.iter().map(|grant| grant.wanted).collect::<Vec<_>>(), [Some(0), Some(1), Some(2)]);
}

#[test]
fn equal_tiles_share_a_narrow_link() {
    let camera = camera();
    let claims = [claim(&camera, 640, Standing::Tile); 4];
    let table =
        [(2_000, "1111"), (1_999, "1110"), (1_000, "1000"), (600, "0000"), (450, "000-"), (149, "----")];
    for (kbps, expected) in table {
        let plan = allocate(&steady(kbps), &claims);
        assert_eq!(layers(&plan), expected, "{kbps} kbit/s");
        assert_eq!(plan.desired, Bitrate::kbps(2_000), "the probe aims at what was wished");
    }
}

#[test]
fn the_stage_climbs_first_but_only_to_a_rung_worth_looking_at() {
    let camera = camera();
    let tile = claim(&camera, 320, Standing::Tile);
    let claims = [tile, tile, claim(&camera, 1280, Standing::Stage)];
    // The stage's half size (500), then both tiles, before the stage's full size (1,700).
    let table = [(2_000, "002"), (1_999, "001"), (800, "001"), (700, "0-1"), (500, "--1"), (499, "000")];
    for (kbps, expected) in table {
        assert_eq!(layers(&allocate(&steady(kbps), &claims)), expected, "{kbps} kbit/s");
    }
}

#[test]
fn a_shared_screen_comes_before_faces() {
    let camera = camera();
    let claims = [claim(&camera, 640, Standing::Stage), claim(&camera, 1280, Standing::ScreenShare)];
    assert_eq!(layers(&allocate(&steady(1_700), &claims)), "-2");
    assert_eq!(layers(&allocate(&steady(2_200), &claims)), "12");
}

#[test]
fn a_pause_says_why_and_how_much_is_missing() {
    let camera = camera();
    let nothing = Ladder::new(&[Layer { active: false, ..camera.layers()[0] }]);
    let mut paused = claim(&camera, 320, Standing::Tile);
    paused.wish.paused = true;
    let tile = claim(&camera, 320, Standing::Tile);
    let plan = allocate(&steady(200), &[paused, claim(&nothing, 320, Standing::Tile), tile, tile]);
    let why: Vec<_> = plan.grants.iter().map(|grant| grant.rung.err()).collect();
    let missing = Pause::Bandwidth { missing: Bitrate::kbps(100) };
    assert_eq!(why, [Some(Pause::Wished), Some(Pause::NoLayer), None, Some(missing)]);
    assert_eq!(plan.grants[0].wanted, None);
    assert_eq!(plan.grants[1].wanted, Some(0), "the publisher may switch it on");
}

#[test]
fn what_flows_is_kept_on_todays_estimate_and_what_is_new_waits() {
    let camera = camera();
    let hopeful = Budget { estimate: Bitrate::kbps(800), floor: Bitrate::kbps(300), reserved: Bitrate::ZERO };
    let tile = claim(&camera, 640, Standing::Tile);
    assert_eq!(layers(&allocate(&hopeful, &[tile])), "0");
    let flowing = Claim { present: Some((1, ALL)), ..tile };
    assert_eq!(layers(&allocate(&hopeful, &[flowing])), "1");
    // A second one may join as long as both are cheap enough for the cautious budget.
    assert_eq!(layers(&allocate(&hopeful, &[flowing, tile])), "10");
}

#[test]
fn audio_is_taken_off_first() {
    let camera = camera();
    let budget = Budget { reserved: Bitrate::kbps(60), ..steady(200) };
    let plan = allocate(&budget, &[claim(&camera, 320, Standing::Tile)]);
    assert_eq!((layers(&plan).as_str(), plan.cost), ("-", Bitrate::kbps(60)));
}

#[test]
fn frames_are_shed_before_the_picture_is() {
    let layers = camera().layers().to_vec();
    let rung = |layer, temporal, kbps| Rung { layer, temporal, cost: Bitrate::kbps(kbps) };
    let rungs = [rung(0, 0, 80), rung(0, 1, 110), rung(0, 2, 150), rung(1, 2, 500)];
    let camera = Ladder::with_rungs(&layers, rungs);
    let get = |kbps| allocate(&steady(kbps), &[claim(&camera, 640, Standing::Tile)]).grants[0].rung;
    assert_eq!(get(600), Ok(rung(1, 2, 500)));
    assert_eq!(get(499), Ok(rung(0, 2, 150)));
    assert_eq!(get(149), Ok(rung(0, 1, 110)));
    assert_eq!(get(109), Ok(rung(0, 0, 80)));
    assert_eq!(get(79), Err(Pause::Bandwidth { missing: Bitrate::kbps(1) }));
    // Half of the frames are enough: the full rate of the layer below is no better than that.
    let slow = Claim { max_temporal: 1, ..claim(&camera, 320, Standing::Tile) };
    assert_eq!(allocate(&Budget::UNLIMITED, &[slow]).grants[0].rung, Ok(rung(0, 1, 110)));
}

#[test]
fn a_rung_that_costs_more_than_a_better_one_is_never_taken() {
    let rung = |layer, kbps| Rung { layer, temporal: ALL, cost: Bitrate::kbps(kbps) };
    let ladder = Ladder::with_rungs(&[], [rung(1, 300), rung(0, 350), rung(2, 900)]);
    assert_eq!(ladder.rungs(), [rung(1, 300), rung(2, 900)]);
}

#[test]
fn a_layer_that_is_not_measured_yet_is_not_free() {
    let fresh = Layer { index: 0, width: 1280, height: 720, bitrate: Bitrate::ZERO, active: true };
    assert_eq!(Ladder::new(&[fresh]).rungs()[0].cost, Bitrate::kbps(2_000));
}

fn any_ladder() -> impl Strategy<Value = Ladder> {
    let layer = (20u64..2_000, prop::bool::weighted(0.85));
    proptest::collection::vec(layer, 1..4).prop_map(|layers| {
        let layers: Vec<Layer> = (0u8..)
            .zip(layers)
            .map(|(index, (kbps, active))| {
                let width = 320 << index;
                Layer { index, width, height: width / 16 * 9, bitrate: Bitrate::kbps(kbps), active }
            })
            .collect();
        Ladder::new(&layers)
    })
}

#[derive(Clone, Debug)]
struct AnyClaim {
    ladder: usize,
    width: u16,
    standing: Standing,
    rank: u32,
    present: Option<u8>,
}

fn any_claim(standing: impl Strategy<Value = Standing>) -> impl Strategy<Value = AnyClaim> {
    let width = prop_oneof![Just(0u16), Just(160), Just(320), Just(640), Just(1280), Just(1920)];
    (0usize..4, width, standing, 0u32..3, proptest::option::of(0u8..4)).prop_map(
        |(ladder, width, standing, rank, present)| AnyClaim { ladder, width, standing, rank, present },
    )
}

fn any_standing() -> impl Strategy<Value = Standing> {
    use Standing::*;
    prop_oneof![Just(Tile), Just(Speaker), Just(Stage), Just(ScreenShare), Just(Pinned)]
}

fn claims<'a>(ladders: &'a [Ladder], wanted: &[AnyClaim]) -> Vec<Claim<'a>> {
    let make = |any: &AnyClaim| Claim {
        rank: any.rank,
        present: any.present.map(|layer| (layer, ALL)),
        ..claim(&ladders[any.ladder % ladders.len()], any.width, any.standing)
    };
    wanted.iter().map(make).collect()
}

fn heights(plan: &Plan, claims: &[Claim<'_>]) -> Vec<usize> {
    let height = |(grant, claim): (&Grant, &Claim<'_>)| {
        grant.rung.map_or(0, |rung| claim.ladder.height_of(rung.layer, rung.temporal))
    };
    plan.grants.iter().zip(claims).map(height).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_plan_is_over_budget_nor_beyond_the_wish(
        ladders in proptest::collection::vec(any_ladder(), 1..4),
        wanted in proptest::collection::vec(any_claim(any_standing()), 0..12),
        kbps in 0u64..8_000, dip in 0u64..8_000, reserved in 0u64..300,
    ) {
        let claims = claims(&ladders, &wanted);
        let budget = Budget {
            estimate: Bitrate::kbps(kbps),
            floor: Bitrate::kbps(kbps.saturating_sub(dip)),
            reserved: Bitrate::kbps(reserved),
        };
        let plan = allocate(&budget, &claims);
        let granted: Bitrate = plan.grants.iter().filter_map(|grant| grant.rung.ok()).map(|rung| rung.cost).sum();
        prop_assert!(granted <= budget.for_present());
        prop_assert_eq!(plan.cost, granted + budget.reserved);
        let ideal = allocate(&Budget::UNLIMITED, &claims);
        prop_assert_eq!(ideal.cost + budget.reserved, plan.desired);
        for (here, best) in heights(&plan, &claims).iter().zip(heights(&ideal, &claims)) {
            prop_assert!(*here <= best);
        }
    }

    #[test]
    fn a_plan_is_its_own_fixed_point(
        ladders in proptest::collection::vec(any_ladder(), 1..4),
        wanted in proptest::collection::vec(any_claim(any_standing()), 0..12),
        kbps in 0u64..8_000, dip in 0u64..8_000,
    ) {
        let mut claims = claims(&ladders, &wanted);
        let floor = Bitrate::kbps(kbps.saturating_sub(dip));
        let budget = Budget { estimate: Bitrate::kbps(kbps), floor, reserved: Bitrate::ZERO };
        let plan = allocate(&budget, &claims);
        for (claim, grant) in claims.iter_mut().zip(&plan.grants) {
            claim.present = grant.rung.ok().map(|rung| (rung.layer, rung.temporal));
        }
        prop_assert_eq!(allocate(&budget, &claims), plan);
    }

    /// With more to spend, the first claim that changes (by rounds, then by order) changes for the better.
    #[test]
    fn more_budget_is_never_worse_for_the_first_that_it_changes(
        ladders in proptest::collection::vec(any_ladder(), 1..4),
        wanted in proptest::collection::vec(any_claim(Just(Standing::Tile)), 1..10),
        kbps in 0u64..8_000, more in 0u64..2_000,
    ) {
        let mut claims = claims(&ladders, &wanted);
        claims.sort_by_key(|claim| Reverse((claim.wish.width, claim.rank)));
        let poor = heights(&allocate(&steady(kbps), &claims), &claims);
        let rich = heights(&allocate(&steady(kbps + more), &claims), &claims);
        let rounds = (1..=4).flat_map(|round| (0..claims.len()).map(move |at| (round, at)));
        let reached = |heights: &[usize], (round, at): (usize, usize)| heights[at] >= round;
        for step in rounds {
            let (before, after) = (reached(&poor, step), reached(&rich, step));
            if before != after {
                prop_assert!(after, "{:?} became {:?}", poor, rich);
                break;
            }
        }
    }

    #[test]
    fn a_single_claim_never_loses_by_more_budget(ladder in any_ladder(), kbps in 0u64..5_000, more in 0u64..500) {
        let claims = [claim(&ladder, 1280, Standing::Tile)];
        let height = |kbps| heights(&allocate(&steady(kbps), &claims), &claims)[0];
        prop_assert!(height(kbps + more) >= height(kbps));
    }

    #[test]
    fn claims_that_are_alike_differ_by_one_rung_at_most(
        ladders in proptest::collection::vec(any_ladder(), 2..4),
        alike in any_claim(any_standing()),
        copies in 2usize..6,
        others in proptest::collection::vec(any_claim(any_standing()), 0..5),
        kbps in 0u64..8_000,
    ) {
        let alike = AnyClaim { present: None, ..alike };
        let wanted = [vec![alike; copies], others].concat();
        let claims = claims(&ladders, &wanted);
        let heights = heights(&allocate(&steady(kbps), &claims), &claims);
        let (least, most) = (heights[..copies].iter().min(), heights[..copies].iter().max());
        prop_assert!(most.zip(least).is_none_or(|(most, least)| most - least <= 1), "{:?}", heights);
    }
}
