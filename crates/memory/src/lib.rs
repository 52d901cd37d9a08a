//! The server's allocator, how memory that calls leave behind goes back to the operating system, and how what is cold is fetched before
//! it is needed: [`Extent::fetch`].
//!
//! mimalloc has a heap for each thread. A page of it becomes free when its last block does, but the thread looks for such pages
//! only while it allocates. When the last call of an evening ends it has nothing to allocate for, and the pages of a thousand
//! sessions would stay until morning: after sixty calls of two had ended, 15 of 31 MiB. So each thread that lives long is asked
//! to look, by [`give_back`] when it is known that much has ended, or by [`give_back_at_times`] whenever it goes to sleep.
//!
//! What is written in C (aws-lc, for handshakes) allocates by the C library, whose arenas keep what was freed too: the trim of glibc
//! gives that back. It looks through the arenas of all threads, so only [`give_back`] does it.
//!
//! The one crate of the workspace with `unsafe` code: what it calls has no safe name.

mod extent;

use std::cell::Cell;
use std::time::{Duration, Instant};

pub use extent::Extent;
pub use mimalloc::MiMalloc as Allocator;

/// Threads go to sleep thousands of times a second, and all pages of a heap are looked at each time; little can gather in between.
const EVERY: Duration = Duration::from_millis(250);

thread_local! {
    static LAST: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Gives the free pages of this thread's heap back, and those of the C library's arenas. Looks at each page of the heap and at the free
/// blocks of the arenas, and makes a system call for each run of pages that is given back.
pub fn give_back() {
    collect();
    trim();
}

/// [`give_back`] for this thread's heap alone, unless this thread did so less than a quarter of a second ago.
pub fn give_back_at_times() {
    let now = Instant::now();
    if LAST.get().is_none_or(|last| now.saturating_duration_since(last) >= EVERY) {
        LAST.set(Some(now));
        collect();
    }
}

fn collect() {
    #[expect(unsafe_code, reason = "a foreign function")]
    // SAFETY: takes no pointer, keeps none, and may be called by any thread at any time: "This function can be used to reduce
    // memory" is all that mimalloc says of it. It frees only blocks that have been freed.
    unsafe {
        libmimalloc_sys::mi_collect(true);
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn trim() {
    #[expect(unsafe_code, reason = "a foreign function")]
    // SAFETY: takes no pointer, and may be called by any thread at any time: "MT-Safe" by malloc_trim(3). It gives back whole pages of
    // blocks that have been freed.
    let _something_was_given_back = unsafe { libc::malloc_trim(0) };
}

/// Other C libraries have no such function.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[global_allocator]
    static ALLOCATOR: Allocator = Allocator;

    /// Bytes of this process that are in memory and not read from a file.
    fn resident() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<usize>().ok()).unwrap_or(0) << 10
    }

    #[test]
    fn what_was_freed_goes_back() {
        // Blocks of all sizes, for which small ones are never of a page of their own.
        let blocks: Vec<Vec<u8>> = (0..40_000_usize).map(|i| vec![1; 64 + i % 2_000]).collect();
        let full = resident();
        drop(blocks);
        give_back();
        let after = resident();
        assert!(full > 40 << 20, "{full} bytes");
        assert!(after < full / 4, "{after} of {full} bytes stayed");
        // Not again at once, and without harm.
        give_back_at_times();
        give_back_at_times();
    }
}
