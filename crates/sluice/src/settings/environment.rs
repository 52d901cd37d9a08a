//! `SLUICE_<SECTION>_<NAME>` as settings.
use figment::value::{Dict, Map, Value};
use figment::{Error, Metadata, Profile, Provider};

const PREFIX: &str = "SLUICE_";
/// `SLUICE_` variables that are no settings: read by clap, or by the build.
const OTHERS: [&str; 4] = ["CONFIG", "KEY", "SECRET", "SKIP_WEB"];

/// The part of the process environment that holds settings. Values stay text: a token of digits is a token.
pub(crate) struct Environment(Vec<(String, String)>);

impl Environment {
    /// From variables of which those without the prefix are left out.
    pub(crate) fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let ours = variables.into_iter().filter_map(|(name, value)| {
            let name = name.strip_prefix(PREFIX)?;
            (!OTHERS.contains(&name)).then(|| (name.to_ascii_lowercase(), value))
        });
        Self(ours.collect())
    }

    /// That of this process. Variables that are not UTF-8 cannot be settings.
    pub(crate) fn of_process() -> Self {
        Self::new(
            std::env::vars_os().filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?))),
        )
    }
}

impl Provider for Environment {
    fn metadata(&self) -> Metadata {
        Metadata::named("the environment").interpolater(|_: &Profile, keys: &[&str]| {
            format!("{PREFIX}{}", keys.join("_").to_ascii_uppercase())
        })
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let mut sections = Dict::new();
        for (name, text) in &self.0 {
            let (section, setting) = name.split_once('_').unwrap_or((name, ""));
            let value = if (section, setting) == ("rooms", "keys") {
                keys(text).map_err(|problem| Error::from(problem).with_path("rooms.keys"))?
            } else {
                Value::from(text.as_str())
            };
            if setting.is_empty() {
                sections.insert(section.to_owned(), value);
                continue;
            }
            let entry = sections.entry(section.to_owned()).or_insert_with(|| Value::from(Dict::new()));
            if let Value::Dict(_, dict) = entry {
                dict.insert(setting.to_owned(), value);
            }
        }
        Ok(Profile::Default.collect(sections))
    }
}

/// `key:secret,key:secret`.
fn keys(text: &str) -> Result<Value, String> {
    let mut keys = Dict::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, secret) = pair.split_once(':').ok_or("expected `key:secret`, several with commas")?;
        keys.insert(key.trim().to_owned(), Value::from(secret.trim()));
    }
    Ok(Value::from(keys))
}
