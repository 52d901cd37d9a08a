//! Keeps other web sites away from what needs no password: development sign-in and development tokens.
//!
//! Two attacks are kept out: a page of another origin (checked by `Origin`), and DNS rebinding, where a name of the
//! attacker points at us (checked by `Host`). Programs without an origin pass: they are this machine's own.
use std::net::IpAddr;

use axum::http::{HeaderMap, Uri, header};

/// By which names this server is known.
#[derive(Debug, Clone)]
pub struct Origins {
    addresses: Vec<IpAddr>,
}

/// The request comes from another site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("only the page of this server may do this")]
pub struct Foreign;

impl Origins {
    /// Loopback is always ours; `addresses` are those besides, and the unspecified one stands for all.
    pub fn new(addresses: Vec<IpAddr>) -> Self {
        Self { addresses }
    }

    /// Lets through requests of our own page and of programs, not of other sites.
    ///
    /// # Errors
    /// [`Foreign`], if a header tells another origin or names a host that is not us.
    pub fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Foreign> {
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        let host = text(header::HOST)
            .or_else(|| uri.authority().map(|authority| authority.as_str()))
            .ok_or(Foreign)?;
        if !self.is_ours(host) {
            return Err(Foreign);
        }
        match text(header::ORIGIN) {
            Some(origin) => {
                let bare = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
                if bare.is_some_and(|bare| bare.eq_ignore_ascii_case(host)) { Ok(()) } else { Err(Foreign) }
            }
            // No Origin: no browser, or one that names the relation in another header.
            None => match headers.get("sec-fetch-site").map(|value| value.as_bytes()) {
                None | Some(b"same-origin" | b"none") => Ok(()),
                Some(_) => Err(Foreign),
            },
        }
    }

    /// A rebinding attack needs a DNS name, so names other than localhost are refused, and addresses must be ours.
    fn is_ours(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<axum::http::uri::Authority>() else { return false };
        let name = authority.host().trim_start_matches('[').trim_end_matches(']');
        if name.eq_ignore_ascii_case("localhost") {
            return true;
        }
        let Ok(address) = name.parse::<IpAddr>() else { return false };
        address.is_loopback() || self.addresses.iter().any(|ours| *ours == address || ours.is_unspecified())
    }
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
        let origins = Origins::new(addresses.iter().map(|text| text.parse().unwrap()).collect());
        origins.check(&Uri::from_static("/dev/token"), &headers).is_ok()
    }

    #[test]
    fn our_own_page_passes_by_every_name_of_this_machine() {
        assert!(ask("localhost:7880", Some("http://localhost:7880"), None, &[]));
        assert!(ask("127.0.0.1:7880", Some("http://127.0.0.1:7880"), None, &[]));
        assert!(ask("[::1]:7880", Some("http://[::1]:7880"), None, &[]));
        assert!(ask("192.168.1.20:7880", Some("http://192.168.1.20:7880"), None, &[LAN]));
        assert!(ask("192.168.1.20:7880", Some("http://192.168.1.20:7880"), None, &["0.0.0.0"]));
    }

    #[test]
    fn a_program_without_an_origin_passes_too() {
        assert!(ask("localhost:7880", None, None, &[]));
        assert!(ask("localhost:7880", None, Some("same-origin"), &[]));
    }

    #[test]
    fn another_site_does_not() {
        assert!(!ask("localhost:7880", Some("https://evil.example"), None, &[]));
        assert!(!ask("localhost:7880", Some("http://localhost:3000"), None, &[]));
        assert!(!ask("localhost:7880", Some("null"), None, &[]));
        assert!(!ask("localhost:7880", None, Some("cross-site"), &[]));
    }

    #[test]
    fn a_name_that_was_rebound_to_us_does_not() {
        assert!(!ask("evil.example:7880", Some("http://evil.example:7880"), None, &["0.0.0.0"]));
        assert!(!ask("localhost.evil.example", Some("http://localhost.evil.example"), None, &[]));
        assert!(!ask("192.168.1.99:7880", Some("http://192.168.1.99:7880"), None, &[LAN]));
    }
}
