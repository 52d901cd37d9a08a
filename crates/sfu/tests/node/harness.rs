//! A node on loopback with its own token, and a client that knows it.

use std::net::SocketAddr;
use std::time::Duration;

use sluice_api::sfu::v1 as api;
use sluice_api::sfu::v1::sfu_client::SfuClient;
use sluice_sfu::{Node, RunError, Settings};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

pub(crate) const TOKEN: &str = "letmein";

/// Nothing here takes a tenth of this, unless it never comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub(crate) struct Bearer(pub(crate) &'static str);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let value = format!("Bearer {}", self.0);
        let value = MetadataValue::try_from(value).map_err(|error| Status::internal(error.to_string()))?;
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

pub(crate) type Client = SfuClient<InterceptedService<Channel, Bearer>>;

pub(crate) struct Running {
    pub(crate) grpc: SocketAddr,
    pub(crate) media: Vec<sluice_engine::LocalAddress>,
    pub(crate) carrier: sluice_api::Carrier,
    cancel: CancellationToken,
    task: JoinHandle<Result<(), RunError>>,
}

/// Loopback, the kernel's ports, a token.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::loopback();
    settings.node_id = "test".to_owned();
    settings.grpc.token = TOKEN.to_owned();
    settings
}

pub(crate) async fn start(settings: Settings) -> Running {
    let node = Node::start(settings).await.expect("the node starts");
    let (grpc, media) = (node.grpc_address(), node.media_addresses().to_vec());
    let carrier = node.carrier();
    let cancel = CancellationToken::new();
    let task = tokio::spawn(node.run_until(cancel.clone()));
    Running { grpc, media, carrier, cancel, task }
}

impl Running {
    pub(crate) async fn channel(&self) -> Channel {
        let endpoint = Channel::from_shared(format!("http://{}", self.grpc)).expect("a URL");
        endpoint.connect().await.expect("the node listens")
    }

    pub(crate) async fn client(&self) -> Client {
        SfuClient::with_interceptor(self.channel().await, Bearer(TOKEN))
    }

    pub(crate) async fn stop(self) {
        self.cancel.cancel();
        self.ended().await.expect("the node ends in order");
    }

    pub(crate) async fn ended(self) -> Result<(), RunError> {
        tokio::time::timeout(PATIENCE, self.task).await.expect("the node ends in time").expect("no panic")
    }

    pub(crate) fn address(&self, protocol: sluice_engine::Protocol) -> SocketAddr {
        let found = self.media.iter().find(|address| address.protocol == protocol);
        found.expect("an address of this protocol").advertised
    }
}

pub(crate) fn put_room(room_id: &str, owner_epoch: u64) -> api::PutRoomRequest {
    api::PutRoomRequest { room_id: room_id.to_owned(), owner_epoch, ..Default::default() }
}

pub(crate) fn put_session(room_id: &str, session_id: &str) -> api::PutSessionRequest {
    api::PutSessionRequest {
        room_id: room_id.to_owned(),
        session_id: session_id.to_owned(),
        participant_id: format!("p-{session_id}"),
        settings: Some(api::SessionSettings { offerer: api::Offerer::Peer.into(), ..Default::default() }),
        ..Default::default()
    }
}

/// The next message of an event stream.
pub(crate) async fn next(
    events: &mut Streaming<api::WatchEventsResponse>,
) -> api::watch_events_response::Message {
    let message = tokio::time::timeout(PATIENCE, events.message()).await.expect("an event in time");
    message.expect("the stream goes on").expect("the stream is open").message.expect("a message")
}

pub(crate) async fn hello(events: &mut Streaming<api::WatchEventsResponse>) -> api::Hello {
    match next(events).await {
        api::watch_events_response::Message::Hello(hello) => hello,
        api::watch_events_response::Message::Event(event) => panic!("an event before Hello: {event:?}"),
    }
}

pub(crate) async fn event(events: &mut Streaming<api::WatchEventsResponse>) -> api::Event {
    match next(events).await {
        api::watch_events_response::Message::Event(event) => event,
        api::watch_events_response::Message::Hello(hello) => panic!("a second Hello: {hello:?}"),
    }
}
