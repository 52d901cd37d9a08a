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
            let path = if section == "rooms" { of_rooms(setting) } else { vec![setting] };
            insert(entry, &path, value);
        }
        Ok(Profile::Default.collect(sections))
    }
}

/// Tables below `[rooms.calls]`, as they begin in a variable's name.
const TABLES: [(&str, &[&str]); 9] = [
    ("store_", &["store"]),
    ("model_", &["model"]),
    ("retention_", &["retention"]),
    ("service_", &["service"]),
    ("devices_", &["devices"]),
    ("permission_hook_", &["permission", "hook"]),
    ("permission_built_in_", &["permission", "built_in"]),
    ("permission_rates_", &["permission", "rates"]),
    ("push_", &["push"]),
];

/// `calls_store_path` is `path` in the table `store` of the table `calls`.
fn of_rooms(setting: &str) -> Vec<&str> {
    let Some(rest) = setting.strip_prefix("calls_") else { return vec![setting] };
    let table = TABLES.iter().find_map(|(prefix, path)| Some((*path, rest.strip_prefix(prefix)?)));
    let (tables, name) = table.unwrap_or((&[], rest));
    ["calls"].into_iter().chain(tables.iter().copied()).chain([name]).collect()
}

fn insert(at: &mut Value, path: &[&str], value: Value) {
    let (Value::Dict(_, dict), [name, rest @ ..]) = (at, path) else { return };
    if rest.is_empty() {
        dict.insert((*name).to_owned(), value);
    } else {
        let next = dict.entry((*name).to_owned()).or_insert_with(|| Value::from(Dict::new()));
        insert(next, rest, value);
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
