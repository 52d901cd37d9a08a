//! Names that travel in session descriptions and header extensions.

use std::fmt;
use std::ops::Deref;

/// A short name, kept in place so that it can be copied with each packet. What does not fit is cut off.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token<const N: usize> {
    len: u8,
    bytes: [u8; N],
}

/// Identifies a section of a session description (RFC 8843 section 15): peers use one to three bytes, 16 at most.
pub type Mid = Token<16>;

/// Identifies a layer of a section (RFC 8851): 8 bytes at most, as in RFC 8852's examples; peers use one.
pub type Rid = Token<8>;

impl<const N: usize> Token<N> {
    /// From the bytes of a header extension; `None` if they are no text or do not fit.
    #[must_use]
    pub fn from_extension(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        (!text.is_empty() && text.len() <= N).then(|| Self::from(text))
    }

    /// Its bytes, without a look at what they spell.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl<const N: usize> From<&str> for Token<N> {
    fn from(text: &str) -> Self {
        let mut end = text.len().min(N);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let mut bytes = [0; N];
        bytes[..end].copy_from_slice(&text.as_bytes()[..end]);
        // At most N, which is far below 256.
        Token { len: end as u8, bytes }
    }
}

impl<const N: usize> Deref for Token<N> {
    type Target = str;

    fn deref(&self) -> &str {
        // Made of whole characters only.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Display for Token<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl<const N: usize> fmt::Debug for Token<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_and_a_long_one_is_cut_at_a_character() {
        assert_eq!(&*Mid::from("v12"), "v12");
        assert_eq!(&*Rid::from("123456789"), "12345678");
        assert_eq!(&*Rid::from("1234567é"), "1234567", "half a character is none");
        assert_ne!(Mid::from("a"), Mid::from("a\0"));
    }

    #[test]
    fn an_extension_that_is_no_name_is_refused() {
        assert_eq!(Rid::from_extension(b"q"), Some(Rid::from("q")));
        for bytes in [&b""[..], b"\xff", b"123456789"] {
            assert_eq!(Rid::from_extension(bytes), None);
        }
    }
}
