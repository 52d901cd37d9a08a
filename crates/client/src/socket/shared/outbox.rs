//! What listeners have to say, until all that came is heard.
//!
//! The kernel's way of a datagram and ours are both longer than the processor's first cache: taking turns, each would push the other out
//! for every train. So all of a batch is heard first, and then all that is due is sent. Where a runtime has several threads, what a connection's
//! task sends by itself may overtake what lies here for these microseconds.
use std::cell::RefCell;
use std::net::SocketAddr;

use crate::socket::Exit;

/// A train for the other side, and whose it is.
pub(super) struct Letter<'a> {
    /// The place at the socket.
    pub(super) index: usize,
    pub(super) destination: SocketAddr,
    pub(super) contents: &'a [u8],
    pub(super) segment: Option<usize>,
}

impl Letter<'_> {
    pub(super) fn datagrams(&self) -> u64 {
        self.contents.len().div_ceil(self.segment.unwrap_or(usize::MAX).max(1)) as u64
    }
}

/// Grows to the most that a batch has had to say.
#[derive(Default)]
pub(super) struct Outbox(RefCell<Letters>);

#[derive(Default)]
struct Letters {
    bytes: Vec<u8>,
    heads: Vec<Head>,
}

struct Head {
    index: usize,
    destination: SocketAddr,
    segment: Option<usize>,
    /// Of its bytes.
    end: usize,
}

impl Outbox {
    /// The exit of this place.
    pub(super) fn of(&self, index: usize, longest_train: usize) -> impl Exit {
        PlaceExit { outbox: self, index, longest_train }
    }

    /// Hands out what was said, in its order.
    pub(super) fn empty(&self, mut each: impl FnMut(Letter<'_>)) {
        let Letters { bytes, heads } = &mut *self.0.borrow_mut();
        let mut start = 0;
        for Head { index, destination, segment, end } in heads.drain(..) {
            each(Letter { index, destination, contents: &bytes[start..end], segment });
            start = end;
        }
        bytes.clear();
    }
}

struct PlaceExit<'a> {
    outbox: &'a Outbox,
    index: usize,
    longest_train: usize,
}

impl Exit for PlaceExit<'_> {
    /// Takes everything. What the kernel does not take later, the listener is told.
    fn send(&self, destination: SocketAddr, contents: &[u8], segment: Option<usize>) -> bool {
        let Letters { bytes, heads } = &mut *self.outbox.0.borrow_mut();
        bytes.extend_from_slice(contents);
        heads.push(Head { index: self.index, destination, segment, end: bytes.len() });
        true
    }

    fn longest_train(&self) -> usize {
        self.longest_train
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_comes_out_once_in_its_order_and_under_its_name() {
        let (outbox, to) = (Outbox::default(), "127.0.0.1:1".parse().unwrap());
        assert!(outbox.of(7, 64).send(to, b"one", None));
        assert!(outbox.of(3, 64).send(to, b"twothree!", Some(4)));
        let mut came = Vec::new();
        let take =
            |letter: Letter<'_>| came.push((letter.index, letter.contents.to_vec(), letter.datagrams()));
        outbox.empty(take);
        assert_eq!(came, [(7, b"one".to_vec(), 1), (3, b"twothree!".to_vec(), 3)]);
        outbox.empty(|_| panic!("it is empty"));
    }
}
