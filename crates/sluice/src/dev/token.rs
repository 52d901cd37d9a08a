//! `POST /dev/token`: a token for whoever sits at this machine, so that the page works without a backend.
//!
//! It is the one unauthenticated way into a room, so two attacks of other web sites are kept out: a page of another
//! origin (checked by `Origin`), and DNS rebinding, where a name of the attacker points at us (checked by `Host`).
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

/// Longest room or display name, in characters.
const LONGEST_NAME: usize = 64;

/// Makes a token: room, identity, display name.
pub(crate) type Mint = dyn Fn(&str, &str, &str) -> anyhow::Result<String> + Send + Sync;

/// What the endpoint needs to know.
pub(crate) struct Desk {
    pub(crate) mint: Box<Mint>,
    /// A part of each identity that nobody else has.
    pub(crate) unique: fn() -> String,
    /// Addresses that this process is known by, besides loopback. The unspecified one stands for all.
    pub(crate) addresses: Vec<IpAddr>,
}

#[derive(Deserialize)]
struct Wanted {
    room: String,
    name: String,
}

#[derive(Serialize)]
struct Given {
    token: String,
    identity: String,
}

type Refusal = (StatusCode, &'static str);

/// The endpoint.
pub(crate) fn routes(desk: Desk) -> Router {
    Router::new().route("/dev/token", post(give)).with_state(Arc::new(desk))
}

async fn give(
    State(desk): State<Arc<Desk>>,
    uri: Uri,
    headers: HeaderMap,
    Json(wanted): Json<Wanted>,
) -> Result<Json<Given>, Refusal> {
    same_origin(&uri, &headers, &desk.addresses)?;
    let (room, name) = (named(&wanted.room)?, named(&wanted.name)?);
    let identity = format!("{name}-{}", (desk.unique)());
    let token = (desk.mint)(room, &identity, name).map_err(|error| {
        tracing::error!(%error, "cannot sign a token");
        (StatusCode::INTERNAL_SERVER_ERROR, "cannot sign a token; the log says why\n")
    })?;
    Ok(Json(Given { token, identity }))
}

fn named(text: &str) -> Result<&str, Refusal> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > LONGEST_NAME || text.chars().any(char::is_control) {
        return Err((StatusCode::BAD_REQUEST, "room and name must have 1 to 64 characters\n"));
    }
    Ok(text)
}

/// Lets through requests of our own page and of programs, not of other sites.
fn same_origin(uri: &Uri, headers: &HeaderMap, addresses: &[IpAddr]) -> Result<(), Refusal> {
    const FOREIGN: Refusal =
        (StatusCode::FORBIDDEN, "only the page of this server may ask for development tokens\n");
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let host =
        text(header::HOST).or_else(|| uri.authority().map(|authority| authority.as_str())).ok_or(FOREIGN)?;
    if !is_ours(host, addresses) {
        return Err(FOREIGN);
    }
    match text(header::ORIGIN) {
        Some(origin) => {
            let bare = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            if bare.is_some_and(|bare| bare.eq_ignore_ascii_case(host)) { Ok(()) } else { Err(FOREIGN) }
        }
        // No Origin: no browser, or one that names the relation in another header.
        None => match headers.get("sec-fetch-site").map(|value| value.as_bytes()) {
            None | Some(b"same-origin" | b"none") => Ok(()),
            Some(_) => Err(FOREIGN),
        },
    }
}

/// A rebinding attack needs a DNS name, so names other than localhost are refused, and addresses must be ours.
fn is_ours(host: &str, addresses: &[IpAddr]) -> bool {
    let Ok(authority) = host.parse::<axum::http::uri::Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let Ok(address) = name.parse::<IpAddr>() else { return false };
    address.is_loopback() || addresses.iter().any(|ours| *ours == address || ours.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAN: &str = "192.168.1.20";

    fn ask(host: &str, origin: Option<&str>, site: Option<&str>, addresses: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        if let Some(site) = site {
            headers.insert("sec-fetch-site", site.parse().unwrap());
        }
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        same_origin(&Uri::from_static("/dev/token"), &headers, &addresses).is_ok()
    }

    #[test]
    fn our_own_page_gets_tokens_by_every_name_of_this_machine() {
        assert!(ask("localhost:7880", Some("http://localhost:7880"), None, &[]));
        assert!(ask("127.0.0.1:7880", Some("http://127.0.0.1:7880"), None, &[]));
        assert!(ask("[::1]:7880", Some("http://[::1]:7880"), None, &[]));
        assert!(ask("192.168.1.20:7880", Some("http://192.168.1.20:7880"), None, &[LAN]));
        assert!(ask("192.168.1.20:7880", Some("http://192.168.1.20:7880"), None, &["0.0.0.0"]));
    }

    #[test]
    fn a_program_without_an_origin_gets_one_too() {
        assert!(ask("localhost:7880", None, None, &[]));
        assert!(ask("localhost:7880", None, Some("same-origin"), &[]));
    }

    #[test]
    fn another_site_gets_none() {
        assert!(!ask("localhost:7880", Some("https://evil.example"), None, &[]));
        assert!(!ask("localhost:7880", Some("http://localhost:3000"), None, &[]));
        assert!(!ask("localhost:7880", Some("null"), None, &[]));
        assert!(!ask("localhost:7880", None, Some("cross-site"), &[]));
    }

    #[test]
    fn a_name_that_was_rebound_to_us_gets_none() {
        assert!(!ask("evil.example:7880", Some("http://evil.example:7880"), None, &["0.0.0.0"]));
        assert!(!ask("localhost.evil.example", Some("http://localhost.evil.example"), None, &[]));
        assert!(!ask("192.168.1.99:7880", Some("http://192.168.1.99:7880"), None, &[LAN]));
    }

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!(named(" Ann ").unwrap(), "Ann");
        assert!(named("   ").is_err());
        assert!(named(&"x".repeat(65)).is_err());
        assert!(named("a\u{0}b").is_err());
    }
}
