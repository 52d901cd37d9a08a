//! What a client asks for when it connects, in the form of `/rtc`: query parameters.
use std::collections::{BTreeMap, HashMap};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_PAD_INDIFFERENT;
use sluice_livekit_proto as livekit;

use crate::model;

/// A request to come in or to come back, in either form.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Intent {
    pub(crate) client: model::Client,
    pub(crate) client_protocol: i32,
    pub(crate) capabilities: Vec<i32>,
    /// The participant that the client was before.
    pub(crate) resume: Option<String>,
    pub(crate) reconnect_reason: i32,
    /// These two count only if the token lets the participant update its own metadata.
    pub(crate) metadata: Option<String>,
    pub(crate) attributes: BTreeMap<String, String>,
    /// As if received right after joining.
    pub(crate) early: Early,
}

/// What a client sends along with its request, to save a round trip.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Early {
    pub(crate) tracks: Vec<livekit::AddTrackRequest>,
    pub(crate) offer: Option<livekit::SessionDescription>,
    pub(crate) sync_state: Option<livekit::SyncState>,
}

/// The parameters are unusable.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IntentError {
    #[error("`{0}` cannot be read: {1}")]
    Malformed(&'static str, String),
    #[error("`{0}` is larger than {1} bytes")]
    TooLarge(&'static str, usize),
    #[error("a client that comes back must name its participant in `sid`")]
    ResumeWithoutSid,
}

type Parameters = HashMap<String, String>;

impl Intent {
    /// From the parameters of `/rtc`. Unknown ones are ignored.
    pub(crate) fn from_query(parameters: &Parameters) -> Result<Self, IntentError> {
        let client = model::Client {
            single_connection: false,
            auto_subscribe: flag(parameters, "auto_subscribe").unwrap_or(true),
            adaptive_stream: flag(parameters, "adaptive_stream").unwrap_or(false),
            allow_pause: flag(parameters, "subscriber_allow_pause").unwrap_or(true),
            full_ice: flag(parameters, "disable_ice_lite").unwrap_or(false),
            protocol: number(parameters, "protocol"),
            software: software(text(parameters, "sdk"), text(parameters, "version")),
        };
        let resume = match flag(parameters, "reconnect") {
            Some(true) => match text(parameters, "sid") {
                "" => return Err(IntentError::ResumeWithoutSid),
                sid => Some(sid.to_owned()),
            },
            _ => None,
        };
        Ok(Self {
            client,
            client_protocol: number(parameters, "client_protocol"),
            capabilities: capabilities(text(parameters, "capabilities")),
            resume,
            reconnect_reason: number(parameters, "reconnect_reason"),
            metadata: None,
            attributes: attributes(parameters)?,
            early: Early::default(),
        })
    }
}

pub(crate) fn software(name: &str, version: &str) -> String {
    // For logs only: enough for any SDK, too short to fill them.
    format!("{name} {version}").chars().filter(|letter| !letter.is_control()).take(40).collect()
}

fn text<'a>(parameters: &'a Parameters, name: &str) -> &'a str {
    parameters.get(name).map_or("", String::as_str)
}

fn flag(parameters: &Parameters, name: &str) -> Option<bool> {
    match text(parameters, name) {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

fn number(parameters: &Parameters, name: &str) -> i32 {
    text(parameters, name).parse().unwrap_or(0)
}

fn capabilities(names: &str) -> Vec<i32> {
    let known = names.split(',').filter_map(livekit::client_info::Capability::from_str_name);
    known.map(i32::from).collect()
}

fn attributes(parameters: &Parameters) -> Result<BTreeMap<String, String>, IntentError> {
    let encoded = text(parameters, "attributes");
    if encoded.is_empty() {
        return Ok(BTreeMap::new());
    }
    let malformed = |error: String| IntentError::Malformed("attributes", error);
    let json = URL_SAFE_PAD_INDIFFERENT.decode(encoded).map_err(|error| malformed(error.to_string()))?;
    serde_json::from_slice(&json).map_err(|error| malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(pairs: &[(&str, &str)]) -> Parameters {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn absent_parameters_have_the_defaults_of_the_two_connection_form() {
        let intent = Intent::from_query(&parameters(&[])).unwrap();
        assert!(intent.client.auto_subscribe && intent.client.allow_pause);
        assert!(!intent.client.adaptive_stream && !intent.client.single_connection);
        assert_eq!(intent.resume, None);
    }

    #[test]
    fn flags_are_ones_or_words_and_unknown_parameters_are_ignored() {
        let pairs = [("auto_subscribe", "0"), ("adaptive_stream", "true"), ("x", "y"), ("protocol", "17")];
        let client = Intent::from_query(&parameters(&pairs)).unwrap().client;
        assert!(!client.auto_subscribe && client.adaptive_stream);
        assert_eq!(client.protocol, 17);
    }

    #[test]
    fn who_comes_back_says_as_whom() {
        let pairs = [("reconnect", "1"), ("sid", "PA_1"), ("reconnect_reason", "1")];
        let intent = Intent::from_query(&parameters(&pairs)).unwrap();
        assert_eq!((intent.resume.as_deref(), intent.reconnect_reason), (Some("PA_1"), 1));
        let nameless = Intent::from_query(&parameters(&[("reconnect", "1")]));
        assert_eq!(nameless, Err(IntentError::ResumeWithoutSid));
    }

    #[test]
    fn attributes_are_base64url_json() {
        // {"a":"b"}
        let intent = Intent::from_query(&parameters(&[("attributes", "eyJhIjoiYiJ9")])).unwrap();
        assert_eq!(intent.attributes["a"], "b");
        for wrong in ["!", "eyJh"] {
            assert!(Intent::from_query(&parameters(&[("attributes", wrong)])).is_err());
        }
    }

    #[test]
    fn capabilities_are_names() {
        let intent =
            Intent::from_query(&parameters(&[("capabilities", "CAP_PACKET_TRAILER,CAP_UNKNOWN")])).unwrap();
        assert_eq!(intent.capabilities, [1]);
    }

    #[test]
    fn the_name_of_the_software_cannot_fill_or_forge_logs() {
        let name = software(&"x".repeat(1000), "1\nINFO forged");
        assert!(name.len() <= 40 && !name.contains('\n'));
    }
}
