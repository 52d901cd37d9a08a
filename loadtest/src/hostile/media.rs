//! Attacks on the media ports.
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

/// Datagrams per millisecond: a burst that fills the server's socket buffer would be loss, not harm.
const PACE: usize = 10;
/// First bytes that lead into each parser (RFC 7983): STUN, DTLS, TURN channel, RTP and RTCP, and nothing.
const FIRST_BYTES: [u8; 12] = [0, 1, 3, 20, 22, 23, 63, 64, 128, 144, 191, 255];
const STUN_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// Idle connections opened at once.
const IDLE: usize = 200;
/// A server that is patient with a silent connection for longer than this can be filled up.
const IDLE_PATIENCE: Duration = Duration::from_secs(30);

/// Noise of every length, led by bytes that reach each parser.
pub(crate) async fn random_datagrams(
    ports: &[SocketAddr],
    count: usize,
    seed: u64,
) -> anyhow::Result<String> {
    let mut rng = StdRng::seed_from_u64(seed);
    throw(ports, count, move |buffer| {
        let size = rng.random_range(0..1_500);
        buffer.resize(size, 0);
        rng.fill_bytes(buffer);
        if let Some(first) = buffer.first_mut() {
            *first = FIRST_BYTES[rng.random_range(0..FIRST_BYTES.len())];
        }
    })
    .await
}

/// Binding requests (RFC 8489) with users that do not exist, cut anywhere, with lengths that lie.
pub(crate) async fn forged_stun(ports: &[SocketAddr], count: usize, seed: u64) -> anyhow::Result<String> {
    let mut rng = StdRng::seed_from_u64(seed);
    throw(ports, count, move |buffer| {
        let mut attributes = Vec::new();
        let user: String = (0..rng.random_range(0..64)).map(|_| rng.random_range('!'..='~')).collect();
        let user = format!("{user}:x");
        attributes.extend_from_slice(&[0, 6, 0, user.len() as u8]);
        attributes.extend_from_slice(user.as_bytes());
        attributes.resize(attributes.len().next_multiple_of(4), 0);
        attributes.extend_from_slice(&[0, 8, 0, 20]);
        attributes.extend((0..20).map(|_| rng.random::<u8>()));
        let length = if rng.random_bool(0.5) { attributes.len() as u16 } else { rng.random() };
        buffer.extend_from_slice(&[0, 1]);
        buffer.extend_from_slice(&length.to_be_bytes());
        buffer.extend_from_slice(&STUN_COOKIE);
        buffer.extend((0..12).map(|_| rng.random::<u8>()));
        buffer.extend_from_slice(&attributes);
        if rng.random_bool(0.5) {
            buffer.truncate(rng.random_range(0..=buffer.len()));
        }
    })
    .await
}

/// Sends and counts what comes back: more bytes than were sent would make the server an amplifier.
async fn throw(
    ports: &[SocketAddr],
    count: usize,
    mut fill: impl FnMut(&mut Vec<u8>),
) -> anyhow::Result<String> {
    let (mut sent, mut returned) = (0_u64, 0_u64);
    for port in ports {
        let bind = if port.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(bind).await?;
        let (mut buffer, mut answer) = (Vec::new(), [0; 2_000]);
        for index in 0..count {
            buffer.clear();
            fill(&mut buffer);
            sent += socket.send_to(&buffer, port).await? as u64;
            while let Ok((size, _)) = socket.try_recv_from(&mut answer) {
                returned += size as u64;
            }
            if index.is_multiple_of(PACE) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        while let Ok(received) =
            tokio::time::timeout(Duration::from_millis(200), socket.recv_from(&mut answer)).await
        {
            returned += received?.0 as u64;
        }
    }
    ensure!(returned <= sent, "{sent} bytes drew {returned} bytes of answers");
    Ok(format!("{} datagrams, {sent} bytes, {returned} bytes of answers", count * ports.len()))
}

/// Frames (RFC 4571) that are empty, cut, too long, or never end.
pub(crate) async fn broken_frames(port: SocketAddr, seed: u64) -> anyhow::Result<String> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut closed = 0;
    let rounds = 100;
    for round in 0..rounds {
        let mut stream = TcpStream::connect(port).await.context("the TCP port takes no connection")?;
        let mut bytes = match round % 4 {
            0 => vec![0, 0, 0, 0, 0, 0],
            1 => vec![0xff, 0xff, 1, 2, 3],
            2 => vec![0],
            _ => vec![5, 0],
        };
        if round % 4 == 3 {
            bytes.extend((0..1_280).map(|_| rng.random::<u8>()));
        }
        // The server may hang up at any byte; that is its right.
        let _written = stream.write_all(&bytes).await;
        drop(stream.shutdown().await);
        let mut rest = [0; 64];
        if let Ok(Ok(0) | Err(_)) =
            tokio::time::timeout(Duration::from_secs(10), stream.read(&mut rest)).await
        {
            closed += 1;
        }
    }
    ensure!(closed == rounds, "{} of {rounds} broken connections were left open", rounds - closed);
    Ok(format!("{rounds} connections, all closed by the server"))
}

/// Connections that say nothing.
pub(crate) async fn idle_connections(port: SocketAddr) -> anyhow::Result<String> {
    let mut streams = Vec::new();
    for _ in 0..IDLE {
        streams.push(TcpStream::connect(port).await.context("the TCP port takes no connection")?);
    }
    let began = Instant::now();
    let mut closed = 0;
    for stream in &mut streams {
        let left = IDLE_PATIENCE.saturating_sub(began.elapsed()).max(Duration::from_millis(10));
        if let Ok(Ok(0) | Err(_)) = tokio::time::timeout(left, stream.read(&mut [0; 8])).await {
            closed += 1;
        }
    }
    ensure!(
        closed == IDLE,
        "{} of {IDLE} silent connections are open after {IDLE_PATIENCE:?}",
        IDLE - closed
    );
    Ok(format!("{IDLE} silent connections, all closed within {:.1?}", began.elapsed()))
}
