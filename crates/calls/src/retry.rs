//! Which request is the same one again: by whom, and a fingerprint of what it asks.
use std::hash::{Hash, Hasher};

use crate::id::{CallId, UserId};
use crate::request::{Action, Create, LinkEntry, Party};

/// FNV-1a: stored with calls, so it must be the same in each build; not against forgery.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl Action {
    /// Who asks; `None`: the backend, or the world.
    pub(crate) fn by(&self) -> Option<&UserId> {
        match self {
            Self::Create(create) => Some(&create.caller.user),
            Self::JoinLink(entry) => Some(&entry.party.user),
            Self::Accept { party, .. }
            | Self::Decline { party, .. }
            | Self::Cancel { party, .. }
            | Self::Join { party, .. }
            | Self::Leave { party, .. }
            | Self::Transfer { party, .. } => Some(&party.user),
            Self::Ack { user, .. }
            | Self::RequestUpgrade { user, .. }
            | Self::RespondUpgrade { user, .. }
            | Self::Hold { user, .. }
            | Self::Rate { user, .. } => Some(user),
            Self::Invite { by, .. } | Self::CancelInvite { by, .. } | Self::Admit { by, .. } => Some(by),
            Self::End { by, .. } | Self::Moderate { by, .. } => by.as_ref(),
            Self::DeviceAppeared { .. }
            | Self::DeviceVanished { .. }
            | Self::Media { .. }
            | Self::Quality { .. } => None,
        }
    }

    /// The device that asks for a seat, if the answer may hold one.
    pub(crate) fn wants_seat(&self) -> Option<&Party> {
        match self {
            Self::Create(create) => Some(&create.caller),
            Self::JoinLink(entry) => Some(&entry.party),
            Self::Accept { party, .. } | Self::Join { party, .. } | Self::Transfer { party, .. } => {
                Some(party)
            }
            _ => None,
        }
    }

    /// The same for a retry, and hardly ever the same for something else. What the driver adds by itself (fresh call ids,
    /// verdicts, devices) is left out: it may differ from one try to the next.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut fnv = Fnv(0xcbf2_9ce4_8422_2325);
        self.name().hash(&mut fnv);
        self.call().hash(&mut fnv);
        match self {
            Self::Create(create) => hash_create(create, &mut fnv),
            Self::JoinLink(entry) => hash_entry(entry, &mut fnv),
            Self::Accept { party, audio_only: flag, .. } | Self::Join { party, transfer: flag, .. } => {
                (&party.user, &party.device, flag).hash(&mut fnv);
            }
            Self::Decline { party, .. }
            | Self::Cancel { party, .. }
            | Self::Leave { party, .. }
            | Self::Transfer { party, .. } => (&party.user, &party.device).hash(&mut fnv),
            Self::Ack { user, device, .. } => (user, device).hash(&mut fnv),
            Self::End { by, .. } => by.hash(&mut fnv),
            Self::Invite { by, invitees, ring_ms, .. } => {
                (by, ring_ms).hash(&mut fnv);
                invitees.iter().for_each(|invitee| invitee.user.hash(&mut fnv));
            }
            Self::CancelInvite { by, callee, .. } => (by, callee).hash(&mut fnv),
            Self::RequestUpgrade { user, .. } => user.hash(&mut fnv),
            Self::RespondUpgrade { user, accept: yes, .. } | Self::Hold { user, on_hold: yes, .. } => {
                (user, yes).hash(&mut fnv);
            }
            Self::Moderate { by, target, what, .. } => (by, target, what).hash(&mut fnv),
            Self::Admit { by, waiting, admit, .. } => (by, waiting, admit).hash(&mut fnv),
            Self::Rate { user, stars, .. } => (user, stars).hash(&mut fnv),
            Self::DeviceAppeared { user, device, .. } | Self::DeviceVanished { user, device } => {
                (user, device).hash(&mut fnv);
            }
            Self::Media { identity, .. } | Self::Quality { identity, .. } => identity.hash(&mut fnv),
        }
        fnv.finish()
    }

    /// Names stay what they are when actions are added.
    fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Ack { .. } => "ack",
            Self::Accept { .. } => "accept",
            Self::Decline { .. } => "decline",
            Self::Cancel { .. } => "cancel",
            Self::Join { .. } => "join",
            Self::JoinLink(_) => "join link",
            Self::Leave { .. } => "leave",
            Self::End { .. } => "end",
            Self::Invite { .. } => "invite",
            Self::CancelInvite { .. } => "cancel invite",
            Self::RequestUpgrade { .. } => "request upgrade",
            Self::RespondUpgrade { .. } => "respond upgrade",
            Self::Hold { .. } => "hold",
            Self::Transfer { .. } => "transfer",
            Self::Moderate { .. } => "moderate",
            Self::Admit { .. } => "admit",
            Self::Rate { .. } => "rate",
            Self::DeviceAppeared { .. } => "device appeared",
            Self::DeviceVanished { .. } => "device vanished",
            Self::Media { .. } => "media",
            Self::Quality { .. } => "quality",
        }
    }

    /// The call that it names.
    pub(crate) fn call(&self) -> Option<&CallId> {
        match self {
            Self::Create(_)
            | Self::JoinLink(_)
            | Self::DeviceAppeared { .. }
            | Self::DeviceVanished { .. } => None,
            Self::Ack { call, .. }
            | Self::Accept { call, .. }
            | Self::Decline { call, .. }
            | Self::Cancel { call, .. }
            | Self::Join { call, .. }
            | Self::Leave { call, .. }
            | Self::End { call, .. }
            | Self::Invite { call, .. }
            | Self::CancelInvite { call, .. }
            | Self::RequestUpgrade { call, .. }
            | Self::RespondUpgrade { call, .. }
            | Self::Hold { call, .. }
            | Self::Transfer { call, .. }
            | Self::Moderate { call, .. }
            | Self::Admit { call, .. }
            | Self::Rate { call, .. }
            | Self::Media { call, .. }
            | Self::Quality { call, .. } => Some(call),
        }
    }
}

fn hash_create(create: &Create, fnv: &mut Fnv) {
    (&create.caller.user, &create.caller.device, &create.conversation).hash(fnv);
    create.invitees.iter().for_each(|invitee| invitee.user.hash(fnv));
    (create.kind, create.media, create.ring_ms, create.silent, &create.app_data).hash(fnv);
}

fn hash_entry(entry: &LinkEntry, fnv: &mut Fnv) {
    (&entry.party.user, &entry.party.device, &entry.link, entry.transfer).hash(fnv);
}
