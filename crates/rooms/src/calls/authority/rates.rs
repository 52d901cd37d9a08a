//! Limits against call spam: per caller, per pair of caller and callee, and tighter ones for fresh accounts.
//!
//! A limit of n per period lets n through at once and then one per n-th part of the period. What is refused costs nothing,
//! so that whoever waits as long as told gets through. Time is an argument.
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use moka::sync::Cache;
use sluice_calls::{Time, UserId};

use super::settings::RateSettings;
use crate::calls::desk::Trouble;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
/// In which redials are counted.
const REDIALS: u64 = 10 * MINUTE;
/// Callees of a fresh caller that are counted, whatever the settings say: 64 KiB of names.
const MOST_CALLEES: usize = 1_024;

/// How far a limit is used: the time at which it would be unused again.
#[derive(Debug, Clone, Copy, Default)]
struct Used(Time);

impl Used {
    /// Takes `count` of a limit of `most` per `period` ms, or says in how many ms there will be enough.
    fn take(self, now: Time, count: u64, most: u32, period: u64) -> Result<Self, u64> {
        if most == 0 {
            return Ok(self);
        }
        let each = period.div_ceil(u64::from(most));
        let unused = Time(self.0.0.max(now.0)).after_ms(each.saturating_mul(count));
        let over = unused.ms_since(now.after_ms(each * u64::from(most)));
        if over == 0 { Ok(Self(unused)) } else { Err(over) }
    }
}

/// One caller.
#[derive(Debug, Default)]
struct Caller {
    minute: Used,
    hour: Used,
    /// Whom it called while it was fresh.
    callees: HashSet<UserId>,
}

/// The limits and what is used of them. Bounded: those not seen for longest are forgotten.
#[derive(Clone)]
pub(super) struct Rates {
    settings: Arc<RateSettings>,
    callers: Cache<UserId, Arc<Mutex<Caller>>>,
    pairs: Cache<(UserId, UserId), Used>,
}

impl Rates {
    pub(super) fn new(settings: RateSettings) -> Self {
        let day = std::time::Duration::from_millis(24 * HOUR);
        let redials = std::time::Duration::from_millis(REDIALS);
        Self {
            callers: Cache::builder().max_capacity(settings.counted).time_to_idle(day).build(),
            pairs: Cache::builder().max_capacity(settings.counted).time_to_live(redials).build(),
            settings: Arc::new(settings),
        }
    }

    /// Whether it matters when a caller was first seen.
    pub(super) fn wants_age(&self) -> bool {
        let RateSettings { fresh_calls_per_minute, fresh_calls_per_hour, fresh_callees, .. } = *self.settings;
        self.settings.fresh_hours > 0
            && (fresh_calls_per_minute, fresh_calls_per_hour, fresh_callees) != (0, 0, 0)
    }

    /// Counts one call of `caller` to `callees`, or refuses it, says until when, and counts nothing.
    pub(super) fn take(
        &self,
        now: Time,
        caller: &UserId,
        first_seen: Time,
        callees: &[(UserId, String)],
    ) -> Result<(), Trouble> {
        let settings = &*self.settings;
        let fresh = self.wants_age() && now.ms_since(first_seen) < u64::from(settings.fresh_hours) * HOUR;
        let state = self.callers.get_with_by_ref(caller, Arc::default);
        // Held over the pairs too: they are all this caller's. Nothing panics meanwhile.
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let (per_minute, per_hour) = if fresh {
            (settings.fresh_calls_per_minute, settings.fresh_calls_per_hour)
        } else {
            (settings.calls_per_minute, settings.calls_per_hour)
        };
        let wait = |limit, text: &str| {
            let text = text.to_owned();
            move |ms| refuse(limit, text, Some(ms))
        };
        let minute = state
            .minute
            .take(now, 1, per_minute, MINUTE)
            .map_err(wait("caller_minute", "this caller has called too often in the last minute"))?;
        let hour = state
            .hour
            .take(now, 1, per_hour, HOUR)
            .map_err(wait("caller_hour", "this caller has called too often in the last hour"))?;
        let mut pairs = Vec::new();
        if settings.redials > 0 {
            for (callee, _) in callees {
                let pair = (caller.clone(), callee.clone());
                let used = self.pairs.get(&pair).unwrap_or_default();
                let text = format!("{caller} has called {callee} too often without an answer");
                let used = used.take(now, 1, settings.redials, REDIALS).map_err(wait("pair", &text))?;
                pairs.push((pair, used));
            }
        }
        if fresh && settings.fresh_callees > 0 {
            let most = MOST_CALLEES.min(settings.fresh_callees as usize);
            let new: HashSet<&UserId> = callees
                .iter()
                .map(|(callee, _)| callee)
                .filter(|callee| !state.callees.contains(callee))
                .collect();
            if state.callees.len() + new.len() > most {
                let until = first_seen.after_ms(u64::from(settings.fresh_hours) * HOUR);
                let text = format!("a new account may call {most} different people on its first day");
                return Err(refuse("fresh_callees", text, Some(until.ms_since(now))));
            }
            let new: Vec<UserId> = new.into_iter().cloned().collect();
            state.callees.extend(new);
        } else {
            state.callees = HashSet::new();
        }
        (state.minute, state.hour) = (minute, hour);
        for (pair, used) in pairs {
            self.pairs.insert(pair, used);
        }
        Ok(())
    }

    /// `callee` answered `caller`: they talk with each other, and may redial as they like, both ways.
    pub(super) fn answered(&self, caller: &UserId, callee: &UserId) {
        for pair in [(caller.clone(), callee.clone()), (callee.clone(), caller.clone())] {
            self.pairs.invalidate(&pair);
        }
    }
}

fn refuse(limit: &'static str, text: String, retry_after_ms: Option<u64>) -> Trouble {
    metrics::counter!("sluice_calls_rate_limited_total", "limit" => limit).increment(1);
    Trouble::RateLimited { text, retry_after_ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Time(1_700_000_000_000);
    const LONG_AGO: Time = Time(0);

    fn user(name: &str) -> UserId {
        UserId::new(name)
    }

    fn to(names: &[&str]) -> Vec<(UserId, String)> {
        names.iter().map(|name| (user(name), String::new())).collect()
    }

    /// How long to wait; `None`: the call goes through.
    fn call(rates: &Rates, now: Time, from: &str, first_seen: Time, callees: &[&str]) -> Option<u64> {
        match rates.take(now, &user(from), first_seen, &to(callees)) {
            Ok(()) => None,
            Err(Trouble::RateLimited { retry_after_ms, .. }) => Some(retry_after_ms.unwrap()),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_normal_person_is_never_hindered() {
        let rates = Rates::new(RateSettings::default());
        // A first day: three people called in turn, each tried twice, a call a minute for ten hours.
        for minute in 0..600 {
            let callee = ["bob", "carol", "dave"][minute as usize / 2 % 3];
            assert_eq!(call(&rates, START.after_ms(minute * MINUTE), "alice", START, &[callee]), None);
        }
    }

    #[test]
    fn a_burst_is_let_through_then_the_pace_of_the_limit() {
        let settings = RateSettings { calls_per_minute: 6, redials: 0, ..RateSettings::default() };
        let rates = Rates::new(settings);
        for _ in 0..6 {
            assert_eq!(call(&rates, START, "alice", LONG_AGO, &["bob"]), None);
        }
        let wait = call(&rates, START, "alice", LONG_AGO, &["bob"]).unwrap();
        assert_eq!(wait, 10_000, "one sixth of a minute");
        assert_eq!(
            call(&rates, START, "carol", LONG_AGO, &["bob"]),
            None,
            "another caller has its own limit"
        );
        assert_eq!(call(&rates, START.after_ms(wait - 1), "alice", LONG_AGO, &["bob"]), Some(1));
        assert_eq!(call(&rates, START.after_ms(wait), "alice", LONG_AGO, &["bob"]), None, "as told");
    }

    #[test]
    fn an_hour_is_bounded_too() {
        let settings = RateSettings { calls_per_hour: 100, redials: 0, ..RateSettings::default() };
        let rates = Rates::new(settings);
        let let_through = (0..3_600).filter(|second| {
            call(&rates, START.after_ms(second * 1_000), "alice", LONG_AGO, &["bob"]).is_none()
        });
        assert_eq!(
            let_through.count(),
            199,
            "the burst of a hundred, and the pace of a hundred an hour after it"
        );
    }

    #[test]
    fn redials_without_an_answer_are_bounded_until_somebody_answers() {
        let rates = Rates::new(RateSettings { redials: 3, ..RateSettings::default() });
        for _ in 0..3 {
            assert_eq!(call(&rates, START, "alice", LONG_AGO, &["bob"]), None);
        }
        assert!(call(&rates, START, "alice", LONG_AGO, &["bob"]).is_some());
        assert_eq!(call(&rates, START, "alice", LONG_AGO, &["carol"]), None, "somebody else");
        assert!(call(&rates, START, "alice", LONG_AGO, &["dave", "bob"]).is_some(), "also in a group");
        rates.answered(&user("alice"), &user("bob"));
        assert_eq!(call(&rates, START, "alice", LONG_AGO, &["bob"]), None);
    }

    #[test]
    fn a_fresh_account_has_lower_limits_and_fewer_callees_for_a_day() {
        let settings = RateSettings {
            fresh_calls_per_minute: 4,
            fresh_callees: 3,
            redials: 0,
            ..RateSettings::default()
        };
        let rates = Rates::new(settings);
        assert_eq!(call(&rates, START, "mallory", START, &["a", "b"]), None);
        let day = 24 * HOUR;
        assert_eq!(call(&rates, START, "mallory", START, &["c", "d"]), Some(day), "a fourth person");
        assert_eq!(call(&rates, START, "mallory", START, &["c"]), None, "what was refused was not counted");
        assert_eq!(call(&rates, START, "mallory", START, &["a", "b", "c"]), None, "the same people again");
        assert_eq!(call(&rates, START, "mallory", START, &["a"]), None);
        assert_eq!(
            call(&rates, START, "mallory", START, &["a"]),
            Some(15_000),
            "the fifth call of the minute"
        );
        let tomorrow = START.after_ms(day);
        assert_eq!(call(&rates, tomorrow, "mallory", START, &["d", "e", "f", "g"]), None);
    }

    #[test]
    fn limits_can_be_switched_off() {
        let rates = Rates::new(RateSettings::off());
        assert!(!rates.wants_age());
        assert!((0..10_000).all(|_| call(&rates, START, "alice", START, &["bob"]).is_none()));
    }

    #[test]
    fn memory_is_bounded() {
        let rates = Rates::new(RateSettings { counted: 100, ..RateSettings::default() });
        for number in 0..10_000 {
            assert_eq!(call(&rates, START, &format!("user{number}"), LONG_AGO, &["bob"]), None);
        }
        rates.callers.run_pending_tasks();
        rates.pairs.run_pending_tasks();
        assert!(rates.callers.entry_count() <= 100 && rates.pairs.entry_count() <= 100);
    }
}
