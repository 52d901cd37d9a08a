//! Links to calls, as documents: made, changed, revoked, and found by what stands in their URL.
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use sluice_api::calls::v1 as api;
use sluice_calls::{ConversationId, Limits, LinkId, Media, Time, UserId};

use super::convert::{enums, limits, model};
use super::desk::Trouble;
use super::documents::{Documents, Remember, Remembered, encode, put};
use crate::store::StoreError;

/// Letters and digits of a slug: 22 of 62 are 131 bits, beyond guessing.
const SLUG: usize = 22;

/// One link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Link {
    pub(crate) id: LinkId,
    pub(crate) slug: String,
    pub(crate) creator: UserId,
    pub(crate) media: Media,
    pub(crate) lobby: bool,
    pub(crate) created_at: Time,
    pub(crate) expires_at: Option<Time>,
    pub(crate) revoked: bool,
    pub(crate) conversation: Option<ConversationId>,
    pub(crate) limits: Limits,
}

/// A link to be.
#[derive(Debug, Clone)]
pub(crate) struct NewLink {
    pub(crate) creator: UserId,
    pub(crate) media: Media,
    pub(crate) lobby: bool,
    pub(crate) expires_at: Option<Time>,
    pub(crate) conversation: Option<ConversationId>,
    pub(crate) limits: Limits,
}

fn link_key(id: &LinkId) -> String {
    format!("calls/link/{id}")
}

fn slug_key(slug: &str) -> String {
    format!("calls/slug/{slug}")
}

fn unknown() -> Trouble {
    Trouble::NotFound { field: "link_id", text: "there is no such link".into() }
}

impl Link {
    pub(crate) fn to_api(&self) -> api::Link {
        api::Link {
            link_id: self.id.to_string(),
            slug: self.slug.clone(),
            creator_user_id: self.creator.to_string(),
            media: enums::media(self.media).into(),
            lobby: self.lobby,
            created_at_ms: model::time(Some(self.created_at)),
            expires_at_ms: model::time(self.expires_at),
            revoked: self.revoked,
            conversation_id: self.conversation.as_ref().map(ToString::to_string).unwrap_or_default(),
            limits: Some(limits::to_api(&self.limits)),
        }
    }
}

impl Documents {
    /// Makes a link; the same request again finds the one that it made.
    pub(crate) async fn create_link(
        &self,
        now: Time,
        remember: Remember,
        new: NewLink,
    ) -> Result<Link, Trouble> {
        if let Some(made) = self.remembered(&remember.by, &remember.request).await? {
            let Remembered { made, fingerprint } = made;
            if fingerprint != remember.fingerprint {
                return Err(super::front::reused());
            }
            return self.link(&LinkId::new(made)).await?.ok_or_else(unknown);
        }
        let slug: String =
            rand::rng().sample_iter(rand::distr::Alphanumeric).take(SLUG).map(char::from).collect();
        let link = Link {
            id: LinkId::new(crate::id::link()),
            slug,
            creator: new.creator,
            media: new.media,
            lobby: new.lobby,
            created_at: now,
            expires_at: new.expires_at,
            revoked: false,
            conversation: new.conversation,
            limits: new.limits,
        };
        let mut changes =
            vec![put(link_key(&link.id), encode(&link)?), put(slug_key(&link.slug), encode(&link.id)?)];
        changes.extend(self.remember(now, &remember, link.id.as_str())?);
        self.write(changes).await?;
        Ok(link)
    }

    /// By its id.
    pub(crate) async fn link(&self, id: &LinkId) -> Result<Option<Link>, StoreError> {
        Ok(self.read(&link_key(id)).await?.map(|(link, _)| link))
    }

    /// By what stands in the URL.
    pub(crate) async fn link_by_slug(&self, slug: &str) -> Result<Option<Link>, StoreError> {
        match self.read::<LinkId>(&slug_key(slug)).await? {
            Some((id, _)) => self.link(&id).await,
            None => Ok(None),
        }
    }

    /// Changes a link. To do the same again changes nothing, so that retries need no memory.
    pub(crate) async fn update_link(&self, id: &LinkId, update: impl Fn(&mut Link)) -> Result<Link, Trouble> {
        let key = link_key(id);
        loop {
            let Some((mut link, revision)) = self.read::<Link>(&key).await? else { return Err(unknown()) };
            let before = link.clone();
            update(&mut link);
            if link == before {
                return Ok(link);
            }
            match self.store.put(&key, encode(&link)?, Some(revision)).await {
                Ok(_) => return Ok(link),
                Err(StoreError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
