//! Who may ring whom: the product's permission hook, or the built-in policy; and rate limits.
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use sluice_calls::{
    CallId, CallKind, ConversationId, DeviceOffer, Invitee, Limits, Media, Party, Reason, Refusal, Time,
    UserId, Verdict,
};

use super::convert::limits;
use super::desk::Trouble;
use super::hub::Hub;
use super::unusable::Unusable;
use crate::store::{Store, StoreError};

mod builtin;
mod cache;
mod hook;
mod rates;
mod seen;
pub(crate) mod settings;

pub(crate) use builtin::Policies;
use settings::PermissionSettings;

/// What is asked.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) caller: Party,
    pub(crate) callees: Vec<(UserId, String)>,
    pub(crate) conversation: Option<ConversationId>,
    pub(crate) media: Media,
    pub(crate) kind: CallKind,
    /// Set when people are invited into a call that goes on.
    pub(crate) call: Option<CallId>,
}

/// What the callees' side says, one invitee per callee, in order.
#[derive(Debug, Clone)]
pub(crate) struct Permission {
    pub(crate) invitees: Vec<Invitee>,
    pub(crate) limits: Limits,
}

/// Which devices of a user have a socket now.
pub(crate) trait Presence: Send + Sync {
    /// All of them.
    fn devices(&self, user: &UserId) -> Vec<DeviceOffer>;
}

impl Presence for Hub {
    fn devices(&self, user: &UserId) -> Vec<DeviceOffer> {
        Hub::devices(self, user)
    }
}

type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

/// Clones share it.
#[derive(Clone)]
pub(crate) struct Authority {
    parts: Arc<Parts>,
}

struct Parts {
    hook: Option<hook::Hook>,
    policies: Policies,
    rates: rates::Rates,
    seen: seen::FirstSeen,
    presence: Arc<dyn Presence>,
    clock: Clock,
}

impl Authority {
    /// Within a tokio runtime. Nothing is connected yet.
    ///
    /// # Errors
    /// Names the setting that is unusable.
    pub(crate) fn new(
        settings: &PermissionSettings,
        store: Arc<dyn Store>,
        presence: Arc<dyn Presence>,
    ) -> Result<Self, Unusable> {
        Self::with_clock(settings, store, presence, Arc::new(wall_clock))
    }

    fn with_clock(
        settings: &PermissionSettings,
        store: Arc<dyn Store>,
        presence: Arc<dyn Presence>,
        clock: Clock,
    ) -> Result<Self, Unusable> {
        let parts = Parts {
            hook: hook::Hook::new(&settings.hook)?,
            policies: Policies::new(&settings.built_in, store.clone()),
            rates: rates::Rates::new(settings.rates.clone()),
            seen: seen::FirstSeen::new(store, settings.rates.counted),
            presence,
            clock,
        };
        Ok(Self { parts: Arc::new(parts) })
    }

    /// Rate limits first, then the hook or the built-in policy.
    ///
    /// # Errors
    /// `RateLimited`; `Refused` with `CannotCall` if the hook failed and nobody may be rung without it; `Store`.
    pub(crate) async fn authorize(&self, question: Question) -> Result<Permission, Trouble> {
        let parts = &*self.parts;
        let caller = &question.caller.user;
        let now = (parts.clock)();
        let first_seen = match parts.rates.wants_age() {
            true => parts.seen.of(now, caller).await.map_err(stored)?,
            false => Time::default(),
        };
        parts.rates.take(now, caller, first_seen, &question.callees)?;
        match &parts.hook {
            Some(hook) => self.ask_hook(hook, question).await,
            None => self.ask_policies(question).await,
        }
    }

    /// `callee` has accepted a call of `caller`: redials between them are counted anew.
    pub(crate) fn answered(&self, caller: &UserId, callee: &UserId) {
        self.parts.rates.answered(caller, callee);
    }

    /// What the product's backend put of its users, for the built-in policy.
    pub(crate) fn policies(&self) -> &Policies {
        &self.parts.policies
    }

    async fn ask_hook(&self, hook: &hook::Hook, question: Question) -> Result<Permission, Trouble> {
        let said = hook.decide(&question, &self.parts.clock).await;
        // Whoever was decided about may be rung, or must look like it: only a call about which nothing is known fails.
        if !said.is_empty() && said.iter().all(Option::is_none) {
            metrics::counter!("sluice_calls_hook_refused_total").increment(1);
            let text = "the permission hook gave no usable answer: try again later";
            return Err(Refusal::new(Reason::CannotCall, text).into());
        }
        let mut limits = Limits::default();
        let mut invitees = Vec::with_capacity(said.len());
        for ((user, handle), said) in question.callees.into_iter().zip(said) {
            let Some(said) = said else {
                let verdict = Verdict::Deny;
                invitees.push(Invitee {
                    user,
                    handle,
                    verdict,
                    hide_busy: false,
                    devices: vec![],
                    push: false,
                });
                continue;
            };
            limits = limits::stricter(&limits, &said.limits);
            let connected = self.parts.presence.devices(&user);
            let (devices, push) = offers(connected, &said.devices);
            let handle = if said.handle.is_empty() { handle } else { said.handle.clone() };
            let (verdict, hide_busy) = (said.verdict, said.hide_busy);
            invitees.push(Invitee { user, handle, verdict, hide_busy, devices, push });
        }
        Ok(Permission { invitees, limits })
    }

    async fn ask_policies(&self, question: Question) -> Result<Permission, Trouble> {
        let mut invitees = Vec::with_capacity(question.callees.len());
        for (user, handle) in question.callees {
            let said = self.parts.policies.ask(&question.caller.user, &user).await?;
            let devices = self.parts.presence.devices(&user);
            let builtin::Said { verdict, hide_busy } = said;
            invitees.push(Invitee { user, handle, verdict, hide_busy, devices, push: true });
        }
        Ok(Permission { invitees, limits: Limits::default() })
    }
}

/// The devices to ring, and whether others may be woken: the same whatever the verdict, because a call that does not ring
/// must take as long to "ring" as one that does.
fn offers(
    connected: Vec<DeviceOffer>,
    listed: &[sluice_api::calls::v1::CalleeDevice],
) -> (Vec<DeviceOffer>, bool) {
    if listed.is_empty() {
        return (connected, true);
    }
    let here = |id: &str| connected.iter().any(|offer| offer.device.as_str() == id);
    let offer = |device: &sluice_api::calls::v1::CalleeDevice| DeviceOffer {
        device: sluice_calls::DeviceId::new(device.device_id.as_str()),
        call_waiting: device.call_waiting,
        connected: here(&device.device_id),
    };
    let offers: Vec<DeviceOffer> = listed.iter().map(offer).collect();
    let push = offers.iter().any(|offer| !offer.connected);
    (offers, push)
}

fn stored(error: StoreError) -> Trouble {
    Trouble::Store(Arc::new(error))
}

pub(super) fn wall_clock() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(since.as_millis().try_into().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
