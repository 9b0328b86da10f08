//! Configuration: files, checked and compiled as a whole into an immutable snapshot; reload while running.

mod snapshot;

pub use snapshot::*;
