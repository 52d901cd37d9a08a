//! Random interleavings of everything: people, devices, hostile nonsense, time, media, new owners.
use std::collections::BTreeSet;

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sluice_calls::*;

use crate::world::*;

const USERS: [&str; 4] = ["ann", "ben", "cyd", "dan"];
const DEVICES: [&str; 3] = ["phone", "laptop", "clock"];

/// A step: what, and four dice for whatever it needs.
type Step = (u8, [u8; 4]);

struct Walk {
    w: World,
    calls: Vec<CallId>,
    requests: u64,
}

impl Walk {
    fn new(seed: u64) -> Self {
        let settings =
            Settings { max_participants: 3, max_calls_per_user: 4, max_requests: 8, ..Settings::default() };
        Self { w: World::with(settings, seed), calls: vec![CallId::new("CL_none")], requests: 0 }
    }

    fn user(dice: u8) -> UserId {
        u(USERS[dice as usize % USERS.len()])
    }

    fn party(dice: u8) -> Party {
        let device = d(DEVICES[dice as usize / 8 % DEVICES.len()]);
        Party { user: Self::user(dice), device, handle: "@name".into() }
    }

    /// Mostly a call of late.
    fn call(&self, dice: u8) -> CallId {
        let back = dice as usize % 4;
        self.calls[self.calls.len().saturating_sub(1 + back)].clone()
    }

    fn invitee(dice: u8, luck: u8) -> Invitee {
        let devices = DEVICES.iter().enumerate().filter(|(n, _)| luck >> n & 1 == 1);
        let offer = |(n, name): (usize, &&str)| DeviceOffer {
            device: d(name),
            call_waiting: n == 1,
            connected: luck & 8 == 0,
        };
        let verdict = match luck >> 4 & 7 {
            0 => Verdict::Silent,
            1 => Verdict::Deny,
            2 | 3 => Verdict::DenyHidden,
            _ => Verdict::Ring,
        };
        Invitee {
            user: Self::user(dice),
            handle: "@name".into(),
            verdict,
            hide_busy: luck & 128 != 0,
            devices: devices.map(offer).collect(),
            push: luck & 1 == 0,
        }
    }

    fn invitees(dice: u8, luck: u8) -> Vec<Invitee> {
        let one = Self::invitee(dice, luck);
        let other = Self::invitee(dice.wrapping_add(1), luck.rotate_left(3));
        if luck & 4 == 0 { vec![one, other] } else { vec![one] }
    }

    fn create(&mut self, [a, b, c, e]: [u8; 4]) -> Action {
        let kind = if c & 1 == 0 { CallKind::Direct } else { CallKind::Group };
        let mut invitees = vec![Self::invitee(b, e)];
        if kind == CallKind::Group {
            invitees.push(Self::invitee(b.wrapping_add(1), e.rotate_left(3)));
        }
        Action::Create(Box::new(Create {
            call: self.w.fresh_call(),
            caller: Self::party(a),
            invitees,
            kind,
            media: if c & 2 == 0 { Media::Audio } else { Media::Video },
            conversation: (c & 12 == 0).then(|| ConversationId::new("chat")),
            ring_ms: (c & 16 == 0).then_some(20_000),
            silent: c & 0xe0 == 0,
            app_data: vec![c],
            limits: Limits::default(),
        }))
    }

    fn link(&mut self, [a, b, c, _]: [u8; 4]) -> Action {
        Action::JoinLink(Box::new(LinkEntry {
            call: self.w.fresh_call(),
            link: LinkId::new("link"),
            creator: u("ann"),
            lobby: b & 1 == 0,
            media: Media::Audio,
            conversation: None,
            limits: Limits::default(),
            party: Self::party(a),
            transfer: c & 1 == 0,
        }))
    }

    /// Somebody's seat, of now or of an earlier time.
    fn media(&self, [a, b, c, _]: [u8; 4]) -> Action {
        let call = self.call(a);
        let seats = self.w.board.call(&call).map_or(1, |call| call.seats + 1);
        let user = Self::user(b);
        let leg = self.w.board.call(&call).and_then(|call| call.leg(&user)).and_then(|leg| leg.seat.clone());
        let identity = match leg {
            Some(seat) if c & 4 == 0 => seat.identity,
            Some(SeatTaken { replaces: Some(old), .. }) => old.identity,
            _ => format!("{user}#{}", u32::from(c) % seats),
        };
        let state = [MediaState::Up, MediaState::Up, MediaState::Lost, MediaState::Left][c as usize % 4];
        Action::Media { call, identity, state }
    }

    fn action(&mut self, what: u8, dice: [u8; 4]) -> Action {
        let [a, b, c, e] = dice;
        let call = self.call(a);
        let (user, party, yes) = (Self::user(b), Self::party(b), c & 1 == 0);
        match what {
            0..=3 => self.create(dice),
            4 => self.link(dice),
            5 | 6 => Action::Ack { call, user, device: party.device },
            7..=10 => Action::Accept { call, party, audio_only: yes },
            11 => Action::Decline { call, party },
            12 => Action::Cancel { call, party },
            13 | 14 => Action::Join { call, party, transfer: yes },
            15 => Action::Leave { call, party },
            16 => Action::End { call, by: (c & 2 == 0).then_some(user), reason: EndReason::EndedByServer },
            17 | 18 => Action::Invite { call, by: user, invitees: Self::invitees(c, e), ring_ms: None },
            19 => Action::CancelInvite { call, by: user, callee: Self::user(c) },
            20 => Action::RequestUpgrade { call, user },
            21 => Action::RespondUpgrade { call, user, accept: yes },
            22 => Action::Hold { call, user, on_hold: yes },
            23 => Action::Transfer { call, party },
            24 => {
                let what = match e % 4 {
                    0 => Moderation::Remove,
                    1 => Moderation::Host(yes),
                    2 => Moderation::Mute,
                    _ => Moderation::AllowVideo(yes),
                };
                Action::Moderate { call, by: (e & 4 == 0).then_some(user), target: Self::user(c), what }
            }
            25 => Action::Admit { call, by: user, waiting: Self::user(c), admit: yes },
            26 => Action::Rate { call, user, stars: c % 8 },
            27 => Action::DeviceAppeared { user, device: party.device, call_waiting: yes },
            28 => Action::DeviceVanished { user, device: party.device },
            29 => Action::Quality { call, identity: format!("{user}#1"), quality: Quality::default() },
            _ => self.media(dice),
        }
    }

    /// Turns nonsense into something that makes sense for a live call.
    fn aim(&self, action: &mut Action, luck: usize) {
        let live: Vec<_> = self.w.board.calls(None).collect();
        let Some(target) = live.get(luck % live.len().max(1)) else { return };
        let who = |wanted: &dyn Fn(&Leg) -> bool| {
            let users: Vec<_> =
                target.legs.iter().filter(|leg| wanted(leg)).map(|leg| leg.user.clone()).collect();
            users.get(luck / 4 % users.len().max(1)).cloned()
        };
        let ringing = || who(&|leg| leg.rings());
        let inside = || who(&|leg| leg.state.is_in_call());
        let (call, user, found) = match action {
            Action::Ack { call, user, .. } => (call, user, ringing()),
            Action::Accept { call, party, .. } => (call, &mut party.user, ringing()),
            Action::Decline { call, party } => (call, &mut party.user, ringing()),
            Action::Transfer { call, party } => (call, &mut party.user, inside()),
            Action::Invite { call, by, .. } => (call, by, inside()),
            Action::RequestUpgrade { call, user } => (call, user, inside()),
            Action::RespondUpgrade { call, user, .. } => {
                let asker = target.upgrade.as_ref().map(|upgrade| &upgrade.by);
                (call, user, who(&|leg| leg.state.is_in_call() && asker.is_some_and(|by| *by != leg.user)))
            }
            Action::Admit { call, by, waiting, .. } => {
                *by = who(&|leg| leg.host).unwrap_or_else(|| by.clone());
                (call, waiting, who(&|leg| leg.state == LegState::Lobby))
            }
            Action::Media { call, identity, .. } => {
                let seat = inside().and_then(|user| target.leg(&user)?.seat.clone());
                *identity = seat.map_or_else(|| identity.clone(), |seat| seat.identity);
                *call = target.id.clone();
                return;
            }
            _ => return,
        };
        if let Some(found) = found {
            (*call, *user) = (target.id.clone(), found);
        }
    }

    fn step(&mut self, (what, dice): Step) {
        match what {
            40..=45 => self.w.pass(u64::from(dice[0]) * 20),
            46..=48 => self.w.pass(u64::from(dice[0]) * 400),
            49 => {
                // Late: the deadline is there, the timer has not fired.
                let due = self.w.board.next_deadline().unwrap_or(self.w.now);
                self.w.now = self.w.now.max(due);
            }
            50 => self.w.restart(),
            _ => self.act(what, dice),
        }
        self.check();
    }

    fn act(&mut self, what: u8, dice: [u8; 4]) {
        let mut action = self.action(what, dice);
        if dice[3] & 1 == 0 {
            self.aim(&mut action, dice[0] as usize);
        }
        // A third of all requests carry an id, and some of those an old one.
        let id = (dice[3].is_multiple_of(3)).then(|| {
            self.requests += 1;
            let n = if dice[2].is_multiple_of(8) { self.requests / 2 } else { self.requests };
            RequestId::new(format!("r{n}"))
        });
        let expected = self.expected(&action);
        let request = Request { id, action };
        let now = self.w.now;
        let result = self.w.send(request.clone());
        if let Some(reason) = expected {
            let refused = result
                .as_ref()
                .is_err_and(|refusal| refusal.reason == reason || refusal.reason == Reason::RequestIdReused);
            let replayed = result.as_ref().is_ok_and(|outcome| outcome.transitions.is_empty());
            assert!(refused || replayed, "{request:?} at {now:?}: {reason:?} expected, not {result:?}");
        }
        let Ok(outcome) = result else { return };
        if let Some(call) = &outcome.answer.call {
            if !self.calls.contains(&call.id) {
                self.calls.push(call.id.clone());
            }
            // The same again gets the same answer, and changes nothing.
            if request.id.is_some() && call.requests.iter().any(|done| Some(&done.id) == request.id.as_ref())
            {
                let again = self.w.send(request.clone()).expect("done before");
                assert!(again.transitions.is_empty(), "{request:?}");
                assert_eq!(again.answer.call.unwrap().id, call.id);
                assert_eq!(again.answer.seat, outcome.answer.seat);
                assert_eq!(again.answer.merged, outcome.answer.merged);
            }
        }
    }

    /// What certainly is refused, and how: those who must not know, and those who come too late.
    fn expected(&self, action: &Action) -> Option<Reason> {
        let (call, user) = match action {
            Action::Ack { call, user, .. }
            | Action::Hold { call, user, .. }
            | Action::RequestUpgrade { call, user }
            | Action::Rate { call, user, .. }
            | Action::Invite { call, by: user, .. } => (call, user),
            Action::Accept { call, party, .. }
            | Action::Decline { call, party }
            | Action::Cancel { call, party }
            | Action::Join { call, party, .. }
            | Action::Leave { call, party }
            | Action::Transfer { call, party } => (call, &party.user),
            _ => return None,
        };
        let call = self.w.board.call(call)?;
        let leg = call.leg(user)?;
        let late = leg.rings() && leg.ring_deadline.is_some_and(|deadline| deadline <= self.w.now);
        match action {
            _ if leg.is_hidden() => Some(Reason::UnknownUser),
            Action::Accept { .. } | Action::Decline { .. } | Action::Ack { .. } if late => {
                Some(Reason::RingOver)
            }
            _ => None,
        }
    }

    fn check(&self) {
        self.check_glare();
        self.check_indexes();
    }

    /// Nobody rings at each other: one of two crossing calls is an accept of the other.
    fn check_glare(&self) {
        let live: Vec<_> = self.w.board.calls(None).collect();
        let rings = |call: &Call| {
            let callee = call.legs.iter().find(|leg| leg.user != call.creator)?;
            let pair = call.kind == CallKind::Direct && call.conversation.is_none();
            let in_time = callee.ring_deadline.is_some_and(|deadline| self.w.now < deadline);
            (pair && call.state == CallState::Ringing && callee.rings() && in_time)
                .then(|| (call.creator.clone(), callee.user.clone()))
        };
        let pairs: Vec<_> = live.iter().filter_map(|call| rings(call)).collect();
        for (caller, callee) in &pairs {
            assert!(
                !pairs.contains(&(callee.clone(), caller.clone())),
                "{caller} and {callee} ring at each other"
            );
        }
    }

    /// A new owner who knows nothing but the stored calls finds the same.
    fn check_indexes(&self) {
        let board = &self.w.board;
        let mut other = Switchboard::new(self.w.settings.clone(), 1);
        for call in self.w.watch.calls().filter(|call| board.call(&call.id).is_some()) {
            other.restore(Call::clone(call));
        }
        assert_eq!(board.next_deadline(), other.next_deadline());
        let ids = |board: &Switchboard| board.calls(None).map(|call| call.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(board), ids(&other));
        for user in USERS.map(u) {
            let ids = |board: &Switchboard| {
                let mut ids: Vec<_> = board.calls_of(&user).map(|call| call.id.clone()).collect();
                ids.sort();
                ids
            };
            assert_eq!(ids(board), ids(&other));
            let naive = board.calls(None).filter(|call| call.leg(&user).is_some_and(|leg| !leg.is_hidden()));
            assert_eq!(ids(board).len(), naive.count());
        }
        let chat = ConversationId::new("chat");
        assert_eq!(board.call_in(&chat).is_some(), other.call_in(&chat).is_some());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_rules_hold(
        seed in any::<u64>(),
        steps in prop::collection::vec((0u8..51, any::<[u8; 4]>()), 1..150),
    ) {
        let mut walk = Walk::new(seed);
        for step in steps {
            walk.step(step);
        }
        walk.w.pass(25 * 3_600_000);
        walk.w.watch.all_over();
        prop_assert_eq!(walk.w.board.next_deadline(), None);
    }
}

/// The same story in two worlds: in one bob ignores the call, in the other he has blocked the caller. Whatever else happens,
/// nobody but bob can tell them apart.
struct Twins {
    real: World,
    blocked: World,
    call: CallId,
}

impl Twins {
    fn new(seed: u64, verdict: Verdict, bob: &Invitee, group: bool) -> Self {
        let world = || World::with(Settings::default(), seed);
        let mut twins = Self { real: world(), blocked: world(), call: CallId::new("CL_0001") };
        let callees = |verdict| {
            let mut callees = vec![Invitee { verdict, ..bob.clone() }];
            callees.extend(group.then(|| rings("cyd")));
            callees
        };
        for (world, verdict) in [(&mut twins.real, Verdict::Ring), (&mut twins.blocked, verdict)] {
            let mut create = world.group("ann", callees(verdict));
            create.kind = if group { CallKind::Group } else { CallKind::Direct };
            world.create(create);
        }
        twins
    }

    /// Time passes in both; bob's phone acknowledges when the disguise says so.
    fn pass(&mut self, ms: u64) {
        let until = self.real.now.after_ms(ms);
        loop {
            let due = [&self.real, &self.blocked].map(|world| world.board.next_deadline());
            let Some(due) = due.into_iter().flatten().min().filter(|due| *due <= until) else { break };
            let blocked = self.blocked.board.call(&self.call);
            let pretend = blocked.and_then(|call| call.leg(&u("bob"))?.inner.pretend_ringing_at);
            for world in [&mut self.real, &mut self.blocked] {
                world.now = world.now.max(due);
                world.tick();
            }
            if pretend == Some(due) {
                self.real.ack(&self.call, "bob").expect("the real one rings");
            }
        }
        self.real.now = until;
        self.blocked.now = until;
    }

    fn step(&mut self, (what, [a, b, c, _]): Step, verdict: Verdict, bob: &Invitee) {
        if what < 8 {
            return self.pass(u64::from(a) * [1, 20, 100, 300][what as usize % 4]);
        }
        let call = self.call.clone();
        let who = ["ann", "cyd", "dan"][b as usize % 3];
        let yes = c & 1 == 0;
        let world = |world: &mut World, verdict: Verdict| {
            let bob = Invitee { verdict, ..bob.clone() };
            let call = call.clone();
            let result = match what {
                8 => world.cancel(&call, who),
                9 => world.leave(&call, who),
                10 => world.accept(&call, who),
                11 => world.decline(&call, who),
                12 => world.invite(&call, who, bob),
                13 => world.invite(&call, who, rings("dan")),
                14 => world.ask(Action::CancelInvite { call, by: u(who), callee: u("bob") }),
                15 => {
                    world.moderate(&call, who, "bob", if yes { Moderation::Remove } else { Moderation::Mute })
                }
                16 => world.ask(Action::RequestUpgrade { call, user: u(who) }),
                17 => world.ask(Action::Hold { call, user: u(who), on_hold: yes }),
                18 => {
                    let create = world.direct(who, Invitee { devices: Vec::new(), ..bob });
                    let create = Create {
                        caller: p(&format!("{who}/{}", ["phone", "laptop"][c as usize % 2])),
                        ..create
                    };
                    // A second call to bob would need a disguise of its own: only what merges is compared.
                    let known = world.board.calls(None).any(|call| {
                        call.kind == CallKind::Direct
                            && call.creator == u(who)
                            && call.leg(&u("bob")).is_some()
                    });
                    if known { world.ask(Action::Create(Box::new(create))) } else { return None }
                }
                // A hidden "busy" has a disguise of its own, unless bob's phone was seen to ring before.
                19 if bob.hide_busy
                    && !world.call(&call).leg(&u("bob")).is_some_and(|leg| leg.inner.shown_ringing) =>
                {
                    return None;
                }
                19 => {
                    // Bob talks to somebody else meanwhile.
                    let other = world.dial("eve", rings("bob"));
                    let _ = world.accept(&other, "bob");
                    world.leave(&other, "eve")
                }
                20 => world.ask(Action::End { call, by: Some(u(who)), reason: EndReason::Completed }),
                21 => {
                    let seat = world.call(&call).leg(&u(who)).and_then(|leg| leg.seat.clone());
                    let identity = seat.map_or(String::new(), |seat| seat.identity);
                    let state = [MediaState::Up, MediaState::Lost][usize::from(!yes)];
                    world.ask(Action::Media { call, identity, state })
                }
                _ => world.transfer(&call, &format!("{who}/laptop")),
            };
            Some(result.map(|outcome| (outcome.answer.seat, outcome.answer.merged)))
        };
        let real = world(&mut self.real, Verdict::Ring);
        let blocked = world(&mut self.blocked, verdict);
        assert_eq!(real, blocked, "both are answered alike");
    }

    /// All that anybody but bob has heard.
    fn compare(&self) {
        let heard = |world: &World| -> Vec<Heard> {
            world
                .heard
                .iter()
                .filter(|heard| heard.user != u("bob") && heard.call == self.call)
                .cloned()
                .collect()
        };
        assert_eq!(heard(&self.real), heard(&self.blocked));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn nobody_can_tell_blocked_from_ignored(
        seed in any::<u64>(),
        (silent, group, sleeps, waits, hides) in any::<(bool, bool, bool, bool, bool)>(),
        steps in prop::collection::vec((0u8..23, any::<[u8; 4]>()), 1..30),
    ) {
        let verdict = if silent { Verdict::Silent } else { Verdict::DenyHidden };
        let bob = match (sleeps, waits) {
            (true, _) => asleep("bob"),
            (_, true) => with_waiting(rings("bob"), &["phone"]),
            _ => rings("bob"),
        };
        let bob = Invitee { hide_busy: hides, ..bob };
        let mut twins = Twins::new(seed, verdict, &bob, group);
        for step in steps {
            let over = twins.real.board.call(&twins.call).is_none_or(|call| call.state == CallState::Ended);
            if over {
                break;
            }
            twins.step(step, verdict, &bob);
            twins.compare();
        }
        twins.pass(50_000);
        twins.compare();
    }
}

/// The walks above prove nothing of what they never reach.
#[test]
fn walks_go_everywhere() {
    let mut rng = StdRng::seed_from_u64(11);
    let mut seen = BTreeSet::new();
    for seed in 0..400 {
        let mut walk = Walk::new(seed);
        for _ in 0..120 {
            let [what, _, _, _, a, b, c, d] = rng.next_u64().to_le_bytes();
            walk.step((what % 51, [a, b, c, d]));
        }
        walk.w.pass(25 * 3_600_000);
        seen.extend(walk.w.events.iter().map(|(_, kind)| word(kind)));
        seen.extend(walk.w.effects.iter().map(word));
        for call in walk.w.watch.calls() {
            seen.insert(word(&call.end_reason.unwrap()));
            seen.extend(call.legs.iter().map(|leg| word(&leg.state)));
            seen.extend(call.legs.iter().filter_map(|leg| leg.inner.mask.as_ref().map(word)));
        }
    }
    let all = "CallCreated CallRinging CallAnswered CallEnded CallMigrated UpgradeRequested UpgradeAccepted UpgradeDeclined \
        LegInvited LegRinging LegAccepted LegDeclined LegBusy LegMissed LegCancelled LegJoined LegReconnecting LegLeft \
        LegFailed LegChanged RingStopped LobbyWaiting LobbyAdmitted LobbyRefused QualityReport RecordReady Push CloseRoom \
        Remove Mute Permit Completed Cancelled Declined Busy NoAnswer Unreachable Suppressed DeniedHidden ConnectFailed \
        ConnectionLost Removed EndedByHost EndedByServer Missed Left Failed CannotCall";
    let missing: Vec<&str> = all.split_whitespace().filter(|word| !seen.contains(*word)).collect();
    assert!(missing.is_empty(), "never reached: {missing:?}");
}

/// The name of a variant.
fn word(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").chars().take_while(|letter| letter.is_alphanumeric()).collect()
}
