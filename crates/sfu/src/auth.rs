//! Who may call: whoever knows the node's token.

use subtle::ConstantTimeEq;
use tonic::service::Interceptor;
use tonic::{Request, Status};

/// Lets calls pass that carry `authorization: Bearer <token>`.
#[derive(Clone)]
pub(crate) struct BearerToken {
    expected: Option<String>,
}

impl BearerToken {
    /// An empty token lets everybody pass; the settings allow that on loopback alone.
    pub(crate) fn new(token: &str) -> Self {
        BearerToken { expected: Some(token.to_owned()).filter(|token| !token.is_empty()) }
    }
}

impl Interceptor for BearerToken {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let Some(expected) = &self.expected else { return Ok(request) };
        let header = request.metadata().get("authorization");
        let header = header.ok_or_else(|| Status::unauthenticated("a bearer token is needed"))?;
        let given = header.as_bytes().split_at_checked(7).filter(|(scheme, _)| {
            // RFC 9110 section 11.1: schemes are compared without regard to case.
            scheme.eq_ignore_ascii_case(b"bearer ")
        });
        // In constant time, so that nobody can guess the token letter by letter.
        match given {
            Some((_, token)) if bool::from(token.ct_eq(expected.as_bytes())) => Ok(request),
            _ => Err(Status::unauthenticated("the bearer token is not the node's")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(token: &str, header: Option<&str>) -> Result<(), tonic::Code> {
        let mut request = Request::new(());
        if let Some(header) = header {
            request.metadata_mut().insert("authorization", header.parse().unwrap());
        }
        BearerToken::new(token).call(request).map(drop).map_err(|status| status.code())
    }

    #[test]
    fn only_the_token_opens() {
        assert_eq!(call("secret", Some("Bearer secret")), Ok(()));
        assert_eq!(call("secret", Some("bearer secret")), Ok(()));
        for wrong in
            [None, Some("Bearer Secret"), Some("Bearer secret2"), Some("Bearer "), Some("secret"), Some("")]
        {
            assert_eq!(call("secret", wrong), Err(tonic::Code::Unauthenticated), "{wrong:?}");
        }
    }

    #[test]
    fn without_a_token_everybody_may_call() {
        assert_eq!(call("", None), Ok(()));
    }
}
