//! Attacks on the WebSocket and on tokens.
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use serde_json::{Value, json};
use sluice_client::{AudioShape, Options};
use sluice_livekit_proto as proto;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::server::{Server, now, sign};

/// Ten megabytes, five times what is allowed.
const OVERSIZE: usize = 10 << 20;
/// The server must have made up its mind by then.
const VERDICT: Duration = Duration::from_secs(10);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens the WebSocket with a token, as a client would, without more.
async fn open(server: &Server, token: &str) -> Result<Socket, tungstenite::Error> {
    let url =
        format!("{}/rtc?protocol=17&auto_subscribe=1&access_token={token}", server.url.trim_end_matches('/'));
    tokio_tungstenite::connect_async(url).await.map(|(socket, _)| socket)
}

async fn open_well(server: &Server, who: &str) -> anyhow::Result<Socket> {
    let token = server.token(&format!("hostile-{}", now().as_millis()), who)?;
    open(server, &token).await.context("a good token was refused")
}

/// Waits until the server hangs up. `true`: it did; `false`: it still answers.
async fn hung_up(socket: &mut Socket) -> bool {
    let end = tokio::time::Instant::now() + VERDICT;
    loop {
        match tokio::time::timeout_at(end, socket.next()).await {
            Ok(None | Some(Err(_) | Ok(Message::Close(_)))) => return true,
            Ok(Some(Ok(_))) => {}
            Err(_) => return false,
        }
    }
}

/// Expired, unsigned, forged, empty, for no room: each must be refused before the WebSocket opens, with a reason.
pub(crate) async fn bad_tokens(server: &Server) -> anyhow::Result<String> {
    let claims = |change: &dyn Fn(&mut Value)| {
        let mut claims = json!({
            "iss": server.key, "sub": "mallory", "nbf": 0, "exp": now().as_secs() + 600,
            "video": { "roomJoin": true, "room": "bad-tokens" },
        });
        change(&mut claims);
        claims
    };
    let good = sign(&claims(&|_| {}), &server.secret)?;
    let unsigned = {
        let body = good.split('.').nth(1).unwrap_or_default();
        // {"alg":"none","typ":"JWT"}
        format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{body}.")
    };
    let signed = |change: &dyn Fn(&mut Value)| sign(&claims(change), &server.secret);
    let cases: Vec<(&str, String)> = vec![
        ("none", String::new()),
        ("noise", "not.a.token".into()),
        ("expired", signed(&|claims| claims["exp"] = json!(now().as_secs() - 3600))?),
        ("not yet", signed(&|claims| claims["nbf"] = json!(now().as_secs() + 3600))?),
        ("no room", signed(&|claims| claims["video"]["room"] = json!(""))?),
        ("may not join", signed(&|claims| claims["video"]["roomJoin"] = json!(false))?),
        ("nobody", signed(&|claims| claims["sub"] = json!(""))?),
        ("unknown key", signed(&|claims| claims["iss"] = json!("who"))?),
        ("forged", sign(&claims(&|_| {}), "not the secret")?),
        ("unsigned", unsigned),
        ("cut", good[..good.len() - 4].into()),
    ];
    let count = cases.len();
    for (name, token) in cases {
        match open(server, &token).await {
            Ok(_) => bail!("a token was let in: {name}"),
            Err(tungstenite::Error::Http(response)) => {
                let status = response.status().as_u16();
                ensure!((400..500).contains(&status), "`{name}` got status {status}");
                let reason = response.body().as_ref().is_some_and(|body| !body.is_empty());
                ensure!(reason, "`{name}` got status {status} without a reason");
            }
            Err(error) => bail!("`{name}` got no HTTP answer: {error}"),
        }
    }
    open(server, &good).await.context("the good one was refused as well")?;
    Ok(format!("{count} tokens refused with a status and a reason, the good one let in"))
}

/// URLs of many kilobytes, and headers that never end: refused or hung up on, never served and never held.
pub(crate) async fn overlong_requests(server: &Server) -> anyhow::Result<String> {
    let token = |kilobytes: usize| {
        format!("GET /rtc?access_token={} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(kilobytes << 10))
    };
    let headers = format!("GET /rtc HTTP/1.1\r\n{}", "X-A: b\r\n".repeat(200_000));
    let mut outcomes = Vec::new();
    for (name, request) in
        [("60 kB", token(60)), ("100 kB", token(100)), ("8 MB", token(8 << 10)), ("headers", headers)]
    {
        outcomes.push(match raw_request(server, &request).await.with_context(|| name.to_owned())? {
            Some(status) if (400..500).contains(&status) => format!("{name}: {status}"),
            Some(status) => bail!("{name} got status {status}"),
            None => format!("{name}: hung up"),
        });
    }
    Ok(outcomes.join(", "))
}

/// The status of the answer to some bytes; none if the server hung up without one.
async fn raw_request(server: &Server, request: &str) -> anyhow::Result<Option<u16>> {
    let uri: tungstenite::http::Uri = server.url.parse()?;
    let authority = uri.authority().context("the URL has no host")?.as_str().to_owned();
    let mut stream = TcpStream::connect(authority).await?;
    let mut answer = Vec::new();
    let asking = async {
        let (mut from, mut to) = stream.split();
        // The server may answer and hang up before it has read everything.
        let _written = tokio::join!(to.write_all(request.as_bytes()), async {
            let mut buffer = [0; 64];
            while answer.len() < 16 {
                match from.read(&mut buffer).await {
                    Ok(0) | Err(_) => break,
                    Ok(size) => answer.extend_from_slice(&buffer[..size]),
                }
            }
        });
    };
    tokio::time::timeout(VERDICT, asking).await.context("neither an answer nor an end")?;
    let text = String::from_utf8_lossy(&answer);
    Ok(text.split_whitespace().nth(1).and_then(|status| status.parse().ok()))
}

/// Bytes that are no SignalRequest, text frames, and messages that name things which do not exist.
pub(crate) async fn malformed_protobuf(server: &Server) -> anyhow::Result<String> {
    let mut closed = 0;
    let garbage: [&[u8]; 5] =
        [&[0xff; 64], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f], &[0x08], &[], &[0x9a, 0x06, 0x02, 1]];
    for bytes in garbage {
        let mut socket = open_well(server, "garbler").await?;
        socket.send(Message::Binary(bytes.to_vec().into())).await?;
        socket.send(Message::Text("{\"hello\": 1}".into())).await.ok();
        if still_answers(&mut socket).await.is_err() {
            closed += 1;
        }
    }
    let mut socket = open_well(server, "confused").await?;
    for message in nonsense() {
        let bytes = proto::SignalRequest { message: Some(message) }.encode_to_vec();
        socket.send(Message::Binary(bytes.into())).await?;
    }
    still_answers(&mut socket)
        .await
        .context("requests about things that do not exist ended the connection")?;
    Ok(format!("{closed} of 5 hung up on, the others answered on; nonsense was borne"))
}

/// Well-formed messages about nothing.
fn nonsense() -> Vec<proto::signal_request::Message> {
    use proto::signal_request::Message as M;
    let sids = || vec!["TR_none".to_owned(), String::new(), "\u{0}".repeat(300)];
    vec![
        M::Mute(proto::MuteTrackRequest { sid: "TR_none".into(), muted: true }),
        M::Subscription(proto::UpdateSubscription {
            track_sids: sids(),
            subscribe: true,
            ..Default::default()
        }),
        M::TrackSetting(proto::UpdateTrackSettings {
            track_sids: sids(),
            width: u32::MAX,
            height: u32::MAX,
            fps: u32::MAX,
            ..Default::default()
        }),
        M::Answer(proto::SessionDescription { r#type: "answer".into(), id: 99, ..Default::default() }),
        M::Trickle(proto::TrickleRequest { candidate_init: "{".into(), ..Default::default() }),
        M::Trickle(proto::TrickleRequest {
            candidate_init: "{\"candidate\":7}".into(),
            target: 77,
            ..Default::default()
        }),
        M::UpdateMetadata(proto::UpdateParticipantMetadata { request_id: 1, ..Default::default() }),
    ]
}

/// Whether a ping is answered.
async fn still_answers(socket: &mut Socket) -> anyhow::Result<()> {
    let ping = proto::signal_request::Message::PingReq(proto::Ping { timestamp: 4711, rtt: 0 });
    let bytes = proto::SignalRequest { message: Some(ping) }.encode_to_vec();
    socket.send(Message::Binary(bytes.into())).await?;
    let end = tokio::time::Instant::now() + VERDICT;
    while let Some(message) =
        tokio::time::timeout_at(end, socket.next()).await.context("no answer to a ping")?
    {
        let Message::Binary(bytes) = message? else { continue };
        if let Some(proto::signal_response::Message::PongResp(pong)) =
            proto::SignalResponse::decode(bytes)?.message
            && pong.last_ping_timestamp == 4711
        {
            return Ok(());
        }
    }
    bail!("hung up")
}

/// Ten megabytes at once, and in fragments that never end.
pub(crate) async fn oversize_messages(server: &Server) -> anyhow::Result<String> {
    let mut socket = open_well(server, "glutton").await?;
    // Sending may fail half-way, which is the server hanging up.
    let sent = tokio::time::timeout(VERDICT, socket.send(Message::Binary(vec![0; OVERSIZE].into()))).await;
    if matches!(sent, Ok(Ok(()))) {
        ensure!(hung_up(&mut socket).await, "a message of 10 MB was taken");
    }
    Ok("hung up on 10 MB".into())
}

/// Offers that are no SDP, or SDP of a kind that nobody should answer.
pub(crate) async fn malformed_descriptions(server: &Server) -> anyhow::Result<String> {
    let many_sections = format!(
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n{}",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n".repeat(5_000)
    );
    let offers = [
        String::new(),
        "v=0".into(),
        "\u{0}\u{ffff}".repeat(1_000),
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n".into(),
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 999999999999\r\na=mid:0\r\n".into(),
        many_sections,
        format!("v=0\r\n{}", "a=".repeat(500_000)),
    ];
    let mut borne = 0;
    let count = offers.len();
    for (index, sdp) in offers.into_iter().enumerate() {
        let mut socket = open_well(server, "offerer").await?;
        let offer = proto::SessionDescription { r#type: "offer".into(), sdp, id: 1, ..Default::default() };
        let message = proto::signal_request::Message::Offer(offer);
        let bytes = proto::SignalRequest { message: Some(message) }.encode_to_vec();
        socket.send(Message::Binary(bytes.into())).await.with_context(|| format!("offer {index}"))?;
        // Either a clear end or a connection that lives on; silence would be a hung task.
        if still_answers(&mut socket).await.is_ok() {
            borne += 1;
        } else {
            ensure!(hung_up(&mut socket).await, "offer {index} left the connection hanging");
        }
    }
    Ok(format!("{count} offers: {borne} borne, {} hung up on", count - borne))
}

/// More messages than any client sends.
pub(crate) async fn flood(server: &Server) -> anyhow::Result<String> {
    let mut socket = open_well(server, "flooder").await?;
    let ping = proto::signal_request::Message::Ping(1);
    let bytes = proto::SignalRequest { message: Some(ping) }.encode_to_vec();
    let mut sent = 0;
    let flooding = async {
        for _ in 0..50_000 {
            if socket.feed(Message::Binary(bytes.clone().into())).await.is_err() {
                return true;
            }
            sent += 1;
        }
        socket.flush().await.is_err()
    };
    // A server that reads no more holds us up: as good as hanging up, for it costs it nothing.
    let stopped = tokio::time::timeout(VERDICT, flooding).await.unwrap_or(true);
    let closed = stopped || hung_up(&mut socket).await;
    ensure!(closed, "50,000 messages at once were all served");
    Ok(format!("stopped after at most {sent} messages"))
}

/// Peers that pass ICE and then ignore DTLS. They must not be held for ever; while they are, others must join.
pub(crate) async fn stalled_handshakes(server: &Server) -> anyhow::Result<String> {
    let room = format!("stalled-{}", now().as_millis());
    let mut stalled = Vec::new();
    for index in 0..20 {
        let options = Options {
            path: server.path.of(index),
            stall_handshake: true,
            lifetime: Duration::from_secs(120),
            ..Options::default()
        };
        stalled.push(server.join(&room, &format!("stalled-{index}"), options).await?);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let connected =
        stalled.iter().filter(|client| client.with_stats(|stats| stats.connected_after.is_some())).count();
    ensure!(
        connected == 0,
        "{connected} clients that ignore DTLS believe to be connected: the test is broken"
    );
    // In the same room, somebody who behaves.
    let good = server.join(&room, "good", Options { path: server.path.of(0), ..Options::default() }).await?;
    good.publish_audio(AudioShape::default()).await?;
    good.until(VERDICT, |stats| stats.connected_after.is_some()).await?;
    good.leave().await?;
    let count = stalled.len();
    for client in stalled {
        // The server may have sent it away by now.
        let _left = client.leave().await;
    }
    Ok(format!("{count} half-open handshakes; somebody who behaves connected beside them"))
}
