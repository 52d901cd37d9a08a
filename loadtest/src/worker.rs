//! A process that carries a share of the load. The coordinator starts it and talks to it, see [`messages`].
mod floor;
mod line;
pub(crate) mod messages;
mod nap;
mod participant;
mod receiver;
mod seat;
pub(crate) mod second;
mod tally;

use std::io::{BufRead as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use sluice_client::{Opened, Plane, SharedSockets};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::calls::Backend;
use crate::door::Door;
use floor::{Floor, News};
use line::{Exchange, Line};
use messages::{Assignment, Order, Told};
use seat::Context;
use tally::Tally;

/// Parts of the tally for each thread, so that two participants seldom want the same.
const PARTS_PER_THREAD: usize = 4;
/// Events on their way from seats to the floor.
const EVENTS: usize = 1024;

/// Works until told to stop.
///
/// # Errors
/// If the coordinator says something unexpected, or goes away.
pub(crate) fn run() -> anyhow::Result<()> {
    let (orders, mut inbox) = mpsc::channel(4);
    std::thread::spawn(move || listen(&orders));
    let (told, outbox) = std::sync::mpsc::channel::<Told>();
    let writer = std::thread::spawn(move || speak(&outbox));

    let Some(Order::Assign(assignment)) = inbox.blocking_recv() else {
        bail!("the first order is not an assignment");
    };
    let mut runtime = match assignment.threads {
        0 | 1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    runtime.enable_all().worker_threads(assignment.threads.max(1));
    runtime.on_thread_park(nap::falls_asleep).on_thread_unpark(nap::is_awoken);
    let runtime = runtime.build().context("cannot start the runtime")?;
    runtime.block_on(work(*assignment, inbox, told))?;
    drop(runtime);
    writer.join().map_err(|_| anyhow::anyhow!("the writing thread panicked"))?.context("cannot report")
}

async fn work(
    assignment: Assignment,
    mut inbox: mpsc::Receiver<Order>,
    told: std::sync::mpsc::Sender<Told>,
) -> anyhow::Result<()> {
    // Ctrl-C reaches every process of the terminal; the coordinator decides what it means.
    tokio::spawn(async { while tokio::signal::ctrl_c().await.is_ok() {} });
    let Assignment { server, node, calls, scenario, seats, run, light, threads } = assignment;
    let door = Door::open(&server, node.as_ref()).await?;
    let exchange = match (&scenario.calls, calls) {
        (Some(calls), Some(api)) => {
            let backend = Backend::connect(&api, run.clone()).await?;
            Some(Arc::new(Exchange { backend, url: server.url.clone(), calls: calls.clone() }))
        }
        _ => None,
    };
    told.send(Told::Ready)?;
    let Some(Order::Go { epoch_us }) = inbox.recv().await else { bail!("no order to go") };
    let since_unix = Duration::from_micros(epoch_us);
    let epoch = Instant::now() + since_unix.saturating_sub(crate::server::now());
    tokio::time::sleep_until(epoch.into()).await;

    let plane = if light { Plane::Light(Opened::Sample) } else { Plane::Full };
    let tally = Arc::new(Tally::new(threads * PARTS_PER_THREAD));
    let (floor, events) = mpsc::channel(EVENTS);
    let stop = CancellationToken::new();
    let news = News::default();
    let watching = Floor::new(events, news.clone(), told.clone(), tally.clone(), epoch);
    let watching = tokio::spawn(watching.run());
    let context = Arc::new(Context {
        door,
        path: server.path,
        scenario,
        run,
        plane,
        sockets: SharedSockets::default(),
        epoch,
        tally,
        floor,
        news,
        stop: stop.clone(),
    });
    let mut filled = JoinSet::new();
    match exchange {
        Some(exchange) => {
            for line in Line::all(seats) {
                filled.spawn(context.clone().use_line(line, exchange.clone()));
            }
        }
        None => {
            for (id, seat) in seats.into_iter().enumerate() {
                filled.spawn(context.clone().fill(seat, id));
            }
        }
    }
    drop(context);

    match inbox.recv().await {
        Some(Order::Stop) => stop.cancel(),
        Some(other) => bail!("an order to stop was due, not {other:?}"),
        None => bail!("the coordinator is gone"),
    }
    while let Some(done) = filled.join_next().await {
        done.context("a participant's task panicked")?;
    }
    watching.await.context("the floor panicked")?;
    told.send(Told::Done)?;
    Ok(())
}

/// Reads orders until there are no more.
fn listen(orders: &mpsc::Sender<Order>) {
    for line in std::io::stdin().lock().lines() {
        let order = line.map_err(anyhow::Error::from).and_then(|line| Ok(serde_json::from_str(&line)?));
        match order {
            Ok(order) => {
                if orders.blocking_send(order).is_err() {
                    return;
                }
            }
            Err(error) => {
                eprintln!("an order cannot be read: {error:#}");
                return;
            }
        }
    }
}

fn speak(outbox: &std::sync::mpsc::Receiver<Told>) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    for told in outbox {
        serde_json::to_writer(&mut output, &told)?;
        output.write_all(b"\n")?;
        output.flush()?;
    }
    Ok(())
}
