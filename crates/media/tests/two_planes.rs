//! Two planes that talk to each other: what one sends the other gets, over a path that loses, repeats and forges.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::time::{Duration, Instant, SystemTime};

use sluice_media::{
    Clock, Event, Format, Header, Ids, Media, Negotiated, OutStream, Packet, Refused, Rewritten, Settings,
    Spec,
};
use sluice_rtp::{Bitrate, MediaKind, Mid, Rid};
use sluice_srtp::{Profile, Role, association};

const VP8: Format = Format { payload_type: 96, clock: 90_000, repair: Some(97), nack: true };
const IDS: Ids =
    Ids { mid: 4, rid: 10, repaired_rid: 11, transport: 3, level: 1, orientation: 13, send_time: 2 };
const VIDEO: u32 = 0x1000;
const REPAIR: u32 = 0x2000;

/// A plane on each side, and the time.
struct World {
    now: Instant,
    sender: Media,
    receiver: Media,
    stream: OutStream,
    next: u64,
}

fn negotiated() -> Negotiated {
    Negotiated { ids: IDS, formats: vec![VP8], mids: vec![Mid::from("v")], ..Negotiated::default() }
}

fn spec() -> Spec {
    Spec {
        mid: Mid::from("v"),
        kind: MediaKind::Video,
        ssrc: VIDEO,
        repair: Some(REPAIR),
        ids: IDS,
        cname: "me".into(),
        kept: 128,
    }
}

impl World {
    fn new(profile: Profile) -> Self {
        let now = Instant::now();
        let clock = Clock::new(now, SystemTime::now());
        let material: Vec<u8> = (0..profile.material_len() as u8).collect();
        let plane = |ssrc, role| {
            let settings = Settings { ssrc, initial_estimate: Bitrate::kbps(1_000), clock };
            let mut plane = Media::new(now, settings);
            let (sealer, opener) = association(profile, &material, role).unwrap();
            plane.secure(sealer, opener);
            plane.negotiate(negotiated());
            plane
        };
        let mut sender = plane(1, Role::Client);
        let stream = sender.open(spec());
        World { now, sender, receiver: plane(2, Role::Server), stream, next: 65_530 }
    }

    fn packet(&self, payload: &[u8]) -> Packet {
        Packet {
            mid: Mid::from("source"),
            rid: None,
            payload_type: 120,
            sequence: 7,
            timestamp: 3_000,
            marker: true,
            payload: payload.into(),
            received: self.now,
            extensions: Default::default(),
        }
    }

    /// Sends a packet; gives its number and the datagram.
    fn send(&mut self, payload: &[u8]) -> (u64, Vec<u8>) {
        let sequence = self.next;
        self.next += 1;
        let rewritten = Rewritten { sequence, timestamp: 3_000 * sequence as u32, vp8: None };
        assert!(self.sender.write(self.now, self.stream, 96, &self.packet(payload), rewritten));
        (sequence, self.sender.pop_datagram().unwrap())
    }

    fn receive(&mut self, datagram: &[u8]) -> Result<(), Refused> {
        self.receiver.receive(self.now, datagram, &mut Vec::new())
    }

    /// The numbers and payloads of the packets that came.
    fn came(&mut self) -> Vec<(u64, Vec<u8>)> {
        std::iter::from_fn(|| self.receiver.pop_event())
            .filter_map(|event| match event {
                Event::Packet(packet) => Some((packet.sequence, packet.payload.to_vec())),
                _ => None,
            })
            .collect()
    }

    /// Lets time pass on both sides, and takes everything across; gives the datagrams from the sender.
    fn pass(&mut self, time: Duration) -> Vec<Vec<u8>> {
        let end = self.now + time;
        let mut sent = Vec::new();
        while self.now < end {
            self.now += Duration::from_millis(1);
            self.sender.advance(self.now);
            self.receiver.advance(self.now);
            while let Some(datagram) = self.sender.pop_datagram() {
                self.receive(&datagram).unwrap();
                sent.push(datagram);
            }
            while let Some(datagram) = self.receiver.pop_datagram() {
                self.sender.receive(self.now, &datagram, &mut Vec::new()).unwrap();
            }
            // Both must have been asked when they want to be called.
            for plane in [&mut self.sender, &mut self.receiver] {
                assert!(plane.deadline().is_none_or(|at| at + Duration::from_millis(2) > self.now));
            }
        }
        sent
    }
}

#[test]
fn packets_arrive_as_they_were_under_every_profile() {
    for profile in [Profile::Aes128Gcm, Profile::Aes256Gcm, Profile::Aes128CmSha1_80] {
        let mut world = World::new(profile);
        let sent: Vec<_> = (0..10u8)
            .map(|n| {
                let (number, datagram) = world.send(&[n; 100]);
                world.receive(&datagram).unwrap();
                (number, vec![n; 100])
            })
            .collect();
        assert_eq!(world.came(), sent, "over a roll-over of the number");
    }
}

#[test]
fn what_is_lost_is_asked_for_and_comes_again() {
    let mut world = World::new(Profile::Aes128Gcm);
    let mut lost = Vec::new();
    for n in 0..20u8 {
        let (number, datagram) = world.send(&[n; 500]);
        if n % 5 == 3 {
            lost.push((number, vec![n; 500]));
        } else {
            world.receive(&datagram).unwrap();
        }
    }
    assert_eq!(world.came().len(), 16);
    let again = world.pass(Duration::from_millis(50));
    // A request lists numbers as they are on the wire, so those behind the roll-over come first.
    let mut came = world.came();
    came.sort_by_key(|(number, _)| *number);
    assert!(came == lost, "{:?}", came.iter().map(|(number, _)| number).collect::<Vec<_>>());
    let repairs = again.iter().filter(|d| Header::read(d, &IDS).is_some_and(|h| h.ssrc == REPAIR)).count();
    assert_eq!(repairs, 4, "each once, on the stream that repairs");
    world.pass(Duration::from_secs(3));
    let ingress: Vec<_> = world.receiver.ingress().collect();
    assert_eq!((ingress[0].nacks, ingress[0].lost), (4, 0));
    assert_eq!(world.sender.egress().next().unwrap().nacks, 4);
}

#[test]
fn both_sides_learn_of_each_other() {
    let mut world = World::new(Profile::Aes128Gcm);
    let mut reports = 0;
    for _ in 0..100 {
        let (_, datagram) = world.send(&[1; 800]);
        world.receive(&datagram).unwrap();
        world.pass(Duration::from_millis(20));
        reports += std::iter::from_fn(|| world.receiver.pop_event())
            .filter(|event| matches!(event, Event::SenderReport { mid, .. } if *mid == Mid::from("v")))
            .count();
    }
    assert!((1..=3).contains(&reports), "a report a second: {reports}");
    assert!(world.sender.path().rtt.is_some());
    assert_eq!(world.sender.path().egress_loss, Some(0.0));
    assert_eq!(world.receiver.path().ingress_loss, Some(0.0));
    assert!(world.receiver.request_key_frame(Mid::from("v"), None));
    world.pass(Duration::from_millis(2));
    let asked = std::iter::from_fn(|| world.sender.pop_event())
        .any(|event| matches!(event, Event::KeyFrameRequest { mid } if mid == Mid::from("v")));
    assert!(asked);
}

#[test]
fn an_idle_plane_wants_nothing() {
    let mut world = World::new(Profile::Aes128Gcm);
    assert_eq!(world.receiver.deadline(), None);
    let (_, datagram) = world.send(&[1; 800]);
    world.receive(&datagram).unwrap();
    world.pass(Duration::from_secs(5));
    assert_eq!((world.sender.deadline(), world.receiver.deadline()), (None, None));
}

#[test]
fn what_was_repeated_forged_or_unknown_is_refused_and_changes_nothing() {
    let mut world = World::new(Profile::Aes128Gcm);
    let (_, first) = world.send(b"first");
    world.receive(&first).unwrap();
    assert_eq!(world.receive(&first), Err(Refused::Replayed));
    let (_, second) = world.send(b"second");
    let mut forged = second.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert!(matches!(world.receive(&forged), Err(Refused::Srtp(_))));
    world.receive(&second).unwrap();
    assert_eq!(world.came().len(), 2, "the forgery did not take the number");

    // A stream of no section; a forged packet must not make it one.
    let mut stranger = second.clone();
    stranger[8..12].copy_from_slice(&7u32.to_be_bytes());
    assert!(matches!(world.receive(&stranger), Err(Refused::Srtp(_))));
    let mut unknown = second;
    unknown[1] = 100;
    unknown[8..12].copy_from_slice(&7u32.to_be_bytes());
    assert_eq!(world.receive(&unknown), Err(Refused::UnknownStream));

    // Feedback, repeated.
    world.receiver.advance(world.now + Duration::from_secs(1));
    let feedback = world.receiver.pop_datagram().unwrap();
    world.sender.receive(world.now, &feedback, &mut Vec::new()).unwrap();
    let again = world.sender.receive(world.now, &feedback, &mut Vec::new());
    assert_eq!(again, Err(Refused::Replayed));
}

#[test]
fn without_keys_nothing_goes_in_or_out() {
    let now = Instant::now();
    let clock = Clock::new(now, SystemTime::now());
    let settings = Settings { ssrc: 1, initial_estimate: Bitrate::kbps(1_000), clock };
    let mut plane = Media::new(now, settings);
    plane.negotiate(negotiated());
    let stream = plane.open(spec());
    let mut world = World::new(Profile::Aes128Gcm);
    let (_, datagram) = world.send(b"early");
    assert_eq!(plane.receive(now, &datagram, &mut Vec::new()), Err(Refused::NoKeys));
    let rewritten = Rewritten { sequence: 1, timestamp: 0, vp8: None };
    assert!(!plane.write(now, stream, 96, &world.packet(b"early"), rewritten));
    assert!(plane.pop_datagram().is_none() && plane.deadline().is_none());
}

#[test]
fn a_layer_goes_on_when_its_stream_begins_anew() {
    let mut world = World::new(Profile::Aes128Gcm);
    let (last, datagram) = world.send(b"before");
    world.receive(&datagram).unwrap();
    world.stream = world.sender.open(Spec { ssrc: VIDEO + 1, repair: None, ..spec() });
    world.next = 100;
    let (_, datagram) = world.send(b"after");
    world.receive(&datagram).unwrap();
    let came = world.came();
    assert_eq!(came[0].0, last);
    assert_eq!(
        came[1],
        (last + 2, b"after".to_vec()),
        "one number is left out: what was cut short is not whole"
    );
    // The stream that it replaced is gone.
    assert!(world.receiver.request_key_frame(Mid::from("v"), None));
    assert!(!world.receiver.request_key_frame(Mid::from("v"), Some(Rid::from("q"))));
}

#[test]
fn a_probe_is_filled_with_what_was_sent_lately() {
    let mut world = World::new(Profile::Aes128Gcm);
    world.sender.set_desired(world.now, Bitrate::kbps(300), Bitrate::kbps(5_000));
    let mut probes = 0;
    let mut estimates = Vec::new();
    for n in 0..100u8 {
        let (_, datagram) = world.send(&[n; 600]);
        world.receive(&datagram).unwrap();
        let sent = world.pass(Duration::from_millis(20));
        probes += sent.iter().filter(|d| Header::read(d, &IDS).is_some_and(|h| h.ssrc == REPAIR)).count();
        estimates.extend(std::iter::from_fn(|| world.sender.pop_event()).filter_map(|event| match event {
            Event::Estimate(rate) => Some(rate),
            _ => None,
        }));
    }
    assert!(probes > 5, "{probes}");
    assert!(estimates.last().is_some_and(|rate| *rate >= Bitrate::kbps(4_000)), "{estimates:?}");
    let came = world.came();
    assert_eq!(came.len(), 100, "what filled the probes came before and is no packet again");
}

#[test]
fn a_wish_that_nothing_could_fill_wakes_nobody() {
    let mut world = World::new(Profile::Aes128Gcm);
    world.sender.set_desired(world.now, Bitrate::ZERO, Bitrate::kbps(5_000));
    assert_eq!(world.sender.deadline(), None);
    world.send(&[1; 600]);
    world.sender.advance(world.now);
    assert!(
        world.sender.deadline().is_some_and(|at| at < world.now + Duration::from_millis(5)),
        "now it can"
    );
}

#[test]
fn no_number_is_sealed_twice() {
    let mut world = World::new(Profile::Aes128Gcm);
    let (number, _) = world.send(b"once");
    let again = Rewritten { sequence: number, timestamp: 0, vp8: None };
    assert!(!world.sender.write(world.now, world.stream, 96, &world.packet(b"twice"), again));
    // Nor by opening the stream anew.
    let stream = world.sender.open(spec());
    assert!(!world.sender.write(world.now, stream, 96, &world.packet(b"twice"), again));
    assert!(world.sender.pop_datagram().is_none());
}

#[test]
fn a_stream_that_another_replaced_cannot_be_played_again() {
    let mut world = World::new(Profile::Aes128Gcm);
    let (_, old) = world.send(b"old");
    let (_, never_came) = world.send(b"old, held back");
    world.receive(&old).unwrap();
    world.stream = world.sender.open(Spec { ssrc: VIDEO + 1, repair: None, ..spec() });
    let (_, new) = world.send(b"new");
    world.receive(&new).unwrap();
    assert_eq!(world.receive(&old), Err(Refused::Replayed));
    world.receive(&never_came).unwrap();
    let (_, newer) = world.send(b"newer");
    world.receive(&newer).unwrap();
    let payloads: Vec<_> = world.came().into_iter().map(|(_, payload)| payload).collect();
    assert_eq!(payloads, [b"old".to_vec(), b"new".to_vec(), b"newer".to_vec()]);
}

#[test]
fn a_section_that_is_not_there_gets_no_stream_and_one_that_ends_loses_its_own() {
    let mut world = World::new(Profile::Aes128Gcm);
    let (_, datagram) = world.send(b"there");
    world.receive(&datagram).unwrap();
    world.receiver.negotiate(Negotiated { mids: vec![Mid::from("w")], ..negotiated() });
    assert_eq!(world.receiver.ingress().count(), 0);
    let (_, datagram) = world.send(b"gone");
    assert_eq!(world.receive(&datagram), Err(Refused::UnknownStream));
}

#[test]
fn old_losses_are_no_news() {
    let mut world = World::new(Profile::Aes128Gcm);
    for n in 0..20 {
        let (_, datagram) = world.send(&[n; 100]);
        if n % 2 == 0 {
            world.receive(&datagram).unwrap();
        }
    }
    world.receiver.advance(world.now + Duration::from_millis(1_020));
    assert!(world.receiver.path().ingress_loss.is_some_and(|loss| loss > 0.3));
    world.receiver.advance(world.now + Duration::from_millis(2_100));
    assert_eq!(world.receiver.path().ingress_loss, Some(0.0));
}
