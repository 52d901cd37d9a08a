//! What a packet costs before the transport: its header once, the switcher once per subscription; and one division of a budget.

#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sluice_forward::{
    Budget, Claim, Ladder, Layer, Packet, Rung, Standing, Switcher, Timeline, Wish, allocate,
};
use sluice_rtp::{Bitrate, Codec, Timestamp, read};

/// A VP8 key frame of 640x360 with all descriptor fields.
const VP8_KEY: [u8; 16] =
    [0x90, 0xf0, 0x81, 0x23, 7, 0x05, 0x10, 0x02, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01];
/// A VP8 frame that follows it.
const VP8_DELTA: [u8; 10] = [0x90, 0xf0, 0x81, 0x24, 8, 0x05, 0x11, 0x02, 0, 0];

fn header(bench: &mut Criterion) {
    let mut group = bench.benchmark_group("read");
    group.throughput(Throughput::Elements(1));
    let payloads: [(&str, Codec, &[u8]); 4] = [
        ("vp8 key frame", Codec::Vp8, &VP8_KEY),
        ("vp8 delta frame", Codec::Vp8, &VP8_DELTA),
        ("h264 fragment", Codec::H264, &[0x7c, 0x01, 0x42, 0x42]),
        ("opus", Codec::Opus, &[0x78, 1, 2, 3]),
    ];
    for (name, codec, payload) in payloads {
        group.bench_function(name, |bench| bench.iter(|| read(codec, black_box(payload), true)));
    }
    group.finish();
}

/// One packet of one publication to 100 subscriptions: those that show its layer, and those that show another one.
fn switching(bench: &mut Criterion) {
    const SUBSCRIPTIONS: u64 = 100;
    let mut group = bench.benchmark_group("switch");
    group.throughput(Throughput::Elements(SUBSCRIPTIONS));
    for (name, layer) in [("forwarded", 0), ("of another layer", 1)] {
        group.bench_function(name, |bench| {
            let start = Instant::now();
            let mut timeline = Timeline::new(90_000);
            let mut packet = |n: u64, layer: u8, payload: &[u8]| {
                let arrived = start + Duration::from_millis(n);
                let timestamp = Timestamp(n as u32 * 90);
                let playout = timeline.playout(layer, timestamp, arrived);
                let frame = read(Codec::Vp8, payload, true).unwrap_or_default();
                Packet { layer, seq: 65_536 + n, timestamp, playout, arrived, frame }
            };
            let key = packet(0, 0, &VP8_KEY);
            let mut switchers: Vec<Switcher> = (0..SUBSCRIPTIONS as u16)
                .map(|first_seq| {
                    let mut switcher = Switcher::new(Codec::Vp8, first_seq);
                    switcher.set_target(Some(0));
                    switcher.on_packet(&key);
                    switcher
                })
                .collect();
            let mut n = 0;
            bench.iter(|| {
                n += 1;
                let packet = packet(n, layer, &VP8_DELTA);
                for switcher in &mut switchers {
                    black_box(switcher.on_packet(black_box(&packet)));
                }
            });
        });
    }
    group.finish();
}

fn allocation(bench: &mut Criterion) {
    let layer = |index: u8, width: u16, kbps: u64| Layer {
        index,
        width,
        height: width / 16 * 9,
        bitrate: Bitrate::kbps(kbps),
        active: true,
    };
    let ladder = Ladder::new(&[layer(0, 320, 150), layer(1, 640, 500), layer(2, 1280, 1_700)]);
    let mut group = bench.benchmark_group("allocate");
    for tiles in [3u32, 11, 49] {
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
        group.bench_function(format!("{tiles} subscriptions"), |bench| {
            bench.iter(|| allocate(black_box(&budget), black_box(&claims)));
        });
    }
    group.finish();
}

criterion_group!(benches, header, switching, allocation);
criterion_main!(benches);
