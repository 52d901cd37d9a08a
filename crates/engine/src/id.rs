//! Names that callers choose. Cheap to clone, compared by text; the packet path uses dense keys instead.

use std::fmt;
use std::sync::Arc;

/// The longest id, in bytes.
pub const MAX_ID_BYTES: usize = 128;

/// Why a text cannot be an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an id is 1 to {MAX_ID_BYTES} characters of printable ASCII without spaces")]
pub struct InvalidId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and takes a text: 1 to 128 bytes of printable ASCII without spaces.
            pub fn new(text: &str) -> Result<Self, InvalidId> {
                let valid = (1..=MAX_ID_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
                if valid { Ok($name(Arc::from(text))) } else { Err(InvalidId) }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// A room, unique in the node.
    RoomId
);
id!(
    /// A participant, unique in its room; several sessions may belong to one.
    ParticipantId
);
id!(
    /// A session, unique in its room.
    SessionId
);
id!(
    /// A publication, unique in its room.
    PublicationId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_printable_words() {
        assert!(RoomId::new("team|42_x").is_ok());
        for bad in ["", "two words", "tab\t", "umlaut-ü", &"x".repeat(129)] {
            assert_eq!(RoomId::new(bad), Err(InvalidId), "{bad:?}");
        }
    }
}
