//! The scenarios that come with the program, and where a scenario comes from.
use std::path::Path;

use anyhow::{Context as _, bail};

use super::file::Scenario;
use super::overrides::Overrides;

/// Name and text of each, in the order in which they are listed.
pub(crate) const BUILT_IN: [(&str, &str); 10] = [
    ("fanout", include_str!("builtin/fanout.toml")),
    ("meeting", include_str!("builtin/meeting.toml")),
    ("pairs", include_str!("builtin/pairs.toml")),
    ("audio-room", include_str!("builtin/audio-room.toml")),
    ("webinar", include_str!("builtin/webinar.toml")),
    ("churn", include_str!("builtin/churn.toml")),
    ("joins", include_str!("builtin/joins.toml")),
    ("layers", include_str!("builtin/layers.toml")),
    ("calls", include_str!("builtin/calls.toml")),
    ("lossy", include_str!("builtin/lossy.toml")),
];

/// A scenario's text and what it is called.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
    /// For errors: the file, or that it is built in.
    place: String,
}

impl Source {
    /// A built-in scenario by its name, or a file by its path.
    ///
    /// # Errors
    /// If it is neither; the text lists what there is.
    pub(crate) fn find(name: &str) -> anyhow::Result<Self> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
            let place = format!("the built-in scenario `{name}`");
            return Ok(Self { name: (*name).into(), text: (*text).into(), place });
        }
        let path = Path::new(name);
        if !path.exists() && path.extension().is_none() && path.components().count() == 1 {
            let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
            bail!("there is no scenario `{name}`: name a TOML file, or one of {}", names.join(", "));
        }
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read the scenario {name}"))?;
        let stem = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(Self { name: stem, text, place: name.to_owned() })
    }

    /// Reads and checks it, with some of its fields replaced.
    ///
    /// # Errors
    /// If it does not say what it should; the text names the place and the field.
    pub(crate) fn read(&self, overrides: &Overrides) -> anyhow::Result<Scenario> {
        overrides.apply(&self.text).with_context(|| self.place.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_scenario_is_valid_and_says_what_it_is() {
        for (name, _) in BUILT_IN {
            let scenario = Source::find(name).unwrap().read(&Overrides::default()).unwrap();
            assert!(!scenario.about.is_empty(), "{name}");
            assert!(scenario.total() <= 200, "{name}: a first try must not need a data centre");
        }
    }

    #[test]
    fn all_but_those_of_two_grow_with_participants_in_each_room() {
        for (name, _) in BUILT_IN.into_iter().filter(|(name, _)| !["pairs", "calls"].contains(name)) {
            let overrides = Overrides { participants: Some(33), ..Overrides::default() };
            let scenario = Source::find(name).unwrap().read(&overrides).unwrap();
            assert_eq!(scenario.total(), 33 * scenario.rooms, "{name}");
        }
    }

    #[test]
    fn the_scenario_in_the_documentation_is_valid() {
        let page = include_str!("../../../docs/loadtest.md");
        let (_, rest) = page.split_once("```toml\n").unwrap();
        let (text, _) = rest.split_once("```").unwrap();
        assert_eq!(Scenario::parse(text).unwrap().total(), 30);
        for (name, _) in BUILT_IN {
            assert!(page.contains(&format!("| `{name}` |")), "{name} is not documented");
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_what_there_is() {
        let text = format!("{:#}", Source::find("fan-out").unwrap_err());
        assert!(text.contains("fan-out") && text.contains("fanout, meeting"), "{text}");
        let text = format!("{:#}", Source::find("missing.toml").unwrap_err());
        assert!(text.contains("cannot read the scenario missing.toml"), "{text}");
    }
}
