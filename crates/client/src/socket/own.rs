//! A UDP socket of one connection's own.
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use anyhow::Context as _;
use quinn_udp::{Transmit, UdpSockRef, UdpSocketState};
use tokio::net::UdpSocket;

use super::trains;

/// Messages taken by one call; each may be a train.
const BATCH: usize = 4;

pub(super) struct Own {
    pub(super) io: UdpSocket,
    state: UdpSocketState,
    pub(super) local: SocketAddr,
}

impl Own {
    pub(super) async fn bind(ip: IpAddr) -> anyhow::Result<Self> {
        let io = UdpSocket::bind(SocketAddr::new(ip, 0)).await.context("no UDP socket")?;
        // Until the runtime has heard of the socket it takes it for full, and the first connectivity check would be lost: the next
        // one comes a quarter of a second later.
        io.writable().await.context("the socket cannot be written to")?;
        let state = UdpSocketState::new(UdpSockRef::from(&io)).context("the socket takes no options")?;
        let local = io.local_addr()?;
        Ok(Self { io, state, local })
    }

    pub(super) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_recv_ready(context)
    }

    /// Hands out what waits, at most a few trains. A wake comes again if more does.
    pub(super) fn receive(
        &self,
        mut each: impl FnMut(SocketAddr, &mut [u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let taken = trains::receive::<BATCH>(&self.io, &self.state, |mut trains| {
            trains.try_for_each(|(meta, train)| {
                train.chunks_mut(meta.stride).try_for_each(|datagram| each(meta.addr, datagram))
            })
        });
        taken.context("the socket failed")?
    }

    pub(super) fn send(&self, destination: SocketAddr, contents: &[u8], segment: Option<usize>) -> bool {
        let transmit = Transmit { destination, ecn: None, contents, segment_size: segment, src_ip: None };
        trains::send(&self.io, &self.state, &transmit)
    }

    pub(super) fn longest_train(&self) -> usize {
        self.state.max_gso_segments().max(1)
    }
}
