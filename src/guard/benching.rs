//! What happens between a body of the FHIR server and the answer to the client, without the wire; for `benches/`.

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::HeaderMap;

use super::bundle::{self, Wanted};
use super::{Answer, Exchange, Guard, fill, resource};
use crate::decide::{Action, Permit, Seen, Verify};

/// The answer to a guarded read or search whose whole result is `body`; none where it is refused, or more would have to be
/// fetched.
pub fn answer(guard: &Guard, exchange: &Exchange<'_>, permit: &Permit, body: &Bytes) -> Option<Answer> {
    let answered = async {
        match permit.action() {
            Action::Guard { verify: Verify::Resource { of, id }, .. } => {
                resource::of_body(guard, exchange, &HeaderMap::new(), body, (*of, id)).await.ok()
            }
            Action::Guard { request, verify: Verify::Bundle { letter, kind, pages, includes } } => {
                let (letter, kind, pages, seen) = (*letter, *kind, *pages, Seen::default());
                let wanted = Wanted { request, letter, kind, pages, includes, seen };
                let filled = fill::of_body(guard, exchange, &wanted, body).await.ok()??;
                bundle::print(guard, exchange, &wanted, filled).ok()
            }
            _ => None,
        }
    };
    answered.now_or_never().flatten()
}
