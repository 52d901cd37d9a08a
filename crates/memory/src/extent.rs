//! Fetching memory before it is needed.

/// Bytes that the processor fetches at once.
const LINE: usize = 64;

/// Where something is in memory, or was.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extent {
    address: usize,
    bytes: usize,
}

impl Extent {
    /// Where this value is; of a pointer that it holds, not what is behind it.
    #[must_use]
    pub fn of<T: ?Sized>(value: &T) -> Self {
        Self { address: std::ptr::from_ref(value).addr(), bytes: size_of_val(value) }
    }

    /// So many bytes of its beginning at most.
    #[must_use]
    pub fn first(self, bytes: usize) -> Self {
        Self { bytes: self.bytes.min(bytes), ..self }
    }

    /// Begins to fetch it into the processor's caches, and does not wait. For who knows a while before what it will touch, of many
    /// things that are cold: fetched one after the other each costs its own wait, fetched ahead all cost one.
    ///
    /// What was there may be gone by now. Then the fetch is in vain, and nothing else.
    pub fn fetch(self) {
        for line in (self.address & !(LINE - 1)..self.address.saturating_add(self.bytes)).step_by(LINE) {
            fetch_line(line);
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn fetch_line(address: usize) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    #[expect(unsafe_code, reason = "an instruction without a safe name")]
    // SAFETY: a prefetch reads nothing that a program could see, and never faults, whatever the address.
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::without_provenance(address));
    }
}

/// Other processors' instructions have no stable name.
#[cfg(not(target_arch = "x86_64"))]
fn fetch_line(_: usize) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extent_is_where_the_value_is() {
        let bytes = [0_u8; 200];
        let extent = Extent::of(&bytes[..]);
        assert_eq!((extent.address, extent.bytes), (bytes.as_ptr().addr(), 200));
        assert_eq!(extent.first(64).bytes, 64);
        assert_eq!(extent.first(1_000).bytes, 200);
    }

    #[test]
    fn to_fetch_what_is_gone_or_never_was_does_no_harm() {
        let gone = Extent::of(&*vec![1_u8; 100_000]);
        gone.fetch();
        Extent::default().fetch();
        Extent { address: usize::MAX, bytes: 1 }.fetch();
        Extent { address: 1, bytes: 10_000 }.fetch();
    }
}
