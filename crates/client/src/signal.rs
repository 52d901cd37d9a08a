//! How the client and its server speak: the WebSocket, one protobuf message a binary frame; or whoever stands
//! in for it.
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use sluice_livekit_proto as proto;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::{Options, Path};

pub(crate) use proto::signal_request::Message as Request;
pub(crate) use proto::signal_response::Message as Response;

/// Bytes that the WebSocket reads at once, and clears before each look, of which there is one each time that media comes.
const READ_BUFFER: usize = 4 << 10;

/// The protocol's version that we speak.
const PROTOCOL: i32 = 17;
/// Largest message that we take.
const LARGEST_MESSAGE: usize = 4 << 20;
/// A server that does not read for this long is taken for dead.
const SEND_PATIENCE: Duration = Duration::from_secs(5);

/// The protocol's messages without its WebSocket: whoever holds the other ends speaks for a server.
///
/// A client that leaves says so, drops `requests`, and waits a little until `responses` ends.
pub struct Signalling {
    /// What the client says.
    pub requests: mpsc::Sender<Request>,
    /// What it is told; an error ends it.
    pub responses: mpsc::Receiver<anyhow::Result<Response>>,
}

pub(crate) enum Signal {
    WebSocket(Box<WebSocketStream<MaybeTlsStream<TcpStream>>>),
    Other(Signalling),
}

/// Opens the WebSocket and takes in the join response, which must come first.
pub(crate) async fn connect(
    url: &str,
    token: &str,
    options: &Options,
) -> anyhow::Result<(Signal, proto::JoinResponse)> {
    let mut request = address(url, options)?.into_client_request().context("not a WebSocket URL")?;
    let bearer = format!("Bearer {token}").parse().context("the token is no header text")?;
    request.headers_mut().insert("authorization", bearer);
    let config = WebSocketConfig::default()
        .max_message_size(Some(LARGEST_MESSAGE))
        .max_frame_size(Some(LARGEST_MESSAGE))
        .read_buffer_size(READ_BUFFER);
    let opened = tokio_tungstenite::connect_async_with_config(request, Some(config), true).await;
    let (socket, _) = opened.map_err(|error| match error {
        tungstenite::Error::Http(response) => {
            let body =
                response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
            anyhow!("refused with {}: {}", response.status(), body.trim())
        }
        error => anyhow!("no WebSocket: {error}"),
    })?;
    let mut signal = Signal::WebSocket(Box::new(socket));
    match signal.next().await? {
        Response::Join(join) => Ok((signal, join)),
        Response::Leave(leave) => bail!("the server sent us away: {leave:?}"),
        other => bail!("the first message is not `join`: {other:?}"),
    }
}

fn address(url: &str, options: &Options) -> anyhow::Result<String> {
    let url = url.trim_end_matches('/').replacen("http", "ws", usize::from(url.starts_with("http")));
    let flag = |on: bool| if on { "1" } else { "0" };
    Ok(match options.path {
        Path::V0 => format!(
            "{url}/rtc?protocol={PROTOCOL}&sdk=rust&version={}&auto_subscribe={}&adaptive_stream={}",
            env!("CARGO_PKG_VERSION"),
            flag(options.auto_subscribe),
            flag(options.adaptive_stream),
        ),
        Path::V1 => format!("{url}/rtc/v1?join_request={}", join_request(options)?),
    })
}

fn join_request(options: &Options) -> anyhow::Result<String> {
    let join = proto::JoinRequest {
        client_info: Some(proto::ClientInfo {
            sdk: proto::client_info::Sdk::Rust.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            protocol: PROTOCOL,
            ..Default::default()
        }),
        connection_settings: Some(proto::ConnectionSettings {
            auto_subscribe: options.auto_subscribe,
            adaptive_stream: options.adaptive_stream,
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut zip = GzEncoder::new(Vec::new(), Compression::default());
    zip.write_all(&join.encode_to_vec())?;
    let wrapped = proto::WrappedJoinRequest {
        compression: proto::wrapped_join_request::Compression::Gzip.into(),
        join_request: zip.finish()?.into(),
    };
    Ok(URL_SAFE_NO_PAD.encode(wrapped.encode_to_vec()))
}

/// The address of ours from which packets to the server would leave. Nothing is sent.
pub(crate) async fn local_address_towards(url: &str) -> anyhow::Result<IpAddr> {
    let uri: tungstenite::http::Uri = url.parse().context("not a URL")?;
    let host = uri.host().context("the URL has no host")?.trim_matches(['[', ']']);
    let server: SocketAddr = tokio::net::lookup_host((host, uri.port_u16().unwrap_or(80)))
        .await
        .context("the server's name is unknown")?
        .next()
        .context("the server's name has no address")?;
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = tokio::net::UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    Ok(socket.local_addr()?.ip())
}

impl Signal {
    pub(crate) async fn send(&mut self, message: Request) -> anyhow::Result<()> {
        let sending = async {
            match self {
                Self::WebSocket(socket) => {
                    let bytes = proto::SignalRequest { message: Some(message) }.encode_to_vec();
                    socket.send(Message::Binary(bytes.into())).await.context("the WebSocket failed")
                }
                Self::Other(other) => other.requests.send(message).await.context("the signalling ended"),
            }
        };
        tokio::time::timeout(SEND_PATIENCE, sending).await.map_err(|_| anyhow!("the server reads no more"))?
    }

    /// The next message. Can be dropped at any await without losing one.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Response> {
        match self {
            Self::WebSocket(socket) => next_frame(socket).await,
            Self::Other(other) => other.responses.recv().await.context("the signalling ended")?,
        }
    }

    /// Closes it politely; that the other side may be gone already does not matter.
    pub(crate) async fn close(self) {
        let closing = async {
            match self {
                Self::WebSocket(mut socket) => {
                    WebSocketStream::close(&mut socket, None).await.context("the WebSocket failed")
                }
                Self::Other(Signalling { requests, mut responses }) => {
                    drop(requests);
                    while responses.recv().await.is_some() {}
                    Ok(())
                }
            }
        };
        let closing = tokio::time::timeout(SEND_PATIENCE, closing).await;
        tracing::debug!(?closing, "signalling closed");
    }
}

async fn next_frame(socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>) -> anyhow::Result<Response> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Binary(bytes))) => {
                let response = proto::SignalResponse::decode(bytes).context("not a SignalResponse")?;
                // A kind of message that we do not know is no error: servers may be newer.
                if let Some(message) = response.message {
                    return Ok(message);
                }
            }
            Some(Ok(Message::Close(frame))) => bail!("the server closed the WebSocket: {frame:?}"),
            Some(Ok(Message::Text(_))) => bail!("a text frame in a binary protocol"),
            Some(Ok(_)) => {}
            Some(Err(error)) => bail!("the WebSocket failed: {error}"),
            None => bail!("the WebSocket ended"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_join_request_unpacks_to_what_was_asked_for() {
        let options = Options { path: Path::V1, auto_subscribe: true, ..Options::default() };
        let address = address("http://localhost:7880/", &options).unwrap();
        let (url, packed) = address.split_once("?join_request=").unwrap();
        assert_eq!(url, "ws://localhost:7880/rtc/v1");
        let wrapped = proto::WrappedJoinRequest::decode(&*URL_SAFE_NO_PAD.decode(packed).unwrap()).unwrap();
        let mut inner = Vec::new();
        flate2::read::GzDecoder::new(&*wrapped.join_request).read_to_end(&mut inner).unwrap();
        let join = proto::JoinRequest::decode(&*inner).unwrap();
        assert!(join.connection_settings.unwrap().auto_subscribe);
    }

    #[tokio::test]
    async fn the_way_to_loopback_leaves_from_loopback() {
        let local = local_address_towards("ws://127.0.0.1:7880").await.unwrap();
        assert!(local.is_loopback());
    }

    #[tokio::test]
    async fn whoever_stands_in_for_the_server_hears_all_and_is_waited_for() {
        let (requests, mut heard) = mpsc::channel(4);
        let (say, responses) = mpsc::channel(4);
        let mut signal = Signal::Other(Signalling { requests, responses });
        signal.send(Request::Ping(7)).await.unwrap();
        say.send(Ok(Response::Pong(7))).await.unwrap();
        assert!(matches!(signal.next().await.unwrap(), Response::Pong(7)));
        let closing = tokio::spawn(signal.close());
        assert!(matches!(heard.recv().await, Some(Request::Ping(7))));
        assert!(heard.recv().await.is_none(), "it says no more");
        assert!(!closing.is_finished());
        drop(say);
        closing.await.unwrap();
    }
}
