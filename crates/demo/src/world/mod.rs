//! The product's own state: people and what they want of each other, threads, sessions. No IO, no clock, no randomness.
//!
//! Everything is bounded; what is full says so. Whoever changes the world says what changed, for the feeds.
pub(crate) mod live;
pub(crate) mod policy;
mod recent;
pub(crate) mod sample;
pub(crate) mod thread;
pub(crate) mod view;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use live::LiveCalls;
use recent::Recent;
use thread::Thread;

/// People, sample ones included.
const PEOPLE: usize = 1_000;
/// Blocks, contacts and follows of one person, each.
const RELATIONS: usize = 1_000;
/// Signed-in devices of everybody; the oldest gives way.
const SESSIONS: usize = 2_000;
/// Webhooks that are remembered, so that one that comes twice is done once. Sluice sends one again only until it has heard
/// that it came, so the latest are enough.
const HANDLED: usize = 4_096;
const HANDLE: std::ops::RangeInclusive<usize> = 2..=24;
const NAME: std::ops::RangeInclusive<usize> = 1..=40;

/// What others see of a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Person {
    pub(crate) id: String,
    /// With its `@`, in lower case.
    pub(crate) handle: String,
    pub(crate) name: String,
    pub(crate) about: String,
    /// 0 to 359: of the drawn avatar.
    pub(crate) hue: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum WhoMayCall {
    #[default]
    Everyone,
    Followed,
    Contacts,
    Nobody,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct CallSettings {
    pub(crate) who_may_call: WhoMayCall,
    /// Callers that are neither contacts nor followed do not ring.
    pub(crate) silence_unknown: bool,
    /// Callers see "no answer" instead of "busy" and "declined".
    pub(crate) hide_busy: bool,
    /// A second call rings softly while one goes on; otherwise its caller sees "busy".
    #[serde(default = "yes")]
    pub(crate) call_waiting: bool,
}

impl Default for CallSettings {
    fn default() -> Self {
        let who_may_call = WhoMayCall::default();
        Self { who_may_call, silence_unknown: false, hide_busy: false, call_waiting: yes() }
    }
}

fn yes() -> bool {
    true
}

/// What one person keeps about another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Blocked,
    Contact,
    Followed,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) person: Person,
    /// Offered on the sign-in screen.
    pub(crate) sample: bool,
    pub(crate) settings: CallSettings,
    pub(crate) blocked: BTreeSet<String>,
    pub(crate) contacts: BTreeSet<String>,
    pub(crate) followed: BTreeSet<String>,
}

impl Account {
    pub(crate) fn new(person: Person, sample: bool) -> Self {
        Self {
            person,
            sample,
            settings: CallSettings::default(),
            blocked: BTreeSet::new(),
            contacts: BTreeSet::new(),
            followed: BTreeSet::new(),
        }
    }
}

/// One signed-in device.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) person: String,
    pub(crate) device: String,
    since_ms: i64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct World {
    pub(crate) accounts: BTreeMap<String, Account>,
    pub(crate) threads: BTreeMap<String, Thread>,
    /// By the hash of the session's token: whoever reads the file cannot sign in with it.
    sessions: BTreeMap<String, Session>,
    /// Ids of webhooks.
    handled: Recent<HANDLED>,
    /// Sluice is asked for these at each start.
    #[serde(skip)]
    pub(crate) live: LiveCalls,
}

/// Who should be told of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// Thread, message: its members that may see it.
    Message(String, String),
    /// The thread's members.
    Thread(String),
    /// Thread, member: only this one.
    ThreadFor(String, String),
    /// The person's own.
    Settings(String),
    /// Everybody, of this person.
    Person(String),
    /// The first, of the second.
    Relation(String, String),
}

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum No {
    /// Field, and what it must be.
    #[error("{0}: {1}")]
    Invalid(&'static str, String),
    #[error("there is no such {0}")]
    Missing(&'static str),
    #[error("{0} is taken")]
    Taken(String),
    #[error("too many {0}: this demo takes {1}")]
    Full(&'static str, usize),
}

impl World {
    pub(crate) fn account(&self, person: &str) -> Result<&Account, No> {
        self.accounts.get(person).ok_or(No::Missing("person"))
    }

    fn account_mut(&mut self, person: &str) -> Result<&mut Account, No> {
        self.accounts.get_mut(person).ok_or(No::Missing("person"))
    }

    /// The person with this handle, its `@` being optional.
    pub(crate) fn by_handle(&self, handle: &str) -> Result<&Person, No> {
        let handle = valid_handle(handle)?;
        let mut people = self.accounts.values().map(|account| &account.person);
        people.find(|person| person.handle == handle).ok_or(No::Missing("person"))
    }

    /// A new person.
    pub(crate) fn register(
        &mut self,
        id: String,
        handle: &str,
        name: &str,
        changes: &mut Vec<Change>,
    ) -> Result<Person, No> {
        let handle = valid_handle(handle)?;
        let name = text("name", name, NAME)?;
        if self.by_handle(&handle).is_ok() {
            return Err(No::Taken(handle));
        }
        if self.accounts.len() >= PEOPLE {
            return Err(No::Full("people", PEOPLE));
        }
        // Any spread will do; the same handle gets the same colour anywhere.
        let hue = handle.bytes().fold(7_u32, |hue, byte| (hue * 31 + u32::from(byte)) % 360) as u16;
        let person = Person { id: id.clone(), handle, name, about: String::new(), hue };
        self.accounts.insert(id.clone(), Account::new(person.clone(), false));
        changes.push(Change::Person(id));
        Ok(person)
    }

    /// Remembers a session by the hash of its token.
    pub(crate) fn sign_in(&mut self, hash: String, person: &str, device: String, now_ms: i64) {
        if self.sessions.len() >= SESSIONS {
            let oldest = self.sessions.iter().min_by_key(|(_, session)| session.since_ms);
            if let Some(oldest) = oldest.map(|(hash, _)| hash.clone()) {
                self.sessions.remove(&oldest);
            }
        }
        self.sessions.insert(hash, Session { person: person.to_owned(), device, since_ms: now_ms });
    }

    pub(crate) fn session(&self, hash: &str) -> Option<&Session> {
        self.sessions.get(hash).filter(|session| self.accounts.contains_key(&session.person))
    }

    /// The devices that `person` is signed in on, the latest first.
    fn devices(&self, person: &str) -> Vec<&str> {
        let mut sessions: Vec<_> =
            self.sessions.values().filter(|session| session.person == person).collect();
        sessions.sort_by_key(|session| std::cmp::Reverse(session.since_ms));
        let mut devices: Vec<&str> = Vec::new();
        for session in sessions {
            if !devices.contains(&session.device.as_str()) {
                devices.push(&session.device);
            }
        }
        devices
    }

    pub(crate) fn sign_out(&mut self, hash: &str) {
        self.sessions.remove(hash);
    }

    /// Sets or ends a relation of `person` to `other`.
    pub(crate) fn relate(
        &mut self,
        person: &str,
        relation: Relation,
        other: &str,
        on: bool,
        changes: &mut Vec<Change>,
    ) -> Result<(), No> {
        self.account(other)?;
        if person == other {
            return Err(No::Invalid("id", "that is you".into()));
        }
        let account = self.account_mut(person)?;
        let list = match relation {
            Relation::Blocked => &mut account.blocked,
            Relation::Contact => &mut account.contacts,
            Relation::Followed => &mut account.followed,
        };
        if on && list.len() >= RELATIONS {
            return Err(No::Full("people in this list", RELATIONS));
        }
        let changed = if on { list.insert(other.to_owned()) } else { list.remove(other) };
        if changed {
            changes.push(Change::Relation(person.to_owned(), other.to_owned()));
        }
        Ok(())
    }

    pub(crate) fn set_settings(
        &mut self,
        person: &str,
        settings: CallSettings,
        changes: &mut Vec<Change>,
    ) -> Result<(), No> {
        self.account_mut(person)?.settings = settings;
        changes.push(Change::Settings(person.to_owned()));
        Ok(())
    }

    /// False if this webhook was handled before.
    pub(crate) fn is_first(&mut self, event_id: &str) -> bool {
        self.handled.insert(event_id)
    }
}

fn valid_handle(handle: &str) -> Result<String, No> {
    let bare = handle.trim().trim_start_matches('@').to_lowercase();
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'.';
    if !HANDLE.contains(&bare.len()) || !bare.bytes().all(plain) {
        let (least, most) = (HANDLE.start(), HANDLE.end());
        return Err(No::Invalid("handle", format!("{least} to {most} of a-z, 0-9, _ and .")));
    }
    Ok(format!("@{bare}"))
}

/// Trimmed text of so many characters, without control characters.
pub(crate) fn text(
    field: &'static str,
    text: &str,
    characters: std::ops::RangeInclusive<usize>,
) -> Result<String, No> {
    let text = text.trim();
    let forbidden = |character: char| character.is_control() && character != '\n' && character != '\t';
    if !characters.contains(&text.chars().count()) || text.chars().any(forbidden) {
        let (least, most) = (characters.start(), characters.end());
        return Err(No::Invalid(field, format!("{least} to {most} characters, no control characters")));
    }
    Ok(text.to_owned())
}
