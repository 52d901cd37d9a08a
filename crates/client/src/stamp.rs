//! What a packet says of itself: the last bytes of each payload that we send.
use std::time::{SystemTime, UNIX_EPOCH};

/// Random, so that payloads of others are not taken for ours.
const MAGIC: [u8; 4] = [0xc1, 0x5e, 0x71, 0x9b];

/// Written by the sender at the end of the payload, read by the receiver. Survives a forwarder that rewrites headers
/// and the VP8 payload descriptor, as these come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// When it was sent, microseconds since the Unix epoch by the sender's clock.
    pub sent_us: u64,
    /// Counts the packets of one layer, from 0.
    pub counter: u32,
    /// Pixels; 0 for audio.
    pub width: u16,
    /// Pixels; 0 for audio.
    pub height: u16,
}

impl Stamp {
    /// Bytes that a stamp takes.
    pub const SIZE: usize = 20;

    pub(crate) fn write(self, payload: &mut Vec<u8>) {
        payload.extend_from_slice(&MAGIC);
        payload.extend_from_slice(&self.sent_us.to_be_bytes());
        payload.extend_from_slice(&self.counter.to_be_bytes());
        payload.extend_from_slice(&self.width.to_be_bytes());
        payload.extend_from_slice(&self.height.to_be_bytes());
    }

    /// Reads the stamp of a payload, if it is one of ours.
    #[must_use]
    pub fn read(payload: &[u8]) -> Option<Self> {
        let (_, tail) = payload.split_last_chunk::<{ Self::SIZE }>()?;
        let (magic, rest) = tail.split_first_chunk::<4>()?;
        let (sent, rest) = rest.split_first_chunk::<8>()?;
        let (counter, rest) = rest.split_first_chunk::<4>()?;
        let (width, height) = rest.split_first_chunk::<2>()?;
        (*magic == MAGIC).then_some(())?;
        Some(Self {
            sent_us: u64::from_be_bytes(*sent),
            counter: u32::from_be_bytes(*counter),
            width: u16::from_be_bytes(*width),
            height: u16::from_be_bytes(height.try_into().ok()?),
        })
    }

    /// Microseconds since it was sent; 0 if clocks disagree.
    #[must_use]
    pub fn age_us(self) -> u64 {
        now_us().saturating_sub(self.sent_us)
    }
}

/// Microseconds since the Unix epoch.
pub(crate) fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_whatever_stands_before_it() {
        let stamp = Stamp { sent_us: 1_700_000_000_123_456, counter: 70_000, width: 1280, height: 720 };
        let mut payload = vec![0x90, 0x80];
        stamp.write(&mut payload);
        assert_eq!(Stamp::read(&payload), Some(stamp));
        assert_eq!(Stamp::read(&payload[2..]), Some(stamp));
        assert_eq!(Stamp::read(&payload[3..]), None, "cut off");
        assert_eq!(Stamp::read(&[0; 64]), None, "not ours");
    }
}
