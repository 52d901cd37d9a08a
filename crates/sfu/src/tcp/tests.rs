//! Strangers and peers at the port, with an engine behind it that echoes each frame three times.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::first_frame::tests::binding_request;
use super::*;
use crate::addresses::plan;
use crate::shard::tests::PuppetShard;

const PATIENCE: Duration = Duration::from_secs(5);

struct Port {
    address: SocketAddr,
    shard: PuppetShard,
    shutdown: CancellationToken,
    listening: tokio::task::JoinHandle<()>,
}

impl Port {
    fn open(change: impl FnOnce(&mut TcpSettings)) -> Self {
        let mut settings = TcpSettings { first_frame_timeout_ms: 5_000, ..TcpSettings::default() };
        change(&mut settings);
        let shard = PuppetShard::start();
        let shutdown = CancellationToken::new();
        let ip = "127.0.0.1".parse().unwrap();
        let listener = TcpListener::from_std(bind((ip, 0).into()).unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let map = AddressMap::new(&plan(&[ip], &[], &[]).unwrap()[0], address);
        let tcp = Arc::new(Tcp::new(settings, vec![shard.handle.mailbox.clone()], shutdown.clone()));
        let listening = tokio::spawn(tcp.listen(listener, map));
        Port { address, shard, shutdown, listening }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn close(self) {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.listening).await.unwrap().unwrap();
        self.shard.stop();
    }
}

fn framed(contents: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    sluice_net::encode_frame(contents, &mut bytes).unwrap();
    bytes
}

async fn read_frame(stream: &mut TcpStream) -> Vec<u8> {
    let read = async {
        let mut contents = vec![0; stream.read_u16().await.unwrap().into()];
        stream.read_exact(&mut contents).await.unwrap();
        contents
    };
    tokio::time::timeout(PATIENCE, read).await.expect("a frame in time")
}

/// Reads until the other side closes; how long that took.
async fn until_closed(stream: &mut TcpStream) -> Duration {
    let began = Instant::now();
    let mut buffer = [0; 4_096];
    // A reset is a way to close, too.
    let read = async { while matches!(stream.read(&mut buffer).await, Ok(1..)) {} };
    tokio::time::timeout(PATIENCE, read).await.expect("closed in time");
    began.elapsed()
}

#[tokio::test]
async fn a_peer_reaches_the_shard_that_its_first_frame_names() {
    let port = Port::open(|_| {});
    let mut stream = port.connect().await;
    let request = binding_request("00abcd:peer");
    // However the bytes are split.
    for byte in framed(&request) {
        stream.write_all(&[byte]).await.unwrap();
    }
    for _ in 0..3 {
        assert_eq!(read_frame(&mut stream).await, request);
    }
    stream.write_all(&[framed(b"one"), framed(b"two")].concat()).await.unwrap();
    for expected in [b"one", b"one", b"one", b"two", b"two", b"two"] {
        assert_eq!(read_frame(&mut stream).await, expected);
    }
    port.close().await;
}

#[tokio::test]
async fn what_does_not_speak_stun_is_turned_away_at_once() {
    let port = Port::open(|_| {});
    for garbage in [
        // "GE" announces more than a first frame may have.
        b"GET / HTTP/1.1\r\nHost: example\r\n\r\n".to_vec(),
        framed(b"no binding request"),
        framed(&binding_request("01abcd:peer")),
        framed(&binding_request("nonsense")),
        vec![0xff; 10_000],
    ] {
        let mut stream = port.connect().await;
        stream.write_all(&garbage).await.unwrap();
        assert!(until_closed(&mut stream).await < Duration::from_secs(3), "{garbage:?}");
    }
    port.close().await;
}

#[tokio::test]
async fn a_stranger_that_dawdles_is_turned_away() {
    let port = Port::open(|settings| settings.first_frame_timeout_ms = 100);
    let mut silent = port.connect().await;
    assert!(until_closed(&mut silent).await >= Duration::from_millis(90));
    // Byte by byte, as long as it is let: null frames are no sign of life either.
    let mut slow = port.connect().await;
    let began = Instant::now();
    while slow.write_all(&[0]).await.is_ok() {
        assert!(began.elapsed() < PATIENCE, "the dawdler is still let");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    port.close().await;
}

#[tokio::test]
async fn a_peer_that_falls_silent_is_closed() {
    let port = Port::open(|settings| settings.idle_timeout_ms = 150);
    let mut stream = port.connect().await;
    stream.write_all(&framed(&binding_request("00abcd:peer"))).await.unwrap();
    assert!(until_closed(&mut stream).await >= Duration::from_millis(140));
    port.close().await;
}

#[tokio::test]
async fn a_later_frame_that_no_session_could_send_ends_the_connection() {
    let port = Port::open(|_| {});
    let mut stream = port.connect().await;
    stream.write_all(&framed(&binding_request("00abcd:peer"))).await.unwrap();
    read_frame(&mut stream).await;
    stream.write_all(&[0xff, 0xff]).await.unwrap();
    until_closed(&mut stream).await;
    port.close().await;
}

#[tokio::test]
async fn one_address_has_so_many_connections_and_gets_them_back() {
    let port = Port::open(|settings| settings.max_connections_per_ip = 2);
    let (first, mut second) = (port.connect().await, port.connect().await);
    second.write_all(&framed(&binding_request("00abcd:peer"))).await.unwrap();
    read_frame(&mut second).await;
    until_closed(&mut port.connect().await).await;
    drop(first);
    // The place is given back as soon as the port sees the end.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut third = port.connect().await;
        let sent = third.write_all(&framed(&binding_request("00abcd:third"))).await;
        if sent.is_ok() && matches!(third.read_u16().await, Ok(1..)) {
            break;
        }
        assert!(Instant::now() < deadline);
    }
    port.close().await;
}

#[tokio::test]
async fn a_peer_that_reads_nothing_loses_frames_then_its_connection() {
    let port = Port::open(|settings| settings.send_queue_frames = 2);
    let mut stream = port.connect().await;
    stream.write_all(&framed(&binding_request("00abcd:peer"))).await.unwrap();
    // Each frame comes back three times; the peer reads none until its own writes fail.
    let frame = framed(&[7; 4_000]);
    let began = Instant::now();
    while stream.write_all(&frame).await.is_ok() {
        assert!(began.elapsed() < 3 * PATIENCE, "still open");
    }
    let report = port.shard.handle.report.clone();
    port.close().await;
    assert_eq!(report.read().io.tcp_stuck, 1);
    assert!(report.read().io.tcp_dropped > 0);
}
