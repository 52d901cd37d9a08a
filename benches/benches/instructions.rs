//! Instructions, counted by callgrind: what a forwarded packet costs in a shard, what a session costs to set up and to keep,
//! and what the parts of that cost by themselves. `docs/performance.md` says how to read it.
#![allow(missing_docs, reason = "the macros make public functions")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use gungraun::prelude::*;
use gungraun::{Callgrind, EntryPoint};
use sluice_benches::{Media, Meeting, Scenario, World};
use sluice_forward::{
    Budget, Claim, Forward, Ladder, Layer, Packet, Rung, Standing, Switcher, Timeline, Verdict, Wish,
    allocate, select,
};
use sluice_rtp::{Bitrate, Codec, FrameInfo, Timestamp, read};
use sluice_srtp::{Profile, Role, Sealer, association};

/// The server's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Times that small things are done, so that what surrounds them does not count.
const TIMES: usize = 100;

// Forwarding. The names are those of instructions.toml.

fn video(subscribers: usize) -> Meeting {
    Scenario::of(Media::Video, subscribers).warm()
}

fn audio(subscribers: usize) -> Meeting {
    Scenario::of(Media::Audio, subscribers).warm()
}

#[library_benchmark]
#[bench::to_1(args = (1), setup = video)]
#[bench::to_10(args = (10), setup = video)]
#[bench::to_100(args = (100), setup = video)]
#[bench::to_500(args = (500), setup = video)]
fn video_forwarded(mut meeting: Meeting) -> Meeting {
    meeting.count();
    meeting
}

#[library_benchmark]
#[bench::to_1(args = (1), setup = audio)]
#[bench::to_10(args = (10), setup = audio)]
#[bench::to_100(args = (100), setup = audio)]
#[bench::to_500(args = (500), setup = audio)]
fn audio_forwarded(mut meeting: Meeting) -> Meeting {
    meeting.count();
    meeting
}

// Sessions.

fn published() -> World {
    let mut world = World::new();
    world.join_publisher(Media::Video.kind());
    world.connect();
    world
}

// Commands, negotiation, ICE and DTLS of a client that will watch one track.
#[library_benchmark]
#[bench::watching(setup = published)]
fn session_set_up(mut world: World) -> World {
    world.count(true);
    world.join_subscriber(Media::Video.kind());
    world.connect();
    world.count(false);
    world
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

// Ten seconds of connected sessions in which nothing flows.
#[library_benchmark]
#[bench::of_100(args = (100), setup = idle)]
fn sessions_idle(mut world: World) -> World {
    world.count(true);
    world.run(Duration::from_secs(10));
    world.count(false);
    world
}

// The parts.

/// A VP8 key frame of 640x360 with all descriptor fields.
const VP8_KEY: [u8; 16] =
    [0x90, 0xf0, 0x81, 0x23, 7, 0x05, 0x10, 0x02, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01];
/// A VP8 frame that follows it.
const VP8_DELTA: [u8; 10] = [0x90, 0xf0, 0x81, 0x24, 8, 0x05, 0x11, 0x02, 0, 0];

#[library_benchmark]
#[bench::vp8_key(Codec::Vp8, &VP8_KEY)]
#[bench::vp8_delta(Codec::Vp8, &VP8_DELTA)]
#[bench::h264_fragment(Codec::H264, &[0x7c, 0x01, 0x42, 0x42])]
#[bench::opus(Codec::Opus, &[0x78, 1, 2, 3])]
fn frame_read_100_times(codec: Codec, payload: &[u8]) -> Option<FrameInfo> {
    let mut last = None;
    for _ in 0..TIMES {
        last = black_box(read(black_box(codec), black_box(payload), true).ok());
    }
    last
}

fn ladder() -> Ladder {
    let layer = |index: u8, width: u16, kbps: u64| Layer {
        index,
        width,
        height: width / 16 * 9,
        bitrate: Bitrate::kbps(kbps),
        active: true,
    };
    Ladder::new(&[layer(0, 320, 150), layer(1, 640, 500), layer(2, 1280, 1_700)])
}

#[library_benchmark]
#[bench::of_three_layers(setup = ladder)]
fn layer_selected_100_times(ladder: Ladder) -> Option<u8> {
    let wish = Wish { width: 640, height: 360, ..Wish::default() };
    let mut layer = None;
    for _ in 0..TIMES {
        layer = black_box(select(black_box(ladder.layers()), black_box(&wish)));
    }
    layer
}

fn packet(timeline: &mut Timeline, start: Instant, number: u64, payload: &[u8]) -> Packet {
    let arrived = start + Duration::from_millis(number);
    let timestamp = Timestamp(number as u32 * 90);
    let playout = timeline.playout(0, timestamp, arrived);
    let frame = read(Codec::Vp8, payload, true).unwrap_or_default();
    Packet { layer: 0, seq: 65_536 + number, timestamp, playout, arrived, frame }
}

/// A switcher that shows a layer, and packets of the layer that is shown, or of another one.
fn switcher(layer: u8) -> (Switcher, Vec<Packet>) {
    let start = Instant::now();
    let mut timeline = Timeline::new(90_000);
    let mut switcher = Switcher::new(Codec::Vp8, 1);
    switcher.set_target(Some(0));
    switcher.on_packet(&packet(&mut timeline, start, 0, &VP8_KEY));
    let packets = (1..=TIMES as u64)
        .map(|number| Packet { layer, ..packet(&mut timeline, start, number, &VP8_DELTA) })
        .collect();
    (switcher, packets)
}

#[library_benchmark]
#[bench::shown(args = (0), setup = switcher)]
#[bench::of_another_layer(args = (1), setup = switcher)]
fn packet_switched_100_times((mut switcher, packets): (Switcher, Vec<Packet>)) -> Option<Forward> {
    let mut last = None;
    for packet in &packets {
        if let Verdict::Forward(forward) = black_box(switcher.on_packet(black_box(packet))) {
            last = Some(forward);
        }
    }
    last
}

#[library_benchmark]
#[bench::of_1(args = (1))]
#[bench::of_11(args = (11))]
#[bench::of_49(args = (49))]
fn budget_allocated(tiles: u32) -> usize {
    let ladder = ladder();
    let claims: Vec<Claim<'_>> = (0..tiles)
        .map(|rank| Claim {
            ladder: &ladder,
            wish: Wish { width: 640, height: 360, ..Wish::default() },
            standing: if rank == 0 { Standing::Stage } else { Standing::Tile },
            rank,
            present: Some((0, Rung::ALL_FRAMES)),
            max_temporal: Rung::ALL_FRAMES,
        })
        .collect();
    let estimate = Bitrate::kbps(u64::from(tiles) * 250);
    let budget = Budget { estimate, floor: estimate, reserved: Bitrate::ZERO };
    black_box(allocate(black_box(&budget), black_box(&claims)));
    claims.len()
}

fn sealer(size: usize) -> (Sealer, Vec<u8>) {
    const HEADER: [u8; 12] = [0x80, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1];
    let material = vec![7; Profile::Aes128Gcm.material_len()];
    let keys = association(Profile::Aes128Gcm, &material, Role::Server);
    let mut packet = HEADER.to_vec();
    packet.reserve_exact(size - packet.len() + Profile::Aes128Gcm.rtp_overhead());
    packet.resize(size, 0x55);
    (keys.map(|(sealer, _)| sealer).unwrap_or_else(|_| unreachable!("the material is long enough")), packet)
}

// AES-128-GCM and nothing around it: the floor of what a packet costs.
#[library_benchmark]
#[bench::of_1200_bytes(args = (1_200), setup = sealer)]
#[bench::of_160_bytes(args = (160), setup = sealer)]
fn srtp_sealed_100_times((sealer, mut packet): (Sealer, Vec<u8>)) -> Vec<u8> {
    let size = packet.len();
    for index in 0..TIMES as u64 {
        black_box(sealer.rtp(&mut packet, 12, index).is_ok());
        packet.truncate(size);
    }
    packet
}

// In what the shard does, and nothing else; see `World`.
library_benchmark_group!(
    name = shard,
    config = LibraryBenchmarkConfig::default().tool(
        Callgrind::with_args(["--cache-sim=no"])
            .entry_point(EntryPoint::Custom("*world::counted_turn".into()))
    ),
    benchmarks = [video_forwarded, audio_forwarded, session_set_up, sessions_idle]
);
library_benchmark_group!(
    name = parts,
    config = LibraryBenchmarkConfig::default().tool(Callgrind::with_args(["--cache-sim=no"])),
    benchmarks = [
        frame_read_100_times,
        layer_selected_100_times,
        packet_switched_100_times,
        budget_allocated,
        srtp_sealed_100_times
    ]
);
main!(library_benchmark_groups = [shard, parts]);
