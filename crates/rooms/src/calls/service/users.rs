//! What concerns users and devices beyond calls: tokens to connect with, and the built-in policy's knowledge.
use std::time::Duration;

use sluice_api::calls::v1 as api;

use super::Service;
use crate::calls::convert::check;
use crate::calls::desk::Trouble;
use crate::token::TokenBuilder;

/// Seconds that a device's token may be valid; 0 means the last.
const VALIDITY_S: std::ops::RangeInclusive<u32> = 60..=604_800;
const USUAL_VALIDITY_S: u32 = 43_200;

impl Service {
    pub(super) async fn do_create_device_token(
        &self,
        request: api::CreateDeviceTokenRequest,
    ) -> Result<api::CreateDeviceTokenResponse, Trouble> {
        let user = check::user("user_id", &request.user_id)?;
        let device = check::device("device_id", &request.device_id)?;
        let handle = check::handle("handle", &request.handle)?;
        if handle.is_empty() {
            return check::invalid("handle", "must not be empty: it is what others see");
        }
        let seconds = match request.validity_s {
            0 => USUAL_VALIDITY_S,
            seconds if VALIDITY_S.contains(&seconds) => seconds,
            seconds => {
                return check::invalid("validity_s", format!("is {seconds}; 60 to 604800 are allowed"));
            }
        };
        let validity = Duration::from_secs(seconds.into());
        let token = TokenBuilder::new(user.as_str())
            .name(handle)
            .device(device.as_str(), request.call_waiting)
            .validity(validity)
            .sign(&self.keys.key, &self.keys.secret);
        let token = token.map_err(|error| {
            tracing::error!(%error, "a device's token");
            Trouble::Unavailable("the token cannot be signed")
        })?;
        let expires = (self.clock)().after_ms(u64::from(seconds) * 1000);
        Ok(api::CreateDeviceTokenResponse {
            token,
            expires_at_ms: i64::try_from(expires.0).unwrap_or(i64::MAX),
        })
    }

    pub(super) async fn do_put_user_policy(
        &self,
        request: api::PutUserPolicyRequest,
    ) -> Result<api::PutUserPolicyResponse, Trouble> {
        let Some(policy) = request.policy else { return check::invalid("policy", "is missing") };
        self.authority.policies().put(policy).await?;
        Ok(api::PutUserPolicyResponse {})
    }

    pub(super) async fn do_get_user_policy(
        &self,
        request: api::GetUserPolicyRequest,
    ) -> Result<api::GetUserPolicyResponse, Trouble> {
        let user = check::user("user_id", &request.user_id)?;
        match self.authority.policies().get(&user).await? {
            Some(policy) => Ok(api::GetUserPolicyResponse { policy: Some(policy) }),
            None => {
                Err(Trouble::NotFound { field: "user_id", text: "no policy was put for this user".into() })
            }
        }
    }
}
