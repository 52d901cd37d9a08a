//! How much of a stranger's text we are ready to look at.

/// Bounds of one session description. Everything above is refused before it is parsed further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Size of the whole text in bytes. A browser needs 3 to 8 kB for a video section and under 2 kB for audio.
    pub bytes: usize,
    /// Number of media sections. Sections are never given back, so this also bounds a session's life.
    pub sections: usize,
    /// Length of one line in bytes; the longest of a browser, a fingerprint or a candidate, is about 200.
    pub line_bytes: usize,
    /// Attributes of one section; browsers write about 150 into a video section with all their codecs.
    pub attributes: usize,
}

impl Default for Limits {
    /// 1 MiB, 256 sections, 4 KiB a line, 1,000 attributes a section: several times what a browser with a hundred
    /// subscriptions writes. Reading costs about 70 ns a byte, 70 ms at worst: do it away from media threads.
    fn default() -> Self {
        Limits { bytes: 1 << 20, sections: 256, line_bytes: 4096, attributes: 1000 }
    }
}
