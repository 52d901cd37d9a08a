//! Who listens for a session's keys.

use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use str0m::crypto::dtls::SrtpProfile;

/// What a handshake exports for SRTP (RFC 5764 section 4.2).
pub struct Keys {
    /// Client's key, server's key, client's salt, server's salt.
    pub material: Vec<u8>,
    /// The protection that was agreed on.
    pub profile: SrtpProfile,
    /// Whether this side was the DTLS client.
    pub active: bool,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the material.
        f.debug_struct("Keys").field("profile", &self.profile).field("active", &self.active).finish()
    }
}

/// Where one session's keys are found once its handshake is done.
#[derive(Clone, Default, Debug)]
pub struct Ear(Arc<Mutex<Option<Keys>>>);

impl Ear {
    /// The keys, once.
    #[must_use]
    pub fn take(&self) -> Option<Keys> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) fn hear(&self, keys: Keys) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(keys);
    }
}

thread_local! {
    /// str0m asks a provider that all sessions share for a handshake while it builds a session, on the thread that builds it.
    static LISTENS: RefCell<Option<Ear>> = const { RefCell::new(None) };
}

/// Runs `build`, which builds one session with [`provider`](crate::provider); its keys will come to the ear.
pub fn listening<T>(build: impl FnOnce() -> T) -> (T, Ear) {
    let ear = Ear::default();
    LISTENS.set(Some(ear.clone()));
    let built = build();
    LISTENS.set(None);
    (built, ear)
}

pub(crate) fn of_this_session() -> Option<Ear> {
    LISTENS.take()
}
