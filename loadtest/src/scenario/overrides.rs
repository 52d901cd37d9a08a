//! Numbers of a scenario, changed on the command line.
use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use toml::{Table, Value};

use super::file::Scenario;

/// What replaces a scenario's own numbers.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Changes to the scenario")]
pub(crate) struct Overrides {
    /// Measure for so long, e.g. `60s` or `5m`.
    #[arg(long, value_name = "TIME")]
    pub(crate) duration: Option<String>,
    /// Join everybody within this time.
    #[arg(long, value_name = "TIME")]
    pub(crate) ramp: Option<String>,
    /// Rooms; each gets all groups.
    #[arg(long, value_name = "N")]
    pub(crate) rooms: Option<usize>,
    /// Participants in each room; the group without a `count` grows or shrinks.
    #[arg(long, value_name = "N")]
    pub(crate) participants: Option<usize>,
    /// Replace any field: `participants=50`, `viewers.count=200`, `publisher.video.bitrate="2 Mbit/s"`,
    /// `viewers.network.loss="2 %"`, `thresholds.latency_p99=50ms`. A group is called by its name; may be repeated.
    #[arg(long, value_name = "FIELD=VALUE")]
    pub(crate) set: Vec<String>,
}

impl Overrides {
    fn all(&self) -> anyhow::Result<Vec<(String, Value)>> {
        let mut all = Vec::new();
        for (field, text) in [("duration", &self.duration), ("ramp", &self.ramp)] {
            all.extend(text.as_ref().map(|text| (field.to_owned(), Value::String(text.clone()))));
        }
        for (field, number) in [("rooms", self.rooms), ("participants", self.participants)] {
            if let Some(number) = number {
                all.push((field.to_owned(), Value::Integer(i64::try_from(number)?)));
            }
        }
        for set in &self.set {
            let (field, value) = set
                .split_once('=')
                .with_context(|| format!("--set {set}: write FIELD=VALUE, e.g. --set participants=50"))?;
            all.push((field.trim().to_owned(), value_of(value.trim())));
        }
        Ok(all)
    }

    /// Reads a scenario with these fields replaced.
    ///
    /// # Errors
    /// If the text is no scenario, or a replaced field is unknown or out of range; the text says which.
    pub(crate) fn apply(&self, text: &str) -> anyhow::Result<Scenario> {
        // First as it stands: its own mistakes are told with their lines.
        let scenario = Scenario::parse(text)?;
        let all = self.all()?;
        if all.is_empty() {
            return Ok(scenario);
        }
        let mut table: Table = text.parse()?;
        for (field, value) in &all {
            replace(&mut table, field, value.clone()).with_context(|| format!("--set {field}={value}"))?;
            // One by one, so that an unknown field is told with the argument that named it.
            let read: Result<Scenario, _> = table.clone().try_into();
            read.map_err(|error| anyhow!("--set {field}={value}: {}", error.message()))?;
        }
        // Who counts the last group gives up the sum that it was made from.
        let set =
            |name: &str| all.iter().any(|(field, _)| field == name || field.ends_with(&format!(".{name}")));
        if set("count") && !set("participants") && all_counted(&table) {
            table.remove("participants");
        }
        // Fields that depend on each other are checked when all are in place.
        Scenario::parse(&table.to_string()).context("with what was set on the command line")
    }
}

/// A TOML value, or text that needs no quotes on a command line.
fn value_of(text: &str) -> Value {
    format!("value = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.into()))
}

fn replace(table: &mut Table, field: &str, value: Value) -> anyhow::Result<()> {
    let mut path: Vec<&str> = field.split('.').collect();
    let last = path.pop().filter(|last| !last.is_empty()).context("no field is named")?;
    let mut here = table;
    let mut steps = path.into_iter().peekable();
    if steps.peek() == Some(&"groups") {
        steps.next();
    }
    if let Some(first) = steps.next() {
        here = match group(here, first)? {
            Some(_) => group(here, first)?.context("the group is there")?,
            None if ["thresholds", "calls"].contains(&first) => section(here, first)?,
            None => bail!("there is no group `{first}`; the groups are {}", names(here).join(", ")),
        };
    }
    for step in steps {
        here = section(here, step)?;
    }
    here.insert(last.into(), value);
    Ok(())
}

fn section<'a>(table: &'a mut Table, name: &str) -> anyhow::Result<&'a mut Table> {
    let entry = table.entry(name).or_insert_with(|| Value::Table(Table::new()));
    entry.as_table_mut().with_context(|| format!("`{name}` has no fields"))
}

fn group<'a>(table: &'a mut Table, name: &str) -> anyhow::Result<Option<&'a mut Table>> {
    let groups = table.get_mut("groups").and_then(Value::as_array_mut).context("there are no groups")?;
    let named = |group: &&mut Table| group.get("name").and_then(Value::as_str) == Some(name);
    Ok(groups.iter_mut().filter_map(Value::as_table_mut).find(named))
}

fn all_counted(table: &Table) -> bool {
    let groups = table.get("groups").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    groups.iter().all(|group| group.get("count").is_some())
}

fn names(table: &Table) -> Vec<String> {
    let groups = table.get("groups").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let name = |group: &Value| Some(format!("`{}`", group.get("name")?.as_str()?));
    groups.iter().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TEXT: &str = "\
duration = \"10s\"
participants = 5
[[groups]]
name = \"sender\"
count = 1
video = { bitrate = \"1.2 Mbit/s\" }
[[groups]]
name = \"viewers\"
";

    fn with(set: &[&str]) -> anyhow::Result<Scenario> {
        let set = set.iter().map(|set| (*set).to_owned()).collect();
        Overrides { set, ..Overrides::default() }.apply(TEXT)
    }

    #[test]
    fn every_field_can_be_replaced() {
        let scenario = with(&[
            "participants=50",
            "duration=60s",
            "sender.video.bitrate=2 Mbit/s",
            "groups.viewers.sizes=[\"320x180\"]",
            "sender.audio.level=20",
            "viewers.network.loss=1 %",
            "viewers.network.up.rate=500 kbit/s",
            "thresholds.loss_percent=0.5",
        ])
        .unwrap();
        assert_eq!(scenario.total(), 50);
        assert_eq!(scenario.duration, Duration::from_secs(60));
        assert_eq!(scenario.groups[0].video.as_ref().unwrap().bitrate.0, 2_000_000);
        assert_eq!(scenario.groups[0].audio.as_ref().unwrap().level, 20);
        assert_eq!(scenario.groups[1].sizes.len(), 1);
        let network = scenario.groups[1].network.as_ref().unwrap().impairment(0);
        assert_eq!((network.up.loss, network.up.rate, network.down.rate), (0.01, Some(500_000), None));
        assert_eq!(scenario.thresholds.loss_percent, Some(0.5));

        let flags = Overrides { duration: Some("3s".into()), rooms: Some(4), ..Overrides::default() };
        let scenario = flags.apply(TEXT).unwrap();
        assert_eq!((scenario.duration, scenario.total()), (Duration::from_secs(3), 20));
    }

    #[test]
    fn counting_the_last_group_replaces_the_sum() {
        assert_eq!(with(&["viewers.count=30"]).unwrap().total(), 31);
        let text = format!("{:#}", with(&["viewers.count=30", "participants=5"]).unwrap_err());
        assert!(text.contains("make 31 already"), "{text}");
    }

    #[test]
    fn a_mistake_is_told_with_the_argument_that_made_it() {
        for (set, needles) in [
            (&["participants=5", "particpants=6"][..], &["--set particpants=6", "unknown field"][..]),
            (&["listeners.count=3"], &["no group `listeners`", "`sender`, `viewers`"]),
            (&["participants"], &["write FIELD=VALUE"]),
            (&["duration=soon"], &["--set duration"]),
            (&["viewers.network.loss=lots"], &["--set viewers.network.loss", "no percentage"]),
            (&["viewers.network.delay=20s"], &["group `viewers`", "`network.delay`"]),
            (&["duration.x=1"], &["no group `duration`"]),
            (&["participants=0"], &["participants = 0"]),
        ] {
            let text = format!("{:#}", with(set).unwrap_err());
            assert!(needles.iter().all(|needle| text.contains(needle)), "{text}");
        }
    }
}
