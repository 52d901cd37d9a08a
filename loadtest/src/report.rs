//! What is made of a run: figures, verdicts, a table for people, a page for everybody.
mod bottleneck;
mod figures;
mod judge;
mod page;
mod plots;
mod series;
mod table;

use serde::Serialize;

use crate::resources::Cost;
use crate::run::{Ideal, Record};
use crate::scenario::Scenario;
use figures::{Harness, Media, People, Server, Times};
use judge::Verdict;
use series::Point;

pub(crate) use page::html;
pub(crate) use table::print;

/// Failures told in words; all are counted.
const TOLD: usize = 20;

/// A run, as `--json` writes it.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) name: String,
    pub(crate) url: String,
    /// Seconds since the Unix epoch, when it was made.
    pub(crate) made_at: u64,
    pub(crate) scenario: Scenario,
    /// Seconds measured.
    pub(crate) seconds: f64,
    /// From when to when, in seconds since the first join.
    pub(crate) window: (u64, u64),
    pub(crate) people: People,
    pub(crate) media: Media,
    pub(crate) times: Times,
    pub(crate) server: Option<Server>,
    /// With `--ideal`.
    pub(crate) ideal: Option<Ideal>,
    pub(crate) given_back: Option<Cost>,
    pub(crate) harness: Harness,
    pub(crate) verdicts: Vec<Verdict>,
    /// What makes the figures doubtful.
    pub(crate) warnings: Vec<String>,
    /// What did not hold.
    pub(crate) failures: Vec<String>,
    pub(crate) series: Vec<Point>,
    #[serde(skip)]
    pub(crate) bins: Bins,
}

/// For plots of distributions: how many in each range, and how many milliseconds wide a range is.
#[derive(Debug, Default)]
pub(crate) struct Bins {
    pub(crate) join: (Vec<u64>, f64),
    pub(crate) first_media: (Vec<u64>, f64),
    pub(crate) key_frame_wait: (Vec<u64>, f64),
}

impl Report {
    pub(crate) fn of(record: Record) -> Self {
        let (times, bins) = figures::times(&record);
        let media = Media::of(&record);
        let people = People::of(&record);
        let server = Server::of(&record, &media, &people);
        let harness = Harness::of(&record);
        let verdicts =
            judge::judge(&record.scenario.thresholds, &people, &media, &times, record.given_back.as_ref());
        let mut warnings = bottleneck::warnings(&harness);
        if record.interrupted {
            warnings.push("the measurement was ended early by Ctrl-C".into());
        }
        let told = record.seconds.iter().flat_map(|second| &second.failures).take(TOLD).cloned();
        let mut failures: Vec<String> =
            verdicts.iter().filter(|one| !one.held).map(Verdict::failure).collect();
        failures.extend(told);
        failures.extend(record.given_back.iter().flat_map(Cost::failures));
        let series = series::points(&record);
        Self {
            name: record.name,
            url: record.url,
            made_at: crate::server::now().as_secs(),
            seconds: (record.window.end - record.window.start) as f64,
            window: (record.window.start, record.window.end),
            scenario: record.scenario,
            people,
            media,
            times,
            server,
            ideal: None,
            given_back: record.given_back,
            harness,
            verdicts,
            warnings,
            failures,
            series,
            bins,
        }
    }

    /// Whether the exit code is 0.
    pub(crate) fn held(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.held)
    }
}
