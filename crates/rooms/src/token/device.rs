//! Tokens of devices: who rings, and may answer. Not of participants: no room opens to them, and no participant's token
//! opens `/calls/v1`.
use serde::{Deserialize, Serialize};

use super::{Claims, Keys, TokenError};

/// The claim `calls` of a device's token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeviceClaim {
    /// Which device of the user `sub`.
    pub device: String,
    /// It can show a second call while one goes on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub call_waiting: bool,
}

/// A device that showed a valid token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DevicePass {
    pub(crate) user: String,
    /// What others see of the user.
    pub(crate) handle: String,
    pub(crate) device: String,
    pub(crate) call_waiting: bool,
    /// Seconds since the Unix epoch.
    pub(crate) expires: u64,
}

impl Keys {
    /// Who holds `token`, if one of our keys signed it for a device and it is valid now.
    pub(crate) fn verify_device(&self, token: &str) -> Result<DevicePass, TokenError> {
        let Claims { sub, name, exp, calls, video, .. } = self.verify(token)?;
        match calls {
            // A token for both would be a participant's in the hands of whoever wants a device's.
            Some(claim) if !video.room_join => Ok(DevicePass {
                user: sub,
                handle: name,
                device: claim.device,
                call_waiting: claim.call_waiting,
                expires: exp,
            }),
            _ => Err(TokenError::NotADevice),
        }
    }
}
