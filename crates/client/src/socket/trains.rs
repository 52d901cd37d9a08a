//! Trains of datagrams from a socket, into memory that all sockets of a thread share, and to one.
use std::cell::RefCell;
use std::io::{self, ErrorKind, IoSliceMut};
use std::slice::ChunksExactMut;

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Room for the longest train, 64 KiB. It is no power of two: the beginnings of all slots would share a few sets of the caches, and push
/// each other out between the kernel's copy and ours to read.
const SLOT: usize = (68 << 10) + 320;

thread_local! {
    /// Clients come and go by the hundred and each reads for a moment at a time. Only what was used is resident.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; BATCH_SIZE * SLOT]);
}

/// What came at once: each message with its bytes, one train of datagrams of `stride` bytes.
pub(super) struct Trains<'a> {
    metas: &'a [RecvMeta],
    slots: ChunksExactMut<'a, u8>,
}

impl<'a> Trains<'a> {
    /// Of those that are left.
    pub(super) fn metas(&self) -> &'a [RecvMeta] {
        self.metas
    }
}

impl<'a> Iterator for Trains<'a> {
    type Item = (&'a RecvMeta, &'a mut [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (meta, rest) = self.metas.split_first()?;
            self.metas = rest;
            let train = self.slots.next()?.get_mut(..meta.len);
            if let (Some(train), true) = (train, meta.stride > 0) {
                return Some((meta, train));
            }
        }
    }
}

/// Takes at most `BATCH` messages from a socket. Nothing there after all is no error.
pub(super) fn receive<const BATCH: usize>(
    io: &UdpSocket,
    state: &UdpSocketState,
    take: impl FnOnce(Trains<'_>) -> anyhow::Result<()>,
) -> io::Result<anyhow::Result<()>> {
    BUFFER.with_borrow_mut(|buffer| {
        let mut meta = [RecvMeta::default(); BATCH];
        let mut slots = buffer.chunks_exact_mut(SLOT);
        let mut slices: [IoSliceMut<'_>; BATCH] =
            std::array::from_fn(|_| IoSliceMut::new(slots.next().unwrap_or_default()));
        let socket = UdpSockRef::from(io);
        let taken = io.try_io(Interest::READABLE, || state.recv(socket, &mut slices, &mut meta));
        let messages = match taken {
            Ok(messages) => messages,
            // Nothing there after all, or a datagram of ours met a closed port: the server will be missed soon enough.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionRefused) => {
                return Ok(Ok(()));
            }
            Err(error) => return Err(error),
        };
        let metas = meta.get(..messages).unwrap_or(&meta);
        Ok(take(Trains { metas, slots: buffer.chunks_exact_mut(SLOT) }))
    })
}

/// Whether the kernel took it.
pub(super) fn send(io: &UdpSocket, state: &UdpSocketState, transmit: &Transmit<'_>) -> bool {
    io.try_io(Interest::WRITABLE, || state.try_send(UdpSockRef::from(io), transmit)).is_ok()
}
