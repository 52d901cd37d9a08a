//! Who sent this: `Sluice-Signature: v1=<hex HMAC-SHA256(secret, timestamp + "." + body)>`, and `Sluice-Timestamp` in
//! seconds, which a replay cannot renew.
use axum::http::HeaderMap;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// How far the sender's clock may be from ours, in seconds. Larger gives a replay more time, smaller asks for better clocks.
const WINDOW_S: i64 = 300;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    #[error("no secret is configured, so nothing can be believed")]
    NoSecret,
    #[error("the header {0} is missing or not what it should be")]
    Header(&'static str),
    #[error("the timestamp is more than {WINDOW_S} s from now")]
    Time,
    #[error("the signature is not that of the secret, the timestamp and the body")]
    Wrong,
}

/// `body` as it came, byte for byte: a parsed and rewritten one has another signature.
pub(crate) fn check(secret: &str, headers: &HeaderMap, body: &[u8], now_ms: i64) -> Result<(), Problem> {
    if secret.is_empty() {
        return Err(Problem::NoSecret);
    }
    let header = |name: &'static str| {
        headers.get(name).and_then(|value| value.to_str().ok()).ok_or(Problem::Header(name))
    };
    let timestamp = header("sluice-timestamp")?;
    let seconds: i64 = timestamp.parse().map_err(|_| Problem::Header("sluice-timestamp"))?;
    let given = header("sluice-signature")?;
    if seconds.abs_diff(now_ms / 1_000) > WINDOW_S.unsigned_abs() {
        return Err(Problem::Time);
    }
    let expected = sign(secret, timestamp, body).ok_or(Problem::Wrong)?;
    // While a secret is replaced there may be several; one of them is enough.
    let signatures = given.split(',').filter_map(|part| part.trim().strip_prefix("v1="));
    let right = signatures
        .fold(false, |right, given| right | bool::from(given.as_bytes().ct_eq(expected.as_bytes())));
    if right { Ok(()) } else { Err(Problem::Wrong) }
}

fn sign(secret: &str, timestamp: &str, body: &[u8]) -> Option<String> {
    // HMAC takes keys of any length; the error exists for ciphers that do not.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    for part in [timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    Some(mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;
    const SECRET: &str = "a shared secret";

    fn headers(timestamp: &str, signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("sluice-timestamp", timestamp.parse().unwrap());
        headers.insert("sluice-signature", signature.parse().unwrap());
        headers
    }

    fn signed(seconds: i64) -> HeaderMap {
        let seconds = seconds.to_string();
        headers(&seconds, &format!("v1={}", sign(SECRET, &seconds, b"{}").unwrap()))
    }

    #[test]
    fn it_is_the_hmac_that_everybody_else_computes() {
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac 'a shared secret'
        let expected = "37ab779660f56bb31a61c917860d503cd3556b25dd6eb3293e461d7dc9ca901a";
        assert_eq!(sign(SECRET, "1700000000", b"{}").unwrap(), expected);
    }

    #[test]
    fn what_was_signed_now_is_believed() {
        let now = NOW / 1_000;
        assert_eq!(check(SECRET, &signed(now), b"{}", NOW), Ok(()));
        assert_eq!(check(SECRET, &signed(now - 300), b"{}", NOW), Ok(()));
        let text = signed(now)["sluice-signature"].to_str().unwrap().to_owned();
        let two = headers(&now.to_string(), &format!("v1=00, {text}"));
        assert_eq!(check(SECRET, &two, b"{}", NOW), Ok(()), "one of two secrets is enough");
    }

    #[test]
    fn all_else_is_not() {
        let now = NOW / 1_000;
        assert_eq!(check(SECRET, &signed(now), b"{ }", NOW), Err(Problem::Wrong), "another body");
        assert_eq!(check("other", &signed(now), b"{}", NOW), Err(Problem::Wrong), "another secret");
        assert_eq!(check(SECRET, &signed(now - 301), b"{}", NOW), Err(Problem::Time), "too old");
        assert_eq!(check(SECRET, &signed(now + 301), b"{}", NOW), Err(Problem::Time), "from the future");
        assert_eq!(check("", &signed(now), b"{}", NOW), Err(Problem::NoSecret));
        let empty = HeaderMap::new();
        assert_eq!(check(SECRET, &empty, b"{}", NOW), Err(Problem::Header("sluice-timestamp")));
        let mut renewed = signed(now - 200);
        renewed.insert("sluice-timestamp", now.to_string().parse().unwrap());
        assert_eq!(check(SECRET, &renewed, b"{}", NOW), Err(Problem::Wrong), "a timestamp that was renewed");
        for bad in ["", "v1=", "v2=abc", "soon"] {
            let headers = headers(&now.to_string(), bad);
            assert_eq!(check(SECRET, &headers, b"{}", NOW), Err(Problem::Wrong), "{bad}");
        }
        let extreme = headers(&i64::MIN.to_string(), "v1=00");
        assert_eq!(check(SECRET, &extreme, b"{}", NOW), Err(Problem::Time));
    }
}
