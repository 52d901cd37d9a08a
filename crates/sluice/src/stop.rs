//! When to stop: SIGINT and SIGTERM ask for a clean end, a second signal ends at once.
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a shell reports for a process that SIGINT ended.
const KILLED_BY_SIGINT: i32 = 130;

/// Cancels the returned token at the first signal.
///
/// # Errors
/// If the signal handlers cannot be installed.
pub(crate) fn on_signal() -> anyhow::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        tracing::info!("stopping; a second signal ends at once");
        token.cancel();
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        tracing::warn!("ended by a second signal");
        std::process::exit(KILLED_BY_SIGINT);
    });
    Ok(stop)
}

/// Runs `work` to its end; once `stop` is cancelled it has `deadline` left.
///
/// # Errors
/// Those of `work`, or that it did not end in time.
pub(crate) async fn within(
    deadline: Duration,
    stop: CancellationToken,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    tokio::select! {
        result = work => result,
        () = async { stop.cancelled().await; tokio::time::sleep(deadline).await } => {
            anyhow::bail!("not everything ended within {deadline:?} of the signal; what was left is cut off")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_that_heeds_the_signal_ends_well() {
        let stop = CancellationToken::new();
        stop.cancel();
        within(Duration::from_secs(1), stop.clone(), async move {
            stop.cancelled().await;
            Ok(())
        })
        .await
        .unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_does_not_is_cut_off_and_said_so() {
        let stop = CancellationToken::new();
        stop.cancel();
        let error = within(Duration::from_secs(1), stop, std::future::pending()).await.unwrap_err();
        assert!(error.to_string().contains("1s"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_signal_there_is_no_deadline() {
        let work = async {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            Ok(())
        };
        within(Duration::from_secs(1), CancellationToken::new(), work).await.unwrap();
    }
}
