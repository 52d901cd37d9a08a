//! A small world around the switchboard: a clock, people with phones, and a watch over what must hold after each step.
#![allow(unreachable_pub, reason = "shared by the stories")]

mod watch;

use std::sync::Arc;

use sluice_calls::*;
pub use watch::Watch;

pub struct World {
    pub board: Switchboard,
    pub settings: Settings,
    pub now: Time,
    pub watch: Watch,
    /// Everything that devices were told, with the view that a `Changed` stands for.
    pub heard: Vec<Heard>,
    pub events: Vec<(CallId, EventKind)>,
    pub effects: Vec<Effect>,
    pub records: Vec<Arc<Record>>,
    names: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    pub at: Time,
    pub call: CallId,
    pub user: UserId,
    pub device: Option<DeviceId>,
    pub kind: NoticeKind,
    pub view: Option<CallView>,
}

impl World {
    pub fn new() -> Self {
        Self::with(Settings::default(), 7)
    }

    pub fn with(settings: Settings, seed: u64) -> Self {
        Self {
            board: Switchboard::new(settings.clone(), seed),
            settings,
            now: Time(1_000_000),
            watch: Watch::default(),
            heard: Vec::new(),
            events: Vec::new(),
            effects: Vec::new(),
            records: Vec::new(),
            names: 0,
        }
    }

    pub fn fresh_call(&mut self) -> CallId {
        self.names += 1;
        CallId::new(format!("CL_{:04}", self.names))
    }

    /// Asks without a request id.
    pub fn ask(&mut self, action: Action) -> Result<Outcome, Refusal> {
        self.send(Request { id: None, action })
    }

    pub fn ask_as(&mut self, id: &str, action: Action) -> Result<Outcome, Refusal> {
        self.send(Request { id: Some(RequestId::new(id)), action })
    }

    pub fn send(&mut self, request: Request) -> Result<Outcome, Refusal> {
        let before = self.fingerprint();
        let result = self.board.handle(self.now, request);
        match &result {
            Ok(outcome) => self.take(&outcome.transitions),
            Err(_) => assert_eq!(before, self.fingerprint(), "a refusal changes nothing"),
        }
        result
    }

    fn fingerprint(&self) -> Vec<(CallId, u64)> {
        self.board.calls(None).map(|call| (call.id.clone(), call.revision)).collect()
    }

    /// Lets time pass; every timer fires at its own moment.
    pub fn pass(&mut self, ms: u64) {
        let until = self.now.after_ms(ms);
        while let Some(due) = self.board.next_deadline().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.tick();
        }
        self.now = until;
    }

    /// Fires what is due now.
    pub fn tick(&mut self) {
        loop {
            let transitions = self.board.tick(self.now, 2);
            self.take(&transitions);
            if transitions.len() < 2 {
                return;
            }
        }
    }

    fn take(&mut self, transitions: &[Transition]) {
        for transition in transitions {
            self.watch.see(self.now, transition);
            for notice in &transition.notices {
                let device = notice.device.clone().unwrap_or_else(|| DeviceId::new("any"));
                let view = matches!(notice.kind, NoticeKind::Changed)
                    .then(|| transition.call.view(&notice.user, &device).expect("a change that may be seen"));
                self.heard.push(Heard {
                    at: self.now,
                    call: transition.call.id.clone(),
                    user: notice.user.clone(),
                    device: notice.device.clone(),
                    kind: notice.kind.clone(),
                    view,
                });
            }
            let id = &transition.call.id;
            self.events.extend(transition.events.iter().map(|event| (id.clone(), event.kind.clone())));
            self.effects.extend(transition.effects.iter().cloned());
            self.records.extend(transition.record.clone());
        }
    }

    /// Another owner takes every live call over from what is stored.
    pub fn restart(&mut self) {
        let mut board = Switchboard::new(self.settings.clone(), self.now.0);
        for call in self.board.calls(None) {
            let stored = serde_json::to_string(&**call).unwrap();
            let back: Call = serde_json::from_str(&stored).unwrap();
            assert_eq!(back, **call, "a stored call comes back as it was");
            board.restore(back);
        }
        self.board = board;
    }

    pub fn call(&self, id: &CallId) -> Arc<Call> {
        self.board.call(id).expect("the call is known").clone()
    }

    pub fn leg(&self, id: &CallId, user: &str) -> Leg {
        self.call(id).leg(&u(user)).expect("the user has a leg").clone()
    }

    pub fn view(&self, id: &CallId, user: &str) -> CallView {
        self.call(id).view(&u(user), &d("any")).expect("the user may see the call")
    }

    /// How `user` stands in the eyes of `viewer`.
    pub fn shown(&self, id: &CallId, viewer: &str, user: &str) -> Shown {
        let view = self.view(id, viewer);
        view.members.iter().find(|member| member.user == u(user)).expect("a member").state
    }

    pub fn record(&self, id: &CallId) -> Arc<Record> {
        let mut of_call = self.records.iter().filter(|record| record.call == *id);
        let record = of_call.next().expect("the call has a record").clone();
        assert!(of_call.next().is_none(), "one record a call");
        record
    }

    pub fn shown_in_list(&self, id: &CallId, user: &str) -> RecordOutcome {
        self.record(id).legs.iter().find(|leg| leg.user == u(user)).expect("a leg").shown
    }

    /// Why the call is over, as this user was told.
    pub fn over(&self, id: &CallId, user: &str) -> Option<ShownReason> {
        self.heard.iter().rev().find_map(|heard| match &heard.kind {
            NoticeKind::Over { reason, .. } if heard.call == *id && heard.user == u(user) => Some(*reason),
            _ => None,
        })
    }

    /// Devices of the user that ring now.
    pub fn ringing(&self, id: &CallId, user: &str) -> Vec<String> {
        let call = self.call(id);
        let Some(leg) = call.leg(&u(user)) else { return Vec::new() };
        let devices = leg.devices.iter().map(|device| &device.device);
        devices
            .filter(|device| call.ring(&u(user), device).is_some())
            .map(|device| device.to_string())
            .collect()
    }

    /// Why this device was silenced, last.
    pub fn stopped(&self, id: &CallId, user: &str, device: &str) -> Option<StopReason> {
        self.heard.iter().rev().find_map(|heard| match &heard.kind {
            NoticeKind::RingStopped(reason)
                if heard.call == *id && heard.user == u(user) && heard.device == Some(d(device)) =>
            {
                Some(*reason)
            }
            _ => None,
        })
    }

    pub fn pushes(&self, user: &str) -> Vec<Push> {
        let pushes = self.events.iter().filter_map(|(_, kind)| match kind {
            EventKind::Push(push) if push.user == u(user) => Some(push.clone()),
            _ => None,
        });
        pushes.collect()
    }

    pub fn happened(&self, kind: &EventKind) -> usize {
        self.events.iter().filter(|(_, known)| known == kind).count()
    }
}

/// Actions, short enough for stories. A device is `name/device`, e.g. `bob/phone`.
impl World {
    pub fn dial(&mut self, caller: &str, callee: Invitee) -> CallId {
        let create = self.direct(caller, callee);
        self.create(create)
    }

    pub fn direct(&mut self, caller: &str, callee: Invitee) -> Create {
        Create {
            call: self.fresh_call(),
            caller: p(caller),
            invitees: vec![callee],
            kind: CallKind::Direct,
            media: Media::Audio,
            conversation: None,
            ring_ms: None,
            silent: false,
            app_data: Vec::new(),
            limits: Limits::default(),
        }
    }

    pub fn group(&mut self, caller: &str, callees: Vec<Invitee>) -> Create {
        let mut create = self.direct(caller, rings("nobody"));
        create.kind = CallKind::Group;
        create.invitees = callees;
        create
    }

    pub fn create(&mut self, create: Create) -> CallId {
        self.ask(Action::Create(Box::new(create))).expect("created").answer.call.expect("a call").id.clone()
    }

    pub fn ack(&mut self, id: &CallId, who: &str) -> Result<Outcome, Refusal> {
        let party = p(who);
        self.ask(Action::Ack { call: id.clone(), user: party.user, device: party.device })
    }

    pub fn accept(&mut self, id: &CallId, who: &str) -> Result<Outcome, Refusal> {
        self.ask(Action::Accept { call: id.clone(), party: p(who), audio_only: false })
    }

    pub fn decline(&mut self, id: &CallId, who: &str) -> Result<Outcome, Refusal> {
        self.ask(Action::Decline { call: id.clone(), party: p(who) })
    }

    pub fn cancel(&mut self, id: &CallId, who: &str) -> Result<Outcome, Refusal> {
        self.ask(Action::Cancel { call: id.clone(), party: p(who) })
    }

    pub fn join(&mut self, id: &CallId, who: &str) -> Result<Outcome, Refusal> {
        self.ask(Action::Join { call: id.clone(), party: p(who), transfer: false })
    }

    pub fn transfer(&mut self, id: &CallId, who: &str) -> Result<Outcome, Refusal> {
        self.ask(Action::Transfer { call: id.clone(), party: p(who) })
    }

    pub fn leave(&mut self, id: &CallId, who: &str) -> Result<Outcome, Refusal> {
        self.ask(Action::Leave { call: id.clone(), party: p(who) })
    }

    pub fn invite(&mut self, id: &CallId, by: &str, callee: Invitee) -> Result<Outcome, Refusal> {
        self.ask(Action::Invite { call: id.clone(), by: u(by), invitees: vec![callee], ring_ms: None })
    }

    pub fn moderate(
        &mut self,
        id: &CallId,
        by: &str,
        target: &str,
        what: Moderation,
    ) -> Result<Outcome, Refusal> {
        self.ask(Action::Moderate { call: id.clone(), by: Some(u(by)), target: u(target), what })
    }

    pub fn media(&mut self, id: &CallId, user: &str, state: MediaState) {
        let identity = self.leg(id, user).seat.expect("a seat").identity;
        self.media_of(id, &identity, state);
    }

    pub fn media_of(&mut self, id: &CallId, identity: &str, state: MediaState) {
        self.ask(Action::Media { call: id.clone(), identity: identity.into(), state }).expect("taken in");
    }

    /// Two people talk.
    pub fn talk(&mut self, one: &str, other: &str) -> CallId {
        let (caller, callee) = (p(one), p(other));
        let id = self.dial(one, with_devices(rings(callee.user.as_str()), &[callee.device.as_str()]));
        self.ack(&id, other).unwrap();
        self.accept(&id, other).unwrap();
        self.media(&id, caller.user.as_str(), MediaState::Up);
        self.media(&id, callee.user.as_str(), MediaState::Up);
        id
    }
}

pub fn u(name: &str) -> UserId {
    UserId::new(name)
}

pub fn d(name: &str) -> DeviceId {
    DeviceId::new(name)
}

/// `name/device`
pub fn p(who: &str) -> Party {
    let (user, device) = who.split_once('/').unwrap_or((who, "phone"));
    Party { user: u(user), device: d(device), handle: format!("@{user}") }
}

/// Somebody whose phone has a socket and rings.
pub fn rings(user: &str) -> Invitee {
    let invitee = Invitee {
        user: u(user),
        handle: format!("@{user}"),
        verdict: Verdict::Ring,
        hide_busy: false,
        devices: Vec::new(),
        push: false,
    };
    with_devices(invitee, &["phone"])
}

pub fn verdict(user: &str, verdict: Verdict) -> Invitee {
    Invitee { verdict, ..rings(user) }
}

pub fn with_devices(invitee: Invitee, devices: &[&str]) -> Invitee {
    let offers =
        devices.iter().map(|name| DeviceOffer { device: d(name), call_waiting: false, connected: true });
    Invitee { devices: offers.collect(), ..invitee }
}

/// Can show a second call while one goes on.
pub fn with_waiting(invitee: Invitee, devices: &[&str]) -> Invitee {
    let mut invitee = with_devices(invitee, devices);
    invitee.devices.iter_mut().for_each(|offer| offer.call_waiting = true);
    invitee
}

/// Only a push reaches this person.
pub fn asleep(user: &str) -> Invitee {
    Invitee { push: true, devices: Vec::new(), ..rings(user) }
}

pub fn reason(result: Result<Outcome, Refusal>) -> Reason {
    result.expect_err("a refusal").reason
}
