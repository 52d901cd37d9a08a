//! A small messaging product: people with handles, direct messages, groups, and calls in all of them.
//!
//! It uses Sluice as any product's backend would, and in no other way: the gRPC API `sluice.calls.v1.Calls`, a permission
//! hook and signed webhooks. docs/backend.md tells how along this code. It is a demonstration: whoever reaches it may
//! sign in as anybody, so `sluice dev` serves it to its own page only.
//!
//! * `world` is the product's own state: people, blocks, threads, messages, and what it knows of calls. No IO.
//! * `api` is what its web page asks; `feed` is what the page is told without asking.
//! * `hooks` is what Sluice asks and tells; `calls` is what we ask Sluice.
//! * `disk` keeps the world over a restart.
mod api;
mod app;
mod calls;
mod disk;
mod feed;
mod hooks;
pub mod origin;
mod world;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use tokio_util::sync::CancellationToken;

use app::App;

/// What the product needs to know to run.
#[derive(Clone)]
pub struct Settings {
    /// Where the calls' gRPC API is, e.g. `http://127.0.0.1:7884`.
    pub calls: String,
    /// Its bearer token; empty if it wants none.
    pub calls_token: String,
    /// What webhooks are signed with. Empty: none is believed.
    pub webhook_secret: String,
    /// What questions to the permission hook are signed with; `None` if they are not signed.
    pub hook_secret: Option<String>,
    /// The folder for `demo.json`, which keeps the world over a restart. `None`: in memory only.
    pub data: Option<PathBuf>,
    /// Addresses that this process is known by, besides loopback; the unspecified one stands for all.
    pub addresses: Vec<IpAddr>,
}

/// Why the product cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address of the gRPC API is not one.
    #[error("`{address}` is not the address of a gRPC API: {problem}")]
    Address {
        /// As it was given.
        address: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The bearer token cannot stand in a header.
    #[error("the token of the calls' gRPC API holds characters that cannot stand in a header")]
    Token,
    /// What an earlier run left cannot be read.
    #[error("{}: {problem}; repair the file, or remove it to begin with the sample people", path.display())]
    Disk {
        /// Of the file or folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// The running product.
pub struct Demo {
    app: Arc<App>,
}

impl Demo {
    /// Reads what an earlier run left, or begins with the sample people. Needs a tokio runtime, and no Sluice yet.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(settings: Settings) -> Result<Self, StartError> {
        Ok(Self { app: Arc::new(App::new(settings)?) })
    }

    /// `/demo/api` for the web page, `/demo/hooks` for Sluice.
    pub fn routes(&self) -> Router {
        Router::new().merge(api::routes(self.app.clone())).merge(hooks::routes(self.app.clone()))
    }

    /// What goes on behind the requests: live calls are asked for, the world is written to disk. Writes a last time
    /// when `stop` comes, and ends all live feeds.
    pub async fn run_until(self, stop: CancellationToken) {
        let following = hooks::follow(&self.app, &stop);
        let keeping = disk::keep(&self.app, &stop);
        let closing = async {
            stop.cancelled().await;
            self.app.feed.close();
        };
        tokio::join!(following, keeping, closing);
    }
}
