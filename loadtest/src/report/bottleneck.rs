//! Whether the load was held back by what makes it: then the figures are of this program, and not of the server.
use super::figures::Harness;

/// Of the cores that it can use.
const BUSY: f64 = 0.85;
/// Audio has a packet each 20 ms: an event loop that is later than that makes packets late.
const LATE_MS: f64 = 20.0;
/// One such stop already freezes pictures, by WebRTC's measure of 150 ms and an interval.
const STOPPED_MS: f64 = 100.0;
/// Of the media that was due.
const MADE_PERCENT: f64 = 97.0;
/// Of this machine's cores: server and load wait for each other.
const MACHINE_PERCENT: f64 = 95.0;

pub(super) fn warnings(harness: &Harness) -> Vec<String> {
    let mut warnings = Vec::new();
    let usable = harness.usable_cores as f64;
    if harness.cores > usable * BUSY {
        warnings.push(format!(
            "the load generator was the bottleneck: it used {:.2} of the {usable:.0} cores that {} process(es) of {} thread(s) \
             can use; raise --processes, build with --release, or load from another machine",
            harness.cores, harness.processes, harness.threads
        ));
    }
    if harness.lateness.p99_ms > LATE_MS {
        warnings.push(format!(
            "the load generator was late: its event loops woke up {:.0} ms late (p99), so latencies and freezes are partly its own",
            harness.lateness.p99_ms
        ));
    } else if harness.lateness.max_ms > STOPPED_MS {
        warnings.push(format!(
            "the load generator stood still for {:.0} ms once: the worst latencies, and freezes of that second, may be its own",
            harness.lateness.max_ms
        ));
    }
    if let Some(made) = harness.made_percent.filter(|made| *made < MADE_PERCENT) {
        warnings.push(format!(
            "the load generator did not keep up: it made {made:.1} % of the media that was due, so the load was smaller than asked for"
        ));
    }
    if harness.unsent > 0 {
        warnings.push(format!(
            "{} packets never left the load generator or never came to its clients, because its queues were full: they count as lost, and are not the server's",
            harness.unsent
        ));
    }
    if let Some(busy) = harness.machine_busy_percent.filter(|busy| *busy > MACHINE_PERCENT) {
        warnings.push(format!(
            "this machine was {busy:.0} % busy: everything on it waited for a core, a server that runs here too"
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Summary;

    fn harness() -> Harness {
        Harness {
            processes: 2,
            threads: 1,
            driver: crate::door::Driver::ClientProtocol,
            light: false,
            unsent: 0,
            cores: 1.6,
            usable_cores: 2,
            busiest_second_cores: 1.9,
            lateness: Summary { p99_ms: 4.0, ..Summary::default() },
            made_percent: Some(99.5),
            machine_busy_percent: Some(80.0),
            rss_mib: 50.0,
        }
    }

    #[test]
    fn a_load_with_room_to_spare_is_no_bottleneck() {
        assert_eq!(warnings(&harness()), [] as [&str; 0]);
    }

    #[test]
    fn each_way_of_being_too_slow_is_told() {
        let busy = Harness { cores: 1.75, ..harness() };
        assert!(warnings(&busy)[0].contains("1.75 of the 2 cores"));
        let late = Harness { lateness: Summary { p99_ms: 31.0, ..Summary::default() }, ..harness() };
        assert!(warnings(&late)[0].contains("31 ms late"));
        let lateness = Summary { p99_ms: 4.0, max_ms: 240.0, ..Summary::default() };
        assert!(warnings(&Harness { lateness, ..harness() })[0].contains("still for 240 ms"));
        let behind =
            Harness { unsent: 7, made_percent: Some(90.0), machine_busy_percent: Some(99.0), ..harness() };
        assert_eq!(warnings(&behind).len(), 3);
    }
}
