//! One closing line a stage: passed or failed, and how long it took.
use std::time::{Duration, Instant};

#[derive(Default)]
pub(crate) struct Report(Vec<Line>);

struct Line {
    stage: &'static str,
    took: Duration,
    failure: Option<String>,
}

impl Report {
    /// Runs a stage. A failure is kept for the end, so that one run shows every stage that fails.
    pub(crate) fn run(&mut self, stage: &'static str, work: impl FnOnce() -> anyhow::Result<()>) -> bool {
        println!("\n=== {stage}");
        let began = Instant::now();
        let failure = work().err().map(|error| format!("{error:#}"));
        if let Some(failure) = &failure {
            println!("*** {stage}: {failure}");
        }
        let passed = failure.is_none();
        self.0.push(Line { stage, took: began.elapsed(), failure });
        passed
    }

    /// Notes a stage that could not be run because of another.
    pub(crate) fn skip(&mut self, stage: &'static str, why: &str) {
        self.0.push(Line { stage, took: Duration::ZERO, failure: Some(format!("not run: {why}")) });
    }

    pub(crate) fn all_passed(&self) -> bool {
        self.0.iter().all(|line| line.failure.is_none())
    }

    pub(crate) fn print(&self) {
        println!();
        for Line { stage, took, failure } in &self.0 {
            let (verdict, why) = match failure {
                None => ("passed", String::new()),
                Some(why) => ("FAILED", format!("  {}", why.lines().next().unwrap_or_default())),
            };
            println!("{verdict}  {stage:<28} {:>4}:{:02}{why}", took.as_secs() / 60, took.as_secs() % 60);
        }
        for Line { stage, failure, .. } in &self.0 {
            let details = failure.iter().flat_map(|why| why.lines().skip(1)).filter(|line| !line.is_empty());
            for (index, line) in details.enumerate() {
                if index == 0 {
                    println!("\n*** {stage}");
                }
                println!("    {line}");
            }
        }
    }
}
