//! The grant types, one file each.

mod authorization_code;
mod client_credentials;
mod refresh_token;

pub(super) use authorization_code::{CodeGrant, challenge_of};
