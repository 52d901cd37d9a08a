//! Texts, numbers and enums of requests: each within its bounds, or an error that names the field.
use sluice_api::calls::v1 as api;
use sluice_calls::{CallId, CallKind, ConversationId, DeviceId, LinkId, Media, Party, RequestId, UserId};

use crate::calls::desk::Trouble;

/// Characters of an id of the product.
const LONGEST_ID: usize = 128;
/// Characters of a request id.
const LONGEST_REQUEST_ID: usize = 64;
/// Characters of a handle.
const LONGEST_HANDLE: usize = 64;
/// Bytes of the product's own in a call.
const LARGEST_APP_DATA: usize = 4 * 1024;
/// Seconds that a call may ring.
const RING_S: std::ops::RangeInclusive<u32> = 15..=120;
/// Callees of one request; the call's own limit comes on top.
const MOST_CALLEES: usize = 256;

/// An error that names the field.
pub(crate) fn invalid<T>(field: &'static str, text: impl Into<String>) -> Result<T, Trouble> {
    Err(Trouble::Invalid { field, text: text.into() })
}

fn text(field: &'static str, text: &str, longest: usize) -> Result<(), Trouble> {
    if text.is_empty() {
        return invalid(field, "must not be empty");
    }
    if text.len() > longest {
        return invalid(field, format!("has {} characters, at most {longest} are allowed", text.len()));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/') {
        return invalid(field, "must be printable ASCII without spaces and slashes");
    }
    Ok(())
}

/// A user, not empty.
pub(crate) fn user(field: &'static str, id: &str) -> Result<UserId, Trouble> {
    text(field, id, LONGEST_ID).map(|()| UserId::new(id))
}

/// A user; empty is none.
pub(crate) fn optional_user(field: &'static str, id: &str) -> Result<Option<UserId>, Trouble> {
    if id.is_empty() { Ok(None) } else { user(field, id).map(Some) }
}

/// A device, not empty.
pub(crate) fn device(field: &'static str, id: &str) -> Result<DeviceId, Trouble> {
    text(field, id, LONGEST_ID).map(|()| DeviceId::new(id))
}

/// A call, not empty.
pub(crate) fn call(id: &str) -> Result<CallId, Trouble> {
    text("call_id", id, LONGEST_ID).map(|()| CallId::new(id))
}

/// A link, not empty.
pub(crate) fn link(id: &str) -> Result<LinkId, Trouble> {
    text("link_id", id, LONGEST_ID).map(|()| LinkId::new(id))
}

/// What a link is found by.
pub(crate) fn slug(slug: &str) -> Result<(), Trouble> {
    text("link_slug", slug, LONGEST_ID)
}

/// A conversation; empty is none.
pub(crate) fn conversation(id: &str) -> Result<Option<ConversationId>, Trouble> {
    if id.is_empty() {
        return Ok(None);
    }
    text("conversation_id", id, LONGEST_ID).map(|()| Some(ConversationId::new(id)))
}

/// The id of a mutation.
pub(crate) fn request(id: &str) -> Result<RequestId, Trouble> {
    text("request_id", id, LONGEST_REQUEST_ID).map(|()| RequestId::new(id))
}

/// What others see; may be empty.
pub(crate) fn handle(field: &'static str, handle: &str) -> Result<String, Trouble> {
    let length = handle.chars().count();
    if length > LONGEST_HANDLE {
        return invalid(field, format!("has {length} characters, at most {LONGEST_HANDLE} are allowed"));
    }
    if handle.chars().any(char::is_control) {
        return invalid(field, "must not hold control characters");
    }
    Ok(handle.to_owned())
}

/// Somebody with a device.
pub(crate) fn party(field: &'static str, party: Option<&api::Party>) -> Result<Party, Trouble> {
    let Some(party) = party else { return invalid(field, "is missing") };
    // Names of fields are static texts; there are two messages' worth of them.
    let (user_field, device_field, handle_field) = match field {
        "caller" => ("caller.user_id", "caller.device_id", "caller.handle"),
        _ => ("party.user_id", "party.device_id", "party.handle"),
    };
    Ok(Party {
        user: user(user_field, &party.user_id)?,
        device: device(device_field, &party.device_id)?,
        handle: handle(handle_field, &party.handle)?,
    })
}

/// Whom to ring: no user twice.
pub(crate) fn callees(callees: &[api::Callee]) -> Result<Vec<(UserId, String)>, Trouble> {
    if callees.is_empty() {
        return invalid("callees", "names nobody");
    }
    if callees.len() > MOST_CALLEES {
        return invalid(
            "callees",
            format!("has {} entries, at most {MOST_CALLEES} are allowed", callees.len()),
        );
    }
    let mut checked: Vec<(UserId, String)> = Vec::with_capacity(callees.len());
    for callee in callees {
        let user = user("callees.user_id", &callee.user_id)?;
        if checked.iter().any(|(known, _)| *known == user) {
            return invalid("callees", format!("names {user} twice"));
        }
        checked.push((user, handle("callees.handle", &callee.handle)?));
    }
    Ok(checked)
}

/// How long it rings, in milliseconds; 0 leaves it to the settings.
pub(crate) fn ring_ms(ring_s: u32) -> Result<Option<u64>, Trouble> {
    match ring_s {
        0 => Ok(None),
        seconds if RING_S.contains(&seconds) => Ok(Some(u64::from(seconds) * 1000)),
        seconds => invalid(
            "ring_s",
            format!(
                "is {seconds}; {} to {} seconds are allowed, 0 is the default",
                RING_S.start(),
                RING_S.end()
            ),
        ),
    }
}

/// The product's own bytes.
pub(crate) fn app_data(data: &[u8]) -> Result<Vec<u8>, Trouble> {
    if data.len() > LARGEST_APP_DATA {
        return invalid(
            "app_data",
            format!("has {} bytes, at most {LARGEST_APP_DATA} are allowed", data.len()),
        );
    }
    Ok(data.to_vec())
}

/// For two or for many.
pub(crate) fn kind(kind: i32) -> Result<CallKind, Trouble> {
    match api::CallKind::try_from(kind) {
        Ok(api::CallKind::Direct) => Ok(CallKind::Direct),
        Ok(api::CallKind::Group) => Ok(CallKind::Group),
        Ok(api::CallKind::Unspecified) | Err(_) => {
            invalid("kind", "must be CALL_KIND_DIRECT or CALL_KIND_GROUP")
        }
    }
}

/// Sound, or pictures too.
pub(crate) fn media(media: i32) -> Result<Media, Trouble> {
    match api::Media::try_from(media) {
        Ok(api::Media::Audio) => Ok(Media::Audio),
        Ok(api::Media::Video) => Ok(Media::Video),
        Ok(api::Media::Unspecified) | Err(_) => invalid("media", "must be MEDIA_AUDIO or MEDIA_VIDEO"),
    }
}

/// How many per page.
pub(crate) fn page_size(size: u32) -> Result<usize, Trouble> {
    match size {
        0 => Ok(100),
        1..=1000 => Ok(size as usize),
        size => invalid("page_size", format!("is {size}; at most 1000 are allowed, 0 means 100")),
    }
}

/// A rating.
pub(crate) fn stars(stars: u32) -> Result<u8, Trouble> {
    match u8::try_from(stars) {
        Ok(stars @ 1..=5) => Ok(stars),
        _ => invalid("stars", format!("is {stars}; 1 (bad) to 5 (good) are allowed")),
    }
}

/// A time to come, or 0.
pub(crate) fn time_ms(field: &'static str, ms: i64) -> Result<u64, Trouble> {
    u64::try_from(ms).or_else(|_| invalid(field, "is negative; give milliseconds since the Unix epoch, or 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field<T: std::fmt::Debug>(result: Result<T, Trouble>) -> &'static str {
        match result {
            Err(Trouble::Invalid { field, .. }) => field,
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn ids_are_printable_and_short() {
        assert!(user("user_id", "ann@example.org").is_ok());
        for bad in ["", "a b", "a/b", "ä", "a\n", &"x".repeat(129)] {
            assert_eq!(field(user("user_id", bad)), "user_id", "{bad:?}");
        }
        assert_eq!(field(request(&"x".repeat(65))), "request_id");
    }

    #[test]
    fn a_party_names_the_field_that_is_wrong() {
        let party = |user: &str, device: &str, handle: &str| {
            let party = api::Party { user_id: user.into(), device_id: device.into(), handle: handle.into() };
            super::party("caller", Some(&party))
        };
        assert!(party("ann", "phone", "Ann Ä.").is_ok());
        assert_eq!(field(super::party("caller", None)), "caller");
        assert_eq!(field(party("", "phone", "")), "caller.user_id");
        assert_eq!(field(party("ann", "", "")), "caller.device_id");
        assert_eq!(field(party("ann", "phone", &"ä".repeat(65))), "caller.handle");
        assert_eq!(field(party("ann", "phone", "a\u{7}")), "caller.handle");
    }

    #[test]
    fn lists_and_numbers_have_bounds() {
        let callee = |id: &str| api::Callee { user_id: id.into(), handle: String::new() };
        assert_eq!(field(callees(&[])), "callees");
        assert_eq!(field(callees(&[callee("ben"), callee("ben")])), "callees");
        let many: Vec<_> = (0..257).map(|index| callee(&format!("u{index}"))).collect();
        assert_eq!(field(callees(&many)), "callees");
        assert_eq!(ring_ms(0).unwrap(), None);
        assert_eq!(ring_ms(15).unwrap(), Some(15_000));
        assert_eq!((field(ring_ms(14)), field(ring_ms(121))), ("ring_s", "ring_s"));
        assert_eq!(field(app_data(&[0; 4097])), "app_data");
        assert_eq!((field(stars(0)), field(stars(6)), field(stars(300))), ("stars", "stars", "stars"));
        assert_eq!(field(page_size(1001)), "page_size");
        assert_eq!((field(kind(0)), field(media(9))), ("kind", "media"));
    }
}
