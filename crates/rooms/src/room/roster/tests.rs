use std::sync::Arc;

use sluice_api::sfu::v1 as sfu;
use sluice_api::sfu::v1::event::Kind;
use tokio::sync::mpsc;

use super::{Outbox, Roster, owner};
use crate::model::{Access, AccessRule, Client, Participant, Permissions, Track};
use crate::room::{Change, Door, Entrant, JoinError, Notice, Reason};

fn entrant(id: &str, identity: &str) -> Entrant {
    let permissions = Permissions { can_publish: true, can_subscribe: true, ..Default::default() };
    let participant = Participant {
        participant_id: id.into(),
        identity: identity.into(),
        permissions: Some(permissions),
        version: 1,
        ..Default::default()
    };
    let client = Client { auto_subscribe: true, ..Default::default() };
    let door = Door { notices: mpsc::channel(1).0, arrivals: mpsc::channel(1).0 };
    Entrant { participant, client, door }
}

fn amended(id: &str, amend: impl FnOnce(&mut Entrant)) -> Entrant {
    let mut entrant = entrant(id, &id.to_lowercase());
    amend(&mut entrant);
    entrant
}

fn join(roster: &mut Roster, entrant: Entrant) -> Outbox {
    roster.join(entrant, 100).unwrap().outbox
}

fn room_of(ids: &[&str]) -> Roster {
    let mut roster = Roster::default();
    for id in ids {
        join(&mut roster, entrant(id, &id.to_lowercase()));
    }
    roster
}

fn publish(roster: &mut Roster, publisher: &str, track_id: &str) -> Outbox {
    roster
        .change(publisher, Change::Track(Arc::new(Track { track_id: track_id.into(), ..Default::default() })))
}

/// What the outbox says, in short.
fn brief(outbox: &Outbox) -> Vec<String> {
    let one = |(to, notice): &(String, Notice)| {
        let what = match notice {
            Notice::Present(presences) => {
                let names: Vec<_> = presences.iter().map(|presence| presence.id().to_owned()).collect();
                format!("present {}", names.join(","))
            }
            Notice::Gone(presence, _) => format!("gone {}", presence.id()),
            Notice::Wanted(wanted) => format!("wanted {}", wanted.join(",")),
            Notice::Allowed { track_id, allowed, .. } => format!("allowed {track_id} {allowed}"),
            Notice::FirstSubscriber(track_id) => format!("first {track_id}"),
            Notice::Quality { participant_id, quality } => format!("quality {participant_id} {quality:?}"),
            Notice::Media(_) => "media".into(),
            Notice::Speaking(_) => "speaking".into(),
            Notice::Compare(_) => "compare".into(),
            Notice::Mute => "mute".into(),
            Notice::Leave(_) => "leave".into(),
        };
        format!("{to}: {what}")
    };
    outbox.iter().map(one).collect()
}

#[test]
fn a_newcomer_is_announced_and_learns_who_is_there() {
    let mut roster = room_of(&["PA_a"]);
    let outbox = join(&mut roster, entrant("PA_b", "b"));
    assert_eq!(brief(&outbox), ["PA_a: present PA_b"]);
    assert_eq!(roster.visible_to("PA_b")[0].id(), "PA_a");
}

#[test]
fn a_track_is_announced_before_anybody_shall_get_it() {
    let mut roster = room_of(&["PA_a", "PA_b"]);
    let outbox = publish(&mut roster, "PA_a", "TR_1");
    assert_eq!(brief(&outbox), ["PA_a: present PA_a", "PA_b: present PA_a", "PA_b: wanted TR_1"]);
}

#[test]
fn who_comes_later_wants_what_is_there() {
    let mut roster = room_of(&["PA_a"]);
    publish(&mut roster, "PA_a", "TR_1");
    join(&mut roster, entrant("PA_b", "b"));
    assert_eq!(roster.seat("PA_b").unwrap().wanted[..], ["TR_1"]);
}

#[test]
fn versions_grow_with_every_change() {
    let mut roster = room_of(&["PA_a"]);
    let mut last = 1;
    publish(&mut roster, "PA_a", "TR_1");
    for change in [Change::Active, Change::TrackEnded("TR_1".into())] {
        roster.change("PA_a", change);
        let version = roster.seat("PA_a").unwrap().presence.participant.version;
        assert!(version > last);
        last = version;
    }
    assert!(roster.change("PA_a", Change::Active).is_empty(), "nothing changed");
}

#[test]
fn the_same_identity_takes_the_place_of_the_old_participant() {
    let mut roster = room_of(&["PA_a", "PA_b"]);
    publish(&mut roster, "PA_a", "TR_1");
    let admission = roster.join(entrant("PA_a2", "pa_a"), 2).unwrap();
    assert!(admission.evicted.is_some());
    let expected = ["PA_b: gone PA_a", "PA_b: wanted ", "PA_b: present PA_a2"];
    assert_eq!(brief(&admission.outbox), expected);
    assert_eq!(roster.len(), 2);
    assert!(roster.leave("PA_a", Reason::Duplicate).is_empty(), "its task says goodbye late");
    assert!(roster.seat("PA_a2").is_some());
}

#[test]
fn a_full_room_takes_nobody_new() {
    let mut roster = room_of(&["PA_a", "PA_b"]);
    assert_eq!(roster.join(entrant("PA_c", "c"), 2).unwrap_err(), JoinError::Full);
}

#[test]
fn who_leaves_is_gone_with_its_tracks() {
    let mut roster = room_of(&["PA_a", "PA_b"]);
    publish(&mut roster, "PA_a", "TR_1");
    assert_eq!(brief(&roster.leave("PA_a", Reason::ClientLeft)), ["PA_b: gone PA_a", "PA_b: wanted "]);
    roster.leave("PA_b", Reason::ClientLeft);
    assert!(roster.is_empty());
}

#[test]
fn hidden_participants_see_and_are_not_seen() {
    let mut roster = room_of(&["PA_a"]);
    publish(&mut roster, "PA_a", "TR_1");
    let hidden = amended("PA_h", |entrant| entrant.participant.permissions.as_mut().unwrap().hidden = true);
    assert!(join(&mut roster, hidden).is_empty());
    assert_eq!(roster.seat("PA_h").unwrap().wanted[..], ["TR_1"]);
    assert!(roster.visible_to("PA_a").is_empty());
    assert_eq!(brief(&publish(&mut roster, "PA_h", "TR_2")), ["PA_h: present PA_h"]);
    assert!(roster.leave("PA_h", Reason::ClientLeft).is_empty());
}

#[test]
fn who_may_not_subscribe_wants_nothing() {
    let mut roster = room_of(&["PA_a"]);
    publish(&mut roster, "PA_a", "TR_1");
    join(
        &mut roster,
        amended("PA_b", |entrant| entrant.participant.permissions.as_mut().unwrap().can_subscribe = false),
    );
    assert!(roster.seat("PA_b").unwrap().wanted.is_empty());
}

#[test]
fn choices_by_hand_go_before_the_rule() {
    let mut roster = room_of(&["PA_a", "PA_b"]);
    publish(&mut roster, "PA_a", "TR_1");
    let choose = |subscribe| Change::Choose { track_ids: vec!["TR_1".into(), "TR_2".into()], subscribe };
    assert_eq!(brief(&roster.change("PA_b", choose(false))), ["PA_b: wanted "]);
    let outbox = publish(&mut roster, "PA_a", "TR_2");
    assert_eq!(brief(&outbox), ["PA_a: present PA_a", "PA_b: present PA_a"], "chosen before it was there");
    assert_eq!(brief(&roster.change("PA_b", choose(true))), ["PA_b: wanted TR_1,TR_2"]);

    join(&mut roster, amended("PA_c", |entrant| entrant.client.auto_subscribe = false));
    assert!(roster.seat("PA_c").unwrap().wanted.is_empty());
    assert_eq!(brief(&roster.change("PA_c", choose(true))), ["PA_c: wanted TR_1,TR_2"]);
}

#[test]
fn a_publisher_may_choose_its_subscribers() {
    let mut roster = room_of(&["PA_a", "PA_b", "PA_c"]);
    publish(&mut roster, "PA_a", "TR_1");
    let rule = AccessRule { participant_id: "PA_b".into(), all_tracks: true, ..Default::default() };
    let outbox = roster.change("PA_a", Change::Access(Some(Access { rules: vec![rule] })));
    assert_eq!(brief(&outbox), ["PA_c: allowed TR_1 false", "PA_c: wanted "]);
    let outbox = roster.change("PA_a", Change::Access(None));
    assert_eq!(brief(&outbox), ["PA_c: allowed TR_1 true", "PA_c: wanted TR_1"]);
}

#[test]
fn attributes_are_merged_and_empty_ones_removed() {
    let mut roster = room_of(&["PA_a"]);
    let profile = |pairs: &[(&str, &str)]| Change::Profile {
        name: Some("A".into()),
        metadata: None,
        attributes: pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
    };
    roster.change("PA_a", profile(&[("x", "1"), ("y", "2")]));
    roster.change("PA_a", profile(&[("x", ""), ("z", "3")]));
    let participant = &roster.seat("PA_a").unwrap().presence.participant;
    let keys: Vec<_> = participant.attributes.keys().map(String::as_str).collect();
    assert_eq!((keys, participant.name.as_str()), (vec!["y", "z"], "A"));
}

fn started(session: &str, track_id: &str) -> Kind {
    let subscription = sfu::Subscription { publication_id: track_id.into(), ..Default::default() };
    Kind::SubscriptionChanged(sfu::SubscriptionChanged {
        session_id: session.into(),
        participant_id: owner(session).into(),
        subscription: Some(subscription),
        started: true,
    })
}

#[test]
fn a_publisher_hears_of_its_first_subscriber_once() {
    let mut roster = room_of(&["PA_a", "PA_b", "PA_c"]);
    publish(&mut roster, "PA_a", "TR_1");
    assert_eq!(brief(&roster.event(started("PA_b.sub", "TR_1"))), ["PA_a: first TR_1", "PA_b: media"]);
    assert_eq!(brief(&roster.event(started("PA_c", "TR_1"))), ["PA_c: media"]);
}

#[test]
fn events_of_strangers_are_nobodys() {
    let mut roster = room_of(&["PA_a"]);
    assert!(roster.event(started("PA_x.sub", "TR_1")).is_empty());
}

#[test]
fn a_participant_is_as_well_off_as_its_worst_session() {
    let mut roster = room_of(&["PA_a", "PA_b", "PA_c"]);
    publish(&mut roster, "PA_a", "TR_1");
    roster.change("PA_c", Change::Choose { track_ids: vec!["TR_1".into()], subscribe: false });
    let mut event = |session: &str, quality: sfu::Quality| {
        let event = sfu::ConnectionQuality {
            session_id: session.into(),
            quality: quality.into(),
            ..Default::default()
        };
        brief(&roster.event(Kind::ConnectionQuality(event)))
    };
    let poor = ["PA_a: quality PA_a Poor", "PA_b: quality PA_a Poor"];
    assert_eq!(event("PA_a.pub", sfu::Quality::Poor), poor, "PA_c gets nothing of PA_a");
    assert_eq!(event("PA_a.sub", sfu::Quality::Excellent), poor);
}

#[test]
fn everybody_hears_who_speaks() {
    let mut roster = room_of(&["PA_a", "PA_b"]);
    let outbox = roster.event(Kind::SpeakersChanged(sfu::SpeakersChanged::default()));
    assert_eq!(brief(&outbox), ["PA_a: speaking", "PA_b: speaking"]);
}
