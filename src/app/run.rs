//! `smartgate run`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::Failure;
use super::serve::start_on;
use crate::ambient::Ambient;
use crate::config::{self, Reloader};
use crate::gate::Inherited;
use crate::telemetry::{Metrics, init_logging};

/// How long the runtime may take to end what is left.
const RUNTIME_SHUTDOWN: Duration = Duration::from_secs(2);

/// How long a thread for what blocks stays without work: longer than the files of the configuration are left unread. New threads come
/// with memory of their own, which is only gradually of use to the others once they end.
const BLOCKING_KEPT: Duration = Duration::from_secs(120);

pub(super) fn run(path: &Path) -> Result<(), Failure> {
    let loaded = config::load(path).map_err(Failure::new)?;
    init_logging(loaded.snapshot.log.format, &loaded.snapshot.log.filter);
    let inherited = Inherited::take();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(loaded.snapshot.server.threads)
        .thread_keep_alive(BLOCKING_KEPT)
        .enable_all()
        .build()
        .map_err(Failure::new)?;
    let metrics = Metrics::new().map_err(Failure::new)?;
    let reloader = Arc::new(Reloader::new(path.to_owned(), loaded, metrics.clone()));
    let served = runtime.block_on(serve(inherited, reloader, metrics));
    runtime.shutdown_timeout(RUNTIME_SHUTDOWN);
    served
}

async fn serve(inherited: Inherited, reloader: Arc<Reloader>, metrics: Metrics) -> Result<(), Failure> {
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    // Held so that a SIGHUP on the way up ends nothing.
    let _hangup = listen(SignalKind::hangup())?;
    let running = start_on(inherited, reloader.current(), metrics, Ambient::system()).await?;
    let (stop_watching, stopped) = watch::channel(false);
    let watching = tokio::spawn(async move { reloader.watch(stopped).await });
    for address in running.addresses() {
        tracing::info!(%address, "serving");
    }
    for address in running.admin_addresses() {
        tracing::info!(%address, "serving metrics and health");
    }
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: draining"),
        _ = interrupt.recv() => tracing::info!("SIGINT: draining; once more stops at once"),
    }
    stop_watching.send_replace(true);
    running
        .stop(async {
            interrupt.recv().await;
        })
        .await;
    watching.abort();
    tracing::info!("stopped");
    Ok(())
}

fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(Failure::new)
}
