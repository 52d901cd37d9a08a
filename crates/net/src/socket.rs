//! A UDP socket that receives in batches.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};

use mio::event::Source;
use mio::{Interest, Registry, Token};
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};

use crate::batched;

/// Room for one message: the kernel joins datagrams of one flow up to this size.
const SLOT_BYTES: usize = 65_535;

/// Bytes of the kernel's buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferSizes {
    /// What may wait to be read. Too small: bursts are dropped. Too large: an overloaded node works on old packets.
    pub receive: usize,
    /// What may wait to be sent. Too small: bursts wait in the [`crate::Sender`]. Too large: the same as above.
    pub send: usize,
}

/// One datagram.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// The peer. Its port is never 0: nobody could answer it.
    pub source: SocketAddr,
    /// The address of this machine that the peer sent to, if the platform tells.
    pub destination_ip: Option<IpAddr>,
    /// At least one byte.
    pub contents: &'a [u8],
}

/// What one call received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Datagrams that were handed out.
    pub datagrams: usize,
    /// More may wait. Otherwise the socket was empty, and becomes readable anew with what comes next.
    pub more: bool,
}

/// Memory for one batch, to be shared by all sockets of a thread: 2 MiB, of which only what was used is resident.
pub struct ReceiveBuffer {
    bytes: Box<[u8]>,
    meta: [RecvMeta; BATCH_SIZE],
}

impl Default for ReceiveBuffer {
    fn default() -> Self {
        ReceiveBuffer {
            bytes: vec![0; SLOT_BYTES * BATCH_SIZE].into_boxed_slice(),
            meta: [RecvMeta::default(); BATCH_SIZE],
        }
    }
}

/// A non-blocking UDP socket of one address family.
#[derive(Debug)]
pub struct UdpSocket {
    io: mio::net::UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
    granted: BufferSizes,
}

impl UdpSocket {
    /// Binds. Port 0 lets the kernel choose; see [`UdpSocket::local_address`].
    ///
    /// An IPv6 socket takes IPv6 alone, so that both families may use one port. The port is never shared with another
    /// process. The kernel may grant smaller buffers than asked for: see [`UdpSocket::buffers`].
    pub fn bind(address: SocketAddr, buffers: BufferSizes) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        // Refused sizes are no reason not to start: what was granted is reported.
        for refused in
            [socket.set_recv_buffer_size(buffers.receive), socket.set_send_buffer_size(buffers.send)]
        {
            if let Err(error) = refused {
                tracing::warn!(%address, %error, "the kernel refused a socket buffer size");
            }
        }
        socket.bind(&address.into())?;
        let granted = BufferSizes {
            receive: usable(socket.recv_buffer_size()?),
            send: usable(socket.send_buffer_size()?),
        };
        let state = batched(&socket)?;
        let io = mio::net::UdpSocket::from_std(socket.into());
        let local = io.local_addr()?;
        Ok(UdpSocket { io, state, local, granted })
    }

    /// Where the socket is bound, with the port that the kernel chose.
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// The buffer sizes that the kernel granted.
    pub fn buffers(&self) -> BufferSizes {
        self.granted
    }

    /// Datagrams that one send may carry; 1 where the platform has no segmentation offload.
    pub fn max_segments(&self) -> usize {
        self.state.max_gso_segments().max(1)
    }

    /// Receives one batch and hands out its datagrams one by one, in order.
    ///
    /// Datagrams without contents or from port 0 are left out. [`io::ErrorKind::WouldBlock`] says that nothing waits;
    /// other errors concern this call alone.
    pub fn receive(
        &self,
        buffer: &mut ReceiveBuffer,
        mut each: impl FnMut(Received<'_>),
    ) -> io::Result<Taken> {
        let ReceiveBuffer { bytes, meta } = buffer;
        let mut slots = bytes.chunks_exact_mut(SLOT_BYTES);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(slots.next().unwrap_or_default()));
        let messages = self.state.recv(UdpSockRef::from(&self.io), &mut slices, meta)?;
        let mut datagrams = 0;
        for (slot, meta) in bytes.chunks_exact(SLOT_BYTES).zip(meta.iter()).take(messages) {
            if meta.addr.port() == 0 || meta.stride == 0 {
                continue;
            }
            // A message that was longer than its slot reports its full length.
            let Some(contents) = slot.get(..meta.len) else { continue };
            for contents in contents.chunks(meta.stride) {
                each(Received { source: meta.addr, destination_ip: meta.dst_ip, contents });
                datagrams += 1;
            }
        }
        // Linux fills the batch unless the socket runs empty; others receive one message at a time.
        let more = messages == BATCH_SIZE || !cfg!(target_os = "linux");
        Ok(Taken { datagrams, more })
    }

    /// One system call: `contents` as one datagram, or cut into `segment` bytes each.
    pub(crate) fn send(
        &self,
        source_ip: Option<IpAddr>,
        destination: SocketAddr,
        contents: &[u8],
        segment: Option<usize>,
    ) -> io::Result<()> {
        let transmit = quinn_udp::Transmit {
            destination,
            ecn: None,
            contents,
            segment_size: segment,
            src_ip: source_ip,
        };
        self.state.try_send(UdpSockRef::from(&self.io), &transmit)
    }
}

impl Source for UdpSocket {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.io.register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.io.reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.io.deregister(registry)
    }
}

/// Linux doubles what is asked for, as room for its own bookkeeping, and reports the double (socket(7), SO_RCVBUF).
fn usable(reported: usize) -> usize {
    if cfg!(target_os = "linux") { reported / 2 } else { reported }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUFFERS: BufferSizes = BufferSizes { receive: 64 << 10, send: 64 << 10 };

    #[test]
    fn the_kernel_chooses_a_port_and_tells_it() {
        let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), BUFFERS).unwrap();
        assert_ne!(socket.local_address().port(), 0);
        let granted = socket.buffers();
        assert!(granted.receive >= BUFFERS.receive && granted.receive < 2 * BUFFERS.receive, "{granted:?}");
    }

    #[test]
    fn a_port_is_never_shared() {
        let first = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), BUFFERS).unwrap();
        let error = UdpSocket::bind(first.local_address(), BUFFERS).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn both_families_may_use_one_port() {
        let Ok(v6) = UdpSocket::bind("[::]:0".parse().unwrap(), BUFFERS) else { return };
        let v4 = SocketAddr::new("0.0.0.0".parse().unwrap(), v6.local_address().port());
        match UdpSocket::bind(v4, BUFFERS) {
            Ok(v4) => assert_eq!(v4.local_address().port(), v6.local_address().port()),
            // Somebody else may hold the port that the kernel chose for the other family.
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::AddrInUse),
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_batch_that_is_not_full_was_the_last() {
        let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), BUFFERS).unwrap();
        // Sent singly and of growing size, so that the kernel joins none of them.
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for size in 1..=BATCH_SIZE + 3 {
            peer.send_to(&vec![0; size], socket.local_address()).unwrap();
        }
        let mut buffer = ReceiveBuffer::default();
        let mut receive = || socket.receive(&mut buffer, |_| {}).unwrap();
        assert_eq!(receive(), Taken { datagrams: BATCH_SIZE, more: true });
        assert_eq!(receive(), Taken { datagrams: 3, more: false });
    }

    #[test]
    fn an_empty_socket_would_block() {
        let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), BUFFERS).unwrap();
        let error = socket.receive(&mut ReceiveBuffer::default(), |_| {}).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
