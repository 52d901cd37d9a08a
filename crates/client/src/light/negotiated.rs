//! What a light plane needs of a session description: the ids of header extensions, and which payload types are media.
use rustc_hash::FxHashMap;
use sluice_media::Ids;

/// Bundled sections share their numbers (RFC 9143 section 9.1), so one table does for all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Negotiated {
    pub(crate) ids: Ids,
    /// Clock rates of payload types that carry media, not repair.
    pub(crate) clocks: FxHashMap<u8, u32>,
}

impl Negotiated {
    /// Adds what a description of the other side says.
    pub(crate) fn learn(&mut self, sdp: &str) {
        for line in sdp.lines().map(str::trim_end) {
            if let Some(map) = line.strip_prefix("a=extmap:") {
                self.learn_extension(map);
            } else if let Some(map) = line.strip_prefix("a=rtpmap:") {
                self.learn_payload_type(map);
            }
        }
    }

    /// `1 uri` or `1/sendonly uri` (RFC 8285 section 5).
    fn learn_extension(&mut self, map: &str) {
        let mut words = map.split_whitespace();
        let id = words.next().and_then(|id| id.split('/').next()?.parse().ok());
        let (Some(id), Some(uri)) = (id, words.next()) else { return };
        self.ids.set(uri, id);
    }

    /// `96 VP8/90000` (RFC 8866 section 6.6).
    fn learn_payload_type(&mut self, map: &str) {
        let Some((pt, format)) = map.split_once(' ') else { return };
        let mut parts = format.split('/');
        let (name, clock) =
            (parts.next().unwrap_or_default(), parts.next().and_then(|clock| clock.parse().ok()));
        if let (Ok(pt), Some(clock), false) = (pt.parse(), clock, name.eq_ignore_ascii_case("rtx")) {
            self.clocks.insert(pt, clock);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_clocks_are_read_and_repair_is_left_out() {
        const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
        const RID: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
        const TRANSPORT: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
        let mut negotiated = Negotiated::default();
        negotiated.learn(&format!(
            "v=0\r\nm=video 9 X 96 97\r\na=extmap:3/sendonly {TRANSPORT}\r\na=extmap:4 {MID}\r\na=extmap:x {RID}\r\n\
             a=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:\r\n"
        ));
        assert_eq!(negotiated.ids, Ids { mid: 4, transport: 3, ..Ids::default() });
        let clocks = FxHashMap::from_iter([(96, 90_000), (111, 48_000)]);
        assert_eq!(negotiated.clocks, clocks);
    }
}
