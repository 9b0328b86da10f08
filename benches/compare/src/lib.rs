//! What the programs of the comparison share.

pub mod sample;
