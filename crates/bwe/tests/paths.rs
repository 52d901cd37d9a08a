//! The estimator on simulated paths: what a viewer of a call lives through.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a panic here is the report")]

mod link;

use link::{Link, MILLI, SECOND, Shape, World, least, mean, most, queue_p95};

fn report(name: &str, world: &World) {
    let line: Vec<_> =
        world.samples.iter().step_by(10).map(|s| format!("{}/{:.0}", s.estimate, s.queue)).collect();
    println!("{name}: padding {} bytes\n{}", world.padding, line.join(" "));
}

#[test]
fn a_wide_path_carries_what_is_sent_and_reaches_what_is_desired() {
    let mut world = World::new(Link::default(), 1_500, 1_000, 2_500);
    world.run(20 * SECOND);
    report("wide", &world);
    assert!(least(&world.samples) >= 1_000);
    assert!(least(world.last(15 * SECOND)) >= 2_500);
}

#[test]
fn a_viewer_of_little_climbs_by_probes() {
    let mut world = World::new(Link { kbps: 5_000, ..Link::default() }, 300, 300, 0);
    world.run(10 * SECOND);
    assert_eq!(world.padding, 0, "nothing is desired");
    world.stubborn = true;
    world.set_desired(300, 2_500);
    world.run(5 * SECOND);
    report("climb", &world);
    let reached = world.samples.iter().find(|s| s.estimate >= 2_500).map(|s| s.at / MILLI - 10_000);
    println!("reached after {reached:?} ms");
    assert!(world.estimate() >= 2_500);
    let padding = world.padding;
    world.run(60 * SECOND);
    assert!(least(world.last(60 * SECOND)) >= 2_500, "an estimate that is not used is kept");
    assert_eq!(world.padding, padding);
}

#[test]
fn a_narrow_path_is_filled_without_a_standing_queue() {
    for feedback_every in [50 * MILLI, 100 * MILLI] {
        let mut world =
            World::new(Link { kbps: 1_000, feedback_every, ..Link::default() }, 300, 3_000, 3_000);
        world.run(60 * SECOND);
        report("narrow", &world);
        let settled = world.last(50 * SECOND);
        println!("{}..{} mean {}", least(settled), most(settled), mean(settled));
        println!("queue p95 {:.0} ms", queue_p95(world.last(55 * SECOND)));
        assert!((700..=1_050).contains(&mean(settled)));
        assert!(least(settled) >= 650 && most(settled) <= 1_150);
        assert!(queue_p95(world.last(55 * SECOND)) < 200.0);
    }
}

#[test]
fn a_path_that_shrinks_is_followed_and_found_again_when_it_grows() {
    let mut world = World::new(Link { kbps: 2_000, ..Link::default() }, 300, 3_000, 3_000);
    world.run(20 * SECOND);
    assert!(world.estimate() >= 1_400);
    world.link.kbps = 500;
    world.run(3 * SECOND);
    let below = world.estimate();
    world.run(27 * SECOND);
    report("shrinks", &world);
    println!(
        "after 3 s {below}; settled {}..{}",
        least(world.last(20 * SECOND)),
        most(world.last(20 * SECOND))
    );
    assert!(below < 500);
    assert!((350..=525).contains(&mean(world.last(20 * SECOND))));
    world.link.kbps = 2_000;
    world.run(25 * SECOND);
    report("grows", &world);
    let up = world.last(25 * SECOND).iter().find(|s| s.estimate >= 1_600).map(|s| s.at / MILLI - 50_000);
    println!("up after {up:?} ms");
    assert!(up.is_some());
}

#[test]
fn random_loss_does_not_ruin_a_wide_path() {
    for (loss, seed) in [0.03, 0.05].into_iter().flat_map(|loss| (1..6).map(move |seed| (loss, seed))) {
        let mut world = World::new(Link { loss, ..Link::default() }, 1_500, 1_000, 2_500).seed(seed);
        world.stubborn = true;
        world.run(60 * SECOND);
        report("lossy", &world);
        println!(
            "loss {loss}: {}..{}, seen {:?}",
            least(&world.samples),
            most(&world.samples),
            world.estimator.loss()
        );
        assert!(least(&world.samples) >= 1_000);
    }
}

#[test]
fn jitter_is_no_queue() {
    for (jitter, seed) in
        [20, 30].into_iter().flat_map(|jitter| (1..6).map(move |seed| (jitter * MILLI, seed)))
    {
        let mut world = World::new(Link { jitter, ..Link::default() }, 1_500, 1_000, 2_500).seed(seed);
        world.run(60 * SECOND);
        report("jitter", &world);
        println!("jitter {jitter}: {}..{}", least(&world.samples), most(&world.samples));
        assert!(least(&world.samples) >= 900);
        assert!(mean(world.last(30 * SECOND)) >= 1_500);
    }
}

#[test]
fn trains_of_packets_are_not_taken_for_overuse_for_ever() {
    // Thirty packets each 33 ms fill 87 % of the path, in bursts that queue for 29 ms.
    let mut world = World::new(Link::default(), 9_000, 8_640, 9_000);
    world.stubborn = true;
    world.run(60 * SECOND);
    report("trains", &world);
    println!("{}..{}", least(world.last(30 * SECOND)), most(world.last(30 * SECOND)));
    assert!(least(world.last(30 * SECOND)) >= 7_000);
}

#[test]
fn audio_alone_is_left_in_peace() {
    let mut world = World::new(Link::default(), 300, 40, 0);
    world.shape = Shape::Audio;
    world.run(60 * SECOND);
    assert_eq!((world.padding, least(&world.samples), most(&world.samples)), (0, 300, 300));
    world.wish = 0;
    world.run(5 * SECOND);
    assert_eq!(world.estimator.deadline(), None, "an idle path wants nothing");
}

#[test]
fn a_viewer_of_little_climbs_on_a_bad_path_too() {
    let link = Link { kbps: 5_000, jitter: 30 * MILLI, loss: 0.02, ..Link::default() };
    for seed in 1..6 {
        let mut world = World::new(link, 300, 300, 2_500).seed(seed);
        world.stubborn = true;
        world.run(30 * SECOND);
        report("bad climb", &world);
        let reached = world.samples.iter().find(|s| s.estimate >= 1_250).map(|s| s.at / MILLI);
        println!("half reached after {reached:?} ms");
        assert!(world.estimate() >= 1_250);
    }
}

#[test]
fn who_is_sent_nothing_climbs_from_the_bottom() {
    let mut world = World::new(Link { kbps: 5_000, ..Link::default() }, 30, 0, 2_500);
    world.run(5 * SECOND);
    report("nothing", &world);
    assert!(world.estimate() >= 2_500);
}

#[test]
fn key_frames_are_no_congestion() {
    let mut world = World::new(Link { kbps: 3_000, ..Link::default() }, 1_500, 1_200, 1_200);
    world.key_frames = 60;
    world.run(60 * SECOND);
    report("key frames", &world);
    println!("{}..{}", least(&world.samples), most(&world.samples));
    assert!(least(&world.samples) >= 800);
    assert!(mean(&world.samples) >= 1_200);
}

#[test]
fn silence_reduces_slowly_and_is_survived() {
    let mut world = World::new(Link::default(), 2_000, 1_000, 1_000);
    world.run(5 * SECOND);
    let before = world.estimate();
    world.deaf = true;
    world.run(5 * SECOND);
    report("silence", &world);
    let (quarter, padding) = (world.estimate(), world.padding);
    assert_eq!(quarter, before / 4);
    world.run(60 * SECOND);
    assert_eq!((world.estimate(), world.padding), (30, padding), "no probes into the dark");
    world.deaf = false;
    world.run(10 * SECOND);
    report("heard again", &world);
    assert!(world.estimate() >= 1_000);
}

#[test]
fn a_short_queue_is_found_by_loss() {
    // The queue holds 15 ms: what does not fit is lost before a delay shows.
    let mut world = World::new(Link { kbps: 1_000, queue: 15 * MILLI, ..Link::default() }, 1_500, 3_000, 0);
    world.shape = Shape::Frames;
    world.run(40 * SECOND);
    report("short queue", &world);
    println!("{}..{}", least(world.last(20 * SECOND)), most(world.last(20 * SECOND)));
    assert!(most(world.last(30 * SECOND)) <= 1_300);
}

#[test]
fn the_same_calls_give_the_same_answers() {
    let story = || {
        let link = Link { kbps: 1_500, jitter: 10 * MILLI, loss: 0.02, ..Link::default() };
        let mut world = World::new(link, 300, 3_000, 3_000);
        world.run(20 * SECOND);
        world.samples
    };
    assert_eq!(story(), story());
}

#[test]
fn layers_are_climbed_and_held() {
    for (kbps, best) in [(5_000, 2_500), (2_000, 1_200), (1_000, 300)] {
        let mut world = World::new(Link { kbps, ..Link::default() }, 300, 2_500, 2_500);
        world.layers = &[300, 1_200, 2_500];
        world.run(60 * SECOND);
        report("layers", &world);
        let settled = world.last(50 * SECOND);
        let held = settled.iter().filter(|sample| sample.estimate >= best).count() * 100 / settled.len();
        println!("{kbps} kbit/s: {best} held {held} % of the time, queue p95 {:.0} ms", queue_p95(settled));
        assert!(held >= 95, "{held} %");
        assert!(most(settled) <= kbps * 11 / 10);
        assert!(queue_p95(settled) < 100.0);
    }
}
