//! People: who they are, what one keeps about them, and who may call.
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;

use super::{Body, Me, Query, Refusal, answer, bearer, me as who};
use crate::app::App;
use crate::world::{CallSettings, No, Person, Relation, view};

/// People in one answer.
const FOUND: usize = 50;

type Done = Result<StatusCode, Refusal>;

#[derive(Deserialize)]
pub(super) struct Search {
    sample: Option<String>,
    query: Option<String>,
}

/// The sample people need no session: they stand on the sign-in screen.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Query(search): Query<Search>,
) -> Result<Response, Refusal> {
    if search.sample.is_some() {
        let world = app.world();
        let sample = world.accounts.values().filter(|account| account.sample);
        return answer(&sample.map(|account| &account.person).collect::<Vec<_>>());
    }
    let me = who(&app, bearer(&headers).unwrap_or_default())?;
    let query = search.query.unwrap_or_default().trim().to_lowercase();
    let world = app.world();
    let fits = |person: &&Person| {
        person.id != me.id && (person.handle.contains(&query) || person.name.to_lowercase().contains(&query))
    };
    let people = world.accounts.values().map(|account| &account.person);
    answer(&people.filter(fits).take(FOUND).collect::<Vec<_>>())
}

pub(super) async fn me(State(app): State<Arc<App>>, me: Me) -> Result<Response, Refusal> {
    answer(&app.world().account(&me.id)?.person)
}

pub(super) async fn one(
    State(app): State<Arc<App>>,
    me: Me,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let world = app.world();
    answer(&view::profile(&world, &me.id, &id).ok_or(No::Missing("person"))?)
}

fn relate(app: &App, me: &Me, relation: Relation, other: &str, on: bool) -> Done {
    app.change(|world, changes| world.relate(&me.id, relation, other, on, changes))?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn block(State(app): State<Arc<App>>, me: Me, Path(id): Path<String>) -> Done {
    relate(&app, &me, Relation::Blocked, &id, true)
}

pub(super) async fn unblock(State(app): State<Arc<App>>, me: Me, Path(id): Path<String>) -> Done {
    relate(&app, &me, Relation::Blocked, &id, false)
}

pub(super) async fn add_contact(State(app): State<Arc<App>>, me: Me, Path(id): Path<String>) -> Done {
    relate(&app, &me, Relation::Contact, &id, true)
}

pub(super) async fn remove_contact(State(app): State<Arc<App>>, me: Me, Path(id): Path<String>) -> Done {
    relate(&app, &me, Relation::Contact, &id, false)
}

pub(super) async fn follow(State(app): State<Arc<App>>, me: Me, Path(id): Path<String>) -> Done {
    relate(&app, &me, Relation::Followed, &id, true)
}

pub(super) async fn unfollow(State(app): State<Arc<App>>, me: Me, Path(id): Path<String>) -> Done {
    relate(&app, &me, Relation::Followed, &id, false)
}

pub(super) async fn settings(State(app): State<Arc<App>>, me: Me) -> Result<Response, Refusal> {
    answer(&app.world().account(&me.id)?.settings)
}

pub(super) async fn set_settings(
    State(app): State<Arc<App>>,
    me: Me,
    Body(settings): Body<CallSettings>,
) -> Result<Response, Refusal> {
    app.change(|world, changes| world.set_settings(&me.id, settings, changes))?;
    answer(&settings)
}
