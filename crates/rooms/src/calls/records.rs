//! Lists of ended calls, newest first, from the indexes.
use sluice_calls::{CallId, ConversationId, Record, RecordOutcome, UserId};

use super::documents::{Documents, conversation_prefix, user_prefix};
use crate::store::StoreError;

/// Index entries looked at for one page, at most: a filter that fits nothing must not read a whole store.
const MOST_LOOKED_AT: usize = 5_000;

/// A page of records, and where the next one begins; empty if there is none.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) records: Vec<Record>,
    pub(crate) next: String,
}

impl Documents {
    /// Records of a user, of a conversation, or of a conversation in which the user stands.
    pub(crate) async fn records(
        &self,
        user: Option<&UserId>,
        conversation: Option<&ConversationId>,
        size: usize,
        token: &str,
    ) -> Result<Page, StoreError> {
        let prefix = match (conversation, user) {
            (Some(conversation), _) => conversation_prefix(conversation),
            (None, Some(user)) => user_prefix(user),
            (None, None) => return Ok(Page::default()),
        };
        let mut page = Page::default();
        let mut after = (!token.is_empty()).then(|| format!("{prefix}{token}"));
        let mut looked_at = 0;
        loop {
            let entries = self.store.page(&prefix, after.as_deref(), size).await?;
            let more = entries.len() == size;
            for (key, _) in entries {
                looked_at += 1;
                let suffix = key.get(prefix.len()..).unwrap_or_default();
                let call = suffix.rsplit('/').next().unwrap_or_default();
                if let Some(ended) = self.ended(&CallId::new(call)).await?
                    && user.is_none_or(|user| shows(&ended.record, user))
                {
                    page.records.push(ended.record);
                }
                if page.records.len() == size || looked_at >= MOST_LOOKED_AT {
                    page.next = suffix.to_owned();
                    return Ok(page);
                }
                after = Some(key);
            }
            if !more {
                return Ok(page);
            }
        }
    }
}

fn shows(record: &Record, user: &UserId) -> bool {
    record.legs.iter().any(|leg| leg.user == *user && leg.shown != RecordOutcome::Nothing)
}
