//! The gRPC server: the API behind its token, with standard health and reflection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sluice_api::Carrier;
use sluice_api::sfu::v1::sfu_server::SfuServer;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tower::limit::ConcurrencyLimit;
use tower::{Service as _, ServiceExt as _};

use crate::auth::BearerToken;
use crate::control::Control;
use crate::node::StartError;
use crate::service::SfuService;
use crate::tcp;

/// Bytes of a request at most. The largest are descriptions (1 MiB by default) and lists of publications.
const MAX_REQUEST: usize = 4 << 20;

/// Bytes of an answer at most: a snapshot of a room with 1,000 sessions of 64 KiB `app_state` each.
const MAX_ANSWER: usize = 64 << 20;

/// Calls of one connection, or of this process, at the same time; without a bound one caller could take all memory.
const MAX_CALLS: usize = 1_024;

/// A caller that answers no ping for so long is gone, and its event streams with it.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// A server that has its port, but does not serve yet.
pub(crate) struct GrpcServer {
    pub(crate) address: SocketAddr,
    listener: TcpListener,
    reflection: Routes,
}

pub(crate) fn bind(address: SocketAddr) -> Result<GrpcServer, StartError> {
    let refused = |error| StartError::Bind { what: "the gRPC server", address, error };
    let listener = tcp::bind(address).and_then(TcpListener::from_std).map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(sluice_api::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // The descriptors are of all our APIs; the node serves one of them.
        .with_service_name("sluice.sfu.v1.Sfu")
        .with_service_name("grpc.health.v1.Health")
        .with_service_name("grpc.reflection.v1.ServerReflection")
        .build_v1();
    let reflection = reflection.map_err(|error| StartError::System {
        what: "describe the API for reflection",
        error: std::io::Error::other(error),
    })?;
    Ok(GrpcServer { address, listener, reflection: Routes::new(reflection) })
}

/// The API within the process.
pub(crate) fn carrier(control: Arc<Control>) -> Carrier {
    let sfu = service(control);
    // Not in the caller's own task: one that is busy elsewhere would hold what the call holds, e.g. the right to spread a room.
    let call =
        tower::service_fn(move |request| AbortOnDropHandle::new(tokio::spawn(sfu.clone().call(request))));
    let call = call.map_result(|joined| match joined {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(never)) => match never {},
        Err(error) => Err(error),
    });
    sluice_api::carrier(ConcurrencyLimit::new(call, MAX_CALLS))
}

/// The API itself.
fn service(control: Arc<Control>) -> SfuServer<SfuService> {
    SfuServer::new(SfuService::new(control))
        .max_decoding_message_size(MAX_REQUEST)
        .max_encoding_message_size(MAX_ANSWER)
}

impl GrpcServer {
    /// Serves until the shutdown, and until all calls are answered.
    pub(crate) async fn serve(
        self,
        control: Arc<Control>,
        token: String,
        shutdown: CancellationToken,
    ) -> Result<(), tonic::transport::Error> {
        let (health_reporter, health) = tonic_health::server::health_reporter();
        health_reporter.set_serving::<SfuServer<SfuService>>().await;
        let sfu = InterceptedService::new(service(control.clone()), BearerToken::new(&token));
        let serving = Server::builder()
            .max_concurrent_streams(MAX_CALLS as u32)
            .http2_keepalive_interval(Some(KEEP_ALIVE))
            .http2_keepalive_timeout(Some(KEEP_ALIVE))
            .add_routes(self.reflection.add_service(sfu).add_service(health))
            .serve_with_incoming_shutdown(
                TcpIncoming::from(self.listener).with_nodelay(Some(true)),
                shutdown.cancelled_owned(),
            );
        // Whoever places rooms by health looks elsewhere; the process as a whole (the empty name) is as well as ever.
        let turning_away = async {
            control.until_draining().await;
            health_reporter.set_not_serving::<SfuServer<SfuService>>().await;
            std::future::pending().await
        };
        tokio::select! {
            served = serving => served,
            never = turning_away => never,
        }
    }
}
