//! The built-in policy: what each user lets others do, from the documents that the product's backend puts.
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use moka::ops::compute::Op;
use moka::sync::Cache;
use sluice_api::calls::v1 as api;
use sluice_calls::{UserId, Verdict};

use super::settings::{BuiltInSettings, Who};
use super::stored;
use crate::calls::desk::Trouble;
use crate::store::{Revision, Store, StoreError};

/// Users in each list of a policy.
const MOST_LISTED: usize = 10_000;
/// Characters of a user id.
const LONGEST_ID: usize = 128;
/// A policy is read anew after this, for stores that several processes write.
const FRESH: Duration = Duration::from_secs(30);
/// Writers of one user's policy at the same time: each loses at most once to each other one.
const ATTEMPTS: usize = 8;
/// Bytes that a policy takes besides its lists.
const FIXED_BYTES: usize = 256;

/// One user's policy in the form in which it decides.
#[derive(Debug)]
struct Policy {
    /// None: there is no document.
    revision: Option<Revision>,
    who: Who,
    silence_unknown: bool,
    hide_busy: bool,
    blocked: Listed,
    contacts: Listed,
    followed: Listed,
}

/// Sorted.
#[derive(Debug, Default)]
struct Listed(Box<[Box<str>]>);

impl Listed {
    fn new(users: Vec<String>) -> Self {
        let mut users: Vec<Box<str>> = users.into_iter().map(String::into_boxed_str).collect();
        users.sort_unstable();
        users.dedup();
        Self(users.into_boxed_slice())
    }

    fn contains(&self, user: &UserId) -> bool {
        self.0.binary_search_by(|listed| (**listed).cmp(user.as_str())).is_ok()
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(|user| user.len() + size_of::<Box<str>>() + 16).sum()
    }
}

impl Policy {
    fn verdict(&self, caller: &UserId) -> Verdict {
        let (contact, followed) = (self.contacts.contains(caller), self.followed.contains(caller));
        let may_call = match self.who {
            Who::Everyone => true,
            Who::Followed => followed,
            Who::Contacts => contact,
            Who::Nobody => false,
        };
        if self.blocked.contains(caller) {
            Verdict::DenyHidden
        } else if !may_call {
            Verdict::Deny
        } else if self.silence_unknown && !contact && !followed {
            Verdict::Silent
        } else {
            Verdict::Ring
        }
    }

    fn bytes(&self) -> u32 {
        let bytes = FIXED_BYTES + self.blocked.bytes() + self.contacts.bytes() + self.followed.bytes();
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}

/// What the callee's side says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) verdict: Verdict,
    pub(super) hide_busy: bool,
}

/// The policies of all users. Clones share them.
#[derive(Clone)]
pub(crate) struct Policies {
    store: Arc<dyn Store>,
    unknown: Who,
    cache: Cache<UserId, Arc<Policy>>,
}

fn key(user: &str) -> String {
    format!("calls/policy/{user}")
}

impl Policies {
    pub(super) fn new(settings: &BuiltInSettings, store: Arc<dyn Store>) -> Self {
        let cache = Cache::builder()
            .max_capacity(settings.cache_bytes)
            .weigher(|_, policy: &Arc<Policy>| policy.bytes())
            .time_to_live(FRESH)
            .build();
        Self { store, unknown: settings.who_may_call, cache }
    }

    pub(super) async fn ask(&self, caller: &UserId, callee: &UserId) -> Result<Said, Trouble> {
        let policy = match self.cache.get(callee) {
            Some(policy) => policy,
            None => {
                let policy = match self.read(callee.as_str()).await? {
                    Some((policy, revision)) => self.compile(policy, revision),
                    None => self.absent(),
                };
                self.keep(callee, policy)
            }
        };
        Ok(Said { verdict: policy.verdict(caller), hide_busy: policy.hide_busy })
    }

    /// Replaces what is known of a user; the next call is judged by it.
    ///
    /// # Errors
    /// `Trouble::Invalid` names the field.
    pub(crate) async fn put(&self, policy: api::UserPolicy) -> Result<(), Trouble> {
        check(&policy)?;
        let user = UserId::new(policy.user_id.as_str());
        let encoded = serde_json::to_vec(&policy);
        let value = Bytes::from(encoded.map_err(|error| stored(StoreError::Unavailable(error.to_string())))?);
        let key = key(&policy.user_id);
        for _ in 0..ATTEMPTS {
            let expected = self.store.get(&key).await.map_err(stored)?.map(|document| document.revision);
            match self.store.put(&key, value.clone(), expected).await {
                Ok(revision) => {
                    self.keep(&user, self.compile(policy, revision));
                    return Ok(());
                }
                Err(StoreError::Conflict(_)) => {}
                Err(error) => return Err(stored(error)),
            }
        }
        Err(stored(StoreError::Unavailable(format!("the policy of {user} is written by too many at once"))))
    }

    /// What was put of a user, if anything.
    pub(crate) async fn get(&self, user: &UserId) -> Result<Option<api::UserPolicy>, Trouble> {
        Ok(self.read(user.as_str()).await?.map(|(policy, _)| policy))
    }

    async fn read(&self, user: &str) -> Result<Option<(api::UserPolicy, Revision)>, Trouble> {
        let key = key(user);
        let Some(document) = self.store.get(&key).await.map_err(stored)? else { return Ok(None) };
        let policy = serde_json::from_slice(&document.value).map_err(|error| {
            stored(StoreError::Unavailable(format!("the document {key} cannot be read: {error}")))
        })?;
        Ok(Some((policy, document.revision)))
    }

    /// Keeps the newer one: a reader that was overtaken by a writer must not bring an old block list back.
    fn keep(&self, user: &UserId, policy: Policy) -> Arc<Policy> {
        let policy = Arc::new(policy);
        let kept = self.cache.entry_by_ref(user).and_compute_with(|present| match present {
            Some(present) if present.value().revision > policy.revision => Op::Nop,
            _ => Op::Put(policy.clone()),
        });
        kept.into_entry().map_or(policy, |entry| entry.into_value())
    }

    fn compile(&self, policy: api::UserPolicy, revision: Revision) -> Policy {
        let who = match policy.who_may_call() {
            api::WhoMayCall::Unspecified => self.unknown,
            api::WhoMayCall::Everyone => Who::Everyone,
            api::WhoMayCall::Followed => Who::Followed,
            api::WhoMayCall::Contacts => Who::Contacts,
            api::WhoMayCall::Nobody => Who::Nobody,
        };
        Policy {
            revision: Some(revision),
            who,
            silence_unknown: policy.silence_unknown,
            hide_busy: policy.hide_busy,
            blocked: Listed::new(policy.blocked_user_ids),
            contacts: Listed::new(policy.contact_user_ids),
            followed: Listed::new(policy.followed_user_ids),
        }
    }

    fn absent(&self) -> Policy {
        Policy {
            revision: None,
            who: self.unknown,
            silence_unknown: false,
            hide_busy: false,
            blocked: Listed::default(),
            contacts: Listed::default(),
            followed: Listed::default(),
        }
    }
}

pub(super) fn is_id(text: &str) -> bool {
    (1..=LONGEST_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
}

fn check(policy: &api::UserPolicy) -> Result<(), Trouble> {
    let invalid = |field, text: String| Err(Trouble::Invalid { field, text });
    if !is_id(&policy.user_id) {
        let text = "must be 1 to 128 characters of printable ASCII without spaces and slashes";
        return invalid("policy.user_id", text.into());
    }
    if api::WhoMayCall::try_from(policy.who_may_call).is_err() {
        return invalid(
            "policy.who_may_call",
            format!("{} is not a value of WhoMayCall", policy.who_may_call),
        );
    }
    for (field, users) in [
        ("policy.blocked_user_ids", &policy.blocked_user_ids),
        ("policy.contact_user_ids", &policy.contact_user_ids),
        ("policy.followed_user_ids", &policy.followed_user_ids),
    ] {
        if users.len() > MOST_LISTED {
            return invalid(field, format!("holds {} users, at most {MOST_LISTED} are allowed", users.len()));
        }
        if let Some(place) = users.iter().position(|user| !is_id(user)) {
            return invalid(field, format!("number {} is not a user id", place + 1));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
