//! Links to calls.
use sluice_api::calls::v1 as api;
use sluice_calls::Time;

use super::Service;
use crate::calls::convert::{check, limits};
use crate::calls::desk::Trouble;
use crate::calls::documents::Remember;
use crate::calls::front::fingerprint;
use crate::calls::links::NewLink;

impl Service {
    /// A time to come; 0 is never.
    fn expiry(&self, ms: i64) -> Result<Option<Time>, Trouble> {
        match check::time_ms("expires_at_ms", ms)? {
            0 => Ok(None),
            at if at <= (self.clock)().0 => check::invalid("expires_at_ms", "has passed"),
            at => Ok(Some(Time(at))),
        }
    }

    pub(super) async fn do_create_link(
        &self,
        request: api::CreateLinkRequest,
    ) -> Result<api::CreateLinkResponse, Trouble> {
        let id = check::request(&request.request_id)?;
        let creator = check::user("creator_user_id", &request.creator_user_id)?;
        let new = NewLink {
            media: check::media(request.media)?,
            lobby: request.lobby,
            expires_at: self.expiry(request.expires_at_ms)?,
            conversation: check::conversation(&request.conversation_id)?,
            limits: limits::from_api(request.limits.as_ref()),
            creator: creator.clone(),
        };
        let remember = Remember { by: creator, request: id, fingerprint: fingerprint(&("link", &new)) };
        let link = self.documents.create_link((self.clock)(), remember, new).await?;
        Ok(api::CreateLinkResponse { link: Some(link.to_api()) })
    }

    pub(super) async fn do_update_link(
        &self,
        request: api::UpdateLinkRequest,
    ) -> Result<api::UpdateLinkResponse, Trouble> {
        check::request(&request.request_id)?;
        let id = check::link(&request.link_id)?;
        let expires_at = request.expires_at_ms.map(|ms| self.expiry(ms)).transpose()?;
        let update = self.documents.update_link(&id, |link| {
            link.lobby = request.lobby.unwrap_or(link.lobby);
            link.expires_at = expires_at.unwrap_or(link.expires_at);
        });
        Ok(api::UpdateLinkResponse { link: Some(update.await?.to_api()) })
    }

    pub(super) async fn do_revoke_link(
        &self,
        request: api::RevokeLinkRequest,
    ) -> Result<api::RevokeLinkResponse, Trouble> {
        check::request(&request.request_id)?;
        let id = check::link(&request.link_id)?;
        self.documents.update_link(&id, |link| link.revoked = true).await?;
        Ok(api::RevokeLinkResponse {})
    }
}
