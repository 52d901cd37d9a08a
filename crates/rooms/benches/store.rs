//! What a group commit makes of a disk: changes per second from 1, 16 and 256 committers at once, each change a document
//! of 1 KiB and two events of 400 bytes, every answer synced. In `target/`, so that the disk is the one of the build.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion's macros; a panic ends a benchmark as it should"
)]
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sluice_rooms::store::{Change, EmbeddedSettings, EmbeddedStore, Expected, Store};

/// Documents that are changed by turns; a busy process has some ten thousand calls at once.
const DOCUMENTS: u64 = 20_000;

fn change(turn: u64) -> Change {
    // Spread over the keys, as identifiers are.
    let key = format!("calls/{:016x}", (turn % DOCUMENTS).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let fill = |len: usize, turn: u64| Bytes::from(turn.to_le_bytes().repeat(len / 8));
    let events = vec![fill(400, turn), fill(400, turn + 1)];
    Change { key, expected: Expected::Any, value: Some(fill(1_024, turn)), events }
}

/// Until `total` changes are committed by `committers`, each of which waits for its answer.
async fn commit(store: &Arc<EmbeddedStore>, turn: &Arc<AtomicU64>, committers: u64, total: u64) -> Duration {
    let started = Instant::now();
    let end = turn.load(Ordering::Relaxed) + total;
    let tasks: Vec<_> =
        (0..committers).map(|_| tokio::spawn(work(store.clone(), turn.clone(), end))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    // Each committer took one turn beyond the end.
    turn.store(end, Ordering::Relaxed);
    started.elapsed()
}

async fn work(store: Arc<EmbeddedStore>, turn: Arc<AtomicU64>, end: u64) {
    loop {
        let mine = turn.fetch_add(1, Ordering::Relaxed);
        if mine >= end {
            return;
        }
        store.commit(vec![change(mine)]).await.unwrap()[0].unwrap();
    }
}

fn group_commit(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let mut group = criterion.benchmark_group("store/commit");
    group.throughput(Throughput::Elements(1)).sample_size(10).measurement_time(Duration::from_secs(8));
    for committers in [1, 16, 256] {
        let folder = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
        let store = Arc::new(EmbeddedStore::open(EmbeddedSettings::at(folder.path())).unwrap());
        let turn = Arc::new(AtomicU64::new(0));
        group.bench_with_input(
            BenchmarkId::from_parameter(committers),
            &committers,
            |bencher, &committers| {
                bencher.iter_custom(|total| runtime.block_on(commit(&store, &turn, committers, total)));
            },
        );
    }
    group.finish();
}

criterion_group!(benches, group_commit);
criterion_main!(benches);
