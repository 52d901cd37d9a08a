//! What the server says of itself at `/metrics` (Prometheus' text format).
use crate::http;

/// One reading.
#[derive(Debug, Clone)]
pub(crate) struct Metrics(String);

impl Metrics {
    /// Reads `http://host:port/metrics`; `ws` URLs of the same server will do.
    ///
    /// # Errors
    /// If nobody answers there, or not with metrics.
    pub(crate) async fn read(url: &str) -> anyhow::Result<Self> {
        let http::Answer { status, body } = http::get(url, "/metrics").await?;
        anyhow::ensure!(status == 200, "{url}: /metrics answers {status}");
        Ok(Self(body))
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
