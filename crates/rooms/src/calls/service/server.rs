//! The gRPC server of the calls API: behind its token, with standard health and reflection.
use std::sync::Arc;
use std::time::Duration;

use sluice_api::calls::v1::calls_server::CallsServer;
use subtle::ConstantTimeEq as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;
use tonic::service::{Interceptor, Routes};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Status};

use super::Service;

/// Bytes of a request at most: the largest is a policy with three lists of 10,000 users.
const MAX_REQUEST: usize = 4 << 20;
/// Bytes of an answer at most: a page of 1,000 calls.
const MAX_ANSWER: usize = 64 << 20;
/// A caller that answers no ping for so long is gone, and its event streams with it.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Lets calls pass that carry `authorization: Bearer <token>`. An empty token lets everybody pass; the settings allow
/// that on loopback alone.
#[derive(Clone)]
struct Bearer(Arc<str>);

impl Interceptor for Bearer {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        if self.0.is_empty() {
            return Ok(request);
        }
        let header = request.metadata().get("authorization");
        let header = header.ok_or_else(|| Status::unauthenticated("a bearer token is needed"))?;
        // RFC 9110 section 11.1: schemes are compared without regard to case; the token in constant time.
        let given = header.as_bytes().split_at_checked(7);
        let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
        match given {
            Some((_, token)) if bool::from(token.ct_eq(self.0.as_bytes())) => Ok(request),
            _ => Err(Status::unauthenticated("the bearer token is not that of the calls API")),
        }
    }
}

/// Serves until `stop`, and until all RPCs are answered. `concurrency` bounds each connection.
pub(crate) async fn serve(
    service: Service,
    listener: TcpListener,
    token: &str,
    concurrency: u32,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<CallsServer<Service>>().await;
    let calls = CallsServer::new(service)
        .max_decoding_message_size(MAX_REQUEST)
        .max_encoding_message_size(MAX_ANSWER);
    let calls = InterceptedService::new(calls, Bearer(token.into()));
    let mut routes = Routes::new(calls).add_service(health);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(sluice_api::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // The descriptors are of all our APIs; one of them is served here.
        .with_service_name("sluice.calls.v1.Calls")
        .with_service_name("grpc.health.v1.Health")
        .with_service_name("grpc.reflection.v1.ServerReflection")
        .build_v1();
    match reflection {
        Ok(reflection) => routes = routes.add_service(reflection),
        Err(error) => tracing::error!(%error, "no reflection"),
    }
    Server::builder()
        .max_concurrent_streams(concurrency)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .add_routes(routes)
        .serve_with_incoming_shutdown(
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            stop.cancelled_owned(),
        )
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_opens() {
        let call = |token: &str, header: Option<&str>| {
            let mut request = Request::new(());
            if let Some(header) = header {
                request.metadata_mut().insert("authorization", header.parse().unwrap());
            }
            Bearer(token.into()).call(request).map(drop).map_err(|status| status.code())
        };
        assert_eq!(call("secret", Some("bearer secret")), Ok(()));
        assert_eq!(call("", None), Ok(()));
        for wrong in [None, Some("Bearer secret2"), Some("Bearer "), Some("secret")] {
            assert_eq!(call("secret", wrong), Err(tonic::Code::Unauthenticated), "{wrong:?}");
        }
    }
}
