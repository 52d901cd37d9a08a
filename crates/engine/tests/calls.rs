//! Stories of a call, told to one shard by str0m peers in memory.

mod world;

use std::time::Duration;

use sluice_engine::model::*;
use sluice_engine::*;
use str0m::media::MediaKind as Kind;
use world::*;

const SECOND: Duration = Duration::from_secs(1);

/// Alice publishes a microphone, Bob offers sections to receive it.
#[test]
fn bob_hears_alice_when_he_offers_sections() {
    let mut world = World::new();
    let alice = world.join("alice", Offerer::Peer);
    let bob = world.join("bob", Offerer::Peer);
    world.publish(alice, vec![audio("mic")]);
    let mut mid = None;
    let round = world
        .peer_offers(alice, |api| {
            mid = Some(api.add_media(Kind::Audio, SEND, Some("s".into()), Some("mic".into()), None));
        })
        .unwrap();
    assert_eq!(round.bindings.len(), 1, "{round:?}");

    world.subscribe(bob, &[("mic", Wish::default())]);
    let needed = world.events.iter().any(|event| {
        matches!(event, EventKind::NegotiationNeeded { session, missing }
            if session.as_str() == "bob" && missing.audio == 1)
    });
    assert!(needed, "{:?}", world.events);
    let mut receiving = None;
    let round = world
        .peer_offers(bob, |api| {
            receiving = Some(api.add_media(Kind::Audio, RECEIVE, None, None, None));
        })
        .unwrap();
    assert!(round.sdp.contains("a=msid:stream-mic track-mic"), "{}", round.sdp);
    world.until("both connected", |w| w.peers.iter().all(|p| p.connected));

    let mid = mid.unwrap();
    let mut sequence = 0;
    world.run(SECOND, |world, _| {
        sequence += 1;
        let now = world.now;
        world.peers[alice].send(
            now,
            mid,
            None,
            Sent {
                codec: str0m::format::Codec::Opus,
                sequence,
                timestamp: sequence as u32 * 240,
                marker: false,
                level: Some(-20),
                payload: &[sequence as u8; 80],
            },
        );
    });
    let heard: Vec<_> = world.peers[bob].packets.iter().map(|p| p.payload[0]).collect();
    assert!(heard.len() >= 195, "only {} of 200 packets", heard.len());
    assert!(heard.windows(2).all(|w| w[1] == w[0].wrapping_add(1)), "in order, none lost");
    assert_eq!(world.peers[bob].packets[9].header.ext_vals.audio_level, Some(-20));
    let spoke = world
        .events
        .iter()
        .any(|event| matches!(event, EventKind::Speakers { dominant: Some(p), .. } if p.as_str() == "alice"));
    assert!(spoke, "alice has the floor");
}
