//! Links, with and without a lobby.
use sluice_calls::*;

use crate::world::*;

fn entry(w: &mut World, who: &str, lobby: bool) -> Action {
    Action::JoinLink(Box::new(LinkEntry {
        call: w.fresh_call(),
        link: LinkId::new("link"),
        creator: u("host"),
        lobby,
        media: Media::Video,
        conversation: None,
        limits: Limits::default(),
        party: p(who),
        transfer: false,
    }))
}

fn come(w: &mut World, who: &str, lobby: bool) -> Result<Outcome, Refusal> {
    let action = entry(w, who, lobby);
    w.ask(action)
}

fn admit(w: &mut World, id: &CallId, by: &str, waiting: &str, admit: bool) -> Result<Outcome, Refusal> {
    w.ask(Action::Admit { call: id.clone(), by: u(by), waiting: u(waiting), admit })
}

#[test]
fn a_link_opens_a_call() {
    let mut w = World::new();
    let first = come(&mut w, "guest", false).unwrap().answer;
    let id = first.call.unwrap().id.clone();
    assert!(first.seat.unwrap().video);
    assert_eq!(w.call(&id).state, CallState::Open);
    let second = come(&mut w, "other", false).unwrap().answer;
    assert_eq!(second.call.unwrap().id, id);
    assert_eq!(w.call(&id).state, CallState::Active);
    come(&mut w, "host", false).unwrap();
    assert!(w.leg(&id, "host").host && !w.leg(&id, "guest").host);
    for user in ["guest", "other", "host"] {
        w.leave(&id, user).unwrap();
    }
    w.pass(20_000);
    assert_eq!(w.record(&id).link, Some(LinkId::new("link")));
    let again = come(&mut w, "guest", false).unwrap().answer.call.unwrap();
    assert_ne!(again.id, id, "a link outlives its calls");
}

#[test]
fn guests_wait_for_a_host() {
    let mut w = World::new();
    let waiting = come(&mut w, "guest", true).unwrap().answer;
    let id = waiting.call.unwrap().id.clone();
    assert!(waiting.seat.is_none());
    let view = w.view(&id, "guest");
    assert!(view.in_lobby && view.members.iter().all(|member| member.user == u("guest")));
    w.pass(300_000);
    assert!(come(&mut w, "host", true).unwrap().answer.seat.is_some());
    assert_eq!(w.shown(&id, "host", "guest"), Shown::InLobby);
    assert!(w.view(&id, "guest").members.len() == 1, "who waits sees nobody inside");
    assert_eq!(reason(admit(&mut w, &id, "guest", "guest", true)), Reason::NotAllowed);
    admit(&mut w, &id, "host", "guest", true).unwrap();
    assert_eq!(reason(admit(&mut w, &id, "host", "guest", true)), Reason::NotWaiting);
    assert_eq!(w.leg(&id, "guest").seat.unwrap().identity, "guest#2");
    assert_eq!(come(&mut w, "guest", true).unwrap().answer.seat.unwrap().identity, "guest#2");
    assert_eq!(w.call(&id).state, CallState::Active);
}

#[test]
fn a_guest_is_turned_away() {
    let mut w = World::new();
    come(&mut w, "host", true).unwrap();
    let id = come(&mut w, "guest", true).unwrap().answer.call.unwrap().id.clone();
    admit(&mut w, &id, "host", "guest", false).unwrap();
    assert_eq!(w.over(&id, "guest"), Some(ShownReason::Ended));
    assert_eq!(w.happened(&EventKind::LobbyRefused(u("guest"))), 1);
    assert_eq!(reason(come(&mut w, "guest", true)), Reason::NotAllowed);
    w.leave(&id, "host").unwrap();
    w.pass(20_000);
    assert_eq!(w.shown_in_list(&id, "guest"), RecordOutcome::Nothing);
}

#[test]
fn a_guest_loses_patience() {
    let mut w = World::new();
    let id = come(&mut w, "guest", true).unwrap().answer.call.unwrap().id.clone();
    w.leave(&id, "guest").unwrap();
    w.pass(600_000);
    assert_eq!(w.record(&id).end_reason, EndReason::Cancelled);

    let id = come(&mut w, "guest", true).unwrap().answer.call.unwrap().id.clone();
    w.ask(Action::DeviceVanished { user: u("guest"), device: d("phone") }).unwrap();
    assert_eq!(w.leg(&id, "guest").state, LegState::Left);
}

#[test]
fn no_host_ever_comes() {
    let mut w = World::new();
    let id = come(&mut w, "guest", true).unwrap().answer.call.unwrap().id.clone();
    w.pass(600_000);
    assert_eq!(w.call(&id).state, CallState::Ended);
    assert_eq!(w.over(&id, "guest"), Some(ShownReason::Cancelled));
}

#[test]
fn whoever_was_inside_comes_back_without_waiting() {
    let mut w = World::new();
    come(&mut w, "host", true).unwrap();
    let id = come(&mut w, "guest", true).unwrap().answer.call.unwrap().id.clone();
    admit(&mut w, &id, "host", "guest", true).unwrap();
    w.leave(&id, "guest").unwrap();
    assert!(come(&mut w, "guest", true).unwrap().answer.seat.is_some());
    w.moderate(&id, "host", "guest", Moderation::Remove).unwrap();
    assert_eq!(reason(come(&mut w, "guest", true)), Reason::NotAllowed);
}

#[test]
fn coming_with_a_second_device() {
    let mut w = World::new();
    let id = come(&mut w, "guest", false).unwrap().answer.call.unwrap().id.clone();
    w.media(&id, "guest", MediaState::Up);
    assert_eq!(reason(come(&mut w, "guest/laptop", false)), Reason::InAnotherCall);
    let Action::JoinLink(mut entry) = entry(&mut w, "guest/laptop", false) else { unreachable!() };
    entry.transfer = true;
    assert_eq!(w.ask(Action::JoinLink(entry)).unwrap().answer.seat.unwrap().identity, "guest#2");
}
