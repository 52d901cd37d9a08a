//! A server with calls, and the product's backend that speaks to it.
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sluice_api::calls::v1::calls_client::CallsClient;
use sluice_api::calls::v1::*;
use sluice_rooms::store::{MemoryStore, Store};
use sluice_rooms::{Doors, Settings};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::support::node::FakeNode;
use super::support::server;

const TOKEN: &str = "the backend's token";
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Backend {
    pub node: FakeNode,
    pub http: SocketAddr,
    pub grpc: SocketAddr,
    client: CallsClient<Channel>,
    stop: CancellationToken,
    task: JoinHandle<Result<(), sluice_rooms::Error>>,
}

/// A request with the token.
pub fn with_token<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
    request
}

/// Fresh each time: an intent of its own.
pub fn id() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("request-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub fn party(user: &str) -> Option<Party> {
    Some(Party { user_id: user.into(), device_id: format!("{user}-phone"), handle: user.to_uppercase() })
}

pub fn callee(user: &str) -> Callee {
    Callee { user_id: user.into(), handle: user.to_uppercase() }
}

/// Ann calls Ben.
pub fn direct() -> CreateCallRequest {
    CreateCallRequest {
        request_id: id(),
        caller: party("ann"),
        callees: vec![callee("ben")],
        kind: CallKind::Direct.into(),
        media: Media::Audio.into(),
        ..Default::default()
    }
}

impl Backend {
    pub async fn start() -> Self {
        Self::start_with(Arc::new(MemoryStore::new()), |_| ()).await
    }

    pub async fn start_with(store: Arc<dyn Store>, change: impl FnOnce(&mut Settings)) -> Self {
        let (node, address) = FakeNode::start().await;
        Self::start_at(node, address, store, change).await
    }

    pub async fn start_at(
        node: FakeNode,
        address: SocketAddr,
        store: Arc<dyn Store>,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let mut settings = server::settings(address);
        settings.calls.grpc_token = TOKEN.into();
        change(&mut settings);
        let http_door = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let calls = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (http, grpc) = (http_door.local_addr().unwrap(), calls.local_addr().unwrap());
        let stop = CancellationToken::new();
        let doors = Doors { http: http_door, calls: Some(calls), node: None };
        let serving =
            sluice_rooms::serve_with_store(settings, doors, axum::Router::new(), stop.clone(), store);
        let task = tokio::spawn(serving);
        let channel = Channel::from_shared(format!("http://{grpc}")).unwrap().connect_lazy();
        let backend = Self { node, http, grpc, client: CallsClient::new(channel), stop, task };
        let ready = async {
            while backend.get("/healthz").await.0 != 200 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, ready).await.expect("the server is ready");
        backend
    }

    pub async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.expect("it stops").unwrap().unwrap();
    }

    /// As by `kill -9`: nothing more is said or written.
    pub async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.is_err());
    }

    pub fn rpc(&self) -> CallsClient<Channel> {
        self.client.clone()
    }

    /// Status and body of a GET.
    pub async fn get(&self, path: &str) -> (u16, String) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(self.http).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// Whether the token opens its room now.
    pub async fn may_join(&self, media: &MediaAccess) -> (u16, String) {
        self.get(&format!("/rtc/validate?access_token={}", media.token)).await
    }

    pub async fn create(&self, request: CreateCallRequest) -> Result<CreateCallResponse, Status> {
        self.rpc().create_call(with_token(request)).await.map(tonic::Response::into_inner)
    }

    pub async fn accept(&self, call: &str, user: &str) -> Result<AcceptCallResponse, Status> {
        let request = AcceptCallRequest {
            request_id: id(),
            call_id: call.into(),
            party: party(user),
            audio_only: false,
        };
        self.rpc().accept_call(with_token(request)).await.map(tonic::Response::into_inner)
    }

    pub async fn leave(&self, call: &str, user: &str) -> Result<Call, Status> {
        let request = LeaveCallRequest { request_id: id(), call_id: call.into(), party: party(user) };
        self.rpc().leave_call(with_token(request)).await.map(|answer| answer.into_inner().call.unwrap())
    }

    pub async fn call(&self, call: &str) -> Result<GetCallResponse, Status> {
        let request = GetCallRequest { call_id: call.into() };
        self.rpc().get_call(with_token(request)).await.map(tonic::Response::into_inner)
    }

    /// Waits for the call's end.
    pub async fn record(&self, call: &str) -> Record {
        let ended = async {
            loop {
                if let Some(record) = self.call(call).await.unwrap().record {
                    return record;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, ended).await.expect("the call ends")
    }
}
