//! Calls through a real server, over real sockets, with native clients on both signalling paths.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "tests")]
mod server;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use server::{Server, token};
use sluice_client::{
    AudioShape, Client, Dtx, Impairment, Link, Opened, Options, Path, Plane, SeenPacket, Stats, VideoShape,
};
use sluice_forward::conformance::Conformance;
use sluice_rtp::{Codec, Timestamp};

/// Far more than anything here takes on an idle machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Until the estimator believes in the path. Clients that get no processor jitter as a bad path does: probes bring nothing, and
/// come after 3, 6, 12, 24 and 48 s.
const BELIEF: Duration = Duration::from_secs(120);

async fn join(server: &Server, room: &str, identity: &str, path: Path) -> Client {
    join_with(server, room, identity, Options { path, ..Options::default() }).await
}

async fn join_with(server: &Server, room: &str, identity: &str, options: Options) -> Client {
    Client::connect(&server.url(), &token(room, identity), options).await.unwrap()
}

async fn publish_both(client: &Client) -> [String; 2] {
    let audio = client.publish_audio(AudioShape::default()).await.unwrap();
    let video = client.publish_video(VideoShape::single(640, 360, 300_000)).await.unwrap();
    [audio, video]
}

fn packets(stats: &Stats, track: &str) -> u64 {
    stats.received.get(track).map_or(0, |track| track.packets)
}

/// More of a track comes: not merely some that was on its way.
async fn flows(client: &Client, track: &str) {
    let before = client.with_stats(|stats| packets(stats, track));
    client.until(PATIENCE, |stats| packets(stats, track) >= before + 60).await.unwrap();
}

/// A track stands still: nothing for a second, once what was on its way has come.
async fn stands_still(client: &Client, track: &str) {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let before = client.with_stats(|stats| packets(stats, track));
        tokio::time::sleep(Duration::from_secs(1)).await;
        if client.with_stats(|stats| packets(stats, track)) == before {
            return;
        }
        assert!(tokio::time::Instant::now() < end, "{track} goes on");
    }
}

async fn two_people_hear_and_see_each_other(ann: Path, bob: Path) {
    let server = Server::start();
    let ann = join(&server, "pair", "ann", ann).await;
    let tracks_of_ann = publish_both(&ann).await;
    // Bob comes later, and finds what is there.
    let bob = join(&server, "pair", "bob", bob).await;
    let tracks_of_bob = publish_both(&bob).await;
    for (client, tracks) in [(&ann, &tracks_of_bob), (&bob, &tracks_of_ann)] {
        for track in tracks {
            flows(client, track).await;
        }
        client.until(PATIENCE, |stats| stats.received[&tracks[1]].height == 360).await.unwrap();
    }
    assert!(ann.with_stats(|stats| stats.participants.values().any(|identity| identity == "bob")));
    let bobs = bob.sid().to_owned();
    bob.leave().await.unwrap();
    ann.until(PATIENCE, |stats| !stats.participants.contains_key(&bobs)).await.unwrap();
    for (track, received) in &ann.leave().await.unwrap().received {
        assert_eq!((received.lost(), received.missing(), received.duplicates()), (0, 0, 0), "{track}");
    }
}

#[tokio::test]
async fn two_people_hear_and_see_each_other_over_two_connections_each() {
    two_people_hear_and_see_each_other(Path::V0, Path::V0).await;
}

#[tokio::test]
async fn two_people_hear_and_see_each_other_over_one_connection_each() {
    two_people_hear_and_see_each_other(Path::V1, Path::V1).await;
}

#[tokio::test]
async fn it_does_not_matter_that_the_other_speaks_the_other_dialect() {
    two_people_hear_and_see_each_other(Path::V0, Path::V1).await;
}

/// Light clients are what loads are made of: they must look like others to the server, and count as they do.
async fn light_and_full_clients_hear_and_see_each_other(path: Path, opened: Opened) {
    let server = Server::start();
    let light = Options { path, plane: Plane::Light(opened), ..Options::default() };
    let ann = join_with(&server, "light", "ann", light.clone()).await;
    let bob = join(&server, "light", "bob", path).await;
    let eve = join_with(&server, "light", "eve", light).await;
    let mut tracks = Vec::new();
    for client in [&ann, &bob, &eve] {
        let audio = client.publish_audio(AudioShape::default()).await.unwrap();
        let video = client.publish_video(VideoShape::simulcast(1_000_000)).await.unwrap();
        tracks.push([audio, video]);
    }
    for (own, client) in [&ann, &bob, &eve].into_iter().enumerate() {
        for (_, [audio, video]) in tracks.iter().enumerate().filter(|(whose, _)| *whose != own) {
            flows(client, audio).await;
            flows(client, video).await;
            // A higher layer than the first comes once the estimator has seen enough feedback to believe in the path.
            client.until(BELIEF, |stats| stats.received[video].height >= 360).await.unwrap();
        }
    }
    for client in [ann, bob, eve] {
        for (track, received) in &client.leave().await.unwrap().received {
            // A switch after a frame that was cut short leaves out a number.
            assert!(received.lost() <= received.switches, "{track}: {} lost", received.lost());
            assert_eq!((received.missing(), received.duplicates()), (0, 0), "{track}");
            assert!(received.latency_us.as_ref().is_some_and(|latency_us| !latency_us.is_empty()), "{track}");
        }
    }
}

#[tokio::test]
async fn light_clients_over_one_connection_open_everything() {
    light_and_full_clients_hear_and_see_each_other(Path::V1, Opened::All).await;
}

#[tokio::test]
async fn light_clients_over_two_connections_open_a_sample() {
    light_and_full_clients_hear_and_see_each_other(Path::V0, Opened::Sample).await;
}

/// Somebody behind 30 ms and 5 % loss sees 400 packets of a video. What was lost of it in the end, and on purpose.
async fn watch_through_a_bad_network(path: Path, plane: Plane) -> [u64; 2] {
    let server = Server::start();
    let ann = join(&server, "far", "ann", path).await;
    let [_, video] = publish_both(&ann).await;
    let delay = Duration::from_millis(30);
    let up = Link { delay, ..Link::default() };
    let impairment = Impairment { up, down: Link { loss: 0.05, ..up }, seed: 11 };
    let bob =
        join_with(&server, "far", "bob", Options { path, plane, impairment, ..Options::default() }).await;
    let seen = |stats: &Stats| packets(stats, &video) >= 400 && stats.impaired.down.lost >= 10;
    bob.until(PATIENCE, seen).await.unwrap();
    let stats = bob.leave().await.unwrap();
    ann.leave().await.unwrap();
    let received = &stats.received[&video];
    // Histograms are right to 1 %.
    let fastest = received.latency_us.as_ref().unwrap().min();
    assert!(fastest >= 29_500, "{fastest} us");
    assert_eq!((stats.impaired.up.lost, stats.impaired.down.dropped), (0, 0));
    assert!(stats.impaired.up.passed > 0);
    [received.lost(), stats.impaired.down.lost]
}

#[tokio::test]
async fn a_light_client_behind_a_bad_network_counts_what_is_lost() {
    let [lost, on_purpose] = watch_through_a_bad_network(Path::V0, Plane::Light(Opened::All)).await;
    assert!(lost > 0 && lost <= on_purpose, "{lost} lost, {on_purpose} on purpose");
}

#[tokio::test]
async fn a_full_client_behind_a_bad_network_is_sent_again_most_of_what_is_lost() {
    let [lost, on_purpose] = watch_through_a_bad_network(Path::V1, Plane::Full).await;
    assert!(lost * 4 < on_purpose, "{lost} lost, {on_purpose} on purpose");
}

/// Who pauses as Opus DTX does is heard without a gap, also where it is silent.
#[tokio::test]
async fn silence_leaves_no_gap_in_the_numbers() {
    let server = Server::start();
    let ann = join(&server, "quiet", "ann", Path::V0).await;
    let turn = Duration::from_millis(600);
    let dtx = Dtx { spurt: turn, silence: turn, seed: 3 };
    let audio = ann.publish_audio(AudioShape { dtx: Some(dtx), ..AudioShape::default() }).await.unwrap();
    let bob = join(&server, "quiet", "bob", Path::V0).await;
    let pause = Duration::from_millis(300);
    let heard = |stats: &Stats| {
        stats.received.get(&audio).is_some_and(|track| track.packets >= 150 && track.longest_pause > pause)
    };
    bob.until(PATIENCE, heard).await.unwrap();
    let stats = bob.leave().await.unwrap();
    assert_eq!(stats.received[&audio].lost(), 0);
    assert_eq!(stats.received[&audio].duplicates(), 0);
}

#[tokio::test]
async fn muting_and_unsubscribing_stop_a_track_and_undoing_them_brings_it_back() {
    let server = Server::start();
    let ann = join(&server, "mute", "ann", Path::V0).await;
    let [audio, video] = publish_both(&ann).await;
    let bob = join(&server, "mute", "bob", Path::V1).await;
    flows(&bob, &audio).await;
    flows(&bob, &video).await;

    ann.mute(&audio, true).await.unwrap();
    bob.until(PATIENCE, |stats| stats.announced[&audio].muted).await.unwrap();
    stands_still(&bob, &audio).await;
    flows(&bob, &video).await;
    ann.mute(&audio, false).await.unwrap();
    flows(&bob, &audio).await;

    bob.subscribe(&video, false).await.unwrap();
    stands_still(&bob, &video).await;
    bob.subscribe(&video, true).await.unwrap();
    flows(&bob, &video).await;
}

#[tokio::test]
async fn data_reaches_those_it_is_for_and_nobody_else_and_tells_who_sent_it() {
    let server = Server::start();
    let ann = join(&server, "data", "ann", Path::V0).await;
    let bob = join(&server, "data", "bob", Path::V0).await;
    let eve = join(&server, "data", "eve", Path::V1).await;
    for client in [&ann, &bob, &eve] {
        client
            .until(PATIENCE, |stats| stats.connected_after.is_some() && stats.participants.len() == 2)
            .await
            .unwrap();
    }
    // The channels of a receiver open when they open; a message to all is repeated until both have it.
    let everybody_has = |text: &'static str| {
        let (bob, eve) = (&bob, &eve);
        move || {
            [bob, eve]
                .iter()
                .all(|one| one.with_stats(|s| s.data.iter().any(|d| d.payload == text.as_bytes())))
        }
    };
    let end = tokio::time::Instant::now() + PATIENCE;
    while !everybody_has("hello all")() {
        ann.send_data(b"hello all", true, &[]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(tokio::time::Instant::now() < end, "no data came");
    }
    ann.send_data(b"for bob", true, &["bob".into()]).await.unwrap();
    ann.send_data(b"last", true, &[]).await.unwrap();
    let has = |stats: &Stats, text: &[u8]| stats.data.iter().any(|data| data.payload == text);
    // Channels are ordered: when the last one is there, the one before would be.
    let bobs = bob.until(PATIENCE, |stats| has(stats, b"last")).await.unwrap();
    let eves = eve.until(PATIENCE, |stats| has(stats, b"last")).await.unwrap();
    assert!(has(&bobs, b"for bob") && !has(&eves, b"for bob"));
    assert!(
        bobs.data.iter().chain(&eves.data).all(|data| data.from == "ann" && data.reliable),
        "{:?}",
        bobs.data
    );
    assert_eq!(ann.stats().data_received, 0, "nobody hears himself");
}

#[tokio::test]
async fn the_layer_that_covers_the_asked_size_comes_as_one_gapless_stream() {
    let server = Server::start();
    let ann = join(&server, "layers", "ann", Path::V0).await;
    let video = ann.publish_video(VideoShape::simulcast(1_500_000)).await.unwrap();

    let oracles: Arc<Mutex<HashMap<u32, Conformance>>> = Arc::default();
    let watched = oracles.clone();
    let observer = move |seen: &SeenPacket<'_>| {
        let mut oracles = watched.lock().unwrap();
        let oracle = oracles.entry(seen.ssrc).or_insert_with(|| Conformance::new(Codec::Vp8));
        oracle.observe(seen.sequence as u16, Timestamp(seen.timestamp), seen.marker, seen.payload);
    };
    let options = Options { path: Path::V1, observer: Some(Arc::new(observer)), ..Options::default() };
    let bob = join_with(&server, "layers", "bob", options).await;
    bob.until(PATIENCE, |stats| packets(stats, &video) > 0).await.unwrap();
    for round in 0..6 {
        let (width, height) = [(320, 180), (1280, 720)][round % 2];
        bob.set_size(&video, width, height).await.unwrap();
        let shown = |stats: &Stats| u32::from(stats.received[&video].height) == height;
        bob.until(PATIENCE, shown).await.unwrap();
        flows(&bob, &video).await;
    }
    bob.leave().await.unwrap();
    let oracles = std::mem::take(&mut *oracles.lock().unwrap());
    assert_eq!(oracles.len(), 1, "one stream, whatever layer it carries");
    for oracle in oracles.into_values() {
        let report = oracle.finish();
        assert_eq!(report.fault_count, 0, "{report:?}");
        assert!(report.key_frames >= 6, "{report:?}");
    }
}

#[tokio::test]
async fn somebody_without_a_good_token_is_told_so() {
    let server = Server::start();
    let forged = Client::connect(&server.url(), "not.a.token", Options::default()).await;
    let text = format!("{:#}", forged.err().unwrap());
    assert!(text.contains("401"), "{text}");
}
