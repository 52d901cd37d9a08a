//! Packets in a byte stream: a 16-bit length in network order before each (RFC 4571 section 2).

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The longest frame that the length field can announce, in bytes.
pub const MAX_FRAME: usize = u16::MAX as usize;

const PREFIX: usize = 2;

/// Why a frame cannot be read or written. A stream cannot go on after it: where the next frame begins is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {length} bytes is longer than the limit of {limit}")]
pub struct FrameError {
    /// Announced or given.
    pub length: usize,
    /// Allowed.
    pub limit: usize,
}

/// Cuts a byte stream into frames, however the bytes are split on their way.
///
/// **Fill [`FrameDecoder::buffer`], then call [`FrameDecoder::next_frame`] until it answers `None`.** Then less than one
/// frame remains, so that the memory is bounded by the limit and by what one read brings.
#[derive(Debug)]
pub struct FrameDecoder {
    buffer: BytesMut,
    limit: usize,
}

impl FrameDecoder {
    /// Takes frames of at most `limit` bytes; [`MAX_FRAME`] is the most that can be announced.
    pub fn new(limit: usize) -> Self {
        FrameDecoder { buffer: BytesMut::new(), limit: limit.min(MAX_FRAME) }
    }

    /// Changes the limit for the frames to come.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit.min(MAX_FRAME);
    }

    /// Where to put what was read, at the end.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next frame, if all of it is there. Null frames (length 0) are skipped.
    ///
    /// The limit is checked as soon as the length is known, before the frame is waited for.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        while let Some(&[high, low]) = self.buffer.first_chunk::<PREFIX>() {
            let length = usize::from(u16::from_be_bytes([high, low]));
            if length > self.limit {
                return Err(FrameError { length, limit: self.limit });
            }
            if self.buffer.len() < PREFIX + length {
                return Ok(None);
            }
            self.buffer.advance(PREFIX);
            if length > 0 {
                return Ok(Some(self.buffer.split_to(length).freeze()));
            }
        }
        Ok(None)
    }
}

/// Appends a frame to a stream.
pub fn encode_frame(contents: &[u8], stream: &mut impl BufMut) -> Result<(), FrameError> {
    let length =
        u16::try_from(contents.len()).map_err(|_| FrameError { length: contents.len(), limit: MAX_FRAME })?;
    stream.put_u16(length);
    stream.put_slice(contents);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn stream_of(frames: &[Vec<u8>]) -> Vec<u8> {
        let mut stream = Vec::new();
        for frame in frames {
            encode_frame(frame, &mut stream).unwrap();
        }
        stream
    }

    #[test]
    fn the_length_comes_first_in_network_order() {
        assert_eq!(stream_of(&[vec![7; 3]]), [0, 3, 7, 7, 7]);
        assert_eq!(stream_of(&[vec![1; 258]])[..3], [1, 2, 1]);
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_before_it_arrives() {
        let mut decoder = FrameDecoder::new(100);
        decoder.buffer().extend_from_slice(&[0, 100]);
        assert_eq!(decoder.next_frame(), Ok(None));
        let mut decoder = FrameDecoder::new(100);
        decoder.buffer().extend_from_slice(&[0, 101]);
        assert_eq!(decoder.next_frame(), Err(FrameError { length: 101, limit: 100 }));
    }

    #[test]
    fn a_packet_too_long_for_its_length_field_is_refused() {
        let mut stream = Vec::new();
        assert!(encode_frame(&vec![0; MAX_FRAME], &mut stream).is_ok());
        let before = stream.len();
        assert!(encode_frame(&vec![0; MAX_FRAME + 1], &mut stream).is_err());
        assert_eq!(stream.len(), before, "nothing of it may reach the stream");
    }

    #[test]
    fn null_frames_carry_nothing() {
        let mut decoder = FrameDecoder::new(MAX_FRAME);
        decoder.buffer().extend_from_slice(&[0, 0, 0, 0, 0, 1, 9, 0, 0]);
        assert_eq!(decoder.next_frame(), Ok(Some(Bytes::from_static(&[9]))));
        assert_eq!(decoder.next_frame(), Ok(None));
        assert!(decoder.buffer().is_empty());
    }

    proptest! {
        #[test]
        fn frames_survive_any_split(
            frames in vec(vec(any::<u8>(), 1..300), 0..20),
            splits in vec(1..97_usize, 1..50),
        ) {
            let stream = stream_of(&frames);
            let mut decoder = FrameDecoder::new(300);
            let mut seen = Vec::new();
            let mut rest = stream.as_slice();
            let mut splits = splits.iter().cycle();
            while !rest.is_empty() {
                let (part, behind) = rest.split_at((*splits.next().unwrap()).min(rest.len()));
                decoder.buffer().extend_from_slice(part);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    seen.push(frame.to_vec());
                }
                prop_assert!(decoder.buffer().len() < PREFIX + 300);
                rest = behind;
            }
            prop_assert_eq!(seen, frames);
            prop_assert!(decoder.buffer().is_empty());
        }

        #[test]
        fn garbage_ends_in_frames_or_an_error_but_never_in_more_bytes(
            garbage in vec(any::<u8>(), 0..2_000),
            limit in 0..1_000_usize,
        ) {
            let mut decoder = FrameDecoder::new(limit);
            decoder.buffer().extend_from_slice(&garbage);
            let mut bytes = 0;
            while let Ok(Some(frame)) = decoder.next_frame() {
                prop_assert!(frame.len() <= limit);
                bytes += PREFIX + frame.len();
            }
            prop_assert!(bytes <= garbage.len());
        }
    }
}
