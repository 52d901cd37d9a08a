//! The door for TCP connections: so many at once and no more, and none on which nothing moves for long.
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// Accepts connections within the limits.
pub(crate) struct Gate {
    listener: TcpListener,
    places: Arc<Semaphore>,
    patience: Duration,
}

impl Gate {
    /// At most `connections` at once; one on which nothing comes in for `patience` is closed.
    pub(crate) fn new(listener: TcpListener, connections: usize, patience: Duration) -> Self {
        let places = Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)));
        Self { listener, places, patience }
    }
}

impl Listener for Gate {
    type Io = Guest;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Guest, SocketAddr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            let Ok(place) = self.places.clone().try_acquire_owned() else {
                metrics::counter!("sluice_rooms_connections_refused_total").increment(1);
                continue;
            };
            // Without it small messages wait for an acknowledgement; a socket that cannot have it works all the same.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "no TCP_NODELAY");
            }
            let guest = Guest {
                stream,
                patience: self.patience,
                deadline: Box::pin(tokio::time::sleep(self.patience)),
                _place: place,
            };
            return (guest, address);
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that holds its place while it lives.
pub(crate) struct Guest {
    stream: TcpStream,
    patience: Duration,
    deadline: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Guest {
    fn lives(&mut self) {
        let deadline = Instant::now() + self.patience;
        self.deadline.as_mut().reset(deadline);
    }
}

impl AsyncRead for Guest {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(result) = Pin::new(&mut self.stream).poll_read(cx, buffer) {
            self.lives();
            return Poll::Ready(result);
        }
        ready!(self.deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Guest {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        // A feed may only ever be written to; if its reader is gone, TCP says so.
        self.lives();
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices));
        self.lives();
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    async fn gate(connections: usize, patience: Duration) -> (Gate, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Gate::new(listener, connections, patience), address)
    }

    #[tokio::test]
    async fn who_says_nothing_is_sent_away() {
        let (mut gate, address) = gate(1, Duration::from_millis(50)).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut guest, _) = gate.accept().await;
        client.write_all(b"x").await.unwrap();
        assert_eq!(guest.read_u8().await.unwrap(), b'x');
        assert_eq!(guest.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn who_is_written_to_may_be_silent() {
        let (mut gate, address) = gate(1, Duration::from_millis(200)).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut guest, _) = gate.accept().await;
        let mut heard = [0; 8];
        for _ in 0..8 {
            let silent = tokio::time::timeout(Duration::from_millis(50), guest.read_u8()).await;
            assert!(silent.is_err(), "sent away although it was written to");
            guest.write_all(b".").await.unwrap();
        }
        client.read_exact(&mut heard).await.unwrap();
    }

    #[tokio::test]
    async fn a_full_house_takes_the_next_when_somebody_goes() {
        let (mut gate, address) = gate(1, LONG).await;
        let _first = TcpStream::connect(address).await.unwrap();
        let (guest, _) = gate.accept().await;
        let mut second = TcpStream::connect(address).await.unwrap();
        let accepting = tokio::spawn(async move { gate.accept().await });
        assert_eq!(second.read(&mut [0]).await.unwrap_or(0), 0, "closed at once");
        drop(guest);
        let third = TcpStream::connect(address).await.unwrap();
        let (_, accepted) = accepting.await.unwrap();
        assert_eq!(accepted, third.local_addr().unwrap());
    }
}
