//! Thresholds: what was allowed, what was found.
use std::time::Duration;

use serde::Serialize;

use super::figures::{Media, People, Times};
use crate::latency::Summary;
use crate::resources::Cost;
use crate::scenario::Thresholds;

/// One threshold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Verdict {
    /// As the scenario names it.
    pub(crate) name: &'static str,
    pub(crate) allowed: String,
    pub(crate) found: String,
    pub(crate) held: bool,
}

impl Verdict {
    pub(crate) fn failure(&self) -> String {
        format!("{}: {} found, {} allowed", self.name, self.found, self.allowed)
    }
}

pub(super) fn judge(
    thresholds: &Thresholds,
    people: &People,
    media: &Media,
    times: &Times,
    given_back: Option<&Cost>,
) -> Vec<Verdict> {
    let mut verdicts = vec![
        count("failed", thresholds.failed, people.failed),
        count("dark_videos", thresholds.dark_videos, people.dark_videos),
    ];
    verdicts.extend(thresholds.loss_percent.map(|most| share("loss_percent", most, media.loss_percent)));
    verdicts.extend(
        thresholds
            .missing_percent
            .zip(media.missing_percent)
            .map(|(most, found)| share("missing_percent", most, found)),
    );
    verdicts.extend(thresholds.freezes.map(|most| count("freezes", most, media.freezes)));
    for (name, most, found) in [
        ("latency_p99", thresholds.latency_p99, &times.latency),
        ("join_p99", thresholds.join_p99, &times.join),
        ("first_media_p99", thresholds.first_media_p99, &times.first_media),
        ("key_frame_wait_p99", thresholds.key_frame_wait_p99, &times.key_frame_wait),
        ("layer_switch_p99", thresholds.layer_switch_p99, &times.layer_switch),
        ("ring_p99", thresholds.ring_p99, &times.ring),
        ("accept_p99", thresholds.accept_p99, &times.accept),
    ] {
        verdicts.extend(most.map(|most| time(name, most, found)));
    }
    if let Some(cost) = given_back {
        let failures = cost.failures();
        let found = if failures.is_empty() { "all of it".into() } else { failures.join("; ") };
        verdicts.push(Verdict {
            name: "given_back",
            allowed: "all of it".into(),
            found,
            held: failures.is_empty(),
        });
    }
    verdicts
}

fn count(name: &'static str, most: u64, found: u64) -> Verdict {
    Verdict { name, allowed: format!("at most {most}"), found: found.to_string(), held: found <= most }
}

fn share(name: &'static str, most: f64, found: f64) -> Verdict {
    // Enough digits to tell one lost packet from none.
    let shown = if found > 0.0 && found < 0.01 { format!("{found:.5} %") } else { format!("{found:.2} %") };
    Verdict { name, allowed: format!("at most {most} %"), found: shown, held: found <= most }
}

fn time(name: &'static str, most: Duration, found: &Summary) -> Verdict {
    let allowed = format!("at most {} ms", most.as_secs_f64() * 1e3);
    // What never happened was not fast: a threshold on it means that it was expected.
    if found.count == 0 {
        return Verdict { name, allowed, found: "it never happened".into(), held: false };
    }
    let held = found.p99_ms <= most.as_secs_f64() * 1e3;
    Verdict { name, allowed, found: format!("{:.1} ms", found.p99_ms), held }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_limit_is_within_it() {
        assert!(count("failed", 0, 0).held && !count("failed", 0, 1).held);
        assert!(share("loss_percent", 0.1, 0.1).held && !share("loss_percent", 0.1, 0.11).held);
        let summary = Summary { count: 9, p99_ms: 150.0, ..Summary::default() };
        assert!(time("latency_p99", Duration::from_millis(150), &summary).held);
        let verdict = time("latency_p99", Duration::from_millis(149), &summary);
        assert_eq!(verdict.failure(), "latency_p99: 150.0 ms found, at most 149 ms allowed");
    }

    #[test]
    fn one_lost_packet_of_a_million_is_not_shown_as_none() {
        let verdict = share("loss_percent", 0.0, 0.0001);
        assert!(!verdict.held && verdict.found == "0.00010 %", "{}", verdict.found);
    }

    #[test]
    fn what_never_happened_did_not_hold() {
        assert!(!time("layer_switch_p99", Duration::from_secs(2), &Summary::default()).held);
    }
}
