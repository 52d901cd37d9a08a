//! Heap of a session: what is allocated for it while it is connected, and what a stream to it adds.
//!
//! `cargo test -p sluice-benches --test memory -- --nocapture` prints the figures. They are bytes that were asked for; what an
//! allocator adds, and stacks and sockets, are not in them.

use std::alloc::System;
use std::time::Duration;

use sluice_benches::{Media, Scenario, World};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SESSIONS: usize = 100;

/// What is live of that which was allocated since.
fn live(region: &Region<'_, System>) -> isize {
    let change = region.change();
    // Reallocations count as neither: their difference comes apart.
    change.bytes_allocated as isize - change.bytes_deallocated as isize
}

/// Bytes a session in a shard, without its clients, the first session left out.
fn per_session(world: impl Fn(usize) -> World) -> isize {
    let held = |sessions| {
        let region = Region::new(ALLOCATOR);
        let shard = world(sessions).into_shard();
        let bytes = live(&region);
        drop(shard);
        bytes
    };
    // What exists once in a process comes into being now.
    held(1);
    (held(1 + SESSIONS) - held(1)) / SESSIONS as isize
}

fn idle(sessions: usize) -> World {
    let mut world = World::new();
    for _ in 0..sessions {
        world.join_idle();
    }
    world.connect();
    world.run(Duration::from_secs(5));
    world
}

// One test: the allocator counts for the whole process.
#[test]
fn a_session_takes_the_memory_that_it_is_known_to_take() {
    let watching =
        |media: Media| per_session(move |subscribers| Scenario::of(media, subscribers).warm().into_world());
    let figures = [
        ("connected and idle", per_session(idle), 64 << 10),
        ("listening to one microphone for three seconds", watching(Media::Audio), 128 << 10),
        ("watching one camera for three seconds", watching(Media::Video), 256 << 10),
    ];
    for (what, bytes, _) in figures {
        println!("{bytes:>8} bytes a session, {what}");
    }
    for (what, bytes, limit) in figures {
        assert!((1..limit).contains(&bytes), "{bytes} bytes a session, {what}; the limit is {limit}");
    }
}
