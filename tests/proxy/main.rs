//! The whole gate in this process: port 0, a clock that stands still, an issuer whose key the tests hold, and a FHIR server that
//! records every byte and misbehaves when told to.

mod case;
mod connection;
mod corpus;
mod double;
mod pages;
mod revocation;
mod tokens;
mod uniform;
mod wire;
mod world;
