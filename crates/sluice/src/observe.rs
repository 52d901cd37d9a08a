//! What an operator sees: log lines, `/metrics` for Prometheus, `/healthz`.
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;
use crate::settings::{Log, SettingError};

/// Seconds; from a packet's stay in a busy node to a client that waits for a transport.
const DURATION_BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];
/// What is counted and not timed; such histograms end in `_changes`.
const COUNT_BUCKETS: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];
/// Histograms fold their samples this often; between two scrapes memory grows no further than that.
const UPKEEP: Duration = Duration::from_secs(5);

/// Starts logging to standard error; standard output is for answers.
///
/// # Errors
/// If the filter cannot be read.
pub(crate) fn start_log(log: &Log) -> Result<(), SettingError> {
    let filter = EnvFilter::try_new(&log.filter).map_err(|error| SettingError {
        setting: "log.filter".into(),
        value: Some(log.filter.clone()),
        source: None,
        problem: format!("{error}; write a level, or levels by module, e.g. `info,sluice_rooms=debug`"),
    })?;
    let colours = std::io::stderr().is_terminal();
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    match log.format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}

/// Collects the metrics of this process from now on.
///
/// # Errors
/// If another recorder is installed already.
pub(crate) fn start_metrics() -> anyhow::Result<PrometheusHandle> {
    let recorder = PrometheusBuilder::new()
        .set_buckets(&DURATION_BUCKETS)?
        .set_buckets_for_metric(Matcher::Suffix("_changes".into()), &COUNT_BUCKETS)?
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).context("metrics are collected already")?;
    metrics::describe_gauge!("sluice_build_info", "Always 1; the label names the version.");
    metrics::gauge!("sluice_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    let upkeep = handle.clone();
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            upkeep.run_upkeep();
        }
    });
    Ok(handle)
}

/// `/metrics` and `/healthz`.
pub(crate) fn routes(metrics: PrometheusHandle) -> Router {
    let text = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Router::new()
        .route("/metrics", get(move || async move { (text, metrics.render()) }))
        .route("/healthz", get(|| async { "ok\n" }))
}

/// Serves [`routes`] on an address of their own until `stop`; without an address there is nothing to do.
///
/// # Errors
/// If the address is taken.
pub(crate) async fn serve(
    address: Option<SocketAddr>,
    setting: &str,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let metrics = start_metrics()?;
    let Some(address) = address else { return Ok(()) };
    let listener = listen(address, setting).await?;
    tracing::info!(address = %listener.local_addr()?, "metrics and health");
    tokio::spawn(async move {
        let served = axum::serve(listener, routes(metrics)).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(%error, "metrics are no longer served");
        }
    });
    Ok(())
}

/// A listening socket.
///
/// # Errors
/// Names the setting, the address and what to do.
pub(crate) async fn listen(address: SocketAddr, setting: &str) -> Result<TcpListener, SettingError> {
    TcpListener::bind(address).await.map_err(|error| SettingError {
        setting: setting.into(),
        value: Some(address.to_string()),
        source: None,
        problem: match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "another program listens there; stop it, or choose another port".into()
            }
            std::io::ErrorKind::AddrNotAvailable => "this machine has no such address".into(),
            std::io::ErrorKind::PermissionDenied => "not permitted; ports below 1024 need a privilege".into(),
            _ => format!("cannot listen: {error}"),
        },
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[tokio::test]
    async fn a_port_that_is_taken_is_named_together_with_its_setting() {
        let first = listen((Ipv4Addr::LOCALHOST, 0).into(), "dev.http_port").await.unwrap();
        let taken = first.local_addr().unwrap();
        let error = listen(taken, "dev.http_port").await.unwrap_err().to_string();
        assert!(error.contains("dev.http_port") && error.contains(&taken.to_string()), "{error}");
        assert!(error.contains("another program"), "{error}");
    }

    #[test]
    fn a_broken_log_filter_is_explained() {
        let log = Log { filter: "sluice=loud".into(), ..Log::default() };
        let error = start_log(&log).unwrap_err().to_string();
        assert!(error.contains("log.filter") && error.contains("sluice=loud"), "{error}");
    }
}
