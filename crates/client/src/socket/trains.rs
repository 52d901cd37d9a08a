//! A UDP socket that takes and gives trains of datagrams, into memory that all sockets of a thread share.
use std::cell::RefCell;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::SocketAddr;
use std::slice::ChunksExactMut;
use std::task::{Context, Poll};

use anyhow::Context as _;
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

/// A UDP socket. What it does not take at once is lost: nobody waits until it takes more.
pub(super) struct TrainSocket {
    io: UdpSocket,
    state: UdpSocketState,
}

impl TrainSocket {
    /// Binds. To be called within a runtime.
    pub(super) fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let io = std::net::UdpSocket::bind(address).context("no UDP socket")?;
        io.set_nonblocking(true)?;
        let io = UdpSocket::from_std(io).context("the runtime takes no socket")?;
        let state = sluice_net::batched(&io).context("the socket takes no options")?;
        Ok(Self { io, state })
    }

    pub(super) fn local(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    /// Asks for a buffer of this size for what comes. Gives what was granted.
    pub(super) fn grow_buffer(&self, wanted: usize) -> io::Result<usize> {
        let socket = || UdpSockRef::from(&self.io);
        if let Err(error) = self.state.set_recv_buffer_size(socket(), wanted) {
            tracing::debug!(%error, "the buffer stays as it is");
        }
        self.state.recv_buffer_size(socket())
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        self.io.readable().await
    }

    pub(super) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_recv_ready(context)
    }

    /// Takes at most `BATCH` messages. Nothing there after all is no error.
    pub(super) fn receive<const BATCH: usize>(
        &self,
        take: impl FnOnce(Trains<'_>) -> anyhow::Result<()>,
    ) -> io::Result<anyhow::Result<()>> {
        BUFFER.with_borrow_mut(|buffer| {
            let mut meta = [RecvMeta::default(); BATCH];
            let mut slots = buffer.chunks_exact_mut(SLOT);
            let mut slices: [IoSliceMut<'_>; BATCH] =
                std::array::from_fn(|_| IoSliceMut::new(slots.next().unwrap_or_default()));
            let receive = || self.state.recv(UdpSockRef::from(&self.io), &mut slices, &mut meta);
            let messages = match self.io.try_io(Interest::READABLE, receive) {
                Ok(messages) => messages,
                // Nothing there after all, or a datagram of ours met a closed port: the server will be missed soon enough.
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionRefused) =>
                {
                    return Ok(Ok(()));
                }
                Err(error) => return Err(error),
            };
            let metas = meta.get(..messages).unwrap_or(&meta);
            Ok(take(Trains { metas, slots: buffer.chunks_exact_mut(SLOT) }))
        })
    }

    /// Whether the kernel took it.
    pub(super) fn send(&self, transmit: &Transmit<'_>) -> bool {
        self.state.try_send(UdpSockRef::from(&self.io), transmit).is_ok()
    }

    /// Datagrams that one send may carry.
    pub(super) fn longest_train(&self) -> usize {
        self.state.max_gso_segments().max(1)
    }
}
