//! The server under test, at a free port.
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use sluice_rooms::Settings;
use sluice_rooms::token::{Grants, TokenBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::client::Client;
use super::node::FakeNode;

pub struct Server {
    pub address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<Result<(), sluice_rooms::Error>>,
}

pub fn settings(node: SocketAddr) -> Settings {
    let mut settings = Settings {
        node: format!("http://{node}"),
        keys: BTreeMap::from([("devkey".into(), "secret".into())]),
        ..Settings::default()
    };
    // Long enough that nothing ends by itself while a test runs, unless the test wants it.
    settings.timings.departure = 60;
    settings
}

/// A node and a server in front of it.
pub async fn start() -> (FakeNode, Server) {
    start_with(|_| ()).await
}

pub async fn start_with(change: impl FnOnce(&mut Settings)) -> (FakeNode, Server) {
    let (node, address) = FakeNode::start().await;
    let mut settings = settings(address);
    change(&mut settings);
    let server = Server::start(settings).await;
    server.wait_until_ready().await;
    (node, server)
}

impl Server {
    pub async fn start(settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(sluice_rooms::serve(settings, listener, axum::Router::new(), stop.clone()));
        Self { address, stop, task }
    }

    /// Until rooms are recovered, joins are refused.
    pub async fn wait_until_ready(&self) {
        let waiting = async {
            while self.get(&format!("/rtc/validate?access_token={}", token("probe"))).await.0 != 200 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("the server is ready");
    }

    pub async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(10), self.task).await.expect("it stops").unwrap().unwrap();
    }

    /// Status, headers and body of a GET.
    pub async fn get(&self, path: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_lowercase(), body.to_owned())
    }

    /// Joins the room `lobby` with two connections, and reads the greeting.
    pub async fn join(&self, identity: &str) -> Client {
        let mut client = self.connect(&token(identity), "").await;
        client.greeted().await;
        client
    }

    pub async fn connect(&self, token: &str, more: &str) -> Client {
        Client::connect(&format!("ws://{}/rtc?access_token={token}{more}", self.address)).await.unwrap()
    }
}

pub fn token(identity: &str) -> String {
    token_for("lobby", identity, |_| ())
}

pub fn token_for(room: &str, identity: &str, change: impl FnOnce(&mut Grants)) -> String {
    let mut grants = Grants { room_join: true, room: room.into(), ..Grants::default() };
    change(&mut grants);
    TokenBuilder::new(identity).name(identity).grants(grants).sign("devkey", "secret").unwrap()
}
