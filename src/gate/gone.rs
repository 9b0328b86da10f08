//! Whether who asked is still there: while nobody waits for an answer any more, it takes nobody's turn at the FHIR server.

use std::time::Duration;

use pingora::protocols::http::ServerSession;
use pingora::time::sleep;

use crate::decide::Permit;
use crate::fhir::interaction::Request;

/// How often the connection of a request is looked at that is with the FHIR server.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// States of a TCP connection that the other side has closed or reset (Linux, `include/net/tcp_states.h`).
const CLOSED: [u8; 2] = [7, 8];

/// Whether a request may end without its answer: it changes nothing. A write goes on, so that what became of it is known and told.
pub(super) fn may_end_early(request: &Request, permit: &Permit) -> bool {
    (request.method.is_safe() || request.interaction.is_search())
        && permit.request().is_none_or(|sent| sent.bulk().is_none())
}

/// Comes to pass when the client has reset the request's stream or closed the connection, or its own half of it: HTTP knows no client
/// that listens and does not mean to say anything any more. Nothing is read.
pub(super) async fn gone(session: &mut ServerSession) {
    if let Some(closed) = session.watch_h2_stream_close() {
        // How it was closed is all the same.
        drop(closed.await);
        return;
    }
    let Some(socket) = session.digest().and_then(|digest| digest.socket_digest.clone()) else {
        return std::future::pending().await;
    };
    loop {
        sleep(LOOK_EVERY).await;
        if socket.tcp_info().is_some_and(|tcp| CLOSED.contains(&tcp.tcpi_state)) {
            return;
        }
    }
}
