//! One GET of a small page, without TLS.
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::http::Uri;

/// A page comes within this.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest page that is read.
const LARGEST: u64 = 8 << 20;

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    /// The first line of the body, for an error.
    pub(crate) fn brief(&self) -> &str {
        self.body.trim().lines().next().filter(|line| !line.is_empty()).unwrap_or("(no reason given)")
    }
}

/// Asks the server of a `http` or `ws` URL for another path.
///
/// # Errors
/// If nobody answers there in time, or not with HTTP.
pub(crate) async fn get(url: &str, path: &str) -> anyhow::Result<Answer> {
    let authority = url.parse::<Uri>()?.authority().context("the URL has no host")?.to_string();
    let asked = tokio::time::timeout(PATIENCE, ask(&authority, path)).await;
    let text = asked.with_context(|| format!("{authority} does not answer within {PATIENCE:?}"))??;
    let (head, body) = text.split_once("\r\n\r\n").context("no HTTP answer")?;
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    Ok(Answer { status: status.context("no HTTP answer")?, body: body.to_owned() })
}

async fn ask(authority: &str, path: &str) -> anyhow::Result<String> {
    let address = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    let mut stream = TcpStream::connect(&address).await.with_context(|| format!("cannot reach {address}"))?;
    // HTTP/1.0: one answer, not chunked, and then the end.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {authority}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(LARGEST).read_to_end(&mut answer).await?;
    Ok(String::from_utf8(answer)?)
}
