//! Whom Sluice may ring: the answers to its permission hook, from this product's own settings and block lists.
use sluice_api::calls::v1::{
    AuthorizeCallRequest, AuthorizeCallResponse, CalleeDevice, CalleeVerdict, Verdict,
};

use super::thread::Thread;
use super::{Account, WhoMayCall, World};

/// Devices named for one person: as many as Sluice rings.
const DEVICES: usize = 16;

impl World {
    /// `person` has blocked `other`.
    pub(crate) fn blocks(&self, person: &str, other: &str) -> bool {
        self.accounts.get(person).is_some_and(|account| account.blocked.contains(other))
    }

    /// One verdict per callee. Nothing is to be cached: a block counts from the next call on.
    pub(crate) fn authorize(&self, question: &AuthorizeCallRequest) -> AuthorizeCallResponse {
        let caller = question.caller.as_ref().map_or("", |party| party.user_id.as_str());
        let thread = self.threads.get(&question.conversation_id);
        let room = match (&*question.conversation_id, thread) {
            // Whoever is in a call may bring others, from anywhere; Sluice has checked that they are in it.
            _ if !question.call_id.is_empty() => Room::Open,
            ("", _) => Room::Open,
            (_, Some(thread)) if thread.has(caller) => Room::Members(thread),
            _ => Room::Shut,
        };
        let verdict = |callee: &String| CalleeVerdict {
            user_id: callee.clone(),
            verdict: self.verdict(caller, callee, &room).into(),
            handle: self.accounts.get(callee).map(|it| it.person.handle.clone()).unwrap_or_default(),
            hide_busy: self.accounts.get(callee).is_some_and(|it| it.settings.hide_busy),
            devices: self.ringing_devices(callee),
        };
        AuthorizeCallResponse {
            callees: question.callee_user_ids.iter().map(verdict).collect(),
            limits: None,
            ttl_s: 0,
        }
    }

    /// Which devices ring; none named: all that are connected. Without call waiting they are named, because a device that
    /// announced it when it connected would otherwise keep it.
    fn ringing_devices(&self, person: &str) -> Vec<CalleeDevice> {
        match self.accounts.get(person) {
            Some(account) if !account.settings.call_waiting => {
                let devices = self.devices(person).into_iter().take(DEVICES);
                devices
                    .map(|device| CalleeDevice { device_id: device.to_owned(), call_waiting: false })
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    fn verdict(&self, caller: &str, callee: &str, room: &Room<'_>) -> Verdict {
        let (Some(from), Some(to)) = (self.accounts.get(caller), self.accounts.get(callee)) else {
            return Verdict::Deny;
        };
        // What the caller did wrong comes first: it tells them nothing about the callee.
        if caller == callee || !room.admits(callee) || from.blocked.contains(callee) {
            return Verdict::Deny;
        }
        if to.blocked.contains(caller) {
            return Verdict::DenyHidden;
        }
        if !may_call(to, caller) {
            return Verdict::Deny;
        }
        if to.settings.silence_unknown && !knows(to, caller) {
            return Verdict::Silent;
        }
        Verdict::Ring
    }
}

/// Who may be called, as far as the conversation goes.
enum Room<'a> {
    Open,
    Members(&'a Thread),
    /// The caller does not belong to it, or it does not exist.
    Shut,
}

impl Room<'_> {
    fn admits(&self, callee: &str) -> bool {
        match self {
            Self::Open => true,
            Self::Members(thread) => thread.has(callee),
            Self::Shut => false,
        }
    }
}

fn may_call(to: &Account, caller: &str) -> bool {
    match to.settings.who_may_call {
        WhoMayCall::Everyone => true,
        WhoMayCall::Followed => to.followed.contains(caller),
        WhoMayCall::Contacts => to.contacts.contains(caller),
        WhoMayCall::Nobody => false,
    }
}

fn knows(to: &Account, caller: &str) -> bool {
    to.contacts.contains(caller) || to.followed.contains(caller)
}

#[cfg(test)]
mod tests {
    use super::super::{Relation, sample};
    use super::*;
    use sluice_api::calls::v1::Party;

    type Set = fn(&mut World);

    fn ask(world: &World, caller: &str, callee: &str, conversation: &str, call: &str) -> Verdict {
        let question = AuthorizeCallRequest {
            caller: Some(Party { user_id: caller.into(), ..Party::default() }),
            callee_user_ids: vec![callee.into()],
            conversation_id: conversation.into(),
            call_id: call.into(),
            ..AuthorizeCallRequest::default()
        };
        world.authorize(&question).callees[0].verdict()
    }

    fn relate(world: &mut World, one: &str, relation: Relation, other: &str) {
        world.relate(one, relation, other, true, &mut Vec::new()).unwrap();
    }

    /// Tomas knows nobody, and nobody knows him.
    fn world() -> World {
        let mut world = sample::world(0);
        for account in world.accounts.values_mut() {
            account.contacts.clear();
            account.followed.clear();
        }
        world
    }

    fn who(world: &mut World, who_may_call: WhoMayCall) {
        world.accounts.get_mut("asha").unwrap().settings.who_may_call = who_may_call;
    }

    #[test]
    fn the_table_of_verdicts() {
        let table: &[(&str, Set, Verdict)] = &[
            ("nothing set", |_| {}, Verdict::Ring),
            ("blocked", |world| relate(world, "asha", Relation::Blocked, "tomas"), Verdict::DenyHidden),
            (
                "a contact that was blocked",
                |world| {
                    relate(world, "asha", Relation::Contact, "tomas");
                    relate(world, "asha", Relation::Blocked, "tomas");
                    who(world, WhoMayCall::Nobody);
                },
                Verdict::DenyHidden,
            ),
            (
                "the caller blocked the callee",
                |world| relate(world, "tomas", Relation::Blocked, "asha"),
                Verdict::Deny,
            ),
            ("nobody", |world| who(world, WhoMayCall::Nobody), Verdict::Deny),
            ("contacts, a stranger", |world| who(world, WhoMayCall::Contacts), Verdict::Deny),
            (
                "contacts, a followed one",
                |world| {
                    who(world, WhoMayCall::Contacts);
                    relate(world, "asha", Relation::Followed, "tomas");
                },
                Verdict::Deny,
            ),
            (
                "contacts, a contact",
                |world| {
                    who(world, WhoMayCall::Contacts);
                    relate(world, "asha", Relation::Contact, "tomas");
                },
                Verdict::Ring,
            ),
            (
                "contacts, only the caller's side has one",
                |world| {
                    who(world, WhoMayCall::Contacts);
                    relate(world, "tomas", Relation::Contact, "asha");
                },
                Verdict::Deny,
            ),
            (
                "followed, a followed one",
                |world| {
                    who(world, WhoMayCall::Followed);
                    relate(world, "asha", Relation::Followed, "tomas");
                },
                Verdict::Ring,
            ),
            (
                "followed, a follower",
                |world| {
                    who(world, WhoMayCall::Followed);
                    relate(world, "tomas", Relation::Followed, "asha");
                },
                Verdict::Deny,
            ),
            (
                "followed, a contact",
                |world| {
                    who(world, WhoMayCall::Followed);
                    relate(world, "asha", Relation::Contact, "tomas");
                },
                Verdict::Deny,
            ),
            (
                "silence unknown, a stranger",
                |world| world.accounts.get_mut("asha").unwrap().settings.silence_unknown = true,
                Verdict::Silent,
            ),
            (
                "silence unknown, a contact",
                |world| {
                    world.accounts.get_mut("asha").unwrap().settings.silence_unknown = true;
                    relate(world, "asha", Relation::Contact, "tomas");
                },
                Verdict::Ring,
            ),
        ];
        for (case, set, expected) in table {
            let mut world = world();
            set(&mut world);
            assert_eq!(ask(&world, "tomas", "asha", "", ""), *expected, "{case}");
        }
    }

    #[test]
    fn only_members_call_in_a_conversation() {
        let mut world = world();
        let trip = world.open_group("trip".into(), "asha", &["ravi".into()], "Trip", 0, &mut vec![]).unwrap();
        assert_eq!(ask(&world, "asha", "ravi", &trip, ""), Verdict::Ring);
        assert_eq!(ask(&world, "tomas", "ravi", &trip, ""), Verdict::Deny, "the caller is no member");
        assert_eq!(ask(&world, "asha", "tomas", &trip, ""), Verdict::Deny, "the callee is no member");
        assert_eq!(ask(&world, "asha", "ravi", "nowhere", ""), Verdict::Deny, "there is no such thread");
        assert_eq!(ask(&world, "asha", "tomas", &trip, "CL_1"), Verdict::Ring, "brought into a call");
    }

    #[test]
    fn strangers_to_the_product_and_oneself_are_denied() {
        let world = world();
        assert_eq!(ask(&world, "asha", "nobody", "", ""), Verdict::Deny);
        assert_eq!(ask(&world, "nobody", "asha", "", ""), Verdict::Deny);
        assert_eq!(ask(&world, "asha", "asha", "", ""), Verdict::Deny);
        let empty = world.authorize(&AuthorizeCallRequest::default());
        assert!(empty.callees.is_empty());
    }
}
