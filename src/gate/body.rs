//! Request bodies, read whole and bounded.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header;
use pingora::protocols::http::ServerSession;
use tokio::time::timeout;

use crate::decide::{Refusal, request as rules};

/// Reads the whole body, at most `limit` bytes.
///
/// # Errors
/// More bytes than that, or a body that ends early or takes longer than `within`.
pub(super) async fn read(session: &mut ServerSession, limit: usize, within: Duration) -> Result<Bytes, Refusal> {
    let whole = timeout(within, whole(session, limit)).await;
    whole.unwrap_or_else(|_| Err(rules::BODY_UNREADABLE.refuse().because("server.request_timeout")))
}

async fn whole(session: &mut ServerSession, limit: usize) -> Result<Bytes, Refusal> {
    let request = session.req_header();
    let declared = request
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<usize>().ok());
    if declared.is_some_and(|length| length > limit) {
        return Err(rules::BODY_TOO_LARGE.refuse());
    }
    let unreadable = || rules::BODY_UNREADABLE.refuse();
    if request.headers.contains_key(header::EXPECT) {
        session.write_continue_response().await.map_err(|_| unreadable())?;
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = session.read_request_body().await.map_err(|_| unreadable())? {
        if body.len() + chunk.len() > limit {
            return Err(rules::BODY_TOO_LARGE.refuse());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
