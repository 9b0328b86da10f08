//! Smartgate: SMART on FHIR in front of any FHIR server.
//!
//! The modules stand on floors; a module imports only from the floors below its own (README, "Where things are"):
//! `address`, `ambient`, `fhir`, `scope` and `telemetry` at the bottom, then `config`, then `token`, `decide`, `store` and
//! `upstream`, then `guard` and `auth`, and `gate` and `ops` on top.

// They end the process by a panic where nobody reads on: `app::say` and `app::complain` do not.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod address;
pub mod ambient;
pub mod app;
pub mod auth;
#[cfg(any(test, feature = "bench"))]
#[doc(hidden)]
pub mod benching;
pub mod config;
pub mod decide;
pub mod fhir;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod gate;
pub mod guard;
pub mod ops;
pub mod scope;
pub mod store;
pub mod telemetry;
pub mod token;
pub mod upstream;
