//! What the server says of itself at `/metrics` (Prometheus' text format).
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::http::Uri;

/// A page of metrics comes within this.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest page that is read.
const LARGEST: u64 = 8 << 20;

/// One reading.
#[derive(Debug, Clone)]
pub(crate) struct Metrics(String);

impl Metrics {
    /// Reads `http://host:port/metrics`; `ws` URLs of the same server will do.
    ///
    /// # Errors
    /// If nobody answers there, or not with metrics.
    pub(crate) async fn read(url: &str) -> anyhow::Result<Self> {
        let authority = url.parse::<Uri>()?.authority().context("the URL has no host")?.to_string();
        let text = tokio::time::timeout(PATIENCE, get(&authority)).await.context("no answer in time")??;
        let (head, body) = text.split_once("\r\n\r\n").context("no HTTP answer")?;
        let status = head.split_whitespace().nth(1).unwrap_or_default();
        anyhow::ensure!(status == "200", "{authority}/metrics answers {status}");
        Ok(Self(body.to_owned()))
    }

    /// The sum of a metric over all its labels; 0 if there is none of that name.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let value = |line: &str| {
            let rest = line.strip_prefix(name)?;
            let named = rest.starts_with(['{', ' ']);
            named.then(|| rest.rsplit_once(' ')?.1.parse::<f64>().ok())?
        };
        self.0.lines().filter_map(value).sum()
    }
}

async fn get(authority: &str) -> anyhow::Result<String> {
    let mut stream =
        TcpStream::connect(authority).await.with_context(|| format!("cannot reach {authority}"))?;
    // HTTP/1.0: one answer, not chunked, and then the end.
    let request = format!("GET /metrics HTTP/1.0\r\nHost: {authority}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(LARGEST).read_to_end(&mut answer).await?;
    Ok(String::from_utf8(answer)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_add_up_and_longer_names_are_others() {
        let page =
            "# TYPE a_total counter\na_total{shard=\"0\"} 2\na_total{shard=\"1\"} 3\na_total_more 9\nb 1.5\n";
        let metrics = Metrics(page.into());
        assert_eq!((metrics.sum("a_total"), metrics.sum("b"), metrics.sum("c")), (5.0, 1.5, 0.0));
    }
}
