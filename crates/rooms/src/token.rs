//! Access tokens: JSON Web Tokens (RFC 7519) with HS256, in the shape that LiveKit client and server SDKs use.
//!
//! `iss` is the API key and selects the secret, `sub` is the participant's identity, and the claim `video` says what the
//! participant may do. A permission that is absent is granted; see [`Grants`].
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::model::{Permissions, Source};

/// Clocks of token servers may differ from ours by this many seconds.
pub(crate) const LEEWAY: u64 = 60;

/// The claims of a token.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Claims {
    /// API key.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub iss: String,
    /// Identity of the participant.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sub: String,
    /// Identity, if `sub` is absent.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub jti: String,
    /// Seconds since the Unix epoch.
    pub exp: u64,
    /// Seconds since the Unix epoch; 0: valid at once.
    pub nbf: u64,
    /// Name that the others see.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Opaque, for the application.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub metadata: String,
    /// Opaque pairs, for the application.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// `standard` (or empty), `agent`, `ingress`, `egress`, `sip`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The call whose room it is for: then it is of use only while the call gives this identity a seat.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub call: String,
    /// What the participant may do.
    pub video: Grants,
    /// Set in a device's token, which opens `/calls/v1` and no room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<DeviceClaim>,
}

/// What a token permits. `None` means the default that is named.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Grants {
    /// May join `room`.
    pub room_join: bool,
    /// The room's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub room: String,
    /// Default: yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish: Option<bool>,
    /// Default: yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_subscribe: Option<bool>,
    /// Default: as `can_publish`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish_data: Option<bool>,
    /// `camera`, `microphone`, `screen_share`, `screen_share_audio`. If not empty, these and no others may be published,
    /// whatever `can_publish` says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub can_publish_sources: Vec<String>,
    /// Default: no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_update_own_metadata: Option<bool>,
    /// The others do not see this participant.
    #[serde(skip_serializing_if = "is_false")]
    pub hidden: bool,
    /// A flag that the others see.
    #[serde(skip_serializing_if = "is_false")]
    pub recorder: bool,
    /// A flag that the others see.
    #[serde(skip_serializing_if = "is_false")]
    pub agent: bool,
    /// Default: no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_subscribe_metrics: Option<bool>,
    /// May create rooms (server APIs).
    #[serde(skip_serializing_if = "is_false")]
    pub room_create: bool,
    /// May list rooms (server APIs).
    #[serde(skip_serializing_if = "is_false")]
    pub room_list: bool,
    /// May administer `room` (server APIs).
    #[serde(skip_serializing_if = "is_false")]
    pub room_admin: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Grants {
    /// What the participant may do in the room.
    pub(crate) fn permissions(&self) -> Permissions {
        let sources: Vec<i32> = self.can_publish_sources.iter().filter_map(|name| source(name)).collect();
        // A list of unknown names only must not turn into "everything".
        let listed = !self.can_publish_sources.is_empty();
        let can_publish = if listed { !sources.is_empty() } else { self.can_publish.unwrap_or(true) };
        Permissions {
            can_subscribe: self.can_subscribe.unwrap_or(true),
            can_publish,
            can_publish_data: self.can_publish_data.unwrap_or(self.can_publish.unwrap_or(true)),
            sources,
            can_update_metadata: self.can_update_own_metadata.unwrap_or(false),
            hidden: self.hidden,
            recorder: self.recorder,
            agent: self.agent,
            can_subscribe_metrics: self.can_subscribe_metrics.unwrap_or(false),
        }
    }
}

fn source(name: &str) -> Option<i32> {
    let source = match name.to_ascii_lowercase().as_str() {
        "camera" => Source::Camera,
        "microphone" => Source::Microphone,
        "screen_share" => Source::ScreenShare,
        "screen_share_audio" => Source::ScreenShareAudio,
        _ => return None,
    };
    Some(source.into())
}

impl Claims {
    /// The participant's identity; empty if the token names none.
    pub fn identity(&self) -> &str {
        if self.sub.is_empty() { &self.jti } else { &self.sub }
    }

    /// The number that the client protocol gives to the participant's kind.
    pub(crate) fn kind_number(&self) -> i32 {
        match self.kind.as_str() {
            "ingress" => 1,
            "egress" => 2,
            "sip" => 3,
            "agent" => 4,
            _ => 0,
        }
    }
}

/// Why a token was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Neither a query parameter nor a header held one.
    #[error("no access token: give it as `access_token` or as a bearer token")]
    Missing,
    /// It is not a token that we can read.
    #[error("the access token is malformed")]
    Malformed,
    /// `iss` is unknown.
    #[error("the access token's API key is unknown")]
    UnknownKey,
    /// The secret does not fit.
    #[error("the access token's signature is wrong")]
    Signature,
    /// `exp` has passed.
    #[error("the access token has expired")]
    Expired,
    /// `nbf` is still to come.
    #[error("the access token is not valid yet")]
    NotYet,
    /// The token could not be signed.
    #[error("the access token cannot be signed")]
    Unsignable,
    /// A participant's token where a device's is needed.
    #[error("the access token is not a device's: get one with CreateDeviceToken")]
    NotADevice,
}

impl From<jsonwebtoken::errors::Error> for TokenError {
    fn from(error: jsonwebtoken::errors::Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidSignature => Self::Signature,
            ErrorKind::ExpiredSignature => Self::Expired,
            ErrorKind::ImmatureSignature => Self::NotYet,
            _ => Self::Malformed,
        }
    }
}

/// API keys with their secrets.
#[derive(Clone)]
pub struct Keys(BTreeMap<String, String>);

impl Keys {
    /// From API key to secret.
    pub fn new(keys: BTreeMap<String, String>) -> Self {
        Self(keys)
    }

    /// The claims of `token`, if one of our keys signed it and it is valid now.
    pub fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        if token.is_empty() {
            return Err(TokenError::Missing);
        }
        // Only to learn which secret to check with: nothing of these claims is used further.
        let unverified: Claims = jsonwebtoken::dangerous::insecure_decode_claims(token)?;
        let secret = self.0.get(&unverified.iss).ok_or(TokenError::UnknownKey)?;
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.validate_aud = false;
        Ok(jsonwebtoken::decode(token, &DecodingKey::from_secret(secret.as_bytes()), &validation)?.claims)
    }

    /// The same claims anew, valid for `validity` from now.
    pub(crate) fn renew(&self, claims: &Claims, validity: Duration) -> Result<String, TokenError> {
        let secret = self.0.get(&claims.iss).ok_or(TokenError::UnknownKey)?;
        sign(claims.clone(), secret, validity)
    }
}

fn sign(mut claims: Claims, secret: &str, validity: Duration) -> Result<String, TokenError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| TokenError::Unsignable)?.as_secs();
    claims.exp = now + validity.as_secs();
    claims.nbf = now;
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).map_err(|_| TokenError::Unsignable)
}

/// Makes tokens.
///
/// ```
/// use sluice_rooms::token::TokenBuilder;
/// let token = TokenBuilder::new("alice").room("lobby").name("Alice").sign("devkey", "secret").unwrap();
/// assert_eq!(token.split('.').count(), 3);
/// ```
#[derive(Debug, Clone)]
pub struct TokenBuilder {
    claims: Claims,
    validity: Duration,
}

impl TokenBuilder {
    /// A token for the participant `identity`, valid for six hours, that permits nothing yet.
    pub fn new(identity: impl Into<String>) -> Self {
        let claims = Claims { sub: identity.into(), ..Claims::default() };
        Self { claims, validity: Duration::from_secs(6 * 3600) }
    }

    /// May join the room `name`.
    pub fn room(mut self, name: impl Into<String>) -> Self {
        self.claims.video.room_join = true;
        self.claims.video.room = name.into();
        self
    }

    /// The name that the others see.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.claims.name = name.into();
        self
    }

    /// Opaque text for the application.
    pub fn metadata(mut self, metadata: impl Into<String>) -> Self {
        self.claims.metadata = metadata.into();
        self
    }

    /// Everything that the participant may do.
    pub fn grants(mut self, grants: Grants) -> Self {
        self.claims.video = grants;
        self
    }

    /// Of use only in this call.
    pub fn call(mut self, call: impl Into<String>) -> Self {
        self.claims.call = call.into();
        self
    }

    /// A token of the device `device` of the user that the token is for: it opens `/calls/v1` and no room.
    pub fn device(mut self, device: impl Into<String>, call_waiting: bool) -> Self {
        self.claims.calls = Some(DeviceClaim { device: device.into(), call_waiting });
        self
    }

    /// How long the token is valid from now.
    pub fn validity(mut self, validity: Duration) -> Self {
        self.validity = validity;
        self
    }

    /// Signs with an API key and its secret.
    pub fn sign(mut self, api_key: &str, secret: &str) -> Result<String, TokenError> {
        self.claims.iss = api_key.into();
        sign(self.claims, secret, self.validity)
    }
}

mod device;
pub use device::DeviceClaim;

#[cfg(test)]
mod tests;
