//! What is common to all HTTP routes: CORS, careless URLs, the answer to "are you there".
//!
//! Browsers hide a response without CORS headers from the page, also a 404 that a client needs to see before it falls
//! back to an older path: so the headers stand on everything, errors included.
use axum::Router;
use axum::extract::Request;
use axum::http::uri::{PathAndQuery, Uri};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use tower::Layer;
use tower::util::MapRequestLayer;
use tower_http::cors::{Any, CorsLayer};

/// Bytes that a WebSocket reads at once, held for each client as long as it is there: most messages are some hundred bytes.
/// Larger saves calls for session descriptions, and costs every silent client the difference.
pub(crate) const READ_BUFFER: usize = 4 << 10;

/// A request that is refused: a status, and one line of plain text that says why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) text: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], self.text).into_response()
    }
}

/// Everything that is served: the dialect's routes, the caller's, and 404 for the rest.
pub(crate) fn service(
    dialect: Router,
    extra: Router,
) -> impl tower::Service<Request, Response = Response, Error = std::convert::Infallible, Future: Send>
+ Clone
+ Send
+ Sync
+ 'static {
    let cors = CorsLayer::new().allow_origin(Any).allow_methods(Any).allow_headers(Any).expose_headers(Any);
    let router = dialect.fallback_service(extra).layer(from_fn(present)).layer(cors);
    MapRequestLayer::new(single_leading_slash as fn(Request) -> Request).layer(router)
}

/// Clients ask for `/` to see whether we are there: if the caller serves no page, it is a plain OK.
async fn present(request: Request, next: Next) -> Response {
    let root = request.uri().path() == "/";
    let response = next.run(request).await;
    if response.status() != StatusCode::NOT_FOUND {
        return response;
    }
    if root { "OK".into_response() } else { response }
}

/// Clients join a base URL that ends with a slash and a path that begins with one.
fn single_leading_slash(mut request: Request) -> Request {
    let uri = request.uri();
    let Some(path) = uri.path_and_query().map(PathAndQuery::as_str) else { return request };
    if path.starts_with("//") {
        let path = format!("/{}", path.trim_start_matches('/'));
        let mut parts = uri.clone().into_parts();
        // A suffix of a valid path is valid: on the impossible error the request goes on as it came.
        parts.path_and_query = path.parse().ok();
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Method;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    async fn ask(method: Method, uri: &str) -> (StatusCode, Option<String>) {
        let dialect = Router::new().route("/rtc/validate", get(|| async { "success" }));
        let extra = Router::new().route("/dev/token", get(|| async { "token" }));
        let request = Request::builder().method(method).uri(uri).body(Body::empty()).unwrap();
        let response = service(dialect, extra).oneshot(request).await.unwrap();
        let origin = response.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN);
        (response.status(), origin.map(|value| value.to_str().unwrap().to_owned()))
    }

    #[tokio::test]
    async fn everything_carries_cors_headers_even_a_404() {
        let any = Some("*".to_owned());
        assert_eq!(ask(Method::GET, "/").await, (StatusCode::OK, any.clone()));
        assert_eq!(ask(Method::HEAD, "/").await, (StatusCode::OK, any.clone()));
        assert_eq!(ask(Method::GET, "/nowhere").await, (StatusCode::NOT_FOUND, any.clone()));
        assert_eq!(ask(Method::OPTIONS, "/rtc/validate").await, (StatusCode::OK, any.clone()));
        assert_eq!(ask(Method::GET, "/dev/token").await, (StatusCode::OK, any));
    }

    #[tokio::test]
    async fn a_double_slash_is_forgiven() {
        assert_eq!(ask(Method::GET, "//rtc/validate?x=//y").await.0, StatusCode::OK);
        assert_eq!(ask(Method::GET, "///").await.0, StatusCode::OK);
    }
}
