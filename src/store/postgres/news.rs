//! `LISTEN`: what another replica changed is looked at now, and not only at the next turn.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::super::News;
use super::Topic;
use super::attempts::explained;

/// How long nothing is tried after a connection broke or could not be made; polling goes on meanwhile.
const PAUSE: Duration = Duration::from_secs(1);

/// Listens for ever, on a connection of its own.
pub(super) async fn follow(config: Config, tls: MakeRustlsConnect, limit: Duration, news: Arc<News>) {
    let mut failing = false;
    loop {
        let ended = match timeout(limit, config.connect(tls.clone())).await {
            Err(_) => format!("no connection within {limit:?}"),
            Ok(Err(error)) => explained(&error),
            Ok(Ok((client, connection))) => {
                failing = false;
                listen(client, connection, &news).await
            }
        };
        if !failing {
            tracing::warn!(because = ended, "news of other replicas come by polling only");
        }
        failing = true;
        sleep(PAUSE).await;
    }
}

/// Rings for what is heard until the connection ends; why it did.
async fn listen<S>(client: Client, mut connection: Connection<Socket, S>, news: &News) -> String
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut asking = pin!(client.batch_execute("LISTEN smartgate"));
    let mut asked = false;
    loop {
        let message = poll_fn(|context| {
            if !asked && let Poll::Ready(outcome) = asking.as_mut().poll(context) {
                asked = true;
                // Whatever was changed while nobody listened.
                Topic::ALL.into_iter().for_each(|topic| topic.of(news).notify_one());
                if let Err(error) = outcome {
                    return Poll::Ready(Some(Err(error)));
                }
            }
            connection.poll_message(context)
        });
        match message.await {
            Some(Ok(AsyncMessage::Notification(notification))) => {
                if let Some(topic) = Topic::named(notification.payload()) {
                    topic.of(news).notify_one();
                }
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return explained(&error),
            None => return "the connection was closed".to_owned(),
        }
    }
}
