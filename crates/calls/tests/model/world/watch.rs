//! What must hold after each transition, whatever happened: written from the model's tables, not from its code.
use std::collections::BTreeMap;
use std::sync::Arc;

use sluice_calls::*;

#[derive(Default)]
pub struct Watch {
    last: BTreeMap<CallId, Arc<Call>>,
    views: BTreeMap<(CallId, UserId), CallView>,
    pub records: BTreeMap<CallId, Arc<Record>>,
    pub ended: usize,
}

impl Watch {
    pub fn see(&mut self, now: Time, transition: &Transition) {
        let call = &transition.call;
        let before = self.last.insert(call.id.clone(), call.clone());
        let revision = before.as_ref().map_or(0, |before| before.revision);
        assert_eq!(call.revision, revision + 1, "the revision grows by one");
        if let Some(before) = &before {
            assert_ne!(before.state, CallState::Ended, "nothing follows the end");
            assert!(may_follow(before.state, call.state), "{:?} -> {:?}", before.state, call.state);
        }
        self.see_legs(before.as_deref(), call);
        self.see_events(now, transition);
        self.see_notices(before.as_deref(), transition);
        self.see_end(transition);
        self.see_timers(now, call);
    }

    fn see_legs(&self, before: Option<&Call>, call: &Call) {
        for (i, leg) in call.legs.iter().enumerate() {
            let same = call.legs.iter().filter(|other| other.user == leg.user).count();
            assert_eq!(same, 1, "one leg a user");
            assert_eq!(
                leg.seat.is_some(),
                leg.state.is_in_call(),
                "a seat for whoever is in the call, {leg:?}"
            );
            if let Some(old) = before.and_then(|before| before.legs.get(i)) {
                assert_eq!(old.user, leg.user, "legs keep their order");
                assert!(
                    leg_may_follow(old.state, leg.state),
                    "{}: {:?} -> {:?}",
                    leg.user,
                    old.state,
                    leg.state
                );
                assert!(leg.inner.views >= old.inner.views);
            }
            let won = leg.devices.iter().filter(|device| device.state == DeviceState::Won);
            let most = 1 + usize::from(leg.seat.as_ref().is_some_and(|seat| seat.replaces.is_some()));
            let won: Vec<_> = won.collect();
            assert!(won.len() <= most, "one winner: {won:?}");
            if leg.state.is_in_call() {
                assert!(won.iter().all(|device| leg.sits(&device.device)), "the winner sits: {leg:?}");
                assert!(
                    !leg.devices.iter().any(|device| device.state.must_ring()),
                    "in the call, nothing rings"
                );
            }
            if !leg.rings() && leg.state != LegState::Lobby {
                assert!(
                    !leg.devices.iter().any(|device| device.state.must_ring()),
                    "silent when over: {leg:?}"
                );
            }
            if leg.is_hidden() {
                assert!(leg.devices.is_empty(), "a suppressed leg has no devices");
            }
        }
    }

    fn see_events(&self, now: Time, transition: &Transition) {
        let call = &transition.call;
        for (n, event) in transition.events.iter().enumerate() {
            assert_eq!(event.id, format!("{}-{}-{n}", call.id, call.revision));
            assert_eq!(event.at, now);
        }
        let kinds: Vec<&EventKind> = transition.events.iter().map(|event| &event.kind).collect();
        if let Some(end) = kinds.iter().position(|kind| **kind == EventKind::CallEnded) {
            assert_eq!(kinds[end + 1..], [&EventKind::RecordReady], "only the record follows the end");
        }
        for kind in kinds {
            if let EventKind::Push(push) = kind {
                let leg = call.leg(&push.user).unwrap();
                assert!(!leg.is_hidden(), "no push for a suppressed leg");
                assert!(push.attempt <= 3);
                assert_eq!(push.attempt == 0, push.stop.is_some());
            }
        }
    }

    fn see_notices(&mut self, before: Option<&Call>, transition: &Transition) {
        let call = &transition.call;
        let mut told = Vec::new();
        for notice in &transition.notices {
            let leg = call.leg(&notice.user).expect("a notice only to somebody who has a part in the call");
            let was_hidden = before.and_then(|before| before.leg(&notice.user)).is_none_or(Leg::is_hidden);
            assert!(!(leg.is_hidden() && was_hidden), "a suppressed callee hears nothing: {notice:?}");
            match &notice.kind {
                NoticeKind::Ring(ring) => {
                    assert_eq!(call.ring(&notice.user, notice.device.as_ref().unwrap()).as_ref(), Some(ring));
                }
                NoticeKind::RingStopped(_) => assert!(notice.device.is_some()),
                NoticeKind::Changed | NoticeKind::Over { .. } => {
                    assert_eq!(notice.device, None);
                    assert!(!told.contains(&&notice.user), "told once");
                    told.push(&notice.user);
                }
            }
        }
        // Exactly those whose view has changed are told, and their revision grows by one.
        for leg in &call.legs {
            let key = (call.id.clone(), leg.user.clone());
            let new = call.view(&leg.user, &DeviceId::new("any"));
            let old = before.and_then(|before| before.view(&leg.user, &DeviceId::new("any")));
            let differs = new.as_ref().map(without_revision) != old.as_ref().map(without_revision);
            let was_told = told.contains(&&leg.user);
            if call.state == CallState::Ended {
                assert_eq!(was_told, new.is_some() || old.is_some(), "{} hears of the end once", leg.user);
            } else if let Some(new) = new {
                // A seat that moves between devices changes only what those devices see.
                let moved =
                    before.and_then(|before| before.leg(&leg.user)).map(|old| &old.seat) != Some(&leg.seat);
                assert!(was_told || !differs, "{} must hear of it", leg.user);
                assert!(!was_told || differs || moved, "{} hears of nothing", leg.user);
                if let Some(known) = self.views.insert(key, new.clone()) {
                    assert_eq!(new.revision, known.revision + u64::from(was_told), "{}", leg.user);
                }
            } else {
                self.views.remove(&key);
            }
        }
    }

    fn see_end(&mut self, transition: &Transition) {
        let call = &transition.call;
        let ended = call.state == CallState::Ended;
        assert_eq!(transition.record.is_some(), ended, "a record at the end, and only then");
        if !ended {
            return;
        }
        self.ended += 1;
        let record = transition.record.clone().unwrap();
        assert_eq!(record.revision, call.revision);
        assert_eq!(record.legs.len(), call.legs.len());
        assert!(self.records.insert(call.id.clone(), record).is_none(), "one record a call");
        assert!(
            call.legs.iter().all(|leg| !leg.looks_ringing() && !leg.state.is_in_call()),
            "nobody stays behind"
        );
        assert!(call.legs.iter().all(|leg| leg.state != LegState::Lobby), "nobody waits outside");
        assert!(transition.effects.contains(&Effect::CloseRoom));
    }

    /// A live call always has something that will end it.
    fn see_timers(&self, now: Time, call: &Call) {
        if call.state == CallState::Ended {
            return;
        }
        // Its timer may be due, and fire next.
        assert!(call.timers.longest.is_some_and(|longest| longest >= now), "every call ends");
        if call.state == CallState::Ringing {
            assert!(call.legs.iter().any(|leg| leg.looks_ringing() || leg.state == LegState::Lobby));
        }
    }

    /// As many records as calls that have ended; none lives.
    pub fn all_over(&self) {
        for call in self.last.values() {
            assert_eq!(call.state, CallState::Ended, "{} has not ended: {call:#?}", call.id);
        }
        assert_eq!(self.records.len(), self.last.len(), "records = calls");
    }

    pub fn calls(&self) -> impl Iterator<Item = &Arc<Call>> {
        self.last.values()
    }
}

fn without_revision(view: &CallView) -> CallView {
    CallView { revision: 0, ..view.clone() }
}

fn may_follow(from: CallState, to: CallState) -> bool {
    use CallState::*;
    from == to || matches!((from, to), (Ringing | Open, Active) | (_, Ended))
}

/// The table of the model. One transition may pass several rows.
fn leg_may_follow(from: LegState, to: LegState) -> bool {
    use LegState::*;
    if from == to {
        return true;
    }
    match from {
        Invited => matches!(to, Alerting | Ringing | Accepted | Declined | Busy | Cancelled | Unreachable),
        Alerting => matches!(to, Ringing | Accepted | Declined | Busy | Cancelled | Unreachable),
        Ringing => matches!(to, Accepted | Declined | Busy | Cancelled | Missed),
        Accepted => matches!(to, Joined | Failed | Left),
        Joined => matches!(to, Reconnecting | Left),
        Reconnecting => matches!(to, Joined | Left),
        Lobby => matches!(to, Accepted | Left),
        Left | Missed | Declined | Failed | Unreachable | Busy | Cancelled | Suppressed => {
            matches!(to, Invited | Alerting | Suppressed | Busy | Accepted | Lobby)
        }
    }
}
