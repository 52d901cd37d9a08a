//! A UDP socket of one connection's own.
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use anyhow::Context as _;
use quinn_udp::Transmit;

use super::trains::TrainSocket;

/// Messages taken by one call; each may be a train.
const BATCH: usize = 4;

pub(super) struct Own {
    io: TrainSocket,
    pub(super) local: SocketAddr,
}

impl Own {
    pub(super) fn bind(ip: IpAddr) -> anyhow::Result<Self> {
        let io = TrainSocket::bind(SocketAddr::new(ip, 0))?;
        let local = io.local()?;
        Ok(Self { io, local })
    }

    pub(super) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_readable(context)
    }

    /// Hands out what waits, at most a few trains. A wake comes again if more does.
    pub(super) fn receive(
        &self,
        mut each: impl FnMut(SocketAddr, &mut [u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let taken = self.io.receive::<BATCH>(|mut trains| {
            trains.try_for_each(|(meta, train)| {
                train.chunks_mut(meta.stride).try_for_each(|datagram| each(meta.addr, datagram))
            })
        });
        taken.context("the socket failed")?
    }

    pub(super) fn send(&self, destination: SocketAddr, contents: &[u8], segment: Option<usize>) -> bool {
        self.io.send(&Transmit { destination, ecn: None, contents, segment_size: segment, src_ip: None })
    }

    pub(super) fn longest_train(&self) -> usize {
        self.io.longest_train()
    }
}
