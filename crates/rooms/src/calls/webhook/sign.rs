//! How a request to the product's backend is signed, so that the backend can tell it from a forged one.
//!
//! `Sluice-Signature: v1=<hex>` is HMAC-SHA256, keyed with the shared secret, of the `Sluice-Timestamp` header (seconds
//! since the Unix epoch, as text), a dot, and the body as it came. Whoever checks it compares in constant time, and
//! refuses timestamps more than five minutes from its own clock, so that a recorded request cannot be played again.
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;

/// Seconds since the Unix epoch.
pub(crate) const TIMESTAMP: &str = "sluice-timestamp";
/// `v1=` and the hex form of the HMAC.
pub(crate) const SIGNATURE: &str = "sluice-signature";
/// The event's id, the same at each attempt.
pub(crate) const EVENT_ID: &str = "sluice-event-id";

/// Now, as the timestamp header has it.
pub(crate) fn timestamp() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs().to_string()
}

/// Signs with one secret.
pub(crate) struct Signer {
    key: hmac::Key,
}

impl Signer {
    pub(crate) fn new(secret: &str) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()) }
    }

    /// The value of the signature header.
    pub(crate) fn sign(&self, timestamp: &str, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(timestamp.as_bytes());
        context.update(b".");
        context.update(body);
        let tag = context.sign();
        let mut text = String::with_capacity(3 + 2 * tag.as_ref().len());
        text.push_str("v1=");
        for byte in tag.as_ref() {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac secret`.
    #[test]
    fn a_signature_is_the_one_that_openssl_makes() {
        let signature = Signer::new("secret").sign("1700000000", b"{\"a\":1}");
        assert_eq!(signature, "v1=49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686");
    }
}
