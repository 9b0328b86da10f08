//! The whole gate in this process: port 0, a clock that stands still, an issuer whose key the tests hold, and a FHIR server that
//! records every byte and misbehaves when told to.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "what does not hold in a test fails it"
)]

mod bundles;
mod case;
mod clocks;
mod conditional;
mod connection;
mod corpus;
mod double;
mod export;
mod faults;
mod granular;
mod headers;
mod http2;
mod impatience;
mod includes;
mod joined;
mod leaving;
mod linked;
mod operations;
mod pages;
mod pins;
mod processed;
mod providers;
mod report;
mod resources;
mod revocation;
mod several;
mod tokens;
mod trial;
mod typed;
mod uniform;
mod wire;
mod world;
mod writes;
