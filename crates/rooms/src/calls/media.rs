//! Between calls and their rooms: who may come in, what becomes of media, and what a call does to its room.
use std::time::Duration;

use axum::http::StatusCode;
use sluice_calls::{Action, Call, CallId, CallState, Effect, Leg, MediaState, Reason as Why, Request};
use tokio::sync::mpsc;

use super::access::sources;
use super::desk::{Desk, Trouble};
use crate::directory::Directory;
use crate::http::Refusal;
use crate::id::CALL_PREFIX;
use crate::model::Source;
use crate::room::{Command, News, Reason, Report};
use crate::token::Claims;

/// A client that says goodbye may be joining anew: some do so when they lost their media. Shorter would end calls by
/// mistake, longer would leave the other side waiting for one that is gone.
const GOODBYE: Duration = Duration::from_secs(2);
/// Before the desk is told again what it could not take.
const AGAIN: Duration = Duration::from_millis(50);

/// Lets those into a call's room whom the call gives a seat, with what the call lets them send. Other rooms are no
/// affair of ours.
///
/// # Errors
/// 403 with the reason; 503 while calls cannot be asked.
pub(crate) async fn admit(desk: Option<&Desk>, claims: &mut Claims) -> Result<(), Refusal> {
    let room = claims.video.room.clone();
    if claims.call.is_empty() && !room.starts_with(CALL_PREFIX) {
        return Ok(());
    }
    let forbidden = |text: &str| Err(Refusal::new(StatusCode::FORBIDDEN, text));
    if claims.call != room {
        return forbidden("the room is a call's: it takes a token that the calls API gave");
    }
    let Some(desk) = desk else { return forbidden("this server serves no calls") };
    let call = desk.call(&CallId::new(room)).await;
    let call = call.map_err(|trouble| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, trouble.to_string()))?;
    let Some(call) = call.filter(|call| call.state != CallState::Ended) else {
        return forbidden("the call has ended");
    };
    let Some(leg) = seated(&call, claims.identity()) else {
        return forbidden("the token is of a seat that the call gives to nobody any more");
    };
    let sources = sources(leg.video_allowed && !call.limits.no_video, !call.limits.no_screen_share);
    claims.video.can_publish_sources = sources.into_iter().map(String::from).collect();
    Ok(())
}

/// The leg that sits there; during a transfer the seat that is being left counts too.
fn seated<'a>(call: &'a Call, identity: &str) -> Option<&'a Leg> {
    call.legs.iter().filter(|leg| leg.state.is_in_call()).find(|leg| {
        leg.seat.as_ref().is_some_and(|seat| {
            seat.identity == identity || seat.replaces.as_ref().is_some_and(|old| old.identity == identity)
        })
    })
}

/// Does to rooms what calls want, in order.
pub(crate) async fn obey(directory: Directory, mut effects: mpsc::Receiver<(CallId, Effect)>) {
    while let Some((call, effect)) = effects.recv().await {
        tracing::debug!(%call, ?effect, "to the room");
        let command = match effect {
            Effect::CloseRoom => Command::Close,
            Effect::Remove { identity, moved } => {
                let reason = if moved { Reason::Moved } else { Reason::Removed };
                Command::Remove { identity, reason }
            }
            Effect::Mute { identity } => Command::Mute { identity },
            Effect::Permit { identity, video, screen_share } => {
                Command::Permit { identity, sources: numbers(video, screen_share) }
            }
        };
        // A room that is not there needs nothing done.
        directory.command(call.as_str(), command).await;
    }
}

fn numbers(video: bool, screen_share: bool) -> Vec<i32> {
    let mut numbers = vec![Source::Microphone.into()];
    if video {
        numbers.push(Source::Camera.into());
    }
    if screen_share {
        numbers.extend([i32::from(Source::ScreenShare), i32::from(Source::ScreenShareAudio)]);
    }
    numbers
}

/// Tells the desk what becomes of media in calls' rooms.
pub(crate) async fn follow(desk: Desk, directory: Directory, mut reports: mpsc::Receiver<Report>) {
    while let Some(report) = reports.recv().await {
        if !report.room.starts_with(CALL_PREFIX) {
            continue;
        }
        match report.news {
            News::Up => tell(&desk, &directory, report, MediaState::Up).await,
            News::Lost => tell(&desk, &directory, report, MediaState::Lost).await,
            News::Left => {
                let (desk, directory) = (desk.clone(), directory.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(GOODBYE).await;
                    let there = directory.who(&report.room).await;
                    if !there.iter().any(|(identity, _)| *identity == report.identity) {
                        tell(&desk, &directory, report, MediaState::Left).await;
                    }
                });
            }
        }
    }
}

/// In the order of the reports; what comes of it is seen to elsewhere.
async fn tell(desk: &Desk, directory: &Directory, report: Report, state: MediaState) {
    let call = CallId::new(report.room.as_str());
    let action = || Action::Media { call: call.clone(), identity: report.identity.clone(), state };
    let answer = loop {
        match desk.post_ask(Request { id: None, action: action() }) {
            Ok(answer) => break answer,
            Err(Trouble::Overloaded) => tokio::time::sleep(AGAIN).await,
            Err(_) => return,
        }
    };
    let directory = directory.clone();
    tokio::spawn(async move {
        let Ok(Err(Trouble::Refused(refusal))) = answer.await else { return };
        if state != MediaState::Up {
            return;
        }
        // Somebody came in just when the call or the seat ended.
        let command = match refusal.reason {
            Why::UnknownCall | Why::CallEnded => Command::Close,
            _ => Command::Remove { identity: report.identity.clone(), reason: Reason::Removed },
        };
        tracing::info!(room = report.room, identity = report.identity, %refusal, "not in the call any more");
        directory.command(&report.room, command).await;
    });
}

/// After a start: brings calls and rooms together. Rooms are recovered, calls are loaded.
pub(crate) async fn reconcile(desk: &Desk, directory: &Directory) {
    let Ok(calls) = desk.look(|board| board.calls(None).cloned().collect::<Vec<_>>()).await else { return };
    for call in &calls {
        let there = directory.who(call.id.as_str()).await;
        for leg in call.legs.iter().filter(|leg| leg.state.is_in_call()) {
            let Some(seat) = &leg.seat else { continue };
            let found = there.iter().find(|(identity, _)| *identity == seat.identity);
            let state = match found {
                Some((_, true)) => MediaState::Up,
                None if leg.state == sluice_calls::LegState::Joined => MediaState::Lost,
                _ => continue,
            };
            let action = Action::Media { call: call.id.clone(), identity: seat.identity.clone(), state };
            if let Err(trouble) = desk.ask(Request { id: None, action }).await {
                tracing::warn!(call = %call.id, user = %leg.user, %trouble, "a leg is not brought together with its room");
            }
        }
        for (identity, _) in there.iter().filter(|(identity, _)| seated(call, identity).is_none()) {
            let command = Command::Remove { identity: identity.clone(), reason: Reason::Removed };
            directory.command(call.id.as_str(), command).await;
        }
    }
    let live = |name: &str| calls.iter().any(|call| call.id.as_str() == name);
    for name in directory.names().into_iter().filter(|name| name.starts_with(CALL_PREFIX)) {
        // It may be one of a moment ago.
        let fresh = desk.call(&CallId::new(name.as_str())).await.ok().flatten();
        if !live(&name) && fresh.is_none_or(|call| call.state == CallState::Ended) {
            tracing::info!(room = name, "the room of a call that has ended");
            directory.command(&name, Command::Close).await;
        }
    }
}
