//! The User-Access Brands bundle, for anybody who asks (SMART App Launch 2.2 brands).

use bytes::Bytes;
use http::Response;

use super::answer;
use super::call::Call;

/// `GET /.well-known/user-access-brands.json`.
pub(super) fn bundle(call: &Call<'_>) -> Response<Bytes> {
    match &call.snapshot.brands {
        Some(brands) => {
            answer::tagged("application/fhir+json", brands.bundle.clone(), &brands.tag, call.has(&brands.tag))
        }
        None => answer::not_found(),
    }
}

#[cfg(test)]
#[path = "brands_tests.rs"]
mod tests;
