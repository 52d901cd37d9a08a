//! What carries calls to a node.

use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service, ServiceExt as _};

/// What a client of [`sfu`](crate::sfu) sends its calls through: a connection, or the node's own service if both are in one
/// process. Its clones carry to the same node.
pub type Carrier = BoxCloneSyncService<Request<Body>, Response<Body>, Status>;

/// Makes a carrier of a connection or a service.
pub fn carrier<S>(service: S) -> Carrier
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    BoxCloneSyncService::new(service.map_err(|error| Status::from_error(error.into())))
}
